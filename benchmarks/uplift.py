"""Does a classifier get better by it? ``python -m benchmarks.uplift --cases "10 labels"``.

``10 labels`` and ``1 label`` of each of MNIST's ten digits, the rest of the 4,000 without: the
classic arm, pseudo-labels as the honest rival, and the images that ``augment adopt`` takes in, by
all its labellers but a generator's class head. There is no valid split, so nothing is chosen on
one. Accuracy is that on the held-out digits, over two classifier seeds for each subset; the
interval is a bootstrap over digits and seeds. ``copier`` hides near copies of real images among
honest held-out ones and counts how many of either ``memorisation`` calls copies.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from augment.adopt import combine
from augment.adopt.opinions import Pool
from augment.adopt.settings import AdoptSettings
from augment.data.arrays import Arrays
from augment.runtime import seeding
from augment.score.uplift import protocol
from augment.score.uplift.arms import Outcome, Study, Training, perturbed
from augment.score.uplift.learners import Terms
from augment.score.uplift.learners import judge as learner
from augment.score.uplift.protocol import Plan
from augment.vision.lookalikes import Lookalikes
from benchmarks import half, mnist, runs
from benchmarks.results import Row
from benchmarks.tables import WHERE, Column, Frame, first, met, summary

FEW = {"10 labels": 10, "1 label": 1}
COPIERS = {"copier: digits": mnist.small_digits, "copier: MNIST": mnist.all_digits}
CASES = (*FEW, *COPIERS)
TAUGHT = {"10 labels": 0.98, "1 label": 0.90}  # accuracy with adopted images, in the median
RIVALLED, GAIN = "10 labels", 0.02  # where this gain and the pseudo-labels must be reached too
COPIES, ALARMS = 0.95, 0.01  # planted copies at least, honest images at most, in every subset
SEEDS = range(5)  # subsets
STEPS = 1000  # of each classifier
LABELLERS = ("graph", "self_training")
QUANTILE = 0.005  # of memorisation, its default


def few(case: str, seed: int, options: argparse.Namespace) -> Row:
    """A row about a few labels and many images without."""
    train, held = mnist.digits()
    data = half.labelled(train, FEW[case], seed)
    adopted, method = adopt(data, options.steps, options.batch, seed, options.device)
    terms = Terms(10, options.steps, options.batch, "cnn", "glyph", options.device)

    def trained(training: Training, number: int, title: str) -> Outcome:
        predict = learner(training, terms, seeding.derive(seed, number), title)
        unlabelled = predict(study.unlabelled) if title == "labeller" else empty
        return Outcome(empty, predict(held.pixels), unlabelled)

    empty = np.zeros((0, 10), np.float32)
    nothing = data.take(np.zeros(0, np.int64))
    study = Study(
        train=data.take(np.flatnonzero(data.labels >= 0)), valid=nothing, test=held,
        synthetic=nothing, adopted=adopted, unlabelled=data.pixels[data.labels < 0],
        trained=trained,
    )  # fmt: skip
    plan = Plan(("pseudo_labels", "adopted"), (), range(options.classifiers), ("elastic",))
    report = protocol.measure(study, plan).as_dict()
    arms = {name: arm["mean"] for name, arm in report["arms"].items()}
    gain = report["parts"].get("adopted", {})
    return {
        **{name: arms.get(name) for name in ("classic", "pseudo_labels", "adopted")},
        **{name: gain.get(name) for name in ("gain", "low", "high", "verdict")},
        "classifiers": options.classifiers,
        "threshold": AdoptSettings().probability,
        "taken": len(adopted),
        "taken_right": share_right(adopted, train),
        "method": method,
    }


def adopt(
    data: Arrays, steps: int, batch: int, seed: int, device: torch.device
) -> tuple[Arrays, str]:
    """The images without a label (-1) of ``data`` that ``augment adopt`` takes in, and its method.

    By all its labellers but a generator's class head.
    """
    pool = Pool(
        data.pixels, data.classes, upright=True, home=Path(), device=device,
        steps=steps, rounds=1, batch=batch, seed=seed,
    )  # fmt: skip
    nobody = np.zeros(0, np.int64)
    probabilities, verdict = combine.label_pool(pool, data.labels, nobody, LABELLERS)
    sure = (data.labels < 0) & (probabilities.max(1) >= AdoptSettings().probability)
    guessed = dataclasses.replace(data, labels=probabilities.argmax(1))
    return guessed.take(np.flatnonzero(sure)), verdict.method


def share_right(adopted: Arrays, truth: Arrays) -> float | None:
    """The share of ``adopted`` whose label is that in ``truth``; None of none."""
    places = {name: place for place, name in enumerate(truth.ids)}
    right = [
        label == truth.labels[places[name]]
        for name, label in zip(adopted.ids, adopted.labels, strict=True)
    ]
    return float(np.mean(right)) if right else None


def copier(case: str, seed: int) -> Row:
    """A row about copies hidden among honest images."""
    pixels = COPIERS[case]().pixels
    order = seeding.rng(seed, "copier").permutation(len(pixels))
    train, held = np.split(pixels[order], [int(0.6 * len(pixels))])
    lookalikes = Lookalikes(train)
    limit = np.quantile(lookalikes.gaps(train, self_places=np.arange(len(train))), QUANTILE)
    planted = perturbed(train[: len(train) // 20], seed)
    return {
        "recall": float((lookalikes.gaps(planted) <= limit).mean()),
        "false_alarms": float((lookalikes.gaps(held) <= limit).mean()),
    }


def measure(case: str, seed: int, options: argparse.Namespace) -> Row:
    """A row of the table."""
    return few(case, seed, options) if case in FEW else copier(case, seed)


def uplift(rows: Frame) -> Frame:
    """A line for each case: medians over the subsets, the worst of what is bounded."""

    def enough(t: Frame) -> Frame:
        copies = (t["copies found"] >= COPIES) & (t["false alarms"] <= ALARMS)
        taught = (t["with adopted"] >= t["case"].map(TAUGHT)) & (t["lowest end of an interval"] > 0)
        rival = (t["gain"] >= GAIN) & ~(t["with adopted"] < t["pseudo-labels"])
        return copies | taught & ((t["case"] != RIVALLED) | rival)

    of_labels = ("classic", "pseudo_labels", "adopted", "gain", "low", "taken", "taken_right")
    of_copies = ("recall", "false_alarms")
    rows = rows.reindex(columns=[*dict.fromkeys([*rows, *of_labels, *of_copies])])
    return summary(rows, ["case"], {
        "case": first("case"), "classic": Column("classic"),
        "pseudo-labels": Column("pseudo_labels"), "with adopted": Column("adopted"),
        "gain": Column("gain"), "lowest end of an interval": Column("low", "min"),
        "adopted": Column("taken", form="{:.0f}"), "of them right": Column("taken_right"),
        "copies found": Column("recall", "min"), "false alarms": Column("false_alarms", "max"),
        "met": met(enough), **WHERE,
    })  # fmt: skip


TABLES = (uplift,)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    options = runs.parse(
        __doc__, argv, {"seeds": [0], "steps": 20, "classifiers": 1},
        seeds=[*SEEDS], cases=list(CASES), steps=STEPS, classifiers=2, network="cnn", width=32,
    )  # fmt: skip
    keys = runs.grid(case=options.cases, seed=options.seeds)
    full_form = runs.grid({"steps": STEPS}, case=CASES, seed=SEEDS)
    runs.collect("uplift", options, keys, measure, full_form, ("case", "seed"))


if __name__ == "__main__":
    main()
