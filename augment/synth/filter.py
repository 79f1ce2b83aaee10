"""Which candidates are accepted: right label, no copy of a real image, no copy of one another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from augment.classifiers.classifier import Classifier, Floats
from augment.data import images
from augment.data.arrays import Arrays
from augment.errors import AugmentError
from augment.vision.lookalikes import Lookalikes
from augment.vision.neighbours import nearest


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
    the real images' own nearest distances. So is one that is to the eye: pixel by pixel, moved by
    up to one either way, no farther from a train image than that quantile of theirs.
    """

    labeller: Classifier
    reference: Floats
    train: Arrays
    known: Lookalikes
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
        gaps = nearest(reference, reference, same=True)[1]
        threshold = float(np.quantile(gaps, quantile))
        known = Lookalikes(train.pixels)
        seen = known.gaps(train.pixels, self_places=np.arange(len(train)))
        visible = float(np.quantile(seen, quantile))
        return cls(labeller, reference, train, known, probability, threshold, visible)

    def start_class(self) -> None:
        """Forget the samples and counts of the class before."""
        self.rejected = {"label": 0, "copy": 0, "duplicate": 0}
        self._kept = []

    def judge(self, pixels: images.Pixels, wanted: int, room: int) -> Verdict:
        """Judge candidates of class ``wanted`` in order until ``room`` of them are accepted."""
        features, probabilities = self.labeller.both(pixels)
        sure = probabilities[:, wanted]
        agrees = sure >= self.probability
        places, distances = nearest(features, self.reference)
        copies = distances[:, 0] < self.threshold
        unsure = agrees & ~copies
        copies[unsure] = self.known.gaps(pixels[unsure]) <= self.visible
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


def _near(feature: Floats, others: Floats, threshold: float) -> bool:
    return bool(len(others)) and bool(
        (np.square(others - feature).sum(1) < threshold * threshold).any()
    )
