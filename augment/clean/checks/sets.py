"""Set checks: they warn of faults of the set as a whole, and drop nothing."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pandas as pd
from pydantic import Field

from augment.clean.checks.base import BOTH_PROFILES, CHECKS, Finding
from augment.data.table import SPLITS, classes_of


# ratio: chosen by hand
@CHECKS.register("imbalance", kind="set", profiles=BOTH_PROFILES)
def imbalance(table: pd.DataFrame, *, ratio: Annotated[float, Field(ge=1)] = 10.0) -> list[Finding]:
    """Classes with fewer train images than the largest class has, divided by ``ratio``."""
    train = table.loc[table["split"] == "train", "label"].value_counts()
    if train.empty:
        return []
    largest, counts = int(train.max()), {name: int(train[name]) for name in classes_of(train.index)}
    rare = {label: count for label, count in counts.items() if count * ratio < largest}
    if not rare:
        return []
    warning = (
        f"{len(rare)} of {len(counts)} classes have less than 1/{ratio:g} of the {largest} train "
        f"images of the largest one: {_listed(rare)}"
    )
    return [{"warning": warning, "largest": largest, "classes": rare}]


@CHECKS.register("absent_class", kind="set", profiles=BOTH_PROFILES)
def absent_class(table: pd.DataFrame) -> list[Finding]:
    """Classes that a split lacks though it has others: they are not learned, or not measured."""
    classes = classes_of(table["label"])
    findings: list[Finding] = []
    for split in SPLITS:
        here = set(table.loc[table["split"] == split, "label"].dropna())
        absent = [label for label in classes if label not in here]
        if here and absent:
            warning = f"{split} lacks {len(absent)} of {len(classes)} classes: {_listed(absent)}"
            findings.append({"warning": warning, "split": split, "classes": absent})
    return findings


@CHECKS.register("similar_labels", kind="set", profiles=BOTH_PROFILES)
def similar_labels(table: pd.DataFrame) -> list[Finding]:
    """Labels that are one but for case, width (Unicode NFKC) or space: one class, filed twice."""
    spellings: dict[str, list[str]] = {}
    for label in classes_of(table["label"]):
        spellings.setdefault(_plain(label), []).append(label)
    return [
        {"warning": f"labels differ by case, width or space only: {_listed(same)}", "classes": same}
        for same in spellings.values()
        if len(same) > 1
    ]


@CHECKS.register("shared_image", kind="set", profiles=BOTH_PROFILES)
def shared_image(table: pd.DataFrame) -> list[Finding]:
    """Images whose very pixels stand in two splits: a classifier is tested on known images."""
    return _shared(table, "pixels", "pictures stand")


@CHECKS.register("shared_group", kind="set", profiles=BOTH_PROFILES)
def shared_group(table: pd.DataFrame) -> list[Finding]:
    """Groups (writers, pages, patients) in two splits: a classifier knows their habits."""
    return _shared(table, "group", "groups have images")


def _shared(table: pd.DataFrame, column: str, what: str) -> list[Finding]:
    """A finding if a value of ``column`` stands in more than one split; ``what`` does so."""
    splits = table.groupby(column)["split"].nunique()
    several = splits.index[splits > 1]
    if several.empty:
        return []
    counts = table.loc[table[column].isin(several), "split"].value_counts()
    images = {split: int(counts.get(split, 0)) for split in SPLITS}
    where = ", ".join(f"{count} {split}" for split, count in images.items())
    warning = f"{len(several)} {what} in more than one split: {where} images"
    return [{"warning": warning, "count": len(several), "images": images}]


def _plain(label: str) -> str:
    """The label without case, width and outer or doubled space."""
    folded = unicodedata.normalize("NFKC", label).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def _listed(labels: Sequence[str] | Mapping[str, Any], most: int = 5) -> str:
    """The first labels, and how many more there are."""
    first = ", ".join(map(repr, list(labels)[:most]))
    return first + (f" and {len(labels) - most} more" if len(labels) > most else "")
