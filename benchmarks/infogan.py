"""InfoGAN without any label: does it find the ten digits? ``python -m benchmarks.infogan``.

The categories are matched to the digits with the labels of the 4,000. The head is then asked about
the held-out digits, and an independent judge about samples. Continuous codes are measured as
``augment codes`` does.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from augment.codes import matching
from augment.codes.probe import Probe
from augment.runtime import seeding
from benchmarks import mnist, runs, training
from benchmarks.results import SETTING, Row
from benchmarks.tables import MACHINE, WHERE, Frame, cell, summary

SAMPLES = 1000
ACCURACY_MEDIAN, ACCURACY_WORST = 0.95, 0.90  # of the class code, over the seeds
MOVES, CHANGES = 0.9, 0.02  # |Spearman| at least, share of class changes at most; in the median
SETTINGS = {  # the rest is the default
    "model": {
        "name": "infogan",
        "labels": "none",
        "factors": ["slant", "width"],
        "code_weight": 5.0,
    },
}
COLUMNS = {
    "head": "accuracy", "samples": "accuracy_samples", "purity": "purity", "slant": "slant",
    "width": "width_factor", "each code": "moved", "class changes": "class_changes",
    "minutes": "minutes",
}  # fmt: skip
MOST = ("class_changes", "minutes")  # of these the greatest value is the worst


def purity(categories: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Share of images that are of their category's most frequent class."""
    counts = pd.crosstab(categories, labels)
    return float(counts.max(axis=1).sum() / len(labels))


def moved(spearman: dict[str, NDArray[Any]]) -> dict[str, float]:
    """The strongest |Spearman| of slant and of width, and that of the code that moves least."""
    strength = {name: np.abs(spearman[name]) for name in ("slant", "width")}
    return {
        "slant": np.fmax.reduce(strength["slant"]),
        "width_factor": np.fmax.reduce(strength["width"]),
        "moved": np.fmax(strength["slant"], strength["width"]).min(),
    }


def measure(seed: int, options: argparse.Namespace) -> Row:
    """A row of the table."""
    train, held = mnist.digits()
    judge = mnist.judge(options.judge, options.device)
    settings = training.settings("infogan", options, seed, **SETTINGS)
    unlabelled = dataclasses.replace(train, labels=np.full_like(train.labels, -1))
    run = training.Training(settings, unlabelled, options.device)
    run.run(options.steps)
    head = run.head()
    codes = matching.match(head.predict(train.pixels), train.labels, train.classes)
    labels = {code: label for label, matched in enumerate(codes.values()) for code in matched}
    pixels, conditions = run.samples(SAMPLES)
    meant = np.array([labels[condition] for condition in conditions.tolist()])
    predicted = head.predict(held.pixels)
    first_codes = {name: matched[0] for name, matched in codes.items()}
    probe = Probe(run.generator, judge.classifier, first_codes, seeding.derive(seed, "codes"))
    return {
        "accuracy": matching.accuracy(predicted, held.labels, codes),
        "accuracy_samples": judge.accuracy(pixels, meant),
        "purity": purity(predicted.argmax(1), held.labels),
        **moved(probe.correlations()),
        "class_changes": probe.class_changes().mean(0).max(),
        "minutes": run.seconds / 60,
    }


def infogan(rows: Frame) -> Frame:
    """A line for each seed, then the median and the worst of each setting."""
    parts = []
    for _, group in rows.groupby([*SETTING, "device"], sort=False):
        values = group[[*COLUMNS.values()]]
        middle = values.median()
        worst = values.min().where(~values.columns.isin(MOST), values.max())
        lines = Frame([*(line for _, line in values.iterrows()), middle, worst])
        part = Frame({title: lines[key].map(cell) for title, key in COLUMNS.items()})
        part.insert(0, "seed", [*group["seed"].astype(str), "median", "worst"])
        moves = middle["moved"] >= MOVES and middle["class_changes"] <= CHANGES
        median_met = bool(middle["accuracy"] >= ACCURACY_MEDIAN and moves)
        worst_met = bool(worst["accuracy"] >= ACCURACY_WORST)
        part["met"] = [*[""] * len(group), cell(median_met), cell(worst_met)]
        where = summary(group, [], {"setting": WHERE["setting"], **MACHINE})
        parts.append(part.assign(**where.iloc[0]))
    return pd.concat(parts)


TABLES = (infogan,)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    full = {"seeds": [*range(5)], "steps": 2000, "width": 32}
    options = runs.parse(__doc__, argv, {"seeds": [0]}, **full)
    keys, full_form = runs.grid(seed=options.seeds), runs.grid(options.full, seed=range(5))
    full_form += runs.grid({"device": "cuda"}, seed=range(10))
    runs.collect("infogan", options, keys, measure, full_form, ("seed",), mnist.judge_facts)


if __name__ == "__main__":
    main()
