"""The level that parts an image's levels in two."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from augment.data.types import Doubles

_TIE = 1e-9  # relative difference of two splits' variances below which both count as best


class Thresholds(NamedTuple):
    """Two thresholds (N,) of each of N histograms, in levels 0 to 255.

    ``level`` is Otsu's, in the middle where several levels part equally well; ``halfway`` lies
    midway between the means of the two groups, which is the edge of a smooth stroke.
    """

    level: Doubles
    halfway: Doubles


def otsu_threshold(histograms: NDArray[np.int64]) -> Thresholds:
    """Part histograms (N, 256) of levels so that the variance between the two groups is greatest.

    Source: Otsu 1979, A Threshold Selection Method from Gray-Level Histograms.
    """
    below, mass = histograms.cumsum(1), (histograms * np.arange(256)).cumsum(1)
    above = below[:, -1:] - below
    low = mass / np.maximum(below, 1)
    high = (mass[:, -1:] - mass) / np.maximum(above, 1)
    between = below * above * (high - low) ** 2
    tied = between >= between.max(1, keepdims=True) * (1 - _TIE)
    level = (tied.argmax(1) + 256 - tied[:, ::-1].argmax(1)) / 2
    best = between.argmax(1)
    return Thresholds(level, (low + high)[np.arange(len(best)), best] / 2)
