"""What a model needs and no image has: guessed labels, styles, and ranks by factors."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from augment.data.arrays import Arrays, in_blocks
from augment.data.types import Doubles, Labels
from augment.models.base import STYLE, Needs
from augment.registry import PartError
from augment.runtime import seeding
from augment.vision.factors import FACTORS
from augment.vision.gradients import MOST, describe
from augment.vision.label_graph import clusters, graph, propagate_labels


def fill(needs: Needs, pool: Arrays, *, upright: bool, seed: int) -> Arrays:
    """``pool`` with the labels, styles and codes (ranks by factors) that a model ``needs``.

    Labels that are known stay. Where none is known, the labels are clusters in no meaningful order.
    ``upright`` says that images keep their class only upright (``profile: glyph``). Raises
    PartError where there are no more images than clusters.
    """
    guessed = needs.guessed and bool((pool.labels < 0).any())
    if guessed or needs.styles > 1:
        described = describe(pool.pixels, upright=upright)
    if guessed:
        labels = _guess(needs, pool, described, seed)
        pool = dataclasses.replace(pool, labels=labels)
    if needs.styles > 1:
        pool = dataclasses.replace(pool, styles=styles(described, pool.labels, needs.styles, seed))
    if needs.factors:
        pool = dataclasses.replace(pool, codes=ranks(pool, needs.factors))
    return pool


def ranks(data: Arrays, factors: Sequence[str]) -> NDArray[np.float32]:
    """How images rank by each factor among those of their label (N, F): evenly over -1 … 1.

    NaN where a factor cannot be measured.
    """
    from scipy.stats import rankdata

    places = np.full((len(data), len(factors)), np.nan, np.float32)
    for column, name in enumerate(factors):
        values = in_blocks(FACTORS.build(name), data.pixels)
        for label in np.unique(data.labels):
            rows = np.flatnonzero((data.labels == label) & np.isfinite(values))
            if len(rows):
                places[rows, column] = (2 * rankdata(values[rows]) - 1) / len(rows) - 1
    return places


def styles(described: Doubles, labels: Labels, most: int, seed: int) -> Labels:
    """Clusters (N,) of the descriptors (N, D) within each label (N,): 0 to ``most`` - 1.

    A label has one for each STYLE images; of more than MOST images so many, spread evenly, make
    the clusters.
    """
    from sklearn.cluster import KMeans

    clusters = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        kinds = min(most, max(1, len(rows) // STYLE))
        method = KMeans(kinds, n_init=2, random_state=seeding.derive(seed, "styles") % 2**32)
        with threadpool_limits(1):  # the order of sums, and with it the clusters, stays the same
            if len(rows) <= MOST:
                clusters[rows] = method.fit_predict(described[rows])
            else:
                spread = np.linspace(0, len(rows) - 1, MOST).astype(np.int64)
                clusters[rows] = method.fit(described[rows[spread]]).predict(described[rows])
    return clusters


def _guess(needs: Needs, pool: Arrays, described: Doubles, seed: int) -> Labels:
    """A label (N,) for every image, from a graph of which images look alike."""
    likeness = graph(described)
    if needs.groups:
        if needs.groups >= len(pool):
            raise PartError(f"train.model: {needs.groups} groups are asked of {len(pool)} images")
        return clusters(likeness, needs.groups, seeding.derive(seed, "clusters"))
    guesses = propagate_labels(likeness, pool.labels, len(pool.classes)).argmax(1)
    return np.where(pool.labels < 0, guesses, pool.labels)
