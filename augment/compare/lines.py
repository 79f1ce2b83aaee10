"""A line of the comparison, and the order of lines."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment.score.uplift import statistics

Right = NDArray[np.bool_]
ERRORS = 2 * 1.96  # standard errors that a 95 % interval spans


@dataclass(frozen=True)
class Line:
    """What a recipe is worth; None where it was not measured. Shares are 0 to 1.

    ``error`` says why it was not measured to the end. ``gain`` is that of a classifier of the
    labelled images and the recipe's accepted samples over one of the images alone, in pairs on
    valid images, from ``low`` to ``high``; ``accuracy`` is that classifier's, and ``taught`` that
    of one of the samples alone. ``coverage``, ``near_copies`` and ``label_accuracy`` are of
    unfiltered samples, ``accepted`` is the share that the filter keeps. ``milliseconds`` are those
    of a step, ``seconds`` what training took with the labeller's. ``right`` (S, V) tells for both
    classifiers, of each seed, which valid images they read right, as text of 0 and 1.
    """

    name: str
    line: str
    error: str | None = None
    remark: str = ""
    steps: int | None = None
    milliseconds: float | None = None
    seconds: float | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str | None = None
    accuracy: float | None = None
    taught: float | None = None
    coverage: float | None = None
    near_copies: float | None = None
    label_accuracy: float | None = None
    accepted: float | None = None
    samples: int | None = None
    seconds_per_thousand: float | None = None
    bits: float | None = None
    right: dict[str, list[str]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, for the report; without ``right``."""
        return {key: value for key, value in dataclasses.asdict(self).items() if key != "right"}


def as_text(right: Right) -> list[str]:
    """Truths (S, V) as a text of 0 and 1 for each seed."""
    return ["".join("01"[truth] for truth in row) for row in right.astype(int)]


def as_truths(rows: Sequence[str]) -> Right:
    """The truths (S, V) of ``as_text``."""
    return np.array([[letter == "1" for letter in row] for row in rows])


def ranked(lines: Sequence[Line]) -> list[Line]:
    """The lines from the best to the worst; those with an error last, in their order.

    The best is found among those whose gain is level with the highest, then whose ``taught`` is;
    of these it has the largest coverage, the fewest near copies, the most right labels, the least
    time for a sample. Level is what the highest does not beat by more than a standard error in
    pairs, over seeds and images.
    """
    rest = [line for line in lines if line.error is None]
    order: list[Line] = []
    while rest:
        level = _level(_level(rest, "gain"), "taught")
        best = max(level, key=_further)
        order.append(best)
        rest.remove(best)
    return order + [line for line in lines if line.error is not None]


def _level(lines: Sequence[Line], key: str) -> list[Line]:
    """The lines that the best one by ``right[key]`` does not beat by more than chance."""
    right = [as_truths(line.right[key]) for line in lines]
    best = max(right, key=np.mean)
    return [line for line, truths in zip(lines, right, strict=True) if not _beaten(best, truths)]


def _beaten(best: Right, other: Right) -> bool:
    gains = np.subtract(best, other, dtype=np.float64)
    low, high = statistics.interval(gains)
    return bool(gains.mean() > (high - low) / ERRORS)


def _further(line: Line) -> tuple[float, ...]:
    """What decides between lines that are level; more is better, and unknown is worst."""
    values = (
        line.coverage,
        None if line.near_copies is None else -line.near_copies,
        line.label_accuracy,
        None if line.seconds_per_thousand is None else -line.seconds_per_thousand,
    )
    return tuple(-math.inf if value is None or math.isnan(value) else value for value in values)
