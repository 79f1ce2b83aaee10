"""What the classifiers of an arm guessed, and the numbers that the report makes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from augment.data.arrays import Arrays
from augment.data.reports import ArmResult, Gain, Spread
from augment.score.uplift import statistics
from augment.score.uplift.arms import Study


@dataclass(frozen=True)
class Result:
    """Class indices that one arm guesses for valid (S, V) and test images (S, T), by seed."""

    valid: NDArray[np.int64]
    test: NDArray[np.int64]


def accuracy(guesses: NDArray[np.int64], truth: Arrays) -> NDArray[np.float64]:
    """The accuracy of each seed; NaN where there are no images."""
    if not len(truth):
        return np.full(len(guesses), math.nan)
    accuracies: NDArray[np.float64] = (guesses == truth.labels).mean(1)
    return accuracies


def gain(before: Result, after: Result, test: Arrays, label: int | None = None) -> Gain:
    """The mean gain on test images, all or those of class ``label``, with interval and verdict."""
    rows = slice(None) if label is None else test.labels == label
    right = [(result.test == test.labels)[:, rows] for result in (before, after)]
    gains = np.subtract(right[1], right[0], dtype=np.float64)
    low, high = statistics.interval(gains)
    mean = float(gains.mean()) if gains.size else math.nan
    return Gain(mean, low, high, statistics.verdict(low, high))


def spread(values: NDArray[np.float64]) -> Spread:
    """Mean and standard deviation (of a sample) of one number for each seed."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return Spread(float(np.mean(values)), deviation, values.tolist())


def arm(result: Result, study: Study, over_classic: Gain | None) -> ArmResult:
    """What is reported of one arm; a class's recall is the share of its test images guessed."""
    test = study.test
    return ArmResult(
        **vars(spread(accuracy(result.test, test))),
        valid=float(np.mean(accuracy(result.valid, study.valid))),
        per_class={
            name: share(result.test[:, test.labels == label] == label)
            for label, name in enumerate(test.classes)
        },
        gain=over_classic,
    )


def share(flags: NDArray[np.bool_]) -> float:
    """The share of True; NaN of nothing."""
    return float(flags.mean()) if flags.size else math.nan


def confusion(result: Result, test: Arrays) -> list[list[int]]:
    """Counts [actual, guessed] of test images, summed over seeds."""
    kinds = len(test.classes)
    places = test.labels * kinds + result.test
    return np.bincount(places.ravel(), minlength=kinds**2).reshape(kinds, kinds).tolist()
