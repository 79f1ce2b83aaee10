"""Near duplicates: pictures that are one another but for place, size, brightness and compression.

Candidates are near in shape. Of each pair one picture is laid on the other and fitted: what is left
unexplained is tiny for copies. How tiny, a set says itself: two honest ones written with a ruler
differ less than two scans of a seal.
"""

from __future__ import annotations

import itertools
from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from augment.clean.checks.base import CHECKS
from augment.clean.checks.copies import HELD_OUT
from augment.clean.checks.evidence import Evidence, Floats
from augment.data.images import Pixels
from augment.registry import Amount, Count, Fraction
from augment.vision.neighbours import nearest

BLUR = 0.7  # pixels; a slope then says where an edge moved to
FEW = 20  # images that a class needs to have a distribution of its own
_BLOCK = 1024  # pairs laid on each other at once
_LEAST = 1e-6  # rest that counts as none

Places = NDArray[np.int64]


@CHECKS.register(
    "near_duplicate",
    paper="Lucas & Kanade 1981, An Iterative Image Registration Technique (the fit)",
    kind="learned",
    threshold=0.5,
    profiles=("glyph", "natural"),
    certain=False,
)
def near_duplicate(
    evidence: Evidence,
    *,
    candidates: Count = 8,
    reach: Annotated[int, Field(ge=0)] = 2,
    deviations: Amount = 2.5,
    share: Fraction = 0.25,
) -> pd.DataFrame:
    """Under 0.5 for near copies of an image that stays, which is 1; 0.5 and more for all others.

    The measure is rest / (rest + limit) of the nearest of ``candidates``, moved up to ``reach``
    pixels; see ``rests``. The limit of a class lies ``deviations`` robust standard deviations and
    the factor ``share`` under the median rest of its train and valid images, which also decide for
    test. Copies form a ``cluster``, across splits and labels. The one that stays is labelled rather
    than not (an image with another fault has no label here, and would take its copies with it), in
    test rather than valid, in valid rather than train, then the largest, the sharpest, the first.
    """
    count = len(evidence.frame)
    found = pd.DataFrame({"measure": 1.0, "cluster": np.nan}, index=evidence.frame.index)
    pairs = _pairs(evidence.features, candidates)
    if not len(pairs):
        return found
    rest = rests(evidence.pixels, pairs, reach)
    limits = _limits(evidence, pairs, rest, deviations, share)
    limit = limits[pairs].min(1)
    same = rest < limit
    measure = np.ones(count)
    for side in pairs.T:
        np.minimum.at(measure, side, rest / (rest + limit))
    joined = coo_array((same[same], tuple(pairs[same].T)), shape=(count, count))
    _, cluster = connected_components(joined, directed=False)
    members = np.flatnonzero(np.bincount(cluster)[cluster] > 1)
    best = _best_first(evidence, members)
    kept = best[np.unique(cluster[best], return_index=True)[1]]
    measure[kept] = 1.0
    found["measure"] = measure
    found.iloc[members, 1] = pd.factorize(cluster[members])[0].astype(float)
    return found


def rests(pixels: Pixels, pairs: Places, reach: int) -> NDArray[np.float64]:
    """Share of an image's variance that the other does not explain, for ``pairs`` (P, 2).

    Of both images the one that is explained better counts. Of all places up to ``reach`` pixels
    away that with the best correlation is taken, where both overlap; there gain, offset, a move by
    less than a pixel and a change of size are fitted to the first order. 0 is the same picture, 1
    has nothing in common.
    """
    found = np.empty(len(pairs))
    steps = range(-reach, reach + 1)
    moves = list(itertools.product(steps, steps))
    for start in range(0, len(pairs), _BLOCK):
        first, second = (_smooth(pixels[side]) for side in pairs[start : start + _BLOCK].T)
        likeness = np.stack(
            [
                np.einsum("np,np->n", *map(_unit, _overlap(first, second, down, right)))
                for down, right in moves
            ]
        )
        chosen = likeness.argmax(0)
        for number in np.unique(chosen):
            rows = np.flatnonzero(chosen == number)
            one, other, (down, right) = first[rows], second[rows], moves[number]
            found[start + rows] = np.minimum(
                _unexplained(one, other, down, right), _unexplained(other, one, -down, -right)
            )
    return found


def _pairs(features: Floats, candidates: int) -> Places:
    """Each image with its nearest ones, the lower place first, each pair once (P, 2)."""
    count = min(candidates, len(features) - 1)
    if count < 1:
        return np.empty((0, 2), np.int64)
    near, _ = nearest(features, features, count, same=True)
    both = np.stack([np.repeat(np.arange(len(near)), count), near.ravel()], axis=1)
    return np.unique(np.sort(both, axis=1), axis=0)


def _unexplained(first: Floats, second: Floats, down: int, right: int) -> NDArray[np.float64]:
    rows, columns = (np.asarray(np.gradient(first, axis=axis)) for axis in (2, 3))
    y, x = (np.arange(side) - (side - 1) / 2 for side in first.shape[2:])
    grown = rows * y[:, None].astype(np.float32) + columns * x.astype(np.float32)
    wanted = _unit(_overlap(first, second, down, right)[1])
    parts = np.stack(
        [_unit(_overlap(part, second, down, right)[0]) for part in (first, rows, columns, grown)],
        axis=1,
    )
    products = parts @ parts.transpose(0, 2, 1) + 1e-4 * np.eye(4, dtype=np.float32)
    with_wanted = parts @ wanted[..., None]
    explained = np.linalg.solve(products, with_wanted) * with_wanted
    rest: NDArray[np.float64] = np.clip(1 - explained.sum((1, 2), dtype=np.float64), 0, 1)
    return rest


def _smooth(pixels: Pixels) -> Floats:
    smooth: Floats = gaussian_filter(pixels.astype(np.float32), (0, 0, BLUR, BLUR))
    return smooth


def _overlap(first: Floats, second: Floats, down: int, right: int) -> tuple[Floats, Floats]:
    """What both show when the second is moved, cut out of both."""
    height, width = first.shape[2:]
    cuts = [
        slice(max(0, down), height + min(0, down)),
        slice(max(0, right), width + min(0, right)),
        slice(max(0, -down), height - max(0, down)),
        slice(max(0, -right), width - max(0, right)),
    ]
    return first[:, :, cuts[0], cuts[1]], second[:, :, cuts[2], cuts[3]]


def _unit(images: Floats) -> Floats:
    """Rows (N, P) with mean 0 and length 1; of flat images 0."""
    rows = images.reshape(len(images), -1)
    rows = rows - rows.mean(1, keepdims=True)
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-3)
    return unit


def _limits(
    evidence: Evidence, pairs: Places, rest: NDArray[np.float64], deviations: float, share: float
) -> NDArray[np.float64]:
    """The rest (N,) under which an image is a copy, by the least rests of its class.

    The spread is taken above the median, where copies cannot widen it.
    """
    usable = evidence.open[pairs].all(1)
    least = np.full(len(evidence.frame), np.inf)
    for side in pairs[usable].T:
        np.minimum.at(least, side, rest[usable])
    known = np.isfinite(least)
    logs = np.log(np.maximum(least, _LEAST))

    def limit(rows: NDArray[np.bool_]) -> float:
        middle, above = np.quantile(logs[rows], (0.5, 0.75))
        down = max(deviations * (above - middle) / 0.6745, -np.log(max(share, _LEAST)))
        return float(np.exp(middle - down))

    labels = evidence.labels
    limits = np.full(len(labels), limit(known) if known.any() else 0.0)
    for label in np.unique(labels):
        rows = known & (labels == label)
        if rows.sum() >= FEW:
            limits[labels == label] = limit(rows)
    return limits


def _best_first(evidence: Evidence, rows: Places) -> Places:
    """``rows`` in the order in which they have a right to stay."""
    frame = evidence.frame.iloc[rows]
    steps = [
        np.square(np.diff(evidence.pixels[rows].astype(np.float32), axis=axis)).mean((1, 2, 3))
        for axis in (2, 3)
    ]
    order = np.lexsort(
        (
            -(steps[0] + steps[1]),
            -(frame["width"] * frame["height"]).to_numpy(),
            frame["split"].map(HELD_OUT).to_numpy(),
            frame["label"].isna().to_numpy(),
        )
    )
    return rows[order]
