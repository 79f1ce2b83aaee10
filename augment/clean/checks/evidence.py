"""What learned checks are given: all images in one small form, and what was learned of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from augment.data.images import Pixels

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Evidence:
    """Arrays with a row per image, in the order of ``frame``.

    ``frame`` is what table checks see and ``pixels`` (N, C, S, S) are the images as uint8.
    ``classes`` (K) are the labels in order. ``probabilities`` (N, K) are those of an upright image.
    ``turns`` (N, K, 4) are a network's, before any image was seen as likely turned as not, that it
    shows each class turned by 0, 90, 180 and 270° against the clock; all 0 but the first where
    turned images are none of the set's faults. Both are by models that saw neither the image nor
    its group, and the mean of all models for images that taught none. In ``features`` (N, F) near
    images have a like shape.
    """

    frame: pd.DataFrame
    pixels: Pixels
    classes: tuple[str, ...]
    probabilities: Floats
    turns: Floats
    features: Floats

    @property
    def labels(self) -> NDArray[np.int64]:
        """The place of each label in ``classes`` (N,); -1 where there is none."""
        return pd.Index(self.classes).get_indexer(pd.Index(self.frame["label"])).astype(np.int64)

    @property
    def open(self) -> NDArray[np.bool_]:
        """Which images may decide on a threshold (N,): those of train and valid."""
        held: NDArray[np.bool_] = (self.frame["split"] != "test").to_numpy(dtype=bool)
        return held
