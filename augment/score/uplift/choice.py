"""What the written set takes: chosen on valid images alone, so that test images may judge it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from augment.data.arrays import Arrays
from augment.score.uplift import statistics
from augment.score.uplift.results import Result

ROUNDING = 1e-9  # shares of 1: a gain of one seed in three equals its standard error exactly


class Mix(NamedTuple):
    """What joins the labelled images: the adopted ones or not, and samples at a dose."""

    adopted: bool
    dose: float


def best_mix(right: Mapping[Mix, NDArray[np.bool_]]) -> Mix:
    """The simplest mix that the best one does not beat by more than chance.

    right[mix] (S, V): where the classifier of a seed is right about a valid image. The best mix has
    the highest mean; it beats another one where their mean difference in pairs exceeds its standard
    error (the one-standard-error rule of Breiman et al. 1984, Classification and Regression Trees).
    Simplest is the smallest dose with adopted images, whose labels are calibrated; then without.
    """
    simplest_first = sorted(right, key=lambda mix: (not mix.adopted, mix.dose))
    best = max(simplest_first, key=lambda mix: right[mix].mean())

    def beaten(mix: Mix) -> bool:
        gains = np.subtract(right[best], right[mix], dtype=np.float64)
        return bool(gains.mean() > statistics.standard_error(gains) + ROUNDING)

    return next(mix for mix in simplest_first if mix == best or not beaten(mix))


def choose(measured: Mapping[Mix, Result], valid: Arrays) -> tuple[Mix, NDArray[np.float64]]:
    """The mix that is written, and the dose of each class (K,), 0 for one that samples harm.

    Without valid images adopted ones are taken where there are some, and no samples.
    """
    kinds = len(valid.classes)
    if not len(valid):
        return Mix(any(mix.adopted for mix in measured), 0.0), np.zeros(kinds)
    mix = best_mix({mix: result.valid == valid.labels for mix, result in measured.items()})
    if not mix.dose:
        return mix, np.zeros(kinds)
    before, after = measured[mix._replace(dose=0.0)], measured[mix]
    harmed = [_harmed(valid, before, after, label) for label in range(kinds)]
    return mix, np.where(harmed, 0.0, mix.dose)


def dose_to_show(measured: Mapping[Mix, Result], mix: Mix, valid: Arrays) -> float | None:
    """The dose at which samples are reported beside ``mix`` without any; None where none ran.

    It is that of ``mix`` where it ran, else the best on valid images, without these the smallest.
    """
    doses = sorted(dose for adopted, dose in measured if dose and adopted == mix.adopted)
    if not doses:
        return None
    if mix.dose in doses:
        return mix.dose
    if not len(valid):
        return doses[0]
    accuracies = [
        (measured[mix._replace(dose=dose)].valid == valid.labels).mean() for dose in doses
    ]
    return doses[int(np.argmax(accuracies))]


def _harmed(valid: Arrays, before: Result, after: Result, label: int) -> bool:
    """Whether fewer valid images of the class are right afterwards, by the interval."""
    rows = valid.labels == label
    right = [result.valid[:, rows] == label for result in (before, after)]
    low, high = statistics.interval(np.subtract(right[1], right[0], dtype=np.float64))
    return statistics.verdict(low, high) == "harms"
