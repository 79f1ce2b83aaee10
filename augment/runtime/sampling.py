"""Seeded samples of images where a set has more than a stage looks at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from augment.data.arrays import Arrays
from augment.data.types import Labels
from augment.runtime import progress, seeding

LEAST = 10  # images of a class that stay, where it has so many; chosen by hand


def sampled(
    images: Arrays, most: int, seed: int, told: str, rows: NDArray[np.int64] | None = None
) -> Arrays:
    """At most ``most`` of the images, or of those in ``rows``, in their order.

    Of more a seeded sample is taken, as ``sampled_rows`` does.
    """
    whole = rows is None
    rows = np.arange(len(images)) if rows is None else rows
    taken = sampled_rows(images.labels, most, seed, told, rows)
    return images if whole and len(taken) == len(images) else images.take(taken)


def sampled_rows(
    labels: Labels, most: int, seed: int, told: str, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """At most ``most`` of ``rows``, in their order; ``labels`` are those of all rows.

    Of more a seeded sample is taken: the same share of every class, and never fewer than LEAST of
    one, even where these are more than ``most``. ``told`` is said then, with "5 of 9" for its {}.
    """
    if len(rows) <= most:
        return rows
    places = _spread(labels[rows], most, seed)
    progress.say(told.format(f"{len(places):,} of {len(rows):,}"))
    return rows[places]


def _spread(labels: Labels, most: int, seed: int) -> NDArray[np.int64]:
    """Places of ``most`` labels, in order: those that come first where classes advance evenly."""
    order = seeding.rng(seed, "sample").permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    _, counts = np.unique(labels, return_counts=True)
    ranks = np.concatenate([np.arange(count) for count in counts])
    first = ranks < LEAST
    turns = np.where(first, -1, (ranks + 0.5) / np.repeat(counts, counts))
    return np.sort(order[np.argsort(turns, kind="stable")[: max(most, first.sum())]])
