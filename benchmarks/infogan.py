"""InfoGAN without any label: does it find the ten digits? ``python -m benchmarks.infogan``.

The categories are matched to the digits with the labels of the 4,000; the head is then asked about
the held-out digits, and an independent judge about samples. Continuous codes are measured as
``augment codes`` does.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment.codes import matching
from augment.codes.probe import Probe
from augment.runtime import seeding
from augment.train import guessed_labels
from benchmarks import mnist, runs

SAMPLES = 1000
SETTINGS = {
    **runs.PAPER,
    "model": {
        "name": "infogan",
        "labels": "none",
        "factors": ["slant", "width"],
        "class_weight": 0.2,
        "code_weight": 1.0,
    },
    "augment": [],
    "rate": {"discriminator": 2e-4, "schedule": "constant"},
}


def purity(categories: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Share of images that are of their category's most frequent class."""
    table = np.zeros((categories.max() + 1, labels.max() + 1), np.int64)
    np.add.at(table, (categories, labels), 1)
    return float(table.max(1).sum() / len(labels))


def moved(spearman: dict[str, NDArray[Any]]) -> dict[str, float]:
    """The strongest |Spearman| of slant and of width, and what the code that moves least does."""
    strength = {name: np.abs(spearman[name]) for name in ("slant", "width")}
    return {
        "slant": np.fmax.reduce(strength["slant"]),
        "width_factor": np.fmax.reduce(strength["width"]),
        "moved": np.fmax(strength["slant"], strength["width"]).min(),
    }


def measure(seed: int, asked: argparse.Namespace, judge: mnist.Judge) -> runs.Row:
    """A row of the table."""
    train, held = mnist.digits()
    chosen = runs.settings("infogan", asked, seed, **SETTINGS)
    unknown = dataclasses.replace(train, labels=np.full_like(train.labels, -1))
    one = runs.Training(chosen, guessed_labels.fill(chosen, unknown), asked.device)
    one.run(asked.steps)
    head = one.head()
    owned = matching.match(head.predict(train.pixels), train.labels, train.classes)
    owner = {code: row for row, found in enumerate(owned.values()) for code in found}
    pixels, conditions = one.samples(SAMPLES)
    meant = np.array([owner[condition] for condition in conditions.tolist()])
    seen = head.predict(held.pixels)
    first = {name: found[0] for name, found in owned.items()}
    probe = Probe(one.generator, judge.classifier, first, seeding.derive(seed, "codes"))
    return {
        "seed": seed,
        "accuracy": matching.accuracy(seen, held.labels, owned),
        "accuracy_samples": judge.accuracy(pixels, meant),
        "purity": purity(seen.argmax(1), held.labels),
        **moved(probe.correlations()),
        "class_changes": probe.class_changes().mean(0).max(),
        "minutes": one.seconds / 60,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    made = runs.parser(__doc__, seeds=[*range(5)], steps=3000, network="paper", width=24)
    asked = runs.ask(made, argv, seeds=[0])
    rows, facts = [], None
    if asked.seeds:
        judge = mnist.Judge(asked.judge, asked.device)
        facts = {"steps": asked.judge, **judge.floor()}
        rows = [runs.signed(measure(seed, asked, judge), asked) for seed in asked.seeds]
    wanted = [{"seed": seed, **runs.full(made)} for seed in range(5)]
    wanted += [{"seed": seed, "device": "cuda"} for seed in range(10)]
    runs.finish("infogan", asked, rows, wanted, ("seed",), judge=facts)


if __name__ == "__main__":
    main()
