"""Runs the stages on a planted set and compares their verdicts with the list."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from augment.data import contact_sheets, images, normalise, table
from augment.data.arrays import Arrays
from augment.data.images import Pixels
from augment.data.normalise import Form
from benchmarks import mnist, stages
from benchmarks.cleaning.planting import FAULTS, Planted, name
from benchmarks.results import Row

Flags = NDArray[np.bool_]

SETTINGS = {"max_dropped": 1.0}  # beside the defaults: the faults are more than their 20 %
LOST = ("drop", "ask")
PICTURED = 56  # pixels of an image in the picture
NAMES: dict[str, set[str]] = {  # checks that are right about a fault
    "duplicate": {"exact_duplicate", "near_duplicate", "split_leak"},
    "wrong_label": {"wrong_label"},
    "secondary": {"secondary_content", "ruling_line"},
    "secondary_touching": {"secondary_content", "corner_content"},
    "inverted": {"inverted"},
    "turned": {"turned"},
    "blank": {"blank", "low_contrast"},
    "cut_off": {"cut_off"},
    "no_class": {"outlier", "ink_share", "noise", "blur"},
}


@contextmanager
def place(keep: str, title: str) -> Iterator[Path]:
    """A folder to work in: a new one under ``keep``, or one that is gone afterwards."""
    if keep:
        kept = Path(keep).resolve() / title.replace(" ", "")
        kept.mkdir(parents=True)
        yield kept
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def clean(planted: Planted, root: Path) -> pd.DataFrame:
    """Ingest and clean the dirty set in ``root``; clean.csv in the order of the plants."""
    planted.write(root)
    stages.project(root, clean=SETTINGS)
    for stage in ("ingest", "clean"):
        stages.run(stage, root)
    sheet = pd.read_csv(root / "reports/clean.csv", dtype=str, keep_default_na=False)
    return sheet.set_index("path").loc[[name(place) for place in range(len(planted))]]


def rows(planted: Planted, sheet: pd.DataFrame, root: Path, judge: Judge) -> list[Row]:
    """A row for each fault: how many are found and repaired, and how many clean images are lost."""
    lost, mended, caught = verdicts(planted, sheet, judge.reads(planted, sheet, root))
    reasons = [set(text.split(";")) for text in sheet["reasons"]]
    faults, variants, truths = (
        np.array([getattr(plant, field) for plant in planted.plants])
        for field in ("fault", "variant", "truth")
    )
    untouched = faults == ""
    changed = sheet["verdict"].isin(("repair", "relabel")).to_numpy()
    shared = {
        "lost": share(lost[untouched]),
        "changed": share(changed[untouched]),
        "judge": judge.floor(planted),
    }
    measured = []
    for fault, kinds in FAULTS.items():
        here = faults == fault
        right = np.array([bool(names & NAMES[fault]) for names in reasons])
        if fault == "duplicate":  # where the copy stays its original has gone, for that reason
            right |= right[[planted.twin(place) for place in range(len(planted))]]
        row = {
            "what": fault,
            "count": int(here.sum()),
            "recall": share(caught[here]),
            "named": share((caught & right)[here]),
            "mended": share(mended[here & caught]),
            "variants": {kind: share(caught[here & (variants == kind)]) for kind in kinds},
        }
        if fault == "wrong_label" and "suggested_label" in sheet:
            suggested = sheet["suggested_label"].to_numpy() == truths
            row["suggested"] = share(suggested[here & caught])
        measured.append({**row, **shared})
    return measured


def verdicts(planted: Planted, sheet: pd.DataFrame, read: Flags) -> tuple[Flags, Flags, Flags]:
    """Which images are lost, which are repaired and ``read`` right, and which faults are found.

    A fault is found when its image does not stay as it is; a pair of duplicates, when one of them
    is out. The original does not count as lost where its copy stays. A test image that is only
    listed for a person, because no model drops a test image, counts as dropped: found, or lost.
    """
    verdict = sheet["verdict"]
    listed = (verdict == "keep") & (sheet["reasons"] != "")
    out = (verdict.isin(LOST) | listed).to_numpy(copy=True)
    caught = (verdict != "keep").to_numpy() | out
    lost = out.copy()
    for here, plant in enumerate(planted.plants):
        if plant.fault == "duplicate":
            twin = planted.twin(here)
            caught[here] = out[here] or out[twin]
            if not out[here]:
                lost[twin] = False
    return lost, (verdict == "repair").to_numpy() & read, caught


def picture(planted: Planted, sheet: pd.DataFrame, root: Path, columns: int = 6) -> Pixels:
    """Planted images, a row for each fault, beside those that clean keeps, or paper for none.

    Test images are not shown: those that models doubt stay until a person decides.
    """
    kept = {row["id"]: row for row in table.rows(root / "data/clean")}
    form = Form((PICTURED, PICTURED), "L", "pad")
    sides: tuple[dict[str, Pixels], dict[str, Pixels]] = ({}, {})
    for fault in FAULTS:
        places = [
            place
            for place, plant in enumerate(planted.plants)
            if plant.fault == fault and plant.split != "test"
        ]
        kinds = [planted.plants[place].variant for place in places]
        order = sorted(range(len(places)), key=lambda at: (kinds[:at].count(kinds[at]), at))
        places = [places[at] for at in order[:columns]]
        title = fault.replace("_", " ")
        sides[0][title] = stacked(map(planted.pixels, places), form)
        sides[1][title] = np.full_like(sides[0][title], contact_sheets.PAPER)
        for at, place in enumerate(places):
            if (row := kept.get(sheet["id"].iloc[place])) is not None:
                sides[1][title][at] = stacked([grey(row)], form)[0]
    return contact_sheets.beside(*sides, columns, ["planted", "kept by clean"], target=PICTURED)


class Judge:
    """A classifier of the untouched images, which has seen no planted one nor its original."""

    def __init__(self, planted: Planted, side: int, steps: int, device: torch.device):
        """Fit for ``steps`` to images of ``side`` pixels."""
        self.form = Form((side, side), "L", "pad")
        self.classes = table.classes_of(planted.collection.labels)
        places = [place for place, plant in enumerate(planted.plants) if not plant.fault]
        labels = [planted.plants[place].truth for place in places]
        pixels = stacked(map(planted.pixels, places), self.form)
        self.classifier = mnist.classifier(
            arrays(pixels, labels, self.classes), "residual", steps, device
        )

    def right(self, pixels: Iterable[Pixels], labels: Sequence[str]) -> Flags:
        """Which images it reads as their labels say."""
        if not labels:
            return np.zeros(0, bool)
        guesses = self.classifier.predict(stacked(pixels, self.form)).argmax(1)
        right: Flags = guesses == indices(labels, self.classes)
        return right

    def floor(self, planted: Planted) -> float | None:
        """Share of the originals of faulty images that it reads right."""
        places = [
            place for place, plant in enumerate(planted.plants) if plant.fault and plant.truth
        ]
        labels = [planted.plants[place].truth for place in places]
        return share(self.right(map(planted.original, places), labels))

    def reads(self, planted: Planted, sheet: pd.DataFrame, root: Path) -> Flags:
        """Which of the repaired images it reads right; False for all that were not repaired."""
        read = np.zeros(len(planted), bool)
        repaired = np.flatnonzero(sheet["verdict"] == "repair")
        if not len(repaired):
            return read
        at = {sheet["id"].iloc[place]: int(place) for place in repaired}
        kept = {
            at[row["id"]]: grey(row) for row in table.rows(root / "data/clean") if row["id"] in at
        }
        places = list(kept)
        truths = [planted.plants[place].truth for place in places]
        read[places] = self.right(kept.values(), truths)
        return read


def grey(row: table.Row) -> Pixels:
    """The image of a table's row, uint8 (H, W)."""
    return np.asarray(images.decode(row["image"]["bytes"]).convert("L"))


def arrays(pixels: Pixels, labels: Sequence[str], classes: list[str]) -> Arrays:
    """Labelled images in memory, numbered."""
    ids = [str(number) for number in range(len(labels))]
    return Arrays(pixels, indices(labels, classes), ids, classes)


def stacked(pixels: Iterable[Pixels], form: Form) -> Pixels:
    """Grey images of any size as one array (N, 1, H, W) in ``form``."""
    encoded = map(images.encode, pixels)
    formed = [images.pixels(normalise.to_form(data, form), form.mode) for data in encoded]
    return np.stack(formed)[:, None]


def indices(labels: Iterable[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """Each label's place among ``classes``; -1 for one that is not there."""
    places = {label: place for place, label in enumerate(classes)}
    return np.array([places.get(label, -1) for label in labels], np.int64)


def share(flags: Flags) -> float | None:
    """The share of ``flags`` that are true; None where there are none."""
    return float(flags.mean()) if len(flags) else None
