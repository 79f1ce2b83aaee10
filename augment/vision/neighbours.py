"""Nearest neighbours among feature vectors: exact, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from augment.data.types import Doubles, Floats

ENTRIES = 2**20  # squared distances in a block: 4 MiB fit into a processor's cache


def nearest(
    queries: Floats, references: Floats, count: int = 1, *, same: bool = False
) -> tuple[NDArray[np.int64], Doubles]:
    """Places (N, ``count``) and distances of the nearest of ``references`` (M, F), nearest first.

    ``queries`` are rows (N, F). ``same`` says that both are the same rows; then no row is its own
    neighbour. Distances are Euclidean and exact: equal rows are 0 apart. Where there are fewer than
    ``count`` other rows, the distances that remain are infinite.
    """
    places = np.zeros((len(queries), count), np.int64)
    distances = np.full((len(queries), count), np.inf)
    available = min(count, len(references) - same)
    if available < 1:
        return places, distances
    for start, squares in blocks(queries, references):
        rows = np.arange(len(squares))
        if same:
            squares[rows, start + rows] = np.inf
        if available == 1:
            candidates = squares.argmin(1)[:, None]
        else:
            candidates = np.argpartition(squares, available - 1, axis=1)[:, :available]
        gaps = queries[start + rows, None].astype(np.float64) - references[candidates]
        exact = np.sqrt(np.square(gaps).sum(2))
        order = np.argsort(exact, axis=1, kind="stable")
        places[start + rows, :available] = np.take_along_axis(candidates, order, 1)
        distances[start + rows, :available] = np.take_along_axis(exact, order, 1)
    return places, distances


def blocks(queries: Floats, references: Floats) -> Iterator[tuple[int, Floats]]:
    """Blocks of queries: the place of the first, and squared distances (B, M) to ``references``.

    A matrix product gives them; rounding leaves an error near 1e-6 of the squared lengths.
    """
    if not len(queries) or not len(references):
        return
    centre = references.mean(0)
    centred_references = references - centre
    lengths = np.einsum("ij,ij->i", centred_references, centred_references)
    centred_references *= -2
    size = max(1, ENTRIES // len(references))
    for start in range(0, len(queries), size):
        centred = queries[start : start + size] - centre
        squares = centred @ centred_references.T
        squares += lengths
        squares += np.einsum("ij,ij->i", centred, centred)[:, None]
        yield start, squares
