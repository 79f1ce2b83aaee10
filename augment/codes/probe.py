"""Measures of continuous codes: correlations with factors, class changes, names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment.classifiers.classifier import Classifier
from augment.data import images
from augment.models.generator import Generator
from augment.runtime import progress, seeding
from augment.vision import factors
from augment.vision.factors import FACTORS

NAMED = 0.5  # least |Spearman|, 0 … 1, at which a code gets a factor's name; chosen by hand
POSITIONS = np.linspace(-1, 1, 9, dtype=np.float32)  # of a code along its traversal
MIDDLE = len(POSITIONS) // 2
# Images that each of the two measurements draws; more where there are very many classes. Halved
# from 4,000, which told no more. The ranges below were chosen by hand.
BUDGET = 2000
SWEPT = (20, 200)  # fewest and most images of a class, for correlations
WALKS = (2, 20)  # fewest and most traversals of a class and code, for class changes


def name_codes(spearman: Mapping[str, NDArray[np.float64]]) -> dict[str, dict[str, Any]]:
    """Codes by the factor whose name they get: ``{factor: {code, sign, spearman}}``.

    ``spearman`` holds each factor's correlations (codes,), -1 … 1. The strongest pair is named
    first; a code has one name at most, and so has a factor one code. Below NAMED there is no name.
    """
    pairs = [
        (abs(value), code, factor)
        for factor, values in spearman.items()
        for code, value in enumerate(values.tolist())
        if abs(value) >= NAMED
    ]
    names: dict[str, dict[str, Any]] = {}
    for _, code, factor in sorted(pairs, key=lambda pair: -pair[0]):
        if factor not in names and all(code != entry["code"] for entry in names.values()):
            value = float(spearman[factor][code])
            names[factor] = {"code": code, "sign": 1 if value > 0 else -1, "spearman": value}
    return names


@dataclass(frozen=True)
class Probe:
    """Draws from a generator with codes set; ``shown`` maps each class to its condition."""

    generator: Generator
    labeller: Classifier
    shown: Mapping[str, int]
    seed: int

    @property
    def codes(self) -> int:
        """How many continuous codes there are to measure."""
        return self.generator.network.codes if self.shown else 0

    def correlations(self) -> dict[str, NDArray[np.float64]]:
        """Spearman correlation of each factor with the codes (codes,), -1 … 1: mean over classes.

        All codes vary together, uniform on [-1, 1]. Correlations are taken within a class, because
        classes differ in slant and size by themselves. A class where a factor cannot be measured or
        does not vary is left out; without any class the mean is NaN.
        """
        if not self.codes:
            return {name: np.empty(0) for name in FACTORS.names()}
        size = self._affordable(SWEPT, 1)
        rows: dict[str, list[list[float]]] = {factor: [] for factor in FACTORS.names()}
        for name, condition in progress.track(self.shown.items(), "sweeps", len(self.shown)):
            values = seeding.rng(self.seed, "sweep", name).uniform(-1, 1, (size, self.codes))
            pixels = self.generator.images(
                np.full(size, condition),
                values.astype(np.float32),
                seed=seeding.derive(self.seed, "sweep", name),
            )
            for factor, measures in factors.measure(pixels).items():
                rows[factor].append([_spearman(code, measures) for code in values.T])
        return {
            factor: np.ma.masked_invalid(by_class).mean(0).filled(np.nan)
            for factor, by_class in rows.items()
        }

    def class_changes(self) -> NDArray[np.float64]:
        """Share (classes, codes), 0 … 1, of images that change class as a code goes from -1 to 1.

        An image has changed class where the labeller predicts another class than at the code's 0.
        Along a traversal the noise and the other codes, which are random, stay the same.
        """
        shares = np.zeros((len(self.shown), self.codes))
        if not self.codes:
            return shares
        walks = self._affordable(WALKS, self.codes * len(POSITIONS))
        for walk in progress.track(range(walks), "traversals", walks):
            size = (len(self.shown), self.codes)
            others = seeding.rng(self.seed, "walk", walk).uniform(-1, 1, size)
            pixels = self.traversals(others, seeding.derive(self.seed, "walk", walk))
            labels = self.labeller.predict(pixels.reshape(-1, *pixels.shape[3:])).argmax(1)
            labels = labels.reshape(pixels.shape[:3])
            changed = labels != labels[..., MIDDLE, None]
            shares += np.delete(changed, MIDDLE, axis=2).mean(2) / walks
        return shares

    def traversals(self, others: NDArray[Any], seed: int) -> images.Pixels:
        """Images (classes, codes, positions, C, H, W): each code in turn at POSITIONS.

        All images have the same noise; ``others`` (classes, codes) are the values of the codes that
        do not move, -1 … 1.
        """
        shape = (len(self.shown), self.codes, len(POSITIONS))
        values = np.broadcast_to(others[:, None, None], (*shape, self.codes)).astype(np.float32)
        for code in range(self.codes):
            values[:, code, :, code] = POSITIONS
        conditions = np.repeat(list(self.shown.values()), shape[1] * shape[2])
        pixels = self.generator.images(
            conditions, values.reshape(-1, self.codes), seed=seed, same_noise=True
        )
        return pixels.reshape(*shape, *pixels.shape[1:])

    def samples(self) -> dict[str, images.Pixels]:
        """A few images (N, C, H, W) of each class; of "any" where conditions say nothing."""
        shown = self.shown or {"any": 0}
        conditions = np.repeat(list(shown.values()), len(POSITIONS))
        codes = np.zeros((len(conditions), self.generator.network.codes), np.float32)
        pixels = self.generator.images(conditions, codes, seed=seeding.derive(self.seed, "samples"))
        return dict(zip(shown, np.split(pixels, len(shown)), strict=True))

    def _affordable(self, limits: tuple[int, int], images_each: int) -> int:
        """How many draws, each of ``images_each`` images a class, BUDGET allows within limits."""
        least, most = limits
        return max(least, min(most, BUDGET // (len(self.shown) * images_each)))


def _spearman(values: NDArray[np.float64], measures: NDArray[np.float64]) -> float:
    """Rank correlation, -1 … 1; NaN for under three measures or a factor that does not vary."""
    from scipy.stats import spearmanr

    measured = np.isfinite(measures)
    values, measures = values[measured], measures[measured]
    if len(measures) < 3 or np.ptp(measures) == 0:
        return float("nan")
    return float(spearmanr(values, measures).statistic)
