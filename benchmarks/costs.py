"""What each stage costs as the set grows: ``python -m benchmarks.costs``.

A project on MNIST's digits runs all stages with default settings. Sets above 5,000 images hold
elastic variants of the digits as well, so that no two images are copies. ``--images scans`` hands
in brushed characters of 128 × 128 pixels as one folder, of which ``clean`` makes 64 × 64.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from augment.classifiers.classifier import signed_batch
from augment.data import images
from augment.data.arrays import Arrays
from augment.data.places import REPORTS
from augment.pipeline import STAGES
from augment.runtime import seeding
from augment.vision import augmentations
from benchmarks import mnist, runs, scans, stages
from benchmarks.borrowed import letters
from benchmarks.cleaning import glyphs
from benchmarks.results import Row
from benchmarks.speed import BRIEF, temporary
from benchmarks.tables import MACHINE, Column, Frame, cell, first, summary

SIZES = {"digits": (50, 500, 5_000, 50_000), "scans": (10_000,)}
FINE, SMALL = 128, [64, 64]  # pixels of a scan, before and after clean
LABELLED = 5  # one image in so many has a label, where adopt is timed
VARIED = {"name": "elastic", "amplitude": 0.08}  # of the images above 5,000
FEW = 500  # images: of fewer a generator draws copies, at which synth stops; so none are drawn
CHUNK = 1000  # images varied at once
BRIEFLY = {"steps": 60, "uplift": {"steps": 20, "seeds": 2}}  # of the quick form
ONCE = {"steps": 60, "rounds": 1}


def digits(count: int) -> Arrays:
    """So many digits, as many of each class: MNIST's, and elastic variants of them above 5,000."""
    whole = mnist.all_digits()
    parts = []
    for label in range(10):
        members = np.flatnonzero(whole.labels == label)
        parts.append(np.resize(seeding.rng(0, "costs", label).permutation(members), count // 10))
    places = np.stack(parts, 1).ravel()  # classes take turns; no digit comes again before all did
    data = whole.take(places)
    vary = augmentations.compose([VARIED])
    rng = seeding.generator(0, "costs")
    for start in range(len(whole), count, CHUNK):
        part = torch.from_numpy(data.pixels[start : start + CHUNK])
        varied = vary(signed_batch(part, torch.device("cpu")), rng)
        data.pixels[start : start + CHUNK] = images.to_uint8(varied.contiguous().numpy())
    return data


def scanned(count: int) -> Arrays:
    """So many images of 100 characters by nine brushes, as many of each, which take turns."""
    each = count // scans.EACH
    data = letters.written(glyphs.FONTS, glyphs.CHARACTERS[: scans.EACH], each, FINE, 0)
    return data.take(np.argsort(np.arange(len(data)) % each, kind="stable"))


SETS: dict[str, tuple[Callable[[int], Arrays], dict[str, Any]]] = {  # and the settings of clean
    "digits": (digits, {}),
    "scans": (scanned, {"size": SMALL}),
}


def write_files(root: Path, data: Arrays, every: int = 1) -> None:
    """A folder a class in ``files``; in ``others`` all but one of ``every`` images of a class."""
    for place, (image, label) in enumerate(zip(data.pixels[:, 0], data.labels, strict=True)):
        labelled = place // len(data.classes) % every == 0
        folder = root / "files" / data.classes[label] if labelled else root / "others"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{place:06d}.png").write_bytes(images.encode(image))


def timed(root: Path, names: Iterable[str]) -> dict[str, float]:
    """Seconds of each stage of the project in ``root``, run one after the other."""
    seconds = {}
    for name in names:
        start = time.perf_counter()
        stages.run(name, root)
        seconds[name] = time.perf_counter() - start
    return seconds


def said(root: Path) -> dict[str, Any]:
    """What ``clean`` and ``score`` report of the project in ``root``."""
    clean, score = (
        json.loads((root / REPORTS / f"{name}.json").read_text("utf-8"))
        for name in ("clean", "score")
    )
    return {
        "kept": clean["kept"],
        "label_accuracy": score.get("label_accuracy"),
        "uplift": score["uplift"]["gain"]["mean"],
        **{name: score["uplift"][name] for name in ("low", "high")},
    }


def measure(images: str, count: int, seed: int, options: argparse.Namespace) -> Row:
    """Seconds of every stage for ``count`` images, all with a label but where adopt is timed.

    Beside them what the stages say of the set: images kept, right labels, and the uplift.
    """
    make, normal = SETS[images]
    data = make(count)
    with temporary() as root:
        write_files(root, data)
        groups = {"clean": normal} | ({"synth": {"per_class": 0}} if count < FEW else {})
        groups = {"train": BRIEF, "score": BRIEFLY, **groups} if options.quick else groups
        stages.project(root, ingest={"seed": seed}, write={"gates": []}, **groups)
        row: Row = {**timed(root, STAGES), **said(root)}
    with temporary() as root:
        write_files(root, data, LABELLED)
        others = {"seed": seed, "unlabelled": str(root / "others")}
        brief = {"adopt": ONCE} if options.quick else {}
        stages.project(root, ingest=others, clean=normal, **brief)
        row["adopt"] = timed(root, ("ingest", "clean", "adopt"))["adopt"]
    return row


def costs(rows: Frame) -> Frame:
    """A line for each stage, a column for each size."""
    titles = [
        f"{count:,} {images}" for count, images in zip(rows["count"], rows["images"], strict=True)
    ]
    named = rows.set_index(pd.Index(titles))
    lines = named[[*STAGES]].T.rename_axis("stage").reset_index()
    seconds = lines.set_index("stage").map(lambda value: cell(float(value), "{:.0f} s"))
    return seconds.rename_axis(None, axis=1).reset_index()


def outcome(rows: Frame) -> Frame:
    """What the stages said of scans."""
    shown = rows[rows["images"] == "scans"].infer_objects()
    return summary(shown, ["images", "count"], {
        "images": first("images"), "handed in": first("count", "{:,}"),
        "kept by clean": Column("kept", form="{:,.0f}"),
        "label accuracy": Column("label_accuracy", form="{:.3f}"),
        "uplift": Column("uplift", form="{:+.1%}"),
        "from": Column("low", form="{:+.1%}"),
        "to": Column("high", form="{:+.1%}"), **MACHINE,
    })  # fmt: skip


TABLES = (costs, outcome)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    options = runs.parse(
        __doc__, argv, {"images": ["digits"], "sizes": [50]}, images=[*SETS],
        sizes=[count for sizes in SIZES.values() for count in sizes], width=0, steps=0,
    )  # fmt: skip
    keys = [
        {"images": images, "count": count, "seed": seed}
        for images in options.images
        for count in SIZES[images]
        if count in options.sizes
        for seed in options.seeds
    ]
    full_form = [
        {**options.full, "images": images, "count": count, "seed": 0}
        for images, sizes in SIZES.items()
        for count in sizes
    ]
    runs.collect("costs", options, keys, measure, full_form, ("images", "count", "seed"))


if __name__ == "__main__":
    main()
