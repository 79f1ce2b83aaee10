"""Nearest neighbours among feature vectors: exact, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_ENTRIES = 2**20  # of a block of squared distances: 4 MiB stay in a cache


def nearest(
    these: Floats, those: Floats, count: int = 1, *, same: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Places (N, ``count``) and distances of the nearest of ``those`` (M, F), nearest first.

    ``same`` says that both are the same rows, so that nothing is its own neighbour. The distances
    are exact: equal rows are 0 apart. Where M has no ``count`` others, distances are infinite.
    """
    places = np.zeros((len(these), count), np.int64)
    distances = np.full((len(these), count), np.inf)
    known = min(count, len(those) - same)
    if known < 1:
        return places, distances
    for start, squares in blocks(these, those):
        rows = np.arange(len(squares))
        if same:
            squares[rows, start + rows] = np.inf
        if known == 1:
            found = squares.argmin(1)[:, None]
        else:
            found = np.argpartition(squares, known - 1, axis=1)[:, :known]
        gaps = these[start + rows, None].astype(np.float64) - those[found]
        exact = np.sqrt(np.square(gaps).sum(2))
        order = np.argsort(exact, axis=1, kind="stable")
        places[start + rows, :known] = np.take_along_axis(found, order, 1)
        distances[start + rows, :known] = np.take_along_axis(exact, order, 1)
    return places, distances


def blocks(these: Floats, those: Floats) -> Iterator[tuple[int, Floats]]:
    """Squared distances of some of ``these`` to all of ``those``, with the first one's place.

    They come by a matrix product, so rounding leaves an error near 1e-6 of the squared lengths.
    """
    if not len(these) or not len(those):
        return
    centre = those.mean(0)
    others = those - centre
    lengths = np.einsum("ij,ij->i", others, others)
    others *= -2
    size = max(1, _ENTRIES // len(those))
    for start in range(0, len(these), size):
        some = these[start : start + size] - centre
        squares = some @ others.T
        squares += lengths
        squares += np.einsum("ij,ij->i", some, some)[:, None]
        yield start, squares
