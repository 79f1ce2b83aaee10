"""A generator trained on some real images, and the samples of it that its filter accepts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from augment.classifiers.judge import JudgeRecipe
from augment.data import images
from augment.data.arrays import Arrays
from augment.synth import candidates
from augment.synth.candidates import Tally
from augment.synth.filter import Filter
from augment.synth.measured import Draw
from augment.synth.quotas import Order
from augment.synth.selectors import Selection
from benchmarks import training

QUANTILE = 0.01  # of real images' nearest distances, below which a sample is a copy: synth's


class Supply:
    """The stages ``train`` and ``synth`` on labelled images in memory."""

    def __init__(
        self, train: Arrays, options: argparse.Namespace, seed: int, pool: Arrays | None = None,
        **changes: Any,
    ):  # fmt: skip
        """Train the generator, its settings changed by ``changes``, and the labeller.

        The generator learns from ``pool`` (default: ``train``), with labels -1 where unknown.
        The paper's networks come with the paper's way to train them.
        """
        paper = {**training.PAPER, "augment": ["shift", "affine"]}
        changes = {**(paper if options.network == "paper" else {}), **changes}
        settings = training.settings("infogan", options, seed, **changes)
        run = training.Training(settings, pool or train, options.device)
        run.run(options.steps)
        self.generator = run.generator
        labeller = JudgeRecipe("cnn", options.judge, 64, options.device).fit(
            run.pool, seed, "labeller"
        )
        probability = options.probability
        self.filter = Filter.fit(labeller, run.pool, probability=probability, quantile=QUANTILE)

    def draw(
        self,
        orders: Sequence[Order],
        how: Draw,
        selection: Selection | None = None,
        *,
        filtered: bool = True,
    ) -> Arrays:
        """Accepted samples, each class in the order in which a dose takes them."""
        judge = self.filter if filtered else None
        made = candidates.synthesise(self.generator, judge, orders, how, Tally(), selection)
        rows = list(made)
        pixels = np.stack([images.pixels(row["image"]["bytes"], "L") for row in rows])[:, None]
        labels = np.array([self.generator.classes.index(row["label"]) for row in rows], np.int64)
        return Arrays(pixels, labels, [row["id"] for row in rows], self.generator.classes)
