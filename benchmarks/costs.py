"""What each stage costs as the set grows: ``python -m benchmarks.costs``.

A project on MNIST's digits runs all stages with default settings. Sets above 5,000 images hold
elastic variants of the digits as well, so that no two images are copies.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from augment.classifiers.classifier import signed_batch
from augment.data import images
from augment.data.arrays import Arrays
from augment.pipeline import STAGES
from augment.runtime import seeding
from augment.vision import augmentations
from benchmarks import mnist, runs, stages
from benchmarks.results import Row
from benchmarks.speed import BRIEF, temporary
from benchmarks.tables import Frame, cell

SIZES = (50, 500, 5_000, 50_000)
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


def measure(count: int, seed: int, options: argparse.Namespace) -> Row:
    """Seconds of every stage for ``count`` images, all with a label but where adopt is timed."""
    data = digits(count)
    with temporary() as root:
        write_files(root, data)
        groups = {"synth": {"per_class": 0}} if count < FEW else {}
        groups = {"train": BRIEF, "score": BRIEFLY, **groups} if options.quick else groups
        stages.project(root, ingest={"seed": seed}, write={"gates": []}, **groups)
        row = timed(root, STAGES)
    with temporary() as root:
        write_files(root, data, LABELLED)
        others = {"seed": seed, "unlabelled": str(root / "others")}
        stages.project(root, ingest=others, **({"adopt": ONCE} if options.quick else {}))
        row["adopt"] = timed(root, ("ingest", "clean", "adopt"))["adopt"]
    return row


def costs(rows: Frame) -> Frame:
    """A line for each stage, a column for each size."""
    named = rows.set_index(rows["count"].map("{:,} images".format))
    lines = named[[*STAGES]].T.rename_axis("stage").reset_index()
    seconds = lines.set_index("stage").map(lambda value: cell(float(value), "{:.0f} s"))
    return seconds.rename_axis(None, axis=1).reset_index()


TABLES = (costs,)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    options = runs.parse(__doc__, argv, {"sizes": [50]}, sizes=list(SIZES), width=0, steps=0)
    keys = runs.grid(count=options.sizes, seed=options.seeds)
    full_form = runs.grid(options.full, count=SIZES, seed=[0])
    runs.collect("costs", options, keys, measure, full_form, ("count", "seed"))


if __name__ == "__main__":
    main()
