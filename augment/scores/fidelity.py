"""How close the synthetic distribution is to the real one, in the judge's features."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from augment.neighbours import blocks, nearest
from augment.scores import (
    SCORES,
    Floats,
    Key,
    Measured,
    Numbers,
    Side,
    by_class,
    share,
    with_floor,
)

Count = Annotated[int, Field(ge=1)]
Many = Annotated[int, Field(ge=2)]

KEYS = {
    "fid": Key("lower", 0.0, math.inf),
    "kid": Key("lower", -math.inf, math.inf),  # unbiased: around 0 for equal distributions
    "precision": Key("higher", 0.0, 1.0),
    "recall": Key("higher", 0.0, 1.0),
}
ROWS = 1024  # of a block of kernel values


@SCORES.register(
    "fidelity",
    paper="Heusel et al. 2017 (FID); Bińkowski et al. 2018 (KID); Kynkäänniemi et al. 2019 "
    "(precision, recall); Naeem et al. 2020 (density, coverage)",
    module="torch_fidelity",
    keys=KEYS | {"density": Key("higher", 0.0, math.inf), "coverage": Key("higher", 0.0, 1.0)},
)
def fidelity(
    measured: Measured, *, neighbours: Count = 5, subsets: Count = 10, most: Many = 1000
) -> Numbers:
    """FID, KID, precision, recall, density and coverage, each beside its real-to-real floor.

    ``neighbours`` is the k of density and coverage; ``subsets`` of 500 images each make the
    KID; precision and recall are found among ``most`` images of either side. Of each class: the
    KID over all pairs, density and coverage.
    """
    from augment.scores import reference

    def overall(real: Side, other: Side) -> Numbers:
        spread = density_coverage(real.features, other.features, neighbours)
        return {**reference.compare(real.features, other.features, subsets, most), **spread}

    def of_class(real: Side, other: Side) -> Numbers:
        spread = density_coverage(real.features, other.features, neighbours)
        return {"kid": kid(real.features, other.features), **spread}

    return {**with_floor(measured, overall), **by_class(measured, of_class)}


@SCORES.register(
    "inception",
    paper="Salimans et al. 2016 (inception score); Heusel et al. 2017; Bińkowski et al. 2018",
    module="torch_fidelity",
    keys={f"{name}_inception": key for name, key in KEYS.items()}
    | {"inception_score": Key("higher", 1.0, math.inf)},
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
    from augment.scores import reference

    extract = functools.partial(reference.inception, weights=Path(weights), cuda=cuda)
    real, _ = extract(measured.train.pixels)

    def compare(other: Side) -> Numbers:
        features, logits = extract(other.pixels)
        numbers = reference.compare(real, features, subsets, most)
        scored = {f"{name}_inception": value for name, value in numbers.items()}
        return {**scored, "inception_score": reference.inception_score(logits)}

    return {**compare(measured.synthetic), "floor": compare(measured.held)}


def kid(real: Floats, other: Floats) -> float:
    """Kernel distance of two sets of features (N, F), (M, F): unbiased, over all pairs.

    The squared maximum mean discrepancy under the kernel (x·y / F + 1)³ (Bińkowski et al. 2018):
    around 0 for equal distributions, also below it. NaN for a set of less than two.
    """
    if min(len(real), len(other)) < 2:
        return float("nan")
    within = sum(_kernel_sum(a, a, diagonal=False) / len(a) / (len(a) - 1) for a in (real, other))
    return within - 2 * _kernel_sum(real, other) / len(real) / len(other)


def _kernel_sum(these: Floats, those: Floats, diagonal: bool = True) -> float:
    total = 0.0
    for start in range(0, len(these), ROWS):
        some = these[start : start + ROWS]
        base = some @ those.T
        base /= these.shape[1]
        base += 1
        total += float((base * base * base).sum(dtype=np.float64))
        if not diagonal:
            own = np.einsum("ij,ij->i", some, some) / these.shape[1] + 1
            total -= float((own**3).sum(dtype=np.float64))
    return total


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
