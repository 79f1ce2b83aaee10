"""Tables as frames of text: rows that share a setting become one line.

Each benchmark draws its own table with ``summary`` and lists it in ``TABLES``, beside its bounds.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from augment.train.recipes import RECIPES
from benchmarks.results import SETTING, Row

Frame = pd.DataFrame


class Column(NamedTuple):
    """One value of each group of rows, and its text."""

    source: (
        str | Callable[[Frame], Any]
    )  # a key of the rows, or a function of the columns before it
    how: str | Callable[[pd.Series[Any]], Any] = "median"  # over the rows of the group
    form: str = "{:.4g}"  # empty: not shown, but other columns follow from it


def first(source: str, form: str = "{}") -> Column:
    """A column of a value that all rows of a group share."""
    return Column(source, "first", form)


def met(source: Callable[[Frame], Any], bounded: Callable[[Frame], Any] | None = None) -> Column:
    """A column that says whether a bound is met; empty where there is none."""

    def answers(lines: Frame) -> pd.Series[Any]:
        truths = pd.Series(source(lines), lines.index).astype(object)
        return truths if bounded is None else truths.where(bounded(lines))

    return Column(answers)


SEEDS = {"seeds": Column("seed", "size", "{}")}
MACHINE = {"machine": Column("machine", lambda names: ", ".join(sorted(set(names))), "{}")}
WHERE = {**SEEDS, "setting": first("setting"), **MACHINE}


def summary(rows: Frame, keys: Sequence[str], columns: Mapping[str, Column]) -> Frame:
    """A line for each group of rows that share ``keys``, setting and device, in their order."""
    if rows.empty:
        return rows
    sizes = rows[[*SETTING]].itertuples(index=False)
    rows = rows.assign(setting=[f"{size[0]} {size[1]}, {size[2]} steps" for size in sizes])
    groups = rows.groupby([*keys, *SETTING, "device"], sort=False)
    lines, text = Frame(index=groups.size().index), {}
    for title, (source, how, form) in columns.items():
        lines[title] = source(lines) if callable(source) else groups[source].agg(how)
        if form:
            text[title] = [cell(value, form) for value in lines[title]]
    return Frame(text)


def as_measured(rows: Frame) -> Frame:
    """A line for each row of a benchmark that measures speed and memory."""
    columns = ("what", "measured", "bound", "met", "detail", "machine") if len(rows) else ()
    return Frame({name: [cell(value) for value in rows[name]] for name in columns})


def cell(value: Any, form: str = "{:.4g}") -> str:
    """Text of a value: empty where it is unknown, yes or no of a truth."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return "" if pd.isna(value) else form.format(value)


def by_recipe(rows: Frame, *columns: str) -> Frame:
    """``rows`` sorted by ``columns``, recipes in the order of their list."""
    ordered = rows.assign(recipe=pd.Categorical(rows["recipe"], RECIPES))
    return ordered.sort_values([*columns], kind="stable").astype({"recipe": str})


def tables(name: str, rows: Sequence[Row]) -> list[Frame]:
    """The tables of a benchmark's rows, without empty ones."""
    if not rows:
        return []
    frame = Frame([*rows])
    unknown = {key: float for key in frame if frame[key].isna().all()}
    benchmark = importlib.import_module(f"benchmarks.{name}")
    return [table for draw in benchmark.TABLES if len(table := draw(frame.astype(unknown)))]
