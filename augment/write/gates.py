"""Gates: bounds on what ``score`` measured, without which ``write`` writes nothing.

A gate is a line "KEY OP NUMBER": ``label_accuracy >= 0.97``, ``uplift.low >= 0``. KEY is a dotted
key of score.json, or ``kid_ratio`` or ``fid_ratio``: the value over its floor.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from augment.errors import AugmentError

_COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
# A key may hold anything, as class names do, but ends in no comparison: "a => 1" is a mistake.
_GATE = re.compile(r"(?P<key>.*[^\s<>=])\s*(?P<comparison>>=|<=|>|<)\s*(?P<bound>[^\s<>=]+)")
_RATIOS = {"kid_ratio": "kid", "fid_ratio": "fid"}


class GateError(AugmentError, ValueError):
    """A gate that cannot be read, or gates that failed."""


@dataclass(frozen=True)
class Gate:
    """A bound on one number of score.json."""

    key: str
    comparison: str
    bound: float


@dataclass(frozen=True)
class Verdict:
    """What became of a gate; ``value`` is None where the number was not measured."""

    gate: str
    value: float | None
    bound: str
    passed: bool


def parse(text: str) -> Gate:
    """The gate that ``text`` says; raises GateError for one that cannot be read."""
    found = _GATE.fullmatch(text.strip())
    try:
        bound = float(found["bound"]) if found else math.nan
    except ValueError:
        bound = math.nan
    if not found or not math.isfinite(bound):
        raise GateError(
            f"{text!r} is no gate; expected KEY OP NUMBER, OP one of {' '.join(_COMPARISONS)}"
        )
    return Gate(found["key"], found["comparison"], bound)


def judge(gates: Iterable[str], scores: Mapping[str, Any]) -> list[Verdict]:
    """The verdict on each gate, in order; what was not measured fails."""
    return [_judged(parse(text), scores) for text in gates]


def number(value: Any) -> float | None:
    """``value`` if it is a finite number, None otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def passed(verdicts: Iterable[Verdict]) -> bool:
    """Whether no gate failed."""
    return all(verdict.passed for verdict in verdicts)


def refuse(verdicts: Sequence[Verdict]) -> None:
    """Raise GateError with the table of ``verdicts`` if one of them is no."""
    failed = sum(not verdict.passed for verdict in verdicts)
    if failed:
        raise GateError(
            f"{failed} of {len(verdicts)} gates failed, nothing is written "
            f"(augment write --force writes all the same)\n{lines(verdicts)}"
        )


def records(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """The verdicts as JSON holds them: gate, value, bound, passed."""
    return [asdict(verdict) for verdict in verdicts]


def cells(verdicts: Iterable[Verdict]) -> list[tuple[str, str, str, str]]:
    """The verdicts in words: gate, value, bound, and whether it passed."""
    return [
        (
            verdict.gate,
            "not measured" if verdict.value is None else f"{verdict.value:.4g}",
            verdict.bound,
            "passed" if verdict.passed else "failed",
        )
        for verdict in verdicts
    ]


def lines(verdicts: Iterable[Verdict]) -> str:
    """The verdicts as a table in plain text."""
    rows = [("gate", "value", "bound", ""), *cells(verdicts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _judged(gate: Gate, scores: Mapping[str, Any]) -> Verdict:
    value = _value(gate.key, scores)
    met = value is not None and _COMPARISONS[gate.comparison](value, gate.bound)
    return Verdict(gate.key, value, f"{gate.comparison} {gate.bound:g}", met)


def _value(key: str, scores: Mapping[str, Any]) -> float | None:
    if key not in _RATIOS:
        return number(_found(scores, key.split(".")))
    name = _RATIOS[key]
    value, floor = number(scores.get(name)), number(_found(scores, ["floor", name]))
    # An unbiased KID may be 0 or less, and nothing is a multiple of that.
    return value / floor if value is not None and floor is not None and floor > 0 else None


def _found(node: Any, steps: Sequence[str]) -> Any:
    """What stands under a dotted key; a class name may hold dots itself."""
    if not steps:
        return node
    if isinstance(node, Mapping):
        for end in range(1, len(steps) + 1):
            found = _found(node.get(".".join(steps[:end])), steps[end:])
            if found is not None:
                return found
    return None
