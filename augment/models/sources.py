"""The real images that a generator starts from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from augment.data.arrays import Arrays, DatasetError
from augment.runtime import seeding


def source_places(
    data: Arrays, labels: NDArray[np.int64], seed: int, number: int = 0
) -> NDArray[np.int64]:
    """For each of ``labels`` (N,) the place in ``data`` of an image of that class.

    The images of a class take turns, shuffled anew in each round, across the batches that
    ``number`` counts. Their order in ``data`` does not matter. Raises DatasetError for a class
    without an image.
    """
    places = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = sorted(np.flatnonzero(data.labels == label), key=lambda place: data.ids[place])
        if not members:
            raise DatasetError(f"class {data.classes[label]!r}: no real image to start from")
        here = np.flatnonzero(labels == label)
        turns = seeding.places(len(members), len(here), number, seed)
        places[here] = np.array(members)[turns]
    return places
