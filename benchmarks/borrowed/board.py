"""The tables of what is borrowed: a line for each case, and how each of them came about."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.tables import MACHINE, SEEDS, WHERE, Column, Frame, first, met, summary

SHARES = {  # least share read right
    "small_digits": 0.95, "large_digits": 0.95, "letters": 0.95, "characters": 0.95,
    "unseen": 0.80, "seasons": 0.90,
}  # fmt: skip
GAINS = {"rare_characters": 0.10, "helpers": 0.02}  # least gain over the rival
KEPT = 0.6  # least correlation of edges, of seasons
BOUNDS = {name: f"{bound:.0%}" for name, bound in SHARES.items()} | {
    name: f"{bound:+.0%}" for name, bound in GAINS.items()
}
ROUNDING = 1e-9


def borrowed(rows: Frame) -> Frame:
    """A line for each case: the median over the seeds of what it is judged by, and the worst."""
    keys = "held alone made rival to_dry to_green edges_dry edges_green"
    of = beside(rows)
    of = of.reindex(columns=of.columns.union(keys.split()))
    seasons, gains = of["row"] == "seasons", of["row"].isin(GAINS)
    reached = of["held"].fillna(of["made"]).where(~seasons, of[["to_dry", "to_green"]].min(axis=1))
    other = of["rival"].fillna(of["alone"])
    rows = rows.assign(
        case=rows["row"].str.replace("_", " "), reached=reached, other=other, over=reached - other,
        judged=(reached - other).where(gains, reached),
        kept=of[["edges_dry", "edges_green"]].min(axis=1).fillna(1.0),
        bound=rows["row"].map({**SHARES, **GAINS}), words=rows["row"].map(BOUNDS),
    )  # fmt: skip

    def enough(t: Frame) -> Frame:
        return (t["judged"] >= t["least"] - ROUNDING) & (t["kept"] >= KEPT)

    return summary(rows, ["row"], {
        "case": first("case"), "reached": Column("reached", form="{:.1%}"),
        "worst seed": Column("reached", "min", "{:.1%}"),
        "without": Column("other", form="{:.1%}"), "gain": Column("over", form="{:+.1%}"),
        "judged": Column("judged", form=""), "kept": Column("kept", form=""),
        "least": Column("bound", "first", ""), "bound": first("words"),
        "met": met(enough), **SEEDS, **MACHINE,
    })  # fmt: skip


def beside(rows: Frame) -> Frame:
    """``rows`` with ``rival``: the better of what each has without made images."""
    arms = [arm for arm in ("oversampling", "plain", "stronger") if arm in rows]
    return rows.assign(rival=rows[arms].max(axis=1) if arms else np.nan)


def named(rows: Frame) -> Frame:
    """Images without a label, named by another domain: medians."""
    return _part(rows, "held", {
        "the other domain alone": "alone", "seeds right": "seeds_right",
        "seeds that agree": "agreed", "spread": "spread", "adopted": "adopted",
        "of these right": "adopted_right", "held out": "held",
    })  # fmt: skip


def bent(rows: Frame) -> Frame:
    """Classes of few images, with those that are made of them or of print: medians."""
    return _part(rows, "oversampling", {
        "oversampling": "oversampling", "stronger": "stronger", "print": "print", "made": "made",
        "all real": "real",
        "others": "others_oversampling", "others, stronger": "others_stronger",
        "others, made": "others_made",
    })  # fmt: skip


def unseen(rows: Frame) -> Frame:
    """Characters that nobody wrote, read by classifiers of print and of translations: medians."""
    return _part(rows, "plain", {
        "print": "plain", "print, strongly bent": "stronger", "translations": "made",
        "both": "both",
    })  # fmt: skip


def seasons(rows: Frame) -> Frame:
    """Patches of one season turned into another: medians."""
    return _part(rows, "to_dry", {
        "judge, of real patches": "judge", "made dry": "to_dry", "made green": "to_green",
        "edges, dry": "edges_dry", "edges, green": "edges_green",
    })  # fmt: skip


def _part(rows: Frame, key: str, columns: dict[str, str]) -> Frame:
    """A line for each case that has ``key``, of those ``columns`` that are there."""
    if key not in rows:
        return pd.DataFrame()
    rows = rows[rows[key].notna()]
    rows = rows.assign(case=rows["row"].str.replace("_", " "))
    return summary(rows, ["row"], {
        "case": first("case"),
        **{
            title: Column(name, form="{:.1%}") for title, name in columns.items() if name in rows
        },
        **({"seconds": Column("seconds", form="{:.0f}")} if "seconds" in rows else {}), **{
            name: column for name, column in WHERE.items() if name == "setting"
        },
    })  # fmt: skip


TABLES = (borrowed, named, bent, unseen, seasons)
