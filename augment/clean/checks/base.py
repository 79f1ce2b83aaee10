"""Checks: each measures one kind of fault; thresholds and verdicts come later, from the measures.

An image check is ``check(image, *, options) -> float`` on a uint8 array (H, W) or (H, W, 3). A
table check is ``check(table, *, options) -> Series`` on a data frame with a row per image: id,
path, label, split, group, width, height and ``pixels``, a digest of the decoded image. A pixel
check is ``check(table, pixels, *, options) -> Series`` and sees all images in one small square form
(N, S, S, 3) as well: it says how one differs from what is usual in the set. A learned check is
``check(evidence, *, options) -> DataFrame`` with a row per image: ``measure``, and what it would
have instead where it knows (``suggested_label`` with its ``probability``, ``cluster``). A set check
is ``check(table, *, options) -> list[Finding]``: it warns of what is no image's fault. A measure is
1 where all is well and 0 at its worst; one that is not a number is not judged.

Registered facts: ``kind`` is "image", "table", "pixels", "learned" or "set"; ``threshold`` (which a
set check has not) is the least measure that passes by default, a number or a rule that finds it
from the measures of the whole set; ``profiles`` are those that have the check by default;
``certain`` says that a fault found is no matter of opinion (an equal copy), so that ``on_doubt``
does not keep it; ``module`` is the optional library that the check needs.

A learned check is judged at 0.5 and finds by itself, from train and valid images, what that is; a
test image has a measure but moves none.
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
Finding = dict[str, Any]  # ``warning``, a line of words, and what it speaks of; goes into JSON


@dataclass(frozen=True)
class Outlier:
    """What lies both ``deviations`` robust standard deviations and ``share`` under the median.

    A tight set would otherwise lose images that differ by a hair, and a wide one those that are
    merely small. The threshold follows the set's own scale and is never fit for photographs alone;
    a bound that is made for them can only be the ``most`` that it comes to.
    """

    share: float  # of the median
    deviations: float = 3.0
    most: float = 1.0

    def __call__(self, measures: NDArray[np.float64]) -> float:
        """min(median - deviations · 1.4826 · MAD, share · median, most), at least 0."""
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
    found: dict[str, float] = {}
    for name in measures.columns:
        rule = fixed.get(name, CHECKS.describe(name).facts["threshold"])
        known = measures[name].dropna().to_numpy(dtype=np.float64)
        found[name] = float(rule(known) if isinstance(rule, Outlier) else rule)
    return found


def survey(frame: pd.DataFrame, specs: Sequence[Mapping[str, Any]]) -> dict[str, list[Finding]]:
    """What the set checks among the resolved ``specs`` find in ``frame``, by name of the check.

    A check that finds nothing has an empty list; checks of other kinds are passed over.
    """
    return {
        spec["name"]: CHECKS.build(spec)(frame)
        for spec in specs
        if CHECKS.describe(spec["name"]).facts["kind"] == "set"
    }


BOTH = ("glyph", "natural")
