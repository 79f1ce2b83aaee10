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
from augment.neighbours import nearest, pixel_gaps

_LOOKALIKES = 8  # nearest train images by features whose pixels a candidate is compared with
_BLOCK = 1024  # images whose pixels are compared at once


class FilterError(AugmentError):
    """Data that candidates cannot be compared with."""


class Verdict(NamedTuple):
    """Which of a chunk's candidates are accepted (N,), with what is noted of each.

    ``features`` (N, F) and ``probabilities`` (N, K) are the labeller's.
    """

    accepted: NDArray[np.bool_]
    probability: Floats
    nearest: NDArray[np.int64]
    distance: NDArray[np.float64]
    features: Floats
    probabilities: Floats


@dataclass
class Filter:
    """Accepts candidates that the labeller agrees with and that copy neither data nor each other.

    Distances are Euclidean between labeller features; a copy is nearer than the ``quantile`` of
    the real images' own nearest distances. So is one whose pixels are as near to those of any of
    the nearest few train images: nearer than the ``quantile`` of the real images' pixels to those
    of their own nearest one, moved by up to one either way.
    """

    labeller: Classifier
    reference: Floats
    train: Arrays
    probability: float
    threshold: float
    visible: float
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
        places, gaps = nearest(reference, reference, same=True)
        threshold = float(np.quantile(gaps, quantile))
        visible = float(np.quantile(_least_gaps(train.pixels, train.pixels, places), quantile))
        return cls(labeller, reference, train, probability, threshold, visible)

    def start_class(self) -> None:
        """Forget the samples and counts of the class before."""
        self.rejected = {"label": 0, "copy": 0, "duplicate": 0}
        self._kept = []

    def judge(self, pixels: images.Pixels, wanted: int, room: int) -> Verdict:
        """Judge candidates of class ``wanted`` in order until ``room`` of them are accepted."""
        features, probabilities = self.labeller.both(pixels)
        sure = probabilities[:, wanted]
        agrees = sure >= self.probability
        places, distances = nearest(features, self.reference, _LOOKALIKES)
        copies = distances[:, 0] < self.threshold
        unsure = agrees & ~copies
        gaps = _least_gaps(pixels[unsure], self.train.pixels, places[unsure])
        copies[unsure] = gaps < self.visible
        accepted = np.zeros(len(pixels), bool)
        fresh = np.empty_like(features)
        count = 0
        known = np.full(len(pixels), np.inf)
        for block in self._kept:
            known = np.minimum(known, nearest(features, block)[1][:, 0])
        for place in range(len(pixels)):
            if count == room:
                break
            if not agrees[place]:
                self.rejected["label"] += 1
            elif copies[place]:
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
        return Verdict(accepted, sure, places[:, 0], distances[:, 0], features, probabilities)

    def _remember(self, features: Floats) -> None:
        """Keep accepted features in few large blocks, each at least double the next."""
        self._kept.append(features)
        while len(self._kept) > 1 and len(self._kept[-2]) < 2 * len(self._kept[-1]):
            last = self._kept.pop()
            self._kept[-1] = np.concatenate([self._kept[-1], last])


def _least_gaps(
    these: images.Pixels, those: images.Pixels, places: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The least pixel gap of each image (N,) to those at its ``places`` (N, K)."""
    least = np.empty(len(these))
    for start in range(0, len(these), _BLOCK):
        some = slice(start, start + _BLOCK)
        columns = places[some].T
        least[some] = np.min([pixel_gaps(these[some], those[column]) for column in columns], axis=0)
    return least


def _near(feature: Floats, others: Floats, threshold: float) -> bool:
    return bool(len(others)) and bool(
        (np.square(others - feature).sum(1) < threshold * threshold).any()
    )
