"""The table of fuzzing: a line for each reader."""

from __future__ import annotations

import pandas as pd

from benchmarks.tables import MACHINE, Column, Frame, first, met, summary


def readers(rows: Frame) -> Frame:
    """A line for each reader, and one for all of them."""
    every = rows.assign(reader="all")
    return pd.concat([_lines(rows), _lines(every)])


def _lines(rows: Frame) -> Frame:
    return summary(rows, ["reader"], {
        "reader": first("reader"),
        "examples": Column("examples", "sum", "{:,.0f}"),
        "stopped with a reason": Column("stopped", "sum", "{:,.0f}"),
        "files": Column("files", "sum", "{:,.0f}"),
        "kept": Column("kept", "sum", "{:,.0f}"),
        "rejected": Column("rejected", "sum", "{:,.0f}"),
        "ignored": Column("ignored", "sum", "{:,.0f}"),
        "crashes": Column("crashes", "sum", "{:.0f}"),
        "bound": Column(lambda t: 0 * t["crashes"], form="{:.0f}"),
        "met": met(lambda t: t["crashes"] == 0),
        "seconds": Column("seconds", "sum", "{:,.0f}"),
        **MACHINE,
    })  # fmt: skip


TABLES = (readers,)
