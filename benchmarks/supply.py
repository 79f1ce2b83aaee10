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
from augment.synth.candidates import Draw, Tally
from augment.synth.filter import Filter
from augment.synth.quotas import Order
from augment.synth.selectors import Selection
from benchmarks import runs

QUANTILE = 0.01  # of real images' own nearest distances, under which a sample is a copy


class Supply:
    """What ``train`` and ``synth`` make of labelled images."""

    def __init__(self, train: Arrays, asked: argparse.Namespace, seed: int, **given: Any):
        """Train the generator, its settings changed by ``given``, and the labeller.

        The paper's networks come with the paper's way to train them.
        """
        paper = {**runs.PAPER, "augment": ["shift", "affine"]} if asked.network == "paper" else {}
        chosen = runs.settings("infogan", asked, seed, **paper, **given)
        self.one = runs.Training(chosen, train, asked.device)
        self.one.run(asked.steps)
        labeller = JudgeRecipe("cnn", asked.judge, 64, asked.device).fit(train, seed, "labeller")
        self.chosen = Filter.fit(labeller, train, probability=asked.probability, quantile=QUANTILE)

    def draw(
        self,
        orders: Sequence[Order],
        how: Draw,
        selection: Selection | None = None,
        *,
        filtered: bool = True,
    ) -> Arrays:
        """Accepted samples, each class in the order in which a dose takes them."""
        generator, chosen = self.one.generator, self.chosen if filtered else None
        rows = list(candidates.synthesise(generator, chosen, orders, how, Tally(), selection))
        pixels = np.stack([images.pixels(row["image"]["bytes"], "L") for row in rows])[:, None]
        labels = np.array([generator.classes.index(row["label"]) for row in rows], np.int64)
        return Arrays(pixels, labels, [row["id"] for row in rows], generator.classes)
