"""The tables of cleaning: recall beside losses, the worth of cleaning, speed."""

from __future__ import annotations

import pandas as pd

from benchmarks.tables import MACHINE, SEEDS, Column, Frame, as_measured, first, met, summary

LOST = 0.01  # share of clean images at most
RECALL = {
    "duplicate": 0.98, "secondary": 0.95, "secondary_touching": 0.90, "inverted": 0.97,
    "turned": 0.97, "blank": 0.97, "cut_off": 0.97, "no_class": 0.95,
}  # fmt: skip
WRONG_LABEL = {"mnist": 0.90, "glyphs": 0.85}  # recall; no bound was set for digits
MENDED = {"secondary": 0.9}  # repaired and read right, of those that are found
RECOVERED = 0.8  # of the cost of dirt


def bound(name: str, fault: str) -> float | None:
    """The least recall of a fault in the set ``name``; None where there is no bound."""
    return WRONG_LABEL.get(name.split()[0]) if fault == "wrong_label" else RECALL[fault]


def faults(rows: Frame) -> Frame:
    """A line for each set and planted fault; the worst seed counts."""
    rows = rows[rows["part"] == "faults"]
    bounds = [bound(*pair) for pair in zip(rows["set"], rows["what"], strict=True)]

    def enough(t: Frame) -> Frame:
        mended = ~t["fault"].isin(MENDED) | (t["mended"] >= t["fault"].map(MENDED))
        return (t["found"] >= t["bound"]) & (t["clean ones lost"] <= LOST) & mended

    def read_right(t: Frame) -> Frame:
        return t["mended"].where((t["mended"] > 0) | t["fault"].isin(MENDED))

    rows = rows.assign(
        bound=pd.Series(bounds, rows.index, float), fault=rows["what"].str.replace("_", " ")
    )
    return summary(rows, ["set", "what"], {
        "set": first("set"), "fault": first("fault"), "planted": Column("count", "sum", "{:.0f}"),
        "found": Column("recall", "min", "{:.3f}"), "bound": first("bound", "≥ {:.2f}"),
        "by the right check": Column("named", form="{:.3f}"),
        "mended": Column("mended", "min", ""),
        "repaired and read right": Column(read_right, form="{:.3f}"),
        "clean ones lost": Column("lost", "max", "{:.4f}"),
        "changed": Column("changed", "max", "{:.4f}"),
        "met": met(enough, lambda t: t["bound"].notna()), **SEEDS, **MACHINE,
    })  # fmt: skip


def unlabelled(rows: Frame) -> Frame:
    """A line for each set and class; the worst seed counts."""
    rows = rows[rows["part"] == "unlabelled"]

    def enough(t: Frame) -> Frame:
        return (t["found"] >= RECALL["duplicate"]) & (t["others lost"] <= LOST)

    return summary(rows, ["set", "what"], {
        "set": first("set"), "class": first("what"),
        "planted": Column("count", "sum", "{:.0f}"), "found": Column("recall", "min", "{:.3f}"),
        "others lost": Column("lost", "max", "{:.4f}"),
        "met": met(enough, lambda t: t["found"].notna()), **SEEDS, **MACHINE,
    })  # fmt: skip


def worth(rows: Frame) -> Frame:
    """A line for each set and each model trained on it: means over the seeds."""
    rows = rows[rows["part"] == "worth"]
    arms = {
        "on dirty images": "dirty", "on cleaned ones": "cleaned", "on never dirty ones": "clean",
    }  # fmt: skip
    return summary(rows, ["set", "what"], {
        "set": first("set"), "trained": first("what"),
        **{title: Column(arm, "mean") for title, arm in arms.items()},
        "recovered": Column(lambda t: recovered(*(t[title] for title in arms)), form="{:.0%}"),
        "met": met(lambda t: t["recovered"] >= RECOVERED, lambda t: t["recovered"].notna()),
        **SEEDS, **MACHINE,
    })  # fmt: skip


def recovered(dirty: Frame, cleaned: Frame, clean: Frame) -> Frame:
    """The share of the cost of dirt that cleaning brings back; NaN where dirt costs nothing."""
    return (cleaned - dirty) / (clean - dirty).where(clean > dirty)


def speed(rows: Frame) -> Frame:
    """A line for each row."""
    return as_measured(rows[rows["part"] == "speed"])


TABLES = (faults, unlabelled, worth, speed)
