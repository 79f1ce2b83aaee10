"""Size checks: images of an unusual size or shape."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from augment.clean.checks.base import BOTH, CHECKS

Tails = Annotated[float, Field(ge=0, lt=0.5)]


@CHECKS.register("odd_size", kind="table", threshold=0.5, profiles=BOTH)
def odd_size(table: pd.DataFrame, *, tails: Tails = 0.1) -> pd.Series:
    """How near an image's size, √(width · height), comes to the usual sizes: 1 is one of them.

    Below and above them it is a ratio: half or twice is 0.5.
    """
    return _usual((table["width"] * table["height"]) ** 0.5, table, tails)


@CHECKS.register("odd_aspect_ratio", kind="table", threshold=0.35, profiles=BOTH)
def odd_aspect_ratio(table: pd.DataFrame, *, tails: Tails = 0.1) -> pd.Series:
    """How near an image's width divided by its height comes to the usual shapes: 1 is one of them.

    Below and above them it is a ratio. Among squares it is the shorter side divided by the longer.
    """
    return _usual(table["width"] / table["height"], table, tails)


def _usual(values: pd.Series, table: pd.DataFrame, tails: float) -> pd.Series:
    """1 from the ``tails`` quantile of train and valid images to that from above, else the ratio.

    What is usual reaches as far as the median of the image's class, so that a class whose images
    are all narrow loses none. An interval between quantiles is no multiple of a deviation: of two
    sources, each with its own size, neither is odd.
    """
    known = values[table["split"] != "test"]
    middle = table["label"].map(known.groupby(table["label"]).median())
    low, high = np.fmin(middle, known.quantile(tails)), np.fmax(middle, known.quantile(1 - tails))
    nearness: pd.Series = np.minimum(values / low, high / values).clip(upper=1.0)
    return nearness
