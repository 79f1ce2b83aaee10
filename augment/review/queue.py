"""The queue of images to decide about: flagged ones by check, worst first, and synthetic ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from augment.data import table
from augment.data.decisions import ACTIONS, UNDO, Decision
from augment.data.places import REPORTS, SYNTHETIC
from augment.errors import AugmentError

VERDICTS = f"{REPORTS}/clean.csv"
OTHER = "decided"  # without a failed check: somebody decided about them before
MADE, COPIES = "synthetic", "near_copies"

_FACTS = ("id", "path", "label", "split", "verdict", "reasons")
_NEWER = ("suggested_label", "probability", "cluster", "repairs", "decided")
_ON_SYNTHETIC = ("keep", "drop", UNDO)


class ReviewError(AugmentError, ValueError):
    """A file that is missing or not what its stage writes, or a decision that cannot be."""


@dataclass(frozen=True)
class FlaggedImage:
    """An image to decide about; "" and None where nothing is known.

    Of a synthetic one ``probability`` is that of its label, and ``nearest`` the id of the real
    train image next to it, at ``distance``.
    """

    id: str
    label: str
    origin: str
    split: str = ""
    path: str = ""
    reasons: tuple[str, ...] = ()
    suggested: str = ""
    probability: float | None = None
    cluster: str = ""
    repairs: tuple[str, ...] = ()
    nearest: str = ""
    distance: float | None = None
    measures: Mapping[str, float] = field(default_factory=dict)

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions that may be decided about it."""
        return _ON_SYNTHETIC if self.origin == "synthetic" else (*ACTIONS, UNDO)


@dataclass(frozen=True)
class Queue:
    """Everything there is to decide about.

    ``sections`` holds ids in the order in which they are shown, by check and for the synthetic
    images; ``kept`` the ids of unflagged images of each cluster; ``examples`` those of each class,
    of the train split where it has some.
    """

    items: Mapping[str, FlaggedImage]
    sections: Mapping[str, Sequence[str]]
    kept: Mapping[str, Sequence[str]]
    examples: Mapping[str, Sequence[str]]
    classes: Sequence[str]

    @cached_property
    def clusters(self) -> Mapping[str, Sequence[str]]:
        """The flagged images of each cluster."""
        clusters: dict[str, list[str]] = {}
        for item in self.items.values():
            if item.cluster:
                clusters.setdefault(item.cluster, []).append(item.id)
        return clusters

    def together(self, name: str) -> Sequence[str]:
        """The ids that are decided at once with the image ``name``: its cluster, or it alone."""
        return self.clusters.get(self.items[name].cluster, [name])

    def allow(self, decision: Decision) -> None:
        """Raise ReviewError for a decision that fits no image here, or not this one."""
        item = self.items.get(decision.id)
        if item is None:
            raise ReviewError(f"no such image: {decision.id}")
        if decision.action not in item.actions:
            allowed = ", ".join(item.actions)
            raise ReviewError(f"{decision.action}: {item.origin} images take {allowed}")
        if decision.action == "relabel" and decision.label not in self.classes:
            names = ", ".join(self.classes[:20]) + (", …" if len(self.classes) > 20 else "")
            raise ReviewError(f"unknown class {decision.label!r}; known: {names}")

    def progress(self, decided: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Counts of decided images and of all, by section, and of all real ones as "flagged"."""
        done = set(decided)
        real = {name for name, item in self.items.items() if item.origin == "real"}
        groups = {"flagged": real, **{name: set(ids) for name, ids in self.sections.items()}}
        return {name: (len(done & ids), len(ids)) for name, ids in groups.items()}


def load(root: Path) -> Queue:
    """The images that the stages clean and synth left to decide about.

    Raises ReviewError where ``reports/clean.csv`` is missing or damaged, TableError for a damaged
    table of synthetic images; without one there are none.
    """
    verdicts = _verdicts(root / VERDICTS)
    flagged = (verdicts["reasons"] != "") | (verdicts["verdict"] != "keep")
    checks = [name for name in verdicts if name not in (*_FACTS, *_NEWER)]
    measures = verdicts.loc[flagged, checks].apply(pd.to_numeric, errors="coerce")
    records = verdicts[flagged].to_dict("records")
    items = {
        row["id"]: _real(row, measured)
        for row, measured in zip(records, measures.to_dict("records"), strict=True)
    }
    reasons = {name for item in items.values() for name in item.reasons or (OTHER,)}
    order = [*(name for name in checks if name in reasons), *sorted(reasons - set(checks))]
    sections = {name: _worst_first(items.values(), name) for name in order}
    made = _synthetic(root / SYNTHETIC)
    if made:
        sections[MADE] = _lowest(made, "probability")
    if near := [item for item in made if item.nearest]:
        sections[COPIES] = _lowest(near, "distance")
    spared = verdicts[~flagged]
    train = spared[spared["split"] == "train"]
    return Queue(
        {**items, **{item.id: item for item in made}},
        sections,
        _ids_by(spared, "cluster"),
        {**_ids_by(spared, "label"), **_ids_by(train, "label")},
        table.classes_of(label for label in verdicts["label"] if label),
    )


def _ids_by(rows: pd.DataFrame, column: str) -> dict[str, list[str]]:
    named = rows[rows[column] != ""]
    return {str(name): list(ids) for name, ids in named.groupby(column)["id"]}


def _verdicts(path: Path) -> pd.DataFrame:
    """clean.csv as text, with empty columns where an older clean has not written them."""
    try:
        sheet = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise ReviewError(f"{path}: no such file; run the stage clean first") from None
    except (ValueError, pd.errors.ParserError) as error:
        what = " ".join(str(error).split())
        raise ReviewError(f"{path}: {what}; run the stage clean again") from None
    missing = [name for name in _FACTS if name not in sheet]
    if missing:
        raise ReviewError(f"{path}: columns missing: {', '.join(missing)}; run clean again")
    return sheet.assign(**{name: "" for name in _NEWER if name not in sheet})


def _real(row: Mapping[Any, str], measures: Mapping[Any, float]) -> FlaggedImage:
    """A flagged image from its row of clean.csv, with the measures that are numbers."""
    return FlaggedImage(
        id=row["id"],
        label=row["label"],
        origin="real",
        split=row["split"],
        path=row["path"],
        reasons=_parts(row["reasons"]),
        suggested=row["suggested_label"],
        probability=_number(row["probability"]),
        cluster=row["cluster"],
        repairs=_parts(row["repairs"]),
        measures={name: value for name, value in measures.items() if value == value},
    )


def _synthetic(folder: Path) -> list[FlaggedImage]:
    """The images of the synthetic table, none where it does not exist."""
    if not folder.exists():
        return []
    columns = ("id", "label", "label_probability", "nearest_real", "nearest_distance")
    rows = table.frame(folder, columns).astype(object)
    rows = rows.where(rows.notna(), None)
    return [
        FlaggedImage(
            name, label or "", "synthetic", "train",
            probability=probability, nearest=near or "", distance=distance,
        )
        for name, label, probability, near, distance in rows.itertuples(index=False)
    ]  # fmt: skip


def _worst_first(items: Iterable[FlaggedImage], check: str) -> list[str]:
    failed = [item for item in items if check in (item.reasons or (OTHER,))]
    return [item.id for item in sorted(failed, key=lambda i: (i.measures.get(check, 2.0), i.id))]


def _lowest(items: Iterable[FlaggedImage], fact: str) -> list[str]:
    def key(item: FlaggedImage) -> tuple[bool, float, str]:
        value: float | None = getattr(item, fact)
        return value is None, value or 0.0, item.id

    return [item.id for item in sorted(items, key=key)]


def _parts(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(";")))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
