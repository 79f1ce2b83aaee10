"""Evidence: all images in one small form, and the readings of models that never saw them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from augment.data.images import Pixels
from augment.vision.neighbours import nearest

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Evidence:
    """The input of learned checks. All arrays have a row per image, in the order of ``frame``.

    frame: the data frame that table checks see.
    pixels (N, C, S, S): the images in one small square form, uint8, 0 … 255.
    classes (K): all labels, in natural order.
    probabilities (N, K): probability of each class, 0 … 1, if the image is upright; rows sum to 1.
    turns (N, K, 4): probability, 0 … 1, that the image shows class k turned by 0, 90, 180 and 270°
    counter-clockwise, by a network that was taught all four equally often. A row sums to 1. Turned
    entries are 0 where the set's images are not expected to be turned (profile natural).
    features (N, F): images of a similar shape have a small Euclidean distance; no unit.
    foreign (N,): probability, 0 … 1, that the image shows no class, by the same network; 0 where it
    was taught nothing of the kind. ``turns`` hold where the image shows a class.
    turned_back (3, N, F): features of the images turned clockwise by 90, 180 and 270°; None where
    the set's images are not expected to be turned.
    abstained: why no model was fitted although there are two classes, in words; "" otherwise.

    ``probabilities`` and ``turns`` come from models that saw neither the image nor its group. An
    image that teaches no model has the mean over all models.
    """

    frame: pd.DataFrame
    pixels: Pixels
    classes: tuple[str, ...]
    probabilities: Floats
    turns: Floats
    features: Floats
    abstained: str = ""
    turned_back: Floats | None = None
    foreign: Floats | float = 0.0

    @property
    def labels(self) -> NDArray[np.int64]:
        """The place of each image's label in ``classes`` (N,); -1 without a label."""
        return pd.Index(self.classes).get_indexer(pd.Index(self.frame["label"])).astype(np.int64)

    @property
    def resembled(self) -> NDArray[np.int64]:
        """The label of the train or valid image that is nearest in shape (N,), -1 without one.

        A labelled image has its own label.
        """
        labels = self.labels
        teaching, unknown = np.flatnonzero(self.open & (labels >= 0)), np.flatnonzero(labels < 0)
        if len(teaching):
            near, _ = nearest(self.features[unknown], self.features[teaching])
            labels[unknown] = labels[teaching][near[:, 0]]
        return labels

    @property
    def open(self) -> NDArray[np.bool_]:
        """Which images may decide on a threshold (N,): those of train and valid."""
        not_held_out: NDArray[np.bool_] = (self.frame["split"] != "test").to_numpy(dtype=bool)
        return not_held_out
