"""How close the synthetic distribution is to the real one, in the judge's features."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from augment.data.reports import ScoreKey
from augment.score.scores.base import (
    SCORES,
    Floats,
    Measured,
    Numbers,
    Side,
    by_class,
    keys_of,
    share,
    with_floor,
)
from augment.vision.kernel_distance import kid
from augment.vision.neighbours import blocks, nearest

Count = Annotated[int, Field(ge=1)]
Many = Annotated[int, Field(ge=2)]
KEYS = keys_of("fid", "kid", "precision", "recall")


@SCORES.register(
    "fidelity",
    paper="Heusel et al. 2017 (FID); Bińkowski et al. 2018 (KID); Kynkäänniemi et al. 2019 "
    "(precision, recall); Naeem et al. 2020 (density, coverage)",
    module="torch_fidelity",
    keys=KEYS | keys_of("density", "coverage"),
)
def fidelity(
    measured: Measured, *, neighbours: Count = 5, subsets: Count = 10, most: Many = 1000
) -> Numbers:
    """FID, KID, precision, recall, density and coverage, each beside its real-to-real floor.

    ``neighbours`` is the k of density and coverage. The KID is the mean over ``subsets`` of 500
    images each; precision and recall look at ``most`` images of either side. Each class has the
    KID over all pairs, density and coverage.
    """
    from augment.score.scores import via_torch_fidelity

    def overall(real: Side, other: Side) -> Numbers:
        spread = density_coverage(real.features, other.features, neighbours)
        return {
            **via_torch_fidelity.compare(real.features, other.features, subsets, most),
            **spread,
        }

    def of_class(real: Side, other: Side) -> Numbers:
        spread = density_coverage(real.features, other.features, neighbours)
        return {"kid": kid(real.features, other.features), **spread}

    return {**with_floor(measured, overall), **by_class(measured, of_class)}


@SCORES.register(
    "inception",
    paper="Salimans et al. 2016 (inception score); Heusel et al. 2017; Bińkowski et al. 2018",
    module="torch_fidelity",
    keys={f"{name}_inception": key for name, key in KEYS.items()}
    | {"inception_score": ScoreKey("higher", 1.0, math.inf)},
)
def inception(
    measured: Measured,
    *,
    weights: str,
    cuda: bool = False,
    subsets: Count = 10,
    most: Many = 1000,
) -> Numbers:
    """The standard numbers in Inception-v3's features, to compare with publications.

    ``weights`` is the file that torch-fidelity publishes (weights-inception-2015-12-05). Grey
    images are repeated over three channels.
    """
    from augment.score.scores import via_torch_fidelity

    extract = functools.partial(via_torch_fidelity.inception, weights=Path(weights), cuda=cuda)
    real, _ = extract(measured.train.pixels)

    def compare(other: Side) -> Numbers:
        features, logits = extract(other.pixels)
        numbers = via_torch_fidelity.compare(real, features, subsets, most)
        scored = {f"{name}_inception": value for name, value in numbers.items()}
        return {**scored, "inception_score": via_torch_fidelity.inception_score(logits)}

    return {**compare(measured.synthetic), "floor": compare(measured.held)}


def density_coverage(real: Floats, other: Floats, count: int) -> dict[str, float]:
    """Density and coverage of ``other`` (M, F) against ``real`` (N, F) (Naeem et al. 2020).

    A real sample's ball reaches to its ``count``-th real neighbour (to the last, where there are
    fewer). Density is how many balls hold a sample of ``other``, by ``count``; coverage the share
    of balls that hold one. NaN for less than two real samples or none of the others.
    """
    count = min(count, len(real) - 1)
    if count < 1 or not len(other):
        return {"density": float("nan"), "coverage": float("nan")}
    radii = nearest(real, real, count, same=True)[1][:, -1]
    reach = np.float32(radii**2)
    inside = np.zeros(len(real), np.int64)
    for _, squares in blocks(other, real):
        inside += np.count_nonzero(squares < reach, axis=0)
    return {"density": float(inside.sum()) / (count * len(other)), "coverage": share(inside > 0)}
