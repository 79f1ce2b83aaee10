"""Verdicts: decide by their measures which images stay, and stop where too few would be left.

Thresholds come from train and valid images. A model's doubt about a test image is listed and never
drops it: a test set without the images that models find hard would flatter them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np
import pandas as pd

from augment.clean.checks.base import CHECKS, thresholds
from augment.clean.settings import CleanSettings
from augment.data import decisions, table
from augment.data.decisions import Decision
from augment.data.normalise import Form
from augment.data.places import REPORTS
from augment.errors import AugmentError

FEW = 20  # images without a label: a group of fewer is not protected; chosen by hand
_BLOCK = 16_384  # images judged at once: a bound on memory; chosen by hand
_UNLABELLED = "images without a label"
_VERDICTS = ("keep", "drop", "ask", "repair", "relabel")


class CleanError(AugmentError, ValueError):
    """Settings that fit no check, or a set of which too little would be left."""


def limits(
    measures: pd.DataFrame, facts: pd.DataFrame, settings: CleanSettings
) -> dict[str, float]:
    """The least measures that pass, from the images of train and valid (if there are any)."""
    open_ = facts["split"] != "test"
    rows = open_ if open_.any() else ~open_
    fixed = {name: limit for name, limit in settings.thresholds.items() if name in measures}
    limits: dict[str, float] = {}
    for name in measures:  # one by one: a copy of all would take much memory
        limits |= thresholds(measures.loc[rows, [str(name)]], fixed)
    return limits


def decide_verdicts(
    facts: pd.DataFrame,
    measures: pd.DataFrame,
    limits: Mapping[str, float],
    mended: pd.Series,
    decided: Mapping[int, Decision],
    settings: CleanSettings,
) -> pd.DataFrame:
    """The verdicts as a data frame, a row for each image.

    ``mended`` holds tuples of repairs, and ``decided`` the decisions of a person by row.
    Its columns: verdict; reasons, the checks that the image fails, with ";" between; decided, the
    action of a person or ""; label, after that; repairs, the names of those to apply; kept, bool;
    faults, the checks to blame where an image is out and nobody has decided about it.
    """
    blocks = []
    for start in range(0, len(facts), _BLOCK):
        rows = slice(start, start + _BLOCK)
        told = [decided.get(row) for row in range(len(facts))[rows]]
        blocks.append(_decided(facts[rows], measures[rows], limits, mended[rows], told, settings))
    return pd.concat(blocks)


def _decided(
    facts: pd.DataFrame,
    measures: pd.DataFrame,
    limits: Mapping[str, float],
    mended: pd.Series,
    told: Sequence[Decision | None],
    settings: CleanSettings,
) -> pd.DataFrame:
    """The verdicts of a block of images; ``told`` is what a person said of each, or None."""
    listed = under(measures, limits)
    failed = faults(measures, limits, mended, facts)
    names = [str(name) for name in listed]
    sure = [name for name in names if CHECKS.describe(name).facts.get("certain")]
    if settings.on_doubt == "keep":
        failed[failed.columns.difference(sure)] = False
    action = np.array([decision.action if decision else "" for decision in told])
    able = mended.astype(bool)
    by_rank = (  # the first that holds is the verdict
        (action == "keep", "keep"),
        (action == "drop", "drop"),
        (action == "relabel", "relabel"),
        ((action == "repair") & able, "repair"),
        (action == "repair", "ask"),
        (failed[sure].any(axis=1), "drop"),
        (failed.any(axis=1), settings.on_doubt),
        (able, "repair"),
    )
    verdict = np.select([rows for rows, _ in by_rank], [name for _, name in by_rank], "keep")
    out = np.isin(verdict, ["drop", "ask"])
    label = facts["label"].copy()
    for place, decision in enumerate(told):
        if decision and decision.action == "relabel":
            label.iloc[place] = decision.label
    blamed = failed.to_numpy(dtype=bool) & (out & (action == ""))[:, None]
    columns = {
        "verdict": pd.Categorical(verdict, _VERDICTS),
        "reasons": [";".join(compress(names, row)) for row in listed.to_numpy()],
        "decided": pd.Categorical(action, ["", *decisions.ACTIONS]),
        "label": label,
        "repairs": mended.where(verdict == "repair", None).map(lambda names: names or ()),
        "kept": ~out,
        "faults": [tuple(compress(names, row)) for row in blamed],
    }
    return pd.DataFrame(columns, index=facts.index).astype({"reasons": object})


def faults(
    measures: pd.DataFrame, limits: Mapping[str, float], mended: pd.Series, facts: pd.DataFrame
) -> pd.DataFrame:
    """The checks that count against each image: a row per image, a column per check, bool.

    An image that was mended fails no more what its pixels show, and a test image no learned check.
    """
    failed = under(measures, limits)
    repaired, held = mended.astype(bool), facts["split"] == "test"
    for name in failed:
        kind = CHECKS.describe(str(name)).facts["kind"]
        if kind != "table":
            failed.loc[held if kind == "learned" else repaired, name] = False
    return failed


def under(measures: pd.DataFrame, limits: Mapping[str, float]) -> pd.DataFrame:
    """Which measures are below their limit, if they have one; a bool each, and NaN passes."""
    return pd.DataFrame(
        {name: measures[name] < limits[name] for name in map(str, measures) if name in limits},
        index=measures.index,
    )


def stop(
    facts: pd.DataFrame,
    judged: pd.DataFrame,
    resembled: pd.Series,
    max_dropped: float,
    elsewhere: Collection[str] = (),
) -> None:
    """Raise CleanError if a check drops too much of a class, or if no two classes are left.

    Images without a label are protected together, and those that resemble a class by themselves:
    ``resembled`` holds the class that an image is labelled with or looks like, None where nobody
    knows. Only images that fail nothing but learned checks look like anything, and only groups of
    at least ``FEW`` count.
    """
    where = f"look at {REPORTS}/clean.csv, then change"
    before = facts["label"].value_counts()
    labelled = facts["label"].notna()
    alike = resembled[~labelled].value_counts()
    unlabelled = {_UNLABELLED: int((~labelled).sum())}
    unlabelled |= {_alike(label): int(count) for label, count in alike.items()}
    counts = {group: count for group, count in unlabelled.items() if count >= FEW}
    counts |= {f"images of class {label!r}": int(count) for label, count in before.items()}
    dropped_for: Counter[tuple[str, str]] = Counter()
    for is_labelled, label, names in zip(labelled, resembled, judged["faults"], strict=True):
        groups = [f"images of class {label!r}"] if is_labelled else [_UNLABELLED]
        if not is_labelled and all(
            CHECKS.describe(name).facts["kind"] == "learned" for name in names
        ):
            groups.append(_alike(label))
        dropped_for.update((group, name) for group in groups for name in names)
    worst, what = 0.0, ""
    for (group, name), dropped in dropped_for.items():
        count = counts.get(group, 0)
        if count and dropped > allowed(count, max_dropped) and dropped / count > worst:
            worst = dropped / count
            what = f"check {name!r} drops {dropped} of {count} {group}"
    if what:
        raise CleanError(
            f"{what}, more than clean.max_dropped ({max_dropped:g}) allows; "
            f"{where} clean.checks, clean.thresholds or clean.max_dropped"
        )
    left = len({*judged.loc[judged["kept"], "label"].dropna(), *elsewhere})
    if left < 2:
        raise CleanError(
            f"{left} of {len(before)} classes would be left and two are needed; "
            f"{where} clean.checks or clean.thresholds"
        )


def _alike(label: Any) -> str:
    return f"{_UNLABELLED} that look like class {label!r}"


def allowed(count: int, max_dropped: float) -> int:
    """How many of a class's ``count`` images one check may drop.

    The share ``max_dropped``, and always one: one bad image of three says nothing about a check.
    But not the only image of a class, and none at all where ``max_dropped`` is 0.
    """
    share = math.floor(max_dropped * count + 1e-9)
    return max(share, 1) if count > 1 and max_dropped > 0 else share


def report(
    facts: pd.DataFrame,
    judged: pd.DataFrame,
    limits: Mapping[str, float],
    form: Form,
    elsewhere: int,
) -> dict[str, Any]:
    """The contents of clean.json: counts in all, by class and by split, thresholds, decisions.

    ``elsewhere`` counts decisions about images that are gone, or synthetic.
    """

    def counts(rows: pd.Series) -> dict[str, Any]:
        """The counts of the images that ``rows`` (N,), bool, selects."""
        total, kept = int(rows.sum()), int((judged["kept"] & rows).sum())
        flagged = reasons[rows[reasons.index]].str.split(";").explode().value_counts()
        verdicts = {name: int(((judged["verdict"] == name) & rows).sum()) for name in _VERDICTS}
        checks = {name: int(flagged.get(name, 0)) for name in limits}
        return {
            "in": total, "kept": kept, "dropped": total - kept,
            "verdicts": verdicts, "checks": checks,
        }  # fmt: skip

    reasons = judged.loc[judged["reasons"] != "", "reasons"]
    names = table.classes_of(facts["label"])
    classes = {label: counts(facts["label"] == label) for label in names}
    after = judged.loc[judged["kept"], "label"].value_counts()
    acted = judged["decided"].value_counts()
    return {
        **counts(pd.Series(True, index=facts.index)),
        "thresholds": dict(limits),
        "size": list(form.size),
        "mode": form.mode,
        "resize": form.resize,
        "before": {label: accounts["in"] for label, accounts in classes.items()},
        "after": {label: int(after[label]) for label in table.classes_of(after.index)},
        "classes": classes,
        "unlabelled": counts(facts["label"].isna()),
        "splits": {split: counts(facts["split"] == split) for split in table.SPLITS},
        "decisions": {
            **{action: int(acted.get(action, 0)) for action in decisions.ACTIONS},
            "elsewhere": elsewhere,
        },
    }
