"""Table checks: what can be told only from all images together."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from augment.checks import CHECKS

_BOTH = ("glyph", "natural")
HELD_OUT = {"train": 2, "valid": 1, "test": 0}  # of equal images the most held out one stays

Tails = Annotated[float, Field(ge=0, lt=0.5)]


@CHECKS.register("exact_duplicate", kind="table", threshold=0.5, profiles=_BOTH, certain=True)
def exact_duplicate(table: pd.DataFrame) -> pd.Series:
    """0 for every copy of an image but one, by decoded pixels; 1 for all others.

    The one that stays is in test rather than valid, in valid rather than train, labelled rather
    than not, and then the first. So this check and split_leak keep the same copy.
    """
    order = pd.DataFrame(
        {
            "pixels": table["pixels"],
            "split": table["split"].map(HELD_OUT),
            "unlabelled": table["label"].isna(),
        }
    ).sort_values(["split", "unlabelled"], kind="stable")
    return (~order["pixels"].duplicated()).reindex(table.index).astype(float)


@CHECKS.register("label_conflict", kind="table", threshold=0.5, profiles=_BOTH, certain=True)
def label_conflict(table: pd.DataFrame) -> pd.Series:
    """0 for labelled images whose very pixels also stand under another label; 1 for all others.

    Nobody knows which label is right, so no copy stays. An image without a label conflicts with
    none.
    """
    labels = table.groupby("pixels")["label"].transform("nunique")
    return (~((labels > 1) & table["label"].notna())).astype(float)


@CHECKS.register("split_leak", kind="table", threshold=0.5, profiles=_BOTH, certain=True)
def split_leak(table: pd.DataFrame) -> pd.Series:
    """0 for images whose very pixels stand in a split that is held out further; 1 for all others.

    Train gives way to valid and test, valid to test.
    """
    rank = table["split"].map(HELD_OUT)
    least = rank.groupby(table["pixels"]).transform("min")
    return (rank <= least).astype(float)


@CHECKS.register("odd_size", kind="table", threshold=0.5, profiles=_BOTH)
def odd_size(table: pd.DataFrame, *, tails: Tails = 0.1) -> pd.Series:
    """How near an image's size, √(width · height), comes to the usual sizes: 1 is one of them.

    Below and above them it is a ratio: half or twice is 0.5.
    """
    return _usual((table["width"] * table["height"]) ** 0.5, table, tails)


@CHECKS.register("odd_aspect_ratio", kind="table", threshold=0.35, profiles=_BOTH)
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
