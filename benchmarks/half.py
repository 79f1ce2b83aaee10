"""A few labels, many images without: ``python -m benchmarks.half``.

The default with a few labels, a half-labelled InfoGAN: its class head on held-out digits, beside a
supervised classifier on the same labels under the tuned classic augmentation. The seed chooses the
labelled digits; of one seed, more labels hold the fewer.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence

import numpy as np

from augment.data.arrays import Arrays
from augment.runtime import seeding
from benchmarks import mnist, runs, training
from benchmarks.results import Row
from benchmarks.tables import WHERE, Column, Frame, first, met, summary

COUNTS = (1, 3, 10)
HEAD = {10: 0.98}  # accuracy of the head in the median, by labels of a class
SETTINGS = {"model": {"name": "infogan", "labels": "half"}}  # the rest is the default
STEPS = 1000  # of the supervised classifier


def labelled(data: Arrays, count: int, seed: int) -> Arrays:
    """``data`` with the labels of ``count`` images of each class; the others' are -1."""
    labels = np.full_like(data.labels, -1)
    for label in range(len(data.classes)):
        places = np.flatnonzero(data.labels == label)
        labels[seeding.rng(seed, "labelled", label).permutation(places)[:count]] = label
    return dataclasses.replace(data, labels=labels)


def measure(labels: int, seed: int, options: argparse.Namespace) -> Row:
    """A row of the table."""
    train, held = mnist.digits()
    data = labelled(train, labels, seed)
    settings = training.settings("infogan", options, seed, **SETTINGS)
    run = training.Training(settings, data, options.device)
    run.run(options.steps)
    guesses = run.head().predict(held.pixels).argmax(1)
    few = data.take(np.flatnonzero(data.labels >= 0))
    supervised = mnist.classifier(few, "cnn", options.supervised, options.device, seed)
    return {
        "head": float((guesses == held.labels).mean()),
        "supervised": mnist.accuracy(supervised, held),
        "minutes": run.seconds / 60,
    }


def half(rows: Frame) -> Frame:
    """A line for each count of labels and setting."""
    count = "labels a class"

    def enough(t: Frame) -> Frame:
        return t["head, median"] >= t[count].map(HEAD)

    return summary(rows, ["labels"], {
        count: first("labels"), "head, median": Column("head"), "worst": Column("head", "min"),
        "supervised CNN, median": Column("supervised"), "its worst": Column("supervised", "min"),
        "met": met(enough, lambda t: t[count].isin(HEAD)),
        "minutes each": Column("minutes", form="{:.1f}"), **WHERE,
    })  # fmt: skip


TABLES = (half,)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    options = runs.parse(
        __doc__, argv, {"seeds": [0], "labels": [max(HEAD)], "supervised": 20},
        seeds=[*range(5)], labels=[*COUNTS], supervised=STEPS, steps=2000, width=32,
    )  # fmt: skip
    keys = runs.grid(labels=options.labels, seed=options.seeds)
    full_form = runs.grid(options.full, labels=COUNTS, seed=range(5))
    runs.collect("half", options, keys, measure, full_form, ("labels", "seed"))


if __name__ == "__main__":
    main()
