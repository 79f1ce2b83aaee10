"""Which candidates are accepted: right label, no copy of a real image, no copy of one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from augment.classifiers.classifier import Classifier, Floats
from augment.data import images
from augment.data.arrays import Arrays
from augment.errors import AugmentError
from augment.vision.lookalikes import Lookalikes, pixel_gaps
from augment.vision.neighbours import Neighbours, nearest

REMEMBERED = 2**17  # accepted candidates of a class that later ones are compared with, at least
LARGEST = 2**15  # of them in a block that is forgotten as a whole, at least


class FilterError(AugmentError):
    """Data that candidates cannot be compared with."""


class Measures(NamedTuple):
    """What a filter measures of each candidate of a chunk by itself.

    ``probability`` (N,) is the labeller's of the right class, 0 … 1; ``copies`` (N,), whether a
    candidate of the right class copies a real image; ``nearest`` (N,) the place of the nearest
    train image and ``distance`` (N,) how far it is; ``features`` (N, F) are the labeller's.
    """

    probability: Floats
    copies: NDArray[np.bool_]
    nearest: NDArray[np.int64]
    distance: NDArray[np.float64]
    features: Floats


@dataclass
class Filter:
    """Accepts candidates that the labeller agrees with and that copy neither data nor each other.

    A candidate is a copy of a train image where the Euclidean distance of their labeller features
    is below ``threshold``, or where their pixels, moved by up to one either way, differ by no more
    than ``visible``. Both bounds are the same quantile of the train images' own nearest distances.
    A duplicate is as near to one of the REMEMBERED candidates that were accepted before it, at
    least; so memory and time do not grow with the number of samples.
    By the latter it must not copy the image that it started from either, one of ``starts`` by its
    id, where that is no train image.
    Train images without a label, -1, must not be copied either. ``reference`` (M, F) are the train
    images' features; ``rejected`` counts by reason.
    """

    labeller: Classifier
    reference: Floats
    train: Arrays
    lookalikes: Lookalikes
    probability: float
    threshold: float
    visible: float
    starts: Mapping[str, images.Pixels] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    _neighbours: Neighbours = field(init=False, repr=False)
    _accepted_features: list[Floats] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the reference ready for the search."""
        self._neighbours = Neighbours(self.reference)

    @classmethod
    def fit(
        cls, labeller: Classifier, train: Arrays, *, probability: float, quantile: float,
        sources: Arrays | None = None,
    ) -> Filter:  # fmt: skip
        """A filter against the train images; raises FilterError where there are under two.

        ``sources`` are the images that candidates start from, where these are not the train images.
        """
        reference = labeller.features(train.pixels)
        if len(reference) < 2:
            raise FilterError("a filter needs at least two train images")
        lookalikes = Lookalikes(train.pixels)
        gaps = lookalikes.gaps(train.pixels, self_places=np.arange(len(train)))
        visible = float(np.quantile(gaps, quantile))
        starts = dict(zip(sources.ids, sources.pixels, strict=True)) if sources else {}
        fitted = cls(labeller, reference, train, lookalikes, probability, 0.0, visible, starts)
        apart = fitted._neighbours.nearest(reference, same=True)[1]
        fitted.threshold = float(np.quantile(apart, quantile))
        return fitted

    def start_class(self) -> None:
        """Forget the samples and counts of the class before."""
        self.rejected = {"label": 0, "copy": 0, "duplicate": 0}
        self._accepted_features = []

    def real_features(self, label: str) -> Floats:
        """Features (M, F) of the train images of a class; raises FilterError where it has none."""
        features: Floats = self.reference[self.train.labels == self.train.classes.index(label)]
        if not len(features):
            raise FilterError(f"class {label!r}: no train image to select candidates by")
        return features

    def accept(
        self, pixels: images.Pixels, label: int, room: int, sources: Sequence[str] | None = None
    ) -> NDArray[np.bool_]:
        """Which of the candidates (N, C, H, W) of class ``label`` are accepted (N,): ``judge``.

        ``sources`` (N,) are the ids of the images that they started from, where they did.
        """
        return self.judge(self.measure(pixels, label, sources), room)

    def measure(
        self, pixels: images.Pixels, label: int, sources: Sequence[str] | None = None
    ) -> Measures:
        """The measures of candidates (N, C, H, W) of class ``label``, whatever came before them."""
        features, probabilities = self.labeller.both(pixels)
        probability = probabilities[:, label]
        places, distances = self._neighbours.nearest(features)
        copies = distances[:, 0] < self.threshold
        unseen = (probability >= self.probability) & ~copies
        copies[unseen] = self.lookalikes.gaps(pixels[unseen]) <= self.visible
        if self.starts and sources:
            started = np.stack([self.starts[name] for name in sources])
            copies[unseen] |= pixel_gaps(pixels[unseen], started[unseen]) <= self.visible
        return Measures(probability, copies, places[:, 0], distances[:, 0], features)

    def judge(self, measures: Measures, room: int) -> NDArray[np.bool_]:
        """Which of the measured candidates are accepted (N,): in order, up to ``room`` of them.

        Candidates behind the last accepted one are neither accepted nor counted as rejected.
        """
        features = measures.features
        agrees = measures.probability >= self.probability
        accepted = np.zeros(len(features), bool)
        fresh = np.empty_like(features)
        count = 0
        to_accepted = np.full(len(features), np.inf)  # distance to those of earlier chunks
        for block in self._accepted_features:
            to_accepted = np.minimum(to_accepted, nearest(features, block)[1][:, 0])
        for place in range(len(features)):
            if count == room:
                break
            if not agrees[place]:
                self.rejected["label"] += 1
            elif measures.copies[place]:
                self.rejected["copy"] += 1
            elif to_accepted[place] < self.threshold or _near(
                features[place], fresh[:count], self.threshold
            ):
                self.rejected["duplicate"] += 1
            else:
                accepted[place] = True
                fresh[count] = features[place]
                count += 1
        self.remember(fresh[:count])
        return accepted

    def remember(self, features: Floats) -> None:
        """Compare later candidates with these accepted ones (N, F) too.

        They are kept in few large blocks, each at least double the next, up to LARGEST.
        """
        blocks = self._accepted_features
        blocks.append(features)
        while len(blocks) > 1 and len(blocks[-2]) < min(2 * len(blocks[-1]), LARGEST):
            last = blocks.pop()
            blocks[-1] = np.concatenate([blocks[-1], last])
        if sum(map(len, blocks[1:])) >= REMEMBERED:
            del blocks[0]


def _near(feature: Floats, others: Floats, threshold: float) -> bool:
    return bool(len(others)) and bool(
        (np.square(others - feature).sum(1) < threshold * threshold).any()
    )
