"""What the tables show of cleaning: recall beside what is lost, what it is worth, how fast."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.summaries import Lines, Row, extreme, groups, least, median, text, yes

LOST = 0.01  # share of clean images at most
RECALL = {
    "duplicate": 0.98, "secondary": 0.95, "inverted": 0.97, "turned": 0.97,
    "blank": 0.97, "cut_off": 0.97, "no_class": 0.95,
}  # fmt: skip
WRONG_LABEL = {"mnist": 0.90, "glyphs": 0.85}  # the issue names no bound for digits
MENDED = {"secondary": 0.9}  # of those that are found
RECOVERED = 0.8


def cleaning(rows: Sequence[Row]) -> Lines:
    """Three tables, told apart by their columns; the worst seed counts."""
    parts = (_faults, _worth, _speed)
    return [
        line
        for part in parts
        for line in part([row for row in rows if row["part"] == part.__name__[1:]])
    ]


def bound(name: str, fault: str) -> float | None:
    """The recall that is asked for."""
    return WRONG_LABEL.get(name.split()[0]) if fault == "wrong_label" else RECALL[fault]


def recovered(dirty: float, cleaned: float, clean: float) -> float | None:
    """The share of what dirt costs that cleaning brings back; None where dirt costs nothing."""
    return (cleaned - dirty) / (clean - dirty) if clean > dirty else None


def _faults(rows: Sequence[Row]) -> Lines:
    lines = []
    for found in groups(rows, "set", "what"):
        name, fault = found[0]["set"], found[0]["what"]
        recall, lost = extreme(found, "recall", min), extreme(found, "lost", max)
        mended = extreme(found, "mended", min)
        mendable = mended or fault in MENDED
        wanted = bound(name, fault)
        met = least(recall, wanted or 0.0) and lost is not None and lost <= LOST
        if fault in MENDED:
            met = met and least(mended, MENDED[fault])
        lines.append(
            {
                "set": name,
                "fault": fault.replace("_", " "),
                "planted": str(sum(row["count"] for row in found)),
                "found": text(recall, "{:.3f}"),
                "bound": text(wanted, "≥ {:.2f}"),
                "by the right check": text(median(found, "named"), "{:.3f}"),
                "repaired and read right": text(mended if mendable else None, "{:.3f}"),
                "clean ones lost": text(lost, "{:.4f}"),
                "changed": text(extreme(found, "changed", max), "{:.4f}"),
                "met": "" if wanted is None else yes(met),
                "seeds": str(len(found)),
                "machine": found[0]["machine"],
            }
        )
    return lines


def _worth(rows: Sequence[Row]) -> Lines:
    lines = []
    for found in groups(rows, "set", "what"):
        arms = {
            arm: statistics.mean(row[arm] for row in found) for arm in ("dirty", "cleaned", "clean")
        }
        share = recovered(**arms)
        lines.append(
            {
                "set": found[0]["set"],
                "trained": found[0]["what"],
                "on dirty images": text(arms["dirty"]),
                "on cleaned ones": text(arms["cleaned"]),
                "on never dirty ones": text(arms["clean"]),
                "recovered": text(share, "{:.0%}"),
                "met": "" if share is None else yes(share >= RECOVERED),
                "seeds": str(len(found)),
                "machine": found[0]["machine"],
            }
        )
    return lines


def _speed(rows: Sequence[Row]) -> Lines:
    return [
        {
            "what": row["what"],
            "measured": text(row["measured"]),
            "bound": row["bound"],
            "met": "" if row["met"] is None else yes(row["met"]),
            "detail": row["detail"],
            "machine": row["machine"],
        }
        for row in rows
    ]
