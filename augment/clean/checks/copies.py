"""Copy checks: equal pixels, within a split, between splits, under several labels."""

from __future__ import annotations

import pandas as pd

from augment.clean.checks.base import BOTH_PROFILES, CHECKS

# of equal images the one with the least number stays: the split that is held out furthest
HELD_OUT = {"train": 2, "valid": 1, "test": 0}


@CHECKS.register(
    "exact_duplicate", kind="table", threshold=0.5, profiles=BOTH_PROFILES, certain=True
)
def exact_duplicate(table: pd.DataFrame) -> pd.Series:
    """0 for every copy of an image but one, by decoded pixels; 1 for all others.

    A copy in test is kept before one in valid, valid before train, labelled before unlabelled, and
    then the first. So this check and split_leak keep the same copy.
    """
    order = pd.DataFrame(
        {
            "pixels": table["pixels"],
            "split": table["split"].map(HELD_OUT),
            "unlabelled": table["label"].isna(),
        }
    ).sort_values(["split", "unlabelled"], kind="stable")
    return (~order["pixels"].duplicated()).reindex(table.index).astype(float)


@CHECKS.register(
    "label_conflict", kind="table", threshold=0.5, profiles=BOTH_PROFILES, certain=True
)
def label_conflict(table: pd.DataFrame) -> pd.Series:
    """0 for labelled images whose very pixels also stand under another label; 1 for all others.

    Nobody knows which label is right, so no copy stays. An image without a label conflicts with
    none.
    """
    labels = table.groupby("pixels")["label"].transform("nunique")
    return (~((labels > 1) & table["label"].notna())).astype(float)


@CHECKS.register("split_leak", kind="table", threshold=0.5, profiles=BOTH_PROFILES, certain=True)
def split_leak(table: pd.DataFrame) -> pd.Series:
    """0 for images whose very pixels stand in a split that is held out further; 1 for all others.

    Train gives way to valid and test, valid to test.
    """
    rank = table["split"].map(HELD_OUT)
    least = rank.groupby(table["pixels"]).transform("min")
    return (rank <= least).astype(float)
