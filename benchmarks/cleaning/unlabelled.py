"""Near duplicates among images without a label, for each class by itself.

A plain shape, such as a 1, is alike in many different images, and what one class loses is hidden in
a mean over all classes.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from augment.data import files, images
from benchmarks import stages
from benchmarks.cleaning import judging
from benchmarks.cleaning.planting import ADDED, Planted, name, plant
from benchmarks.cleaning.sets import Collection
from benchmarks.results import Row

LABELLED = 10  # images of each class that keep their label
SETTINGS = {"checks": ["near_duplicate"], "max_dropped": 1.0}


def rows(collection: Collection, seed: int, options: argparse.Namespace) -> list[Row]:
    """A row for each class: planted duplicates that are found, other images that are dropped."""
    planted = without_labels(collection, seed)
    with judging.place(options.keep, f"{collection.name}-{seed}-unlabelled") as root:
        sheet = cleaned(planted, root)
    lost, _, is_found = judging.verdicts(planted, sheet, np.zeros(len(planted), bool))
    copy = np.array([plant.fault != "" for plant in planted.plants])
    truth = np.array([plant.truth for plant in planted.plants])
    return [
        {
            "what": label,
            "count": int((copy & (truth == label)).sum()),
            "recall": judging.share(is_found[copy & (truth == label)]),
            "lost": judging.share(lost[~copy & (truth == label)]),
        }
        for label in sorted(set(collection.labels))
    ]


def without_labels(collection: Collection, seed: int) -> Planted:
    """The set with planted duplicates, in train; the first few images of a class have a label."""
    labelled: Counter[str] = Counter()
    plants = []
    for planted in plant(collection, seed).plants:
        fault = planted.fault if planted.fault == "duplicate" else ""
        if planted.fault in ADDED and not fault:
            continue
        labelled[planted.truth] += not fault
        keeps_label = not fault and labelled[planted.truth] <= LABELLED
        label = planted.truth if keeps_label else ""
        plants.append(replace(planted, fault=fault, label=label, split="train"))
    return Planted(collection, plants, seed)


def cleaned(planted: Planted, root: Path) -> pd.DataFrame:
    """Clean the set in ``root`` by the one check; clean.csv in the order of the plants."""
    for place, planted_image in enumerate(planted.plants):
        folder = root / "files" / planted_image.label if planted_image.label else root / "others"
        files.write_bytes(folder / name(place), images.encode(planted.pixels(place)))
    others = {"unlabelled": str(root / "others"), "split": {"valid": 0, "test": 0}}
    stages.project(root, ingest=others, clean=SETTINGS)
    for stage in ("ingest", "clean"):
        stages.run(stage, root)
    sheet = pd.read_csv(root / "reports/clean.csv", dtype=str, keep_default_na=False)
    sheet.index = pd.Index(sheet["path"].str.rsplit("/", n=1).str[-1])
    return sheet.loc[[name(place).rsplit("/", 1)[-1] for place in range(len(planted))]]
