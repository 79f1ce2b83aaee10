"""Selectors: of the accepted candidates of one class, which teach a classifier most.

A selector is ``selector(pool, *, options) -> scores (N,)``, finite, greater for candidates that
are better kept. It sees arrays alone, a candidate's score does not depend on the order in which
the candidates come, and nothing in it is drawn. Several are combined by the sum of their ranks, so
that their scales do not matter.

A registered fact ``second`` says that a second classifier's probabilities are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from augment.registry import Count, Fraction, Registry
from augment.vision.neighbours import nearest

SELECTORS = Registry("selector")

Floats = NDArray[np.float32]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Pool:
    """The accepted candidates of class ``wanted``, and the real images to compare them with.

    ``features`` (N, F) and ``probabilities`` (N, K) are the labeller's, ``second`` (N, K) those of
    another classifier, without columns where no selector asks for them. ``real`` (M, F), M at
    least 1, are the features of the class's train images, ``held`` (H,) the distances of its
    held-out images to the nearest of those.
    """

    wanted: int
    features: Floats
    probabilities: Floats
    second: Floats
    real: Floats
    held: NDArray[np.float64]


def choose(
    selectors: Sequence[Callable[[Pool], Scores]], pool: Pool, count: int
) -> NDArray[np.int64]:
    """Places of the ``count`` candidates with the greatest sums of ranks, in ascending order.

    Equal sums go to the earlier candidate, so that no selector at all keeps the first ones.
    Source: Borda's count, as in Dwork et al. 2001, Rank Aggregation Methods for the Web.
    """
    total = np.zeros(len(pool.features))
    for selector in selectors:
        total += rankdata(selector(pool))
    return np.sort(np.argsort(-total, kind="stable")[:count])


@SELECTORS.register(
    "agreement",
    paper="Blum & Mitchell 1998, Combining Labeled and Unlabeled Data with Co-Training",
    second=True,
)
def agreement(pool: Pool) -> Scores:
    """Probability of the wanted label by the labeller times that by a second classifier: 0 … 1."""
    both = pool.probabilities[:, pool.wanted].astype(np.float64) * pool.second[:, pool.wanted]
    return np.asarray(both)


@SELECTORS.register("novelty")
def novelty(pool: Pool, *, quantile: Fraction = 0.95) -> Scores:
    """Distance to the nearest real image, up to where honest images lie; less again beyond.

    The bound is the ``quantile`` of the held-out images' distances (where none is known, the
    greatest distance of a candidate); as far beyond it as a real image is before it scores 0.
    """
    distances = nearest(pool.features, pool.real)[1][:, 0]
    if not len(distances):
        return distances
    bound = np.quantile(pool.held, quantile) if len(pool.held) else distances.max()
    return np.asarray(bound - np.abs(distances - bound))


@SELECTORS.register(
    "margin", paper="Scheffer et al. 2001, Active Hidden Markov Models for Information Extraction"
)
def margin(pool: Pool) -> Scores:
    """Hard but right: 1 less the lead of the wanted label, 0 … 1; -1 … 0 where another leads.

    The lead is the labeller's probability of the wanted label less that of the next one.
    """
    sure = pool.probabilities[:, pool.wanted].astype(np.float64)
    lead = sure - np.delete(pool.probabilities, pool.wanted, axis=1).max(1)
    return np.asarray(np.where(lead > 0, 1 - lead, lead))


@SELECTORS.register(
    "coverage",
    paper="Naeem et al. 2020, Reliable Fidelity and Diversity Metrics (arXiv:2002.09797)",
)
def coverage(pool: Pool, *, neighbours: Count = 5) -> Scores:
    """Room around the nearest real image, shared with the candidates that are nearer to it.

    The room is that real image's distance to its ``neighbours``-th real neighbour (to the last one
    where there are fewer), divided by one more than the candidates before; so what real images
    cover thinly is widened first, and none of it by many.
    """
    count = min(neighbours, len(pool.real) - 1)
    apart = nearest(pool.real, pool.real, count, same=True)[1] if count else np.ones((1, 1))
    places, distances = nearest(pool.features, pool.real)
    owners = places[:, 0]
    order = np.lexsort((distances[:, 0], owners))
    before = np.empty(len(owners))
    before[order] = np.arange(len(owners)) - np.searchsorted(owners[order], owners[order])
    return np.asarray(apart[owners, -1] / (1 + before))
