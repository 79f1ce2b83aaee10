"""A set that may not leave the house: ``python -m benchmarks.sharing``.

The default generator learns MNIST's digits; its samples, filtered as ``synth`` does, are handed out
in place of them. Measured is what they teach, and whether they tell who was among the digits.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from augment.classifiers.classifier import Classifier
from augment.data.arrays import Arrays
from augment.data.images import Pixels
from augment.runtime import seeding
from augment.score.scores import memorisation
from augment.score.scores.base import Measured
from augment.synth.measured import Draw
from augment.synth.quotas import Order
from augment.vision.lookalikes import Lookalikes
from benchmarks import frontier, mnist, runs
from benchmarks.results import Row
from benchmarks.supply import Supply
from benchmarks.tables import MACHINE, SEEDS, Column, Frame, first, met, summary

COUNTS = (40, 400)  # digits of each class that the generator learns
TRAINING = 2000  # steps of the generator
SAMPLES = 8000
CLASSIFY = 1000  # steps of each classifier
CANDIDATES = 20.0  # for each accepted sample, at most
MOST_AUC = 0.55  # of either attack
ATTACKED = 1000  # members, and as many digits that the generator never saw


def auc(members: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Chance that a member scores above another image: 0.5 tells nothing, 1 tells all."""
    truth = np.repeat([1, 0], [len(members), len(others)])
    return float(roc_auc_score(truth, np.concatenate([members, others])))


def by_distance(shared: Pixels, members: Pixels, others: Pixels) -> float:
    """The attack on the images: who is nearest to one of them was a member.

    Source: Chen et al. 2020, GAN-Leaks (arXiv:1909.03935), of the full black box.
    """
    lookalikes = Lookalikes(shared)
    return auc(-lookalikes.gaps(members), -lookalikes.gaps(others))


def by_loss(taught: Classifier, members: Arrays, others: Arrays) -> float:
    """The attack on a classifier of the images: whose loss is least was a member.

    Source: Yeom et al. 2018, Privacy Risk in Machine Learning (arXiv:1709.01604).
    """

    def sure(data: Arrays) -> NDArray[np.float64]:
        chances = taught.predict(data.pixels)[np.arange(len(data)), data.labels]
        return np.log(np.maximum(chances, 1e-12)).astype(np.float64)

    return auc(sure(members), sure(others))


def measure(count: int, seed: int, options: argparse.Namespace) -> Row:
    """A row of the table."""
    _, held = mnist.digits()
    data, judge = frontier.few(count, seed), mnist.judge(options.judge, options.device)
    supply = Supply(data, options, seed)
    orders = [Order(name, options.samples // 10) for name in data.classes]
    how = Draw(max_candidates=options.candidates)
    shared = supply.draw(orders, how, filtered=options.probability > 0)
    members = data.take(seeding.rng(seed, "members").permutation(len(data))[: options.attacked])
    others = held.take(np.arange(min(len(held), options.attacked)))
    of_real, of_shared = (
        mnist.classifier(part, "cnn", options.classify, options.device, mnist.JUDGE_SEED + seed)
        for part in (data, shared)
    )
    measured = Measured(
        data.classes, judge.side(data), judge.side(held), judge.side(shared), lambda: {}
    )
    copies = memorisation.memorisation(measured)
    return {
        "real": mnist.accuracy(of_real, held),
        "shared": mnist.accuracy(of_shared, held),
        "near_copies": copies["near_copy_fraction"],
        "near_copies_floor": copies["floor"]["near_copy_fraction"],
        "distance": by_distance(shared.pixels, members.pixels, others.pixels),
        "loss": by_loss(of_shared, members, others),
        "loss_real": by_loss(of_real, members, others),
    }


def sharing(rows: Frame) -> Frame:
    """A line for each number of digits: medians over the seeds, the worst of what is bounded."""

    def enough(t: Frame) -> list[bool]:
        worst = t[["AUC by distance", "AUC by loss"]].max(axis=1)
        return [value <= MOST_AUC for value in worst]

    return summary(rows, ["count"], {
        "digits a class": first("count"),
        "taught by them": Column("real", form="{:.3f}"),
        "by the shared set": Column("shared", form="{:.3f}"),
        "near copies": Column("near_copies", form="{:.4f}"),
        "floor": Column("near_copies_floor", form="{:.4f}"),
        "AUC by distance": Column("distance", "max", "{:.3f}"),
        "AUC by loss": Column("loss", "max", "{:.3f}"),
        "the same, of the digits' own classifier": Column("loss_real", "max", "{:.3f}"),
        "met": met(enough), **SEEDS, **MACHINE,
    })  # fmt: skip


TABLES = (sharing,)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    quick = {"counts": [4], "samples": 20, "classify": 2, "attacked": 20, "probability": 0.0,
             "steps": 2}  # fmt: skip
    options = runs.parse(
        __doc__, argv, quick, counts=list(COUNTS), samples=SAMPLES, classify=CLASSIFY,
        attacked=ATTACKED, candidates=CANDIDATES, probability=0.9, width=32, steps=TRAINING,
    )  # fmt: skip
    keys = runs.grid(count=options.counts, seed=options.seeds)
    full_form = runs.grid(options.full, count=COUNTS, seed=range(5))
    runs.collect("sharing", options, keys, measure, full_form, ("count", "seed"), mnist.judge_facts)


if __name__ == "__main__":
    main()
