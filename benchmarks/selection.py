"""Is it worth choosing among accepted samples? ``python -m benchmarks.selection``.

scikit-learn's digits, a few labels of each class: a generator and a labeller see those alone. Of
the same accepted candidates ``coverage`` keeps as many as random keeping does, which takes the
first ones; a classifier of the real and the kept images, of another architecture than the labeller,
is then asked about held-out digits. The stored rows of other arms are history: the selectors
``agreement``, ``margin`` and ``novelty`` and the sum of all were removed because they gained
nothing, and ``wide`` codes hardly anything.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from augment.data.arrays import Arrays, join
from augment.runtime import seeding
from augment.synth.measured import Draw
from augment.synth.quotas import Order
from augment.synth.selectors import Selection
from augment.synth.settings import SynthSettings
from benchmarks import mnist, runs
from benchmarks.results import Row
from benchmarks.supply import Supply
from benchmarks.tables import WHERE, Column, Frame, first, summary

ARM, LABELS = "coverage", 10  # the selector; labels of each class
HELD, VALID = 60, 20  # of each class: held-out digits, and those that tell how far honest ones lie


def digits(labels: int, seed: int) -> tuple[Arrays, Arrays, Arrays]:
    """Train, valid and held-out digits: ``labels``, VALID and HELD of each class, by ``seed``.

    The held-out ones are the same for every seed.
    """
    data = mnist.small_digits()
    parts: list[list[int]] = [[], [], []]
    for label in range(10):
        places = seeding.rng(0, "held", label).permutation(np.flatnonzero(data.labels == label))
        rest = seeding.rng(seed, "train", label).permutation(places[HELD:])
        parts[0] += rest[:labels].tolist()
        parts[1] += rest[labels : labels + VALID].tolist()
        parts[2] += places[:HELD].tolist()
    train, valid, held = (data.take(np.array(part, np.int64)) for part in parts)
    return train, valid, held


def measure(arm: str, labels: int, seed: int, options: argparse.Namespace) -> Row:
    """A row: the gain of a selector over random keeping of the same candidates."""
    train, valid, held = digits(labels, seed)
    supply = Supply(train, options, seed)
    orders = [Order(name, options.kept) for name in train.classes]
    how = Draw(seed, max_candidates=options.candidates)
    settings = SynthSettings(select=[arm], surplus=options.surplus, seed=seed)
    pools = {
        "classic": train,
        "random": join(train, supply.draw(orders, how)),
        "accuracy": join(train, supply.draw(orders, how, Selection.build(settings))),
    }
    judges = range(mnist.JUDGE_SEED, mnist.JUDGE_SEED + options.judges)

    def accuracy(pool: Arrays) -> float:
        fitted = [
            mnist.classifier(pool, "residual", options.judge, options.device, judge)
            for judge in judges
        ]
        return float(np.mean([mnist.accuracy(classifier, held) for classifier in fitted]))

    row = {name: accuracy(pool) for name, pool in pools.items()}
    return {**row, "gain": row["accuracy"] - row["random"]}


def selection(rows: Frame) -> Frame:
    """A line for each arm: means over the seeds, and the spread of the gain over random keeping."""
    means = {"without synthetic": "classic", "random keeping": "random", "accuracy": "accuracy"}
    return summary(rows.assign(points=100 * rows["gain"]), ["arm", "labels"], {
        "kept by": first("arm"), "labels a class": first("labels"),
        **{title: Column(key, "mean", "{:.4f}") for title, key in means.items()},
        "gain, points": Column("points", "mean", "{:+.2f}"),
        "its std": Column("points", "std", "{:.2f}"), "worst": Column("points", "min", "{:+.2f}"),
        **WHERE,
    })  # fmt: skip


TABLES = (selection,)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    quick = {
        "seeds": [0, 1], "steps": 200, "width": 16, "judge": 150, "kept": 10, "candidates": 500.0,
        "probability": 0.2, "judges": 1,
    }  # fmt: skip
    options = runs.parse(
        __doc__, argv, quick, seeds=[*range(5)], network="paper", steps=1500, width=16,
        labels=LABELS, kept=40, surplus=4.0, candidates=100.0, probability=0.9, judges=2,
    )  # fmt: skip
    keys = runs.grid(arm=[ARM], labels=[options.labels], seed=options.seeds)
    full_form = runs.grid(options.full, arm=[ARM], labels=[LABELS], seed=range(5))
    runs.collect("selection", options, keys, measure, full_form, ("arm", "labels", "seed"))


if __name__ == "__main__":
    main()
