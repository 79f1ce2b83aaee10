"""Labels and codes that a model needs and no image has: guessed labels, and ranks by factors."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from augment.data.arrays import Arrays
from augment.models.base import Needs
from augment.registry import PartError
from augment.runtime import seeding
from augment.vision.factors import FACTORS
from augment.vision.gradients import describe
from augment.vision.label_graph import clusters, graph, propagate_labels


def fill(needs: Needs, pool: Arrays, *, upright: bool, seed: int) -> Arrays:
    """``pool`` with the labels and the codes (ranks by factors) that a model ``needs``.

    Labels that are known stay. Where none is known, the labels are clusters in no meaningful order.
    ``upright`` says that images keep their class only upright (``profile: glyph``). Raises
    PartError where there are no more images than clusters.
    """
    if needs.guessed:
        labels = _guess(needs, pool, upright, seed)
        pool = dataclasses.replace(pool, labels=labels)
    if needs.factors:
        pool = dataclasses.replace(pool, codes=ranks(pool, needs.factors))
    return pool


def ranks(data: Arrays, factors: Sequence[str]) -> NDArray[np.float32]:
    """How images rank by each factor among those of their label (N, F): evenly over -1 … 1.

    NaN where a factor cannot be measured.
    """
    places = np.full((len(data), len(factors)), np.nan, np.float32)
    for column, name in enumerate(factors):
        values = FACTORS.build(name)(data.pixels)
        for label in np.unique(data.labels):
            rows = np.flatnonzero((data.labels == label) & np.isfinite(values))
            if len(rows):
                places[rows, column] = (2 * rankdata(values[rows]) - 1) / len(rows) - 1
    return places


def _guess(needs: Needs, pool: Arrays, upright: bool, seed: int) -> NDArray[np.int64]:
    """A label (N,) for every image, from a graph of which images look alike."""
    likeness = graph(describe(pool.pixels, upright=upright))
    if needs.groups:
        if needs.groups >= len(pool):
            raise PartError(f"train.model: {needs.groups} groups are asked of {len(pool)} images")
        return clusters(likeness, needs.groups, seeding.derive(seed, "clusters"))
    guesses = propagate_labels(likeness, pool.labels, len(pool.classes)).argmax(1)
    return np.where(pool.labels < 0, guesses, pool.labels)
