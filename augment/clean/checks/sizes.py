"""Size checks: images of an unusual size or shape."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from augment.clean.checks.base import BOTH_PROFILES, CHECKS

Tails = Annotated[float, Field(ge=0, lt=0.5)]  # share of images at either end; chosen by hand


# threshold: half or twice the usual size; chosen by hand
@CHECKS.register("odd_size", kind="table", threshold=0.5, profiles=BOTH_PROFILES)
def odd_size(table: pd.DataFrame, *, tails: Tails = 0.1) -> pd.Series:
    """How near an image's size, √(width · height), comes to the usual sizes: 1 is one of them.

    Below and above them it is a ratio: half or twice is 0.5.
    """
    return _usual((table["width"] * table["height"]) ** 0.5, table, tails)


# threshold: cleanvision's bound for the aspect ratio of photographs
@CHECKS.register("odd_aspect_ratio", kind="table", threshold=0.35, profiles=BOTH_PROFILES)
def odd_aspect_ratio(table: pd.DataFrame, *, tails: Tails = 0.1) -> pd.Series:
    """How near an image's width divided by its height comes to the usual shapes: 1 is one of them.

    Below and above them it is a ratio. Among squares it is the shorter side divided by the longer.
    """
    return _usual(table["width"] / table["height"], table, tails)


def _usual(values: pd.Series, table: pd.DataFrame, tails: float) -> pd.Series:
    """1 for values in the usual interval, and outside of it their ratio to its nearer end.

    The interval lies between the ``tails`` and 1 - ``tails`` quantiles of train and valid images.
    It is widened to the median of the image's class, so that a class whose images are all narrow
    loses none. Quantiles, and not a mean and deviations, let a set have two sources of different
    sizes: neither is odd.
    """
    usable = values[table["split"] != "test"]
    middle = table["label"].map(usable.groupby(table["label"]).median())
    low, high = np.fmin(middle, usable.quantile(tails)), np.fmax(middle, usable.quantile(1 - tails))
    nearness: pd.Series = np.minimum(values / low, high / values).clip(upper=1.0)
    return nearness
