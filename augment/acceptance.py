"""Which candidates are accepted: right label, no copy of a real image, no copy of one another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from augment import images
from augment.classifiers import Classifier, Floats
from augment.dataset import Arrays
from augment.errors import AugmentError


class FilterError(AugmentError):
    """Data that candidates cannot be compared with."""


class Verdict(NamedTuple):
    """Which of a chunk's candidates are accepted (N,), with what is noted of each."""

    accepted: NDArray[np.bool_]
    probability: Floats
    nearest: NDArray[np.int64]
    distance: Floats


@dataclass
class Filter:
    """Accepts candidates that the labeller agrees with and that copy neither data nor each other.

    Distances are Euclidean between labeller features; a copy is nearer than the ``quantile`` of
    the real images' own nearest distances.
    """

    labeller: Classifier
    reference: Floats
    ids: list[str]
    probability: float
    threshold: float
    rejected: dict[str, int] = field(default_factory=dict)
    _kept: list[Floats] = field(default_factory=list)

    @classmethod
    def fit(
        cls, labeller: Classifier, train: Arrays, *, probability: float, quantile: float
    ) -> Filter:
        """A filter against the train images; raises FilterError where there are under two."""
        reference = labeller.features(train.pixels)
        if len(reference) < 2:
            raise FilterError("a filter needs at least two train images")
        gaps = np.concatenate(
            [
                nearest(reference[start : start + 1024], reference, own=start)[1]
                for start in range(0, len(reference), 1024)
            ]
        )
        threshold = float(np.quantile(gaps, quantile))
        return cls(labeller, reference, train.ids, probability, threshold)

    def start_class(self) -> None:
        """Forget the samples and counts of the class before."""
        self.rejected = {"label": 0, "copy": 0, "duplicate": 0}
        self._kept = []

    def judge(self, pixels: images.Pixels, wanted: int, room: int) -> Verdict:
        """Judge candidates of class ``wanted`` in order until ``room`` of them are accepted."""
        features, probabilities = self.labeller.both(pixels)
        sure = probabilities[:, wanted]
        agrees = (probabilities.argmax(1) == wanted) & (sure >= self.probability)
        places, distances = nearest(features, self.reference)
        accepted = np.zeros(len(pixels), bool)
        fresh = np.empty_like(features)
        count = 0
        known = np.full(len(pixels), np.inf, np.float32)
        for block in self._kept:
            known = np.minimum(known, nearest(features, block)[1])
        for place in range(len(pixels)):
            if count == room:
                break
            if not agrees[place]:
                self.rejected["label"] += 1
            elif distances[place] < self.threshold:
                self.rejected["copy"] += 1
            elif known[place] < self.threshold or _near(
                features[place], fresh[:count], self.threshold
            ):
                self.rejected["duplicate"] += 1
            else:
                accepted[place] = True
                fresh[count] = features[place]
                count += 1
        self._remember(fresh[:count])
        return Verdict(accepted, sure, places, distances)

    def _remember(self, features: Floats) -> None:
        """Keep accepted features in few large blocks, each at least double the next."""
        self._kept.append(features)
        while len(self._kept) > 1 and len(self._kept[-2]) < 2 * len(self._kept[-1]):
            last = self._kept.pop()
            self._kept[-1] = np.concatenate([self._kept[-1], last])


def nearest(
    these: Floats, those: Floats, own: int | None = None
) -> tuple[NDArray[np.int64], Floats]:
    """Place and distance of the nearest of ``those`` (M, F) for each of ``these`` (N, F).

    ``own`` is the place of ``these[0]`` among ``those`` where they are the same set, so that
    nothing is its own neighbour. Bounded memory: blocks of 4,096 of ``those``.
    """
    best = np.full(len(these), np.inf, np.float32)
    places = np.zeros(len(these), np.int64)
    norms = np.einsum("ij,ij->i", these, these)[:, None]
    for start in range(0, len(those), 4096):
        block = those[start : start + 4096]
        squares = norms - 2 * these @ block.T + np.einsum("ij,ij->i", block, block)[None]
        if own is not None:
            at = np.arange(len(these)) + own - start
            inside = (at >= 0) & (at < len(block))
            squares[np.flatnonzero(inside), at[inside]] = np.inf
        closest = squares.argmin(1)
        found = squares[np.arange(len(these)), closest]
        better = found < best
        best[better], places[better] = found[better], closest[better] + start
    return places, np.sqrt(np.maximum(best, 0))


def _near(feature: Floats, others: Floats, threshold: float) -> bool:
    return bool(len(others)) and bool(
        (np.square(others - feature).sum(1) < threshold * threshold).any()
    )
