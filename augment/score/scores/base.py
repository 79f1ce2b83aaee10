"""Scores: numbers that say how good synthetic samples are, from arrays alone, never a network.

A score is ``score(measured, *, options) -> dict`` with a number under each of its keys, the same
numbers for real train against real held-out images under ``floor``, and those of each class under
``per_class``. What cannot be told from so few images is NaN, never an error.

Registered facts: ``keys`` gives each number's better direction and range (a dotted key lies
deeper), for those on the scoreboard from augment.data.reports, where the report reads them too;
``module`` is the optional library that the score needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment.data.reports import SCORE_KEYS, ScoreKey
from augment.errors import AugmentError
from augment.registry import Registry, Spec
from augment.vision.neighbours import Neighbours

SCORES = Registry("score")
Floats = NDArray[np.float32]
Numbers = dict[str, Any]


class ScoreError(AugmentError):
    """Inputs or settings that nothing can be measured with."""


@dataclass(frozen=True)
class Side:
    """Images, and the judge's features and probabilities of them.

    pixels (N, C, H, W): grey levels, uint8; labels (N,): class indices; features (N, F): in
    standard deviations of the train images; probabilities (N, K): of each class, in [0, 1].
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    features: Floats
    probabilities: Floats

    def __len__(self) -> int:
        """The number of images."""
        return len(self.labels)

    @cached_property
    def neighbours(self) -> Neighbours:
        """The features, for a search among them."""
        return Neighbours(self.features)

    @cached_property
    def apart(self) -> NDArray[np.float64]:
        """Distance (N,) of every image to the nearest other one, in features."""
        return self.neighbours.nearest(self.features, same=True)[1][:, 0]

    def of(self, label: int) -> Side:
        """The images of one class."""
        rows = self.labels == label
        return Side(
            self.pixels[rows], self.labels[rows], self.features[rows], self.probabilities[rows]
        )


_PARTS = ("pixels", "labels", "features", "probabilities")


@dataclass(frozen=True)
class Measured:
    """The images that scores compare: real train ones, real held-out ones and synthetic ones.

    ``uplift()`` trains what the uplift compares and gives the UpliftReport as a dictionary.
    ``unlabelled`` are train images without a label, which a generator may have learned from too;
    their labels are -1.
    """

    classes: Sequence[str]
    train: Side
    held: Side
    synthetic: Side
    uplift: Callable[[], Numbers]
    unlabelled: Side | None = None

    @property
    def learned(self) -> Side:
        """All real train images, with a label or without."""
        if self.unlabelled is None:
            return self.train
        both = [(getattr(self.train, name), getattr(self.unlabelled, name)) for name in _PARTS]
        return Side(*map(np.concatenate, both))


Comparison = Callable[[Side, Side], Numbers]


def keys_of(*names: str) -> dict[str, ScoreKey]:
    """The directions and ranges of scores on the scoreboard, for their registration."""
    return {name: SCORE_KEYS[name] for name in names}


def with_floor(measured: Measured, compare: Comparison) -> Numbers:
    """Real train against synthetic, and under ``floor`` real train against real held-out."""
    floor = compare(measured.train, measured.held)
    return {**compare(measured.train, measured.synthetic), "floor": floor}


def by_class(measured: Measured, compare: Comparison) -> Numbers:
    """Real train against synthetic for each class, under ``per_class``."""
    return {
        "per_class": {
            name: compare(measured.train.of(index), measured.synthetic.of(index))
            for index, name in enumerate(measured.classes)
        }
    }


def share(flags: NDArray[np.bool_]) -> float:
    """The share of True; NaN of nothing."""
    return float(flags.mean()) if len(flags) else float("nan")


def evenly_spaced(rows: NDArray[Any], most: int) -> NDArray[Any]:
    """At most ``most`` rows at equal steps, so that of sorted classes every class has some."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def require(spec: Spec) -> dict[str, Any]:
    """The resolved ``spec``; ScoreError where the library that the score needs is missing."""
    resolved = SCORES.resolve(spec)
    if module := SCORES.lacking(resolved["name"]):
        raise ScoreError(
            f"score {resolved['name']!r} needs {module.replace('_', '-')}, which is not "
            "installed; pip install 'augment[score]'"
        )
    return resolved


def merge(into: Numbers, numbers: Mapping[str, Any]) -> Numbers:
    """``into`` with the numbers of ``found`` added, level by level."""
    for key, value in numbers.items():
        if isinstance(value, Mapping):
            merge(into.setdefault(key, {}), value)
        else:
            into[key] = value
    return into
