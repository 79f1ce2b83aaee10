"""A few labels, many images without: ``python -m benchmarks.half``.

The class head of a half-labelled InfoGAN on held-out digits, beside a supervised classifier on the
same labels with the tuned classic augmentation. The seed chooses the labelled digits; of one seed,
more labels hold the fewer.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence

import numpy as np

from augment.classifiers.fit import CLASSIC, fit_classifier
from augment.data.arrays import Arrays
from augment.runtime import seeding
from augment.train import guessed_labels
from benchmarks import mnist, runs
from benchmarks.summaries import HALF

COUNTS = (1, 3, 10)
SETTINGS = {
    **runs.PAPER,
    "model": {"name": "infogan", "labels": "half"},
    "augment": ["shift", "affine"],
}
STEPS = 1000  # of the supervised classifier


def labelled(data: Arrays, count: int, seed: int) -> Arrays:
    """``data`` with the labels of ``count`` images of each class; the others' are -1."""
    labels = np.full_like(data.labels, -1)
    for label in range(len(data.classes)):
        places = np.flatnonzero(data.labels == label)
        labels[seeding.rng(seed, "labelled", label).permutation(places)[:count]] = label
    return dataclasses.replace(data, labels=labels)


def supervised(data: Arrays, asked: argparse.Namespace, seed: int) -> float:
    """Held-out accuracy of a classifier of the labelled images."""
    _, held = mnist.digits()
    known = data.labels >= 0
    fitted = fit_classifier(
        data.pixels[known],
        data.labels[known],
        classes=len(data.classes),
        network="cnn",
        steps=asked.supervised,
        batch=64,
        seed=seed,
        device=asked.device,
        augment=CLASSIC,
        title="supervised",
    )
    return float((fitted.predict(held.pixels).argmax(1) == held.labels).mean())


def measure(count: int, seed: int, asked: argparse.Namespace) -> runs.Row:
    """A row of the table."""
    train, held = mnist.digits()
    data = labelled(train, count, seed)
    chosen = runs.settings("infogan", asked, seed, **SETTINGS)
    one = runs.Training(chosen, guessed_labels.fill(chosen, data), asked.device)
    one.run(asked.steps)
    guesses = one.head().predict(held.pixels).argmax(1)
    return {
        "labels": count,
        "seed": seed,
        "head": float((guesses == held.labels).mean()),
        "supervised": supervised(data, asked, seed),
        "minutes": one.seconds / 60,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    made = runs.parser(
        __doc__, seeds=[*range(5)], labels=list(COUNTS), supervised=STEPS,
        steps=3000, network="paper", width=24,
    )  # fmt: skip
    made.add_argument("--labels", type=runs.numbers, help="1,3,10: of each class")
    made.add_argument("--supervised", type=int, help="steps of the supervised classifier")
    asked = runs.ask(made, argv, seeds=[0], labels=[max(HALF)], supervised=20)
    rows = [
        runs.signed(measure(count, seed, asked), asked)
        for seed in asked.seeds
        for count in asked.labels
    ]
    wanted = [
        {"seed": seed, "labels": count, **runs.full(made)} for count in COUNTS for seed in range(5)
    ]
    runs.finish("half", asked, rows, wanted, ("labels", "seed"))


if __name__ == "__main__":
    main()
