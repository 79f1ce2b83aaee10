"""Runs the stages on a planted set and compares what they did with the list."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from numpy.typing import NDArray

from augment import pipeline
from augment.classifiers.classifier import Classifier
from augment.classifiers.fit import CLASSIC, fit_classifier
from augment.data import contact_sheets, images, normalise, table
from augment.data.images import Pixels
from augment.data.normalise import Form
from benchmarks import mnist
from benchmarks.cleaning.planting import FAULTS, Planted, name

Row = dict[str, Any]
Flags = NDArray[np.bool_]

SETTINGS = {"max_dropped": 1.0}  # the rest of clean as it comes; the faults are more than its 20 %
LOST = ("drop", "ask")
PICTURED = 56  # pixels of an image in the picture
NAMES: dict[str, set[str]] = {  # checks that are right about a fault
    "duplicate": {"exact_duplicate", "near_duplicate", "split_leak"},
    "wrong_label": {"wrong_label"},
    "secondary": {"secondary_content", "ruling_line"},
    "inverted": {"inverted"},
    "turned": {"turned"},
    "blank": {"blank", "low_contrast"},
    "cut_off": {"cut_off"},
    "no_class": {"outlier", "ink_share", "noise", "blur"},
}


@contextmanager
def place(keep: Path | None, title: str) -> Iterator[Path]:
    """A folder to work in: one of its own under ``keep``, or one that is gone afterwards."""
    if keep is not None:
        folder = keep.resolve() / title.replace(" ", "")
        folder.mkdir(parents=True)
        yield folder
        return
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def clean(planted: Planted, root: Path) -> pd.DataFrame:
    """Ingest and clean the dirty set in ``root``; clean.csv in the order of the plants."""
    planted.write(root)
    groups = {"ingest": {"source": str(root / "files")}, "clean": SETTINGS}
    (root / "params.yaml").write_text(yaml.safe_dump(groups))
    for stage in ("ingest", "clean"):
        pipeline.run(stage, root=root)
    sheet = pd.read_csv(root / "reports/clean.csv", dtype=str, keep_default_na=False)
    return sheet.set_index("path").loc[[name(place) for place in range(len(planted))]]


def rows(planted: Planted, sheet: pd.DataFrame, root: Path, judge: Judge) -> list[Row]:
    """What became of each fault: one row a fault, with what the clean images lost beside it."""
    lost, mended, found = verdicts(planted, sheet, judge.reads(planted, sheet, root))
    reasons = [set(one.split(";")) for one in sheet["reasons"]]
    faults = np.array([one.fault for one in planted.plants])
    variants = np.array([one.variant for one in planted.plants])
    truths = np.array([one.truth for one in planted.plants])
    untouched = faults == ""
    changed = sheet["verdict"].isin(("repair", "relabel")).to_numpy()
    shared = {
        "lost": _share(lost[untouched]),
        "changed": _share(changed[untouched]),
        "judge": judge.floor(planted),
    }
    made = []
    for fault, known in FAULTS.items():
        here = faults == fault
        right = np.array([bool(one & NAMES[fault]) for one in reasons])
        if fault == "duplicate":  # where the copy stays its original has gone, for that reason
            right |= right[[planted.twin(place) for place in range(len(planted))]]
        row = {
            "what": fault,
            "count": int(here.sum()),
            "recall": _share(found[here]),
            "named": _share((found & right)[here]),
            "mended": _share(mended[here & found]),
            "variants": {one: _share(found[here & (variants == one)]) for one in known},
        }
        if fault == "wrong_label" and "suggested_label" in sheet:
            suggested = sheet["suggested_label"].to_numpy() == truths
            row["suggested"] = _share(suggested[here & found])
        made.append({**row, **shared})
    return made


def verdicts(planted: Planted, sheet: pd.DataFrame, read: Flags) -> tuple[Flags, Flags, Flags]:
    """Which images are lost, which are repaired and ``read`` right, and which faults are found.

    Found is what does not stay as it is; of a pair of duplicates, one that is out. The original
    does not count as lost where its copy stays. A test image that is listed for a person with its
    reasons, because no model drops one, counts as if it were dropped: found, or lost.
    """
    verdict = sheet["verdict"]
    listed = (verdict == "keep") & (sheet["reasons"] != "")
    out = (verdict.isin(LOST) | listed).to_numpy(copy=True)
    found = (verdict != "keep").to_numpy() | out
    lost = out.copy()
    for here, one in enumerate(planted.plants):
        if one.fault == "duplicate":
            twin = planted.twin(here)
            found[here] = out[here] or out[twin]
            if not out[here]:
                lost[twin] = False
    return lost, (verdict == "repair").to_numpy() & read, found


def picture(planted: Planted, sheet: pd.DataFrame, root: Path, columns: int = 6) -> Pixels:
    """What was planted, a row a fault, beside what clean keeps of it; empty where it keeps none.

    Of train and valid: test images against which models speak stay until a person decides.
    """
    known = {one["id"]: one["image"]["bytes"] for one in table.rows(root / "data/clean")}
    form = Form((PICTURED, PICTURED), "L", "pad")
    sides: tuple[dict[str, Pixels], dict[str, Pixels]] = ({}, {})
    for fault in FAULTS:
        places = [
            place
            for place, one in enumerate(planted.plants)
            if one.fault == fault and one.split != "test"
        ]
        kinds = [planted.plants[place].variant for place in places]
        order = sorted(range(len(places)), key=lambda at: (kinds[:at].count(kinds[at]), at))
        chosen = [places[at] for at in order[:columns]]
        title = fault.replace("_", " ")
        sides[0][title] = stacked((planted.pixels(place) for place in chosen), form)
        sides[1][title] = np.full_like(sides[0][title], contact_sheets.PAPER)
        for at, place in enumerate(chosen):
            if (data := known.get(sheet["id"].iloc[place])) is not None:
                kept = np.asarray(images.decode(data).convert("L"))
                sides[1][title][at] = stacked([kept], form)[0]
    return contact_sheets.beside(*sides, columns, ["planted", "kept by clean"], target=PICTURED)


class Judge:
    """A classifier of the untouched images, which has seen no planted one nor its original."""

    def __init__(self, planted: Planted, side: int, steps: int, device: torch.device):
        """Fit for ``steps`` to images of ``side`` pixels."""
        self.form = Form((side, side), "L", "pad")
        self.classes = table.classes_of(planted.collection.labels)
        chosen = [place for place, one in enumerate(planted.plants) if not one.fault]
        labels = [planted.plants[place].truth for place in chosen]
        self.classifier = fitted(
            stacked((planted.pixels(place) for place in chosen), self.form),
            indices(labels, self.classes), len(self.classes), "residual", steps, device,
        )  # fmt: skip

    def right(self, pixels: Iterable[Pixels], labels: Sequence[str]) -> Flags:
        """Which images it reads as their labels say."""
        if not labels:
            return np.zeros(0, bool)
        guesses = self.classifier.predict(stacked(pixels, self.form)).argmax(1)
        found: Flags = guesses == indices(labels, self.classes)
        return found

    def floor(self, planted: Planted) -> float | None:
        """Share of the originals that faults befell which it reads right."""
        chosen = [place for place, one in enumerate(planted.plants) if one.fault and one.truth]
        labels = [planted.plants[place].truth for place in chosen]
        return _share(self.right((planted.original(place) for place in chosen), labels))

    def reads(self, planted: Planted, sheet: pd.DataFrame, root: Path) -> Flags:
        """Which of the repaired images it reads right; False for all that were not repaired."""
        read = np.zeros(len(planted), bool)
        repaired = np.flatnonzero(sheet["verdict"] == "repair")
        if not len(repaired):
            return read
        at = {sheet["id"].iloc[place]: int(place) for place in repaired}
        shown = {
            at[row["id"]]: np.asarray(images.decode(row["image"]["bytes"]).convert("L"))
            for row in table.rows(root / "data/clean")
            if row["id"] in at
        }
        places = list(shown)
        read[places] = self.right(shown.values(), [planted.plants[one].truth for one in places])
        return read


def fitted(
    pixels: Pixels,
    labels: NDArray[np.int64],
    classes: int,
    network: str,
    steps: int,
    device: torch.device,
    seed: int = mnist.JUDGE_SEED,
) -> Classifier:
    """A classifier under the classic augmentation."""
    return fit_classifier(
        pixels, labels, classes=classes, network=network, steps=steps, batch=64, seed=seed,
        device=device, augment=CLASSIC,
    )  # fmt: skip


def stacked(pixels: Iterable[Pixels], form: Form) -> Pixels:
    """Grey images of any size as one array (N, 1, H, W) in ``form``."""
    made = (images.encode(one) for one in pixels)
    return np.stack([images.pixels(normalise.to_form(one, form), form.mode) for one in made])[
        :, None
    ]


def indices(labels: Iterable[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """Each label's place among ``classes``; -1 for one that is not there."""
    places = {label: place for place, label in enumerate(classes)}
    return np.array([places.get(label, -1) for label in labels], np.int64)


def _share(flags: Flags) -> float | None:
    return float(flags.mean()) if len(flags) else None
