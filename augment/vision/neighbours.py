"""Nearest neighbours among feature vectors, in bounded memory.

Up to LARGE rows the search is exact. Above, an index of the extra ``neighbours`` (FAISS) looks at
the likely part of the rows only: they are sorted into lists, each around a centre, and the lists
whose centres are nearest to a query are searched. Of how many of a sample it gives the true nearest
neighbour is measured, and the number of lists raised until it is at least RECALL.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from augment.data.types import Doubles, Floats
from augment.runtime import progress

ENTRIES = 2**20  # squared distances in a block: 4 MiB fit into a processor's cache
# Chosen by hand.
LARGE = 1_000_000  # rows above which an index is built
RECALL = 0.99  # share of a sample whose nearest neighbour the index gives, at least
SAMPLE = 200  # queries that it is measured on
SHARE = 1 / 4  # of the lists: where more must be searched, exact search is about as fast
ROUNDS = 10  # of k-means, which gives the centres
TAUGHT = 64  # rows a list that the centres are fitted to
SEED = 0
_ROWS = 2**14  # rows put into lists at once: a bound on memory

Places = NDArray[np.int64]


class Neighbours:
    """Rows (M, F) in which neighbours are looked up again and again."""

    def __init__(self, references: Floats, like: Floats | None = None):
        """Keep ``references``; above LARGE of them, build an index and say how good it is.

        ``like`` are rows such as will be looked up, by which the index is measured; without them it
        is measured by looking up the rows of ``references`` among one another. Neither chance nor
        the number of threads changes the result. Without FAISS the search stays exact.
        """
        self.references = references
        self._lists = _Lists.build(references, like) if len(references) > LARGE else None

    def nearest(
        self, queries: Floats, count: int = 1, *, same: bool = False
    ) -> tuple[Places, Doubles]:
        """As the function of this name; with ``same``, ``queries`` are the rows kept."""
        available = min(count, len(self.references) - same)
        if not self._lists or not len(queries) or available < 1:
            return _exact(queries, self.references, count, same=same)
        places = np.zeros((len(queries), count), np.int64)
        distances = np.full((len(queries), count), np.inf)
        size = max(1, ENTRIES // (available * queries.shape[1]))
        for start in range(0, len(queries), size):
            rows = np.arange(start, min(start + size, len(queries)))
            candidates = self._lists.search(queries[rows], available, rows if same else None)
            places[rows, :available], distances[rows, :available] = _in_order(
                queries[rows], self.references, candidates
            )
        return places, distances


def nearest(
    queries: Floats, references: Floats, count: int = 1, *, same: bool = False
) -> tuple[Places, Doubles]:
    """Places (N, ``count``) and distances of the nearest of ``references`` (M, F), nearest first.

    ``queries`` are rows (N, F). ``same`` says that both are the same rows; then no row is its own
    neighbour. Distances are Euclidean and exact: equal rows are 0 apart. Where there are fewer than
    ``count`` other rows, the distances that remain are infinite. Above LARGE references and with
    many queries, an index may miss a neighbour; see Neighbours, which also serves many calls.
    """
    if len(queries) < _count_lists(len(references)):  # done before an index would be built
        return _exact(queries, references, count, same=same)
    return Neighbours(references, None if same else queries).nearest(queries, count, same=same)


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


def _exact(
    queries: Floats, references: Floats, count: int, *, same: bool
) -> tuple[Places, Doubles]:
    """``nearest`` by the distances of all pairs."""
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
        rows += start
        places[rows, :available], distances[rows, :available] = _in_order(
            queries[rows], references, candidates
        )
    return places, distances


def _in_order(queries: Floats, references: Floats, candidates: Places) -> tuple[Places, Doubles]:
    """``candidates`` (N, K) for the queries (N, F), nearest first, and their exact distances."""
    gaps = queries[:, None].astype(np.float64) - references[candidates]
    exact = np.sqrt(np.square(gaps).sum(2))
    order = np.argsort(exact, axis=1, kind="stable")
    return np.take_along_axis(candidates, order, 1), np.take_along_axis(exact, order, 1)


class _Lists:
    """An index: rows in lists around centres. Built and searched from the rows' mean."""

    def __init__(self, faiss: Any, references: Floats):
        """Fit the centres and put ``references`` (M, F) into their lists.

        Distances to centres come from matrix products, whose rounding may follow the threads: so
        there is a single thread for them. A list is searched by a thread a query.
        """
        self._middle = references.mean(0)
        self.count = _count_lists(len(references))
        self.probes = 1
        self._centres = faiss.IndexFlatL2(references.shape[1])
        self._index = faiss.IndexIVFFlat(self._centres, references.shape[1], self.count)
        fitting = self._index.cp
        fitting.seed, fitting.niter = SEED, ROUNDS
        fitting.min_points_per_centroid, fitting.max_points_per_centroid = 1, TAUGHT
        taught = _sample(len(references), TAUGHT * self.count)
        with _threads().limit(limits=1):
            self._index.train(self._centred(references[taught]))
            for start in range(0, len(references), _ROWS):
                self._index.add(self._centred(references[start : start + _ROWS]))

    @classmethod
    def build(cls, references: Floats, like: Floats | None) -> _Lists | None:
        """An index that gives RECALL, or None where there is no FAISS or it would not be faster."""
        rows = f"nearest neighbours among {len(references):,} rows"
        try:
            import faiss
        except ImportError:
            _say_once("pip install 'augment[neighbours]' makes the search for neighbours faster")
            return None
        lists = cls(faiss, references)
        sample = _sample(len(references) if like is None else len(like), SAMPLE)
        queries = (references if like is None else like)[sample]
        itself = sample if like is None else None
        truth = _least(queries, references, itself) * (1 + 1e-6)  # of two as near, either will do
        while True:
            near = lists.search(queries, 1, itself)
            recall = float((_in_order(queries, references, near)[1][:, 0] <= truth).mean())
            if recall >= RECALL or lists.probes == lists.count:
                break
            lists.probes = min(2 * lists.probes, lists.count)
        searched = f"{lists.probes:,} of {lists.count:,} lists"
        if lists.probes > SHARE * lists.count:
            progress.say(f"{rows}: exact search, for an index would search {searched}")
            return None
        progress.say(f"{rows}: an index searches {searched} and finds {recall:.1%} of the nearest")
        return lists

    def search(self, queries: Floats, count: int, itself: Places | None) -> Places:
        """Places (N, ``count``) of near rows; ``itself`` (N,) are the queries' own, left out."""
        centred = self._centred(queries)
        wide = count + (itself is not None)
        places = self._look(centred, wide, self.probes)
        short = np.flatnonzero((places < 0).any(1))  # the lists hold fewer rows: take them all
        if len(short):
            places[short] = self._look(centred[short], wide, self.count)
        if itself is None:
            return places
        barred = places == itself[:, None]
        barred[~barred.any(1), -1] = True
        others: Places = places[~barred].reshape(len(places), count)
        return others

    def _look(self, centred: Floats, count: int, probes: int) -> Places:
        """Places (N, ``count``) of the nearest in the nearest lists, -1 where these hold fewer."""
        with _threads().limit(limits=1):
            gaps, lists = self._centres.search(centred, probes)
        self._index.nprobe = probes
        return np.asarray(self._index.search_preassigned(centred, count, lists, gaps)[1])

    def _centred(self, rows: Floats) -> Floats:
        return np.ascontiguousarray(rows - self._middle, np.float32)


def _least(queries: Floats, references: Floats, itself: Places | None) -> Doubles:
    """Distance (N,) of few queries to the nearest of many rows, by blocks of the latter."""
    least = np.full(len(queries), np.inf)
    places = np.zeros(len(queries), np.int64)
    for start, squares in blocks(references, queries):
        if itself is not None:
            inside = np.flatnonzero((itself >= start) & (itself < start + len(squares)))
            squares[itself[inside] - start, inside] = np.inf
        nearer = squares.min(0) < least
        places[nearer] = start + squares[:, nearer].argmin(0)
        least = np.minimum(least, squares.min(0))
    return _in_order(queries, references, places[:, None])[1][:, 0]


def _count_lists(count: int) -> int:
    """Lists for so many rows; 0 where there is no index."""
    return math.isqrt(16 * count) if count > LARGE else 0


def _sample(count: int, size: int) -> Places:
    """``size`` of ``count`` places in order, or all: the same ones each time."""
    if count <= size:
        return np.arange(count)
    rng = np.random.default_rng(SEED)
    return np.sort(rng.choice(count, size, replace=False))


@cache
def _threads() -> ThreadpoolController:
    """The libraries that share work among threads, FAISS among them: asked for after its import."""
    return ThreadpoolController()


@cache
def _say_once(text: str) -> None:
    progress.say(text)
