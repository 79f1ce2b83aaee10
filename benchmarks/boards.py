"""The table of each benchmark; those of uplift, where bounds hold over subsets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from augment.score.uplift import statistics
from benchmarks.cleaning.board import cleaning
from benchmarks.summaries import (
    Lines,
    Row,
    extreme,
    families,
    groups,
    half,
    infogan,
    least,
    median,
    modes,
    selection,
    setting,
    text,
    throughput,
    yes,
)

TAUGHT = {"10 labels": 0.98, "1 label": 0.90}  # accuracy with adopted images, in the median
RIVALLED, GAIN = ("10 labels",), 0.02  # where pseudo-labels and this gain must be reached as well
FOUND, FALSE = 0.95, 0.01  # planted copies at least, honest images at most, in every subset
RARE, OTHERS = 0.03, -0.002  # gains of recall, in the mean
ONLY = 0.985  # accuracy of synthetic images alone, in the median
RIGHT, WRITTEN = 0.9, -0.002  # share of verdicts; gain of what is written, in every repeat


def uplift(rows: Sequence[Row]) -> Lines:
    """A line for each case and setting: medians over the subsets, the worst of what is bounded."""
    lines = []
    for found in groups(rows, "case"):
        case = found[0]["case"]
        adopted, rival = median(found, "adopted"), median(found, "pseudo_labels")
        low, recall = extreme(found, "low", min), extreme(found, "recall", min)
        false = extreme(found, "false_alarms", max)
        if recall is not None and false is not None:
            met = recall >= FOUND and false <= FALSE
        else:
            met = least(adopted, TAUGHT[case]) and least(low, 0.0) and low != 0
            if case in RIVALLED:
                met = met and least(median(found, "gain"), GAIN) and least(adopted, rival or 0.0)
        lines.append(
            {
                "case": case,
                "classic": text(median(found, "classic")),
                "pseudo-labels": text(rival),
                "with adopted": text(adopted),
                "gain": text(median(found, "gain")),
                "lowest end of an interval": text(low),
                "adopted": text(median(found, "taken"), "{:.0f}"),
                "of them right": text(median(found, "taken_right")),
                "copies found": text(recall),
                "false alarms": text(false),
                "met": yes(met),
                "subsets": str(len(found)),
                **setting(found),
            }
        )
    return lines


def generated(rows: Sequence[Row]) -> Lines:
    """A line for each case and setting, with its bound; the last lines are the control's."""
    lines = []
    for found in groups(rows, "case"):
        kind = next(name for name in _GENERATED if name in found[0])
        bound, reached, met = _GENERATED[kind](found)
        lines.append(
            {
                "case": found[0]["case"],
                "bound": bound,
                "reached": reached,
                "met": yes(met),
                "subsets": str(len({row["seed"] for row in found})),
                "generators each": str(len({row["generator"] for row in found})),
                "classifiers each": text(median(found, "classifiers")),
                "minutes each": text(median(found, "minutes"), "{:.1f}"),
                **setting(found),
            }
        )
    return lines


def _rare(rows: Sequence[Row]) -> tuple[str, str, bool]:
    rare, others = (_gains(rows, name) for name in ("rare_gain", "others_gain"))
    was, now = (median(rows, name) for name in ("rare_oversampling", "rare_synthetic"))
    return (
        f"recall of the rare classes {RARE:+.1%} over oversampling, of the others {OTHERS:+.1%}",
        f"{_interval(rare)} ({text(was)} to {text(now)} in the median), others {_interval(others)}",
        bool(rare.mean() >= RARE and others.mean() >= OTHERS),
    )


def _only(rows: Sequence[Row]) -> tuple[str, str, bool]:
    reached = median(rows, "synthetic_only")
    return (
        f"accuracy {ONLY:.1%}",
        f"{text(reached)}, real alone at as many steps {text(median(rows, 'real'))}",
        least(reached, ONLY),
    )


def _verdicts(rows: Sequence[Row]) -> tuple[str, str, bool]:
    right = sum(row["right"] for row in rows)
    worst = min(row["written_gain"] for row in rows)
    harmed = sum(row["shuffled"] == "harms" for row in rows)
    said = sorted({row["verdict"] for row in rows})
    words = ", ".join(f"{word} {sum(row['verdict'] == word for row in rows)}" for word in said)
    return (
        f"verdict right in {RIGHT:.0%}, what is written never below {WRITTEN:+.1%}, "
        "shuffled labels harm in all",
        f"right in {right} of {len(rows)} ({words}), written {worst:+.2%} at worst, "
        f"shuffled harm in {harmed}",
        right >= RIGHT * len(rows) and worst >= WRITTEN and harmed == len(rows),
    )


def _gains(rows: Sequence[Row], key: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Mean gain of each subset (S,): generators of one subset are no independent proof."""
    found: dict[int, list[float]] = {}
    for row in rows:
        found.setdefault(row["seed"], []).append(row[key])
    return np.array([np.mean(values) for values in found.values()])


def _interval(gains: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    low, high = statistics.interval(gains)
    return f"{gains.mean():+.1%} [{low:+.1%}, {high:+.1%}]"


_GENERATED: dict[str, Callable[[Sequence[Row]], tuple[str, str, bool]]] = {
    "rare_gain": _rare, "synthetic_only": _only, "verdict": _verdicts,
}  # fmt: skip  # by a key that only rows of the case have

BOARDS: dict[str, Callable[[Sequence[Row]], Lines]] = {
    "families": families, "infogan": infogan, "half": half, "throughput": throughput,
    "modes": modes, "selection": selection, "uplift": uplift, "generated": generated,
    "cleaning": cleaning,
}  # fmt: skip
