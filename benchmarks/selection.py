"""Which accepted candidates are worth keeping: ``python -m benchmarks.selection``.

scikit-learn's digits, a few labels of each class: a generator and a labeller see those alone. Of
the same accepted candidates each selector keeps as many as random keeping does, which takes the
first ones; a classifier of the real and the kept images, of another architecture than the labeller,
is then asked about held-out digits.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.datasets import load_digits

from augment.classifiers.fit import CLASSIC, fit_classifier
from augment.data.arrays import Arrays
from augment.runtime import seeding
from augment.synth.candidates import Draw
from augment.synth.quotas import Order
from augment.synth.selectors import SELECTORS, Selection
from augment.synth.settings import SynthSettings
from benchmarks import runs
from benchmarks.supply import Supply

ARMS = SELECTORS.names()
HELD, VALID = 60, 20  # of each class: held-out digits, and those that tell what is honest
JUDGE_SEED = 1000


def digits(labels: int, seed: int) -> tuple[Arrays, Arrays, Arrays]:
    """Train, valid and held-out digits: ``labels``, VALID and HELD of each class, by ``seed``.

    The held-out ones are the same for every seed.
    """
    found = load_digits()
    pixels = np.rint(found.images * (255 / 16)).astype(np.uint8)[:, None]
    parts: list[list[int]] = [[], [], []]
    for label in range(10):
        places = seeding.rng(0, "held", label).permutation(np.flatnonzero(found.target == label))
        rest = seeding.rng(seed, "train", label).permutation(places[HELD:])
        parts[0] += rest[:labels].tolist()
        parts[1] += rest[labels : labels + VALID].tolist()
        parts[2] += places[:HELD].tolist()
    names = [str(label) for label in range(10)]
    train, valid, held = (
        Arrays(pixels[some], found.target[some].astype(np.int64), [*map(str, some)], names)
        for some in parts
    )
    return train, valid, held


class Bench:
    """One subset of labelled digits with its generator, filter and judges."""

    def __init__(self, seed: int, asked: argparse.Namespace):
        """Train the labeller and the generator."""
        self.seed, self.asked = seed, asked
        self.train, self.valid, self.held = digits(asked.labels, seed)
        self.supply = Supply(self.train, asked, seed)

    def kept(self, arm: str | None) -> Arrays:
        """The candidates that an arm keeps; None keeps the first ones."""
        settings = SynthSettings(select=[arm] if arm else [], surplus=self.asked.surplus)
        draw = Draw(self.seed, max_candidates=self.asked.candidates)
        orders = [Order(name, self.asked.kept) for name in self.train.classes]
        return self.supply.draw(orders, draw, Selection.build(settings))

    def accuracy(self, added: Arrays | None) -> float:
        """Held-out accuracy, mean over judges, of the train images and those that are added."""
        pixels, labels = self.train.pixels, self.train.labels
        if added:
            pixels = np.concatenate([pixels, added.pixels])
            labels = np.concatenate([labels, added.labels])
        right = []
        for judge in range(self.asked.judges):
            fitted = fit_classifier(
                pixels, labels, classes=10, network="residual", steps=self.asked.judge,
                batch=64, seed=JUDGE_SEED + judge, device=self.asked.device,
                augment=CLASSIC, title="judge",
            )  # fmt: skip
            right.append((fitted.predict(self.held.pixels).argmax(1) == self.held.labels).mean())
        return float(np.mean(right))


def measure(seed: int, asked: argparse.Namespace) -> Iterator[runs.Row]:
    """The rows of one seed: what each arm gains over random keeping, of the same candidates."""
    bench = Bench(seed, asked)
    classic = bench.accuracy(None)
    random = bench.accuracy(bench.kept(None))
    for arm in asked.arms:
        found = bench.accuracy(bench.kept(arm))
        yield {
            "arm": arm,
            "labels": asked.labels,
            "seed": seed,
            "classic": classic,
            "random": random,
            "accuracy": found,
            "gain": found - random,
        }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    made = runs.parser(
        __doc__, seeds=[*range(5)], network="paper", steps=1500, width=16, labels=10, kept=40,
        surplus=4.0, candidates=100.0, probability=0.9, judges=2, arms=ARMS,
    )  # fmt: skip
    made.add_argument("--labels", type=int, help="real digits of each class")
    made.add_argument("--kept", type=int, help="synthetic ones of each class")
    made.add_argument("--surplus", type=float, help="accepted ones for each kept one")
    made.add_argument("--candidates", type=float, help="for each kept one, at most")
    made.add_argument("--probability", type=float, help="of the wanted label, by the labeller")
    made.add_argument("--judges", type=int, help="classifiers of each arm")
    made.add_argument("--arms", type=runs.names, help=f"default: {','.join(ARMS)}")
    asked = runs.ask(
        made, argv, seeds=[0, 1], steps=200, width=16, judge=150, kept=10, candidates=500.0,
        probability=0.2, judges=1,
    )  # fmt: skip
    rows = [runs.signed(row, asked) for seed in asked.seeds for row in measure(seed, asked)]
    wanted = [
        {"seed": seed, "arm": arm, "labels": made.get_default("labels"), **runs.full(made)}
        for arm in ARMS
        for seed in range(5)
    ]
    runs.finish("selection", asked, rows, wanted, ("arm", "labels", "seed"))


if __name__ == "__main__":
    main()
