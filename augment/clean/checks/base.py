"""Checks: each measures one kind of fault; thresholds and verdicts come later, from the measures.

There are five kinds:

- image: ``check(image, *, options) -> float`` on a uint8 array (H, W) or (H, W, 3).
- table: ``check(table, *, options) -> Series`` on a data frame with a row per image: label, split,
  group, width, height and ``pixels``, a number that images have in common whose pixels are equal.
- pixels: ``check(table, pixels, *, options) -> Series``. It also sees all images in one small
  square form, pixels (N, S, S, 3), uint8, and compares each with the others.
- learned: ``check(evidence, *, options) -> DataFrame`` with a row per image: ``measure`` and,
  where it can tell, ``suggested_label`` with its ``probability``, and ``cluster``.
- set: ``check(table, *, options) -> list[Finding]``. It warns of faults of the set as a whole.

A measure lies between 0 and 1: 1 is faultless, 0 the worst. A measure of NaN is not judged.

Registered facts:

- kind: as above.
- threshold: the least measure that passes by default; a number, or a rule that finds it from the
  measures of the whole set. A set check has none. A learned check is judged at 0.5; it scales its
  measures so that this is the threshold that it found from train and valid images.
- profiles: the profiles that have the check by default.
- alone: the check supposes one character an image; `auto` does not judge lines of them by it.
- certain: the fault is a fact, such as an equal copy, so that ``on_doubt`` does not keep it.
- reads: the learned check needs models that read images; without one that does none is fitted.
- module: the optional library that the check needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from augment.registry import Registry

CHECKS = Registry("check")
BOTH_PROFILES = ("glyph", "natural")
Finding = dict[str, Any]  # ``warning``, a line of words, and the counts behind it; goes into JSON


@dataclass(frozen=True)
class Outlier:
    """A threshold from the set's own measures: an outlier lies far under their median.

    The distance counts in two ways, and an outlier is far in both. By ``deviations`` alone a tight
    set would lose images that differ by a hair, by ``share`` alone a wide set would lose images
    that are merely small. A fixed bound, such as those made for photographs, can only lower the
    threshold (``most``).
    """

    share: float  # of the median, 0 … 1: the threshold is at most this
    deviations: float = 3.0  # robust standard deviations under the median; chosen by hand
    most: float = 1.0  # a measure, 0 … 1: the threshold is at most this

    def __call__(self, measures: NDArray[np.float64]) -> float:
        """min(median - deviations · 1.4826 · MAD, share · median, most), at least 0.

        0, which all pass, where there are no measures.
        """
        if not len(measures):
            return 0.0
        median = float(np.median(measures))
        spread = 1.4826 * float(np.median(np.abs(measures - median)))
        low = median - self.deviations * spread
        return max(0.0, min(low, self.share * median, self.most))


def defaults(profile: str) -> list[str]:
    """Names of the checks that ``profile`` (glyph or natural) has by default.

    The order is that of their registration.
    """
    return [name for name in CHECKS if profile in CHECKS.describe(name).facts["profiles"]]


def thresholds(measures: pd.DataFrame, fixed: Mapping[str, float]) -> dict[str, float]:
    """The least measure that passes each check whose name heads a column of ``measures``.

    ``fixed`` goes before the check's own number or rule.
    """
    limits: dict[str, float] = {}
    for name in measures.columns:
        rule = fixed.get(name, CHECKS.describe(name).facts["threshold"])
        numbers = measures[name].dropna().to_numpy(dtype=np.float64)
        limits[name] = float(rule(numbers) if isinstance(rule, Outlier) else rule)
    return limits


def survey(frame: pd.DataFrame, specs: Sequence[Mapping[str, Any]]) -> dict[str, list[Finding]]:
    """The findings in ``frame`` of the set checks among the resolved ``specs``, by check.

    A check that finds nothing has an empty list; checks of other kinds are passed over.
    """
    return {
        spec["name"]: CHECKS.build(spec)(frame)
        for spec in specs
        if CHECKS.describe(spec["name"]).facts["kind"] == "set"
    }
