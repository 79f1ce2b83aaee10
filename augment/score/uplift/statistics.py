"""From paired right and wrong answers to intervals, verdicts and a number of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from augment.runtime import seeding

REPEATS = 2000  # bootstrap samples; chosen by hand
LEVEL = 0.95  # share of bootstrap means within the interval: the usual one
ENTRIES = 2**22  # of a block of weights: 32 MiB

Verdict = Literal["helps", "no difference", "harms"]


def interval(gains: NDArray[Any], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the mean of ``gains`` (…, N), by the percentile bootstrap.

    gains[…, n]: 1 where test image n is right only afterwards, -1 where only before, else 0. Axes
    before the last one are seeds or subsets of training. Each axis is drawn with replacement on its
    own, because answers of one seed, and answers about one image, depend on one another (Owen 2007,
    The Pigeonhole Bootstrap). NaN for an empty array.
    """
    if not gains.size:
        return math.nan, math.nan
    *varied, images = gains.shape
    flat = gains.reshape(-1, images).astype(np.float64)
    rng = seeding.rng(seed, "bootstrap")
    rows = max(1, ENTRIES // images)
    means = []
    for start in range(0, REPEATS, rows):
        count = min(rows, REPEATS - start)
        weights = np.ones((count, 1))
        for size in varied:
            shares = _shares(rng, size, count)
            weights = (weights[:, :, None] * shares[:, None]).reshape(count, -1)
        means.append(np.sum((weights @ flat) * _shares(rng, images, count), axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def standard_error(gains: NDArray[Any]) -> float:
    """The standard error of the mean of ``gains`` (S, N), over seeds; of one seed over images.

    Infinity where a single number cannot tell it.
    """
    values = gains.mean(1) if len(gains) > 1 else gains[0]
    if len(values) < 2:
        return math.inf
    return float(np.std(values, ddof=1)) / math.sqrt(len(values))


def verdict(low: float, high: float) -> Verdict | None:
    """The verdict of a gain by its interval, as shares of 1; None for NaN: nothing was measured."""
    if math.isnan(low) or math.isnan(high):
        return None
    if low > 0:
        return "helps"
    return "harms" if high < 0 else "no difference"


def mcnemar(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> float:
    """Exact two-sided p-value that two classifiers are right equally often; NaN of nothing.

    ``before`` and ``after`` are of one shape and True where an answer is right. Answers pooled over
    seeds depend on one another; the p-value is then too small, and the interval decides. Source:
    McNemar 1947.
    """
    from scipy import stats

    if not before.size:
        return math.nan
    lost, won = int(np.sum(before & ~after)), int(np.sum(after & ~before))
    if not lost + won:
        return 1.0
    return float(stats.binomtest(won, lost + won).pvalue)


def equal_images(curve: Sequence[tuple[float, float]], accuracy: float) -> float | None:
    """How many real images give ``accuracy``, by a learning curve of (images, accuracy).

    The curve is made to rise: a point below an earlier one counts as high as that. Between points
    it is linear in the logarithm of images. None where ``accuracy`` lies beyond its ends: nothing
    is extrapolated.
    """
    points = sorted(point for point in curve if not math.isnan(point[1]))
    if math.isnan(accuracy) or not points:
        return None
    heights = np.maximum.accumulate([height for _, height in points])
    heights, first = np.unique(heights, return_index=True)  # of a plateau its first point
    if not heights[0] <= accuracy <= heights[-1]:
        return None
    sizes = np.log([points[place][0] for place in first])
    return float(np.exp(np.interp(accuracy, heights, sizes)))


def _shares(rng: np.random.Generator, size: int, count: int) -> NDArray[np.float64]:
    """How often each of ``size`` things is drawn in ``count`` bootstrap samples, as shares."""
    shares: NDArray[np.float64] = rng.multinomial(size, np.full(size, 1 / size), count) / size
    return shares
