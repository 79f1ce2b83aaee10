"""Whether samples differ from one another as much as real images of the same class do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from augment.score.scores.base import (
    SCORES,
    Floats,
    Measured,
    Numbers,
    Side,
    by_class,
    evenly_spaced,
    keys_of,
    share,
    with_floor,
)
from augment.vision.neighbours import blocks


@SCORES.register(
    "diversity",
    keys=keys_of("diversity", "duplicate_fraction"),
)
def diversity(measured: Measured, *, most: Annotated[int, Field(ge=2)] = 2000) -> Numbers:
    """Within-class spread relative to real (1: as real), and the share of duplicates.

    The spread is the mean distance of all pairs of a class in feature space; of more than
    ``most`` images only so many are taken. A duplicate is nearer to another sample than any
    two real train images are to each other, or equal to it.
    """
    least = float(measured.train.apart.min(initial=math.inf))

    def compare(real: Side, other: Side) -> Numbers:
        same = (other.apart < least) | (other.apart == 0)
        return {
            "diversity": relative_spread(real, other, range(len(measured.classes)), most),
            "duplicate_fraction": share(same),
        }

    return {**with_floor(measured, compare), **by_class(measured, compare)}


def relative_spread(real: Side, other: Side, classes: Sequence[int], most: int) -> float:
    """Mean over classes of the spread of ``other`` by that of ``real``.

    Classes without two images on both sides, or without a real spread, do not count; NaN where
    none does.
    """
    ratios = []
    for label in classes:
        real_distance = mean_distance(real.of(label).features, most)
        distance = mean_distance(other.of(label).features, most)
        if real_distance > 0 and not math.isnan(distance):
            ratios.append(distance / real_distance)
    return float(np.mean(ratios)) if ratios else float("nan")


def mean_distance(features: Floats, most: int) -> float:
    """Mean Euclidean distance of all pairs of rows (N, F), of at most ``most``; NaN under two."""
    features = evenly_spaced(features, most)
    count = len(features)
    if count < 2:
        return float("nan")
    total = 0.0
    for start, squares in blocks(features, features):
        rows = np.arange(len(squares))
        squares[rows, start + rows] = 0  # rounding left a little
        total += float(np.sqrt(np.maximum(squares, 0)).sum(dtype=np.float64))
    return total / (count * (count - 1))
