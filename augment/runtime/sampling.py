"""Seeded samples of images where a set has more than a stage looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment.data.arrays import Arrays
from augment.data.types import Labels
from augment.runtime import progress, seeding

LEAST = 10  # images of a class that stay, where it has so many; chosen by hand


@dataclass(frozen=True)
class Sampler:
    """Takes a seeded sample of each kind of images of which there are more than ``most``.

    A sample has the same share of every class, and never fewer than LEAST of one, even where these
    are more than ``most``. ``told`` is said of it, with the kind for its {kind} and "5 of 9" for
    its {count}. ``counts`` says for each kind that is a sample how many ``images`` it has, and
    ``of`` how many.
    """

    most: int
    seed: int
    told: str
    counts: dict[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """What a report says: ``counts`` under ``sampled``, and nothing where that is empty."""
        return {"sampled": self.counts} if self.counts else {}

    def images(
        self, kind: str, images: Arrays, rows: NDArray[np.int64] | None = None, *,
        most: int | None = None,
    ) -> Arrays:  # fmt: skip
        """The sample of the images, or of those in ``rows``, in their order.

        ``most`` takes the place of the sampler's.
        """
        whole = rows is None
        rows = np.arange(len(images)) if rows is None else rows
        taken = self.rows(kind, images.labels, rows, most=most)
        return images if whole and len(taken) == len(images) else images.take(taken)

    def rows(
        self, kind: str, labels: Labels, rows: NDArray[np.int64], *, most: int | None = None
    ) -> NDArray[np.int64]:
        """The sample of ``rows``, in their order; ``labels`` are those of all rows."""
        most = self.most if most is None else most
        if len(rows) <= most:
            return rows
        places = _spread(labels[rows], most, self.seed)
        if len(places) < len(rows):
            self.counts[kind] = {"images": len(places), "of": len(rows)}
            count = f"{len(places):,} of {len(rows):,}"
            progress.say(self.told.format(kind=kind, count=count))
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
