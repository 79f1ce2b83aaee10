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
class GateResult:
    """What became of a gate; ``value`` is None where the number was not measured."""

    gate: str
    value: float | None
    bound: str
    passed: bool


def parse_gate(text: str) -> Gate:
    """The gate that ``text`` says; raises GateError for one that cannot be read."""
    match = _GATE.fullmatch(text.strip())
    try:
        bound = float(match["bound"]) if match else math.nan
    except ValueError:
        bound = math.nan
    if not match or not math.isfinite(bound):
        raise GateError(
            f"{text!r} is no gate; expected KEY OP NUMBER, OP one of {' '.join(_COMPARISONS)}"
        )
    return Gate(match["key"], match["comparison"], bound)


def check_gates(gates: Iterable[str], scores: Mapping[str, Any]) -> list[GateResult]:
    """What became of each gate, in order; one whose number was not measured fails."""
    return [_check(parse_gate(text), scores) for text in gates]


def number(value: Any) -> float | None:
    """``value`` if it is a finite number, None otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def passed(results: Iterable[GateResult]) -> bool:
    """Whether no gate failed."""
    return all(result.passed for result in results)


def refuse(results: Sequence[GateResult]) -> None:
    """Raise GateError with the table of ``results`` if a gate failed."""
    failed = sum(not result.passed for result in results)
    if failed:
        raise GateError(
            f"{failed} of {len(results)} gates failed, nothing is written "
            f"(augment write --force writes all the same)\n{lines(results)}"
        )


def records(results: Iterable[GateResult]) -> list[dict[str, Any]]:
    """The results as JSON holds them: gate, value, bound, passed."""
    return [asdict(result) for result in results]


def cells(results: Iterable[GateResult]) -> list[tuple[str, str, str, str]]:
    """The results in words: gate, value, bound, and whether it passed."""
    return [
        (
            result.gate,
            "not measured" if result.value is None else f"{result.value:.4g}",
            result.bound,
            "passed" if result.passed else "failed",
        )
        for result in results
    ]


def lines(results: Iterable[GateResult]) -> str:
    """The results as a table in plain text."""
    rows = [("gate", "value", "bound", ""), *cells(results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _check(gate: Gate, scores: Mapping[str, Any]) -> GateResult:
    value = _value(gate.key, scores)
    met = value is not None and _COMPARISONS[gate.comparison](value, gate.bound)
    return GateResult(gate.key, value, f"{gate.comparison} {gate.bound:g}", met)


def _value(key: str, scores: Mapping[str, Any]) -> float | None:
    if key not in _RATIOS:
        return number(_entry(scores, key.split(".")))
    name = _RATIOS[key]
    value, floor = number(scores.get(name)), number(_entry(scores, ["floor", name]))
    # An unbiased KID may be 0 or less, and nothing is a multiple of that.
    return value / floor if value is not None and floor is not None and floor > 0 else None


def _entry(node: Any, steps: Sequence[str]) -> Any:
    """What stands under a dotted key; a class name may hold dots itself."""
    if not steps:
        return node
    if isinstance(node, Mapping):
        for end in range(1, len(steps) + 1):
            value = _entry(node.get(".".join(steps[:end])), steps[end:])
            if value is not None:
                return value
    return None
