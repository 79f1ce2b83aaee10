"""Selectors: which of the accepted candidates of a class are kept, when more are accepted.

A selector is ``selector(features, real, *, options) -> scores``. ``features`` (N, F) are the
labeller's features of the candidates and ``real`` (M, F), M at least 1, those of the class's train
images; ``scores`` (N,) are finite, and greater for candidates that are better kept. A candidate's
score does not depend on the order of the candidates or on chance. Where ``synth.select`` names
several selectors, the ranks that they give are summed, so that their scales do not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from augment.registry import Count, Registry
from augment.synth.settings import SynthSettings
from augment.vision.neighbours import Neighbours

SELECTORS = Registry("selector")

Floats = NDArray[np.float32]
Scores = NDArray[np.float64]
Selector = Callable[[Floats, Floats], Scores]


@dataclass(frozen=True)
class Selection:
    """Keeps the best of ``surplus`` accepted candidates for each sample of a quota."""

    selectors: Sequence[Selector]
    surplus: float

    @classmethod
    def build(cls, settings: SynthSettings) -> Selection | None:
        """The selection that ``synth.select`` asks for; None where it names no selector.

        Raises PartError for an unknown selector.
        """
        selectors = [SELECTORS.build(spec) for spec in settings.select]
        return cls(selectors, settings.surplus) if selectors else None

    def best(self, features: Floats, real: Floats, count: int) -> NDArray[np.int64]:
        """Places, ascending, of the ``count`` candidates to keep, by the selectors' ranks."""
        return highest_ranked([selector(features, real) for selector in self.selectors], count)


def highest_ranked(scores: Sequence[Scores], count: int) -> NDArray[np.int64]:
    """Places, ascending, of the ``count`` candidates with the greatest sums of ranks.

    ``scores`` holds an array (N,) for each selector. Of equal sums the earlier candidate is kept.
    Source: Borda's count, as in Dwork et al. 2001, Rank Aggregation Methods for the Web.
    """
    from scipy.stats import rankdata

    total = np.sum([rankdata(values) for values in scores], axis=0)
    return np.sort(np.argsort(-total, kind="stable")[:count])


@SELECTORS.register(
    "coverage",
    paper="Naeem et al. 2020, Reliable Fidelity and Diversity Metrics (arXiv:2002.09797)",
)
def coverage(features: Floats, real: Floats, *, neighbours: Count = 5) -> Scores:
    """Room around the nearest real image, shared with the candidates that are nearer to it.

    The room is the distance from that real image to its ``neighbours``-th real neighbour, or to
    the last one where there are fewer. It is divided by 1 + the number of nearer candidates. So
    the regions where real images are sparse are filled first, and none of them by many candidates.
    """
    count = min(neighbours, len(real) - 1)
    among = Neighbours(real)
    rooms = among.nearest(real, count, same=True)[1][:, -1] if count else np.ones(1)
    places, distances = among.nearest(features)
    owners = places[:, 0]
    order = np.lexsort((distances[:, 0], owners))
    nearer = np.empty(len(owners))
    nearer[order] = np.arange(len(owners)) - np.searchsorted(owners[order], owners[order])
    return np.asarray(rooms[owners] / (1 + nearer))
