"""Near duplicates: pictures that differ only in place, size, brightness or compression.

Candidates are near in shape. One picture of a pair is laid on the other and fitted to it; the rest
that the fit leaves unexplained is tiny for copies. The limit follows the class and the shape: two
honest 1s drawn with a ruler differ less than two scans of a seal.
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

from augment.clean.checks.base import BOTH_PROFILES, CHECKS
from augment.clean.checks.copies import HELD_OUT
from augment.clean.checks.evidence import Evidence, Floats
from augment.data.images import Pixels
from augment.registry import Amount, Count, Fraction
from augment.vision.neighbours import Neighbours, nearest

# Chosen by hand, like the defaults of the options.
BLUR = 0.7  # pixels, standard deviation: a slope then says where an edge moved to
FEW = 20  # images: a class with fewer has no limit of its own
SURE = 0.012  # rest: MNIST digits moved, resized, brightened or compressed leave at most this much
ALIKE = 100  # images of a similar shape: up to half of them may be copies of one another
SHAPES = 3  # a set of fewer than so many times ALIKE images does not have that many of a shape
_BLOCK = 1024  # pairs laid on each other at once: a bound on memory
_IMAGES = 8192  # images whose like are looked up at once: a bound on memory
_LEAST = 1e-6  # rest: a floor, so that its logarithm is finite

Places = NDArray[np.int64]


@CHECKS.register(
    "near_duplicate",
    paper="Lucas & Kanade 1981, An Iterative Image Registration Technique (the fit)",
    kind="learned",
    threshold=0.5,
    profiles=BOTH_PROFILES,
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
    """Below 0.5 for near copies of an image that stays, which has 1; at least 0.5 for all others.

    The measure is the least rest / (rest + limit) over the nearest ``candidates``, moved by up to
    ``reach`` pixels; see ``rests``. The limit of an image lies under two medians, each by
    ``deviations`` robust standard deviations and by the factor ``share``: that of the least rests
    of its class, if that has ``FEW``, and that of the ``ALIKE`` images nearest in shape, whatever
    their labels. So a plain shape that many different images have makes no copies of them, with a
    label or without. Where neither says how alike different images are, in a class with fewer than
    ``FEW`` images and in a set too small to have ``ALIKE`` of each shape, the limit is at most
    ``SURE``. Only train and valid images count for a limit; it also judges test images.

    Copies form a ``cluster``, across splits and labels, of which one image stays. A labelled image
    is preferred (here an image with another fault has no label, and its copies would go with it),
    then one in test to one in valid to one in train, then the largest, the sharpest, the first.
    """
    count = len(evidence.frame)
    table = pd.DataFrame({"measure": 1.0, "cluster": np.nan}, index=evidence.frame.index)
    pairs = _pairs(evidence.features, candidates)
    if not len(pairs):
        return table
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
    table["measure"] = measure
    table.iloc[members, 1] = pd.factorize(cluster[members])[0].astype(float)
    return table


def rests(pixels: Pixels, pairs: Places, reach: int) -> NDArray[np.float64]:
    """Share of an image's variance that the other image of its pair does not explain (P,), 0 … 1.

    pixels (N, C, S, S): uint8 images; pairs (P, 2): their rows. 0 is the same picture, 1 has
    nothing in common. The second image is moved by up to ``reach`` pixels to where the overlap of
    both correlates best. There gain, offset, a move by less than a pixel and a change of size are
    fitted to the first order, each image to the other; the better fit counts.
    """
    rest = np.empty(len(pairs))
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
        best = likeness.argmax(0)
        for number in np.unique(best):
            rows = np.flatnonzero(best == number)
            fixed, moved, (down, right) = first[rows], second[rows], moves[number]
            rest[start + rows] = np.minimum(
                _unexplained(fixed, moved, down, right), _unexplained(moved, fixed, -down, -right)
            )
    return rest


def _pairs(features: Floats, candidates: int) -> Places:
    """Pairs (P, 2) of an image and one of its nearest, the lower row first, each pair once."""
    count = min(candidates, len(features) - 1)
    if count < 1:
        return np.empty((0, 2), np.int64)
    near, _ = nearest(features, features, count, same=True)
    both = np.stack([np.repeat(np.arange(len(near)), count), near.ravel()], axis=1)
    return np.unique(np.sort(both, axis=1), axis=0)


def _unexplained(first: Floats, second: Floats, down: int, right: int) -> NDArray[np.float64]:
    """Share of the variance of ``second`` (P, C, S, S), moved, that ``first`` leaves unexplained.

    The terms of the fit are the first image, its two slopes (a move) and its growth (a size).
    """
    rows, columns = (np.asarray(np.gradient(first, axis=axis)) for axis in (2, 3))
    y, x = (np.arange(side) - (side - 1) / 2 for side in first.shape[2:])
    grown = rows * y[:, None].astype(np.float32) + columns * x.astype(np.float32)
    target = _unit(_overlap(first, second, down, right)[1])
    terms = np.stack(
        [_unit(_overlap(term, second, down, right)[0]) for term in (first, rows, columns, grown)],
        axis=1,
    )
    products = terms @ terms.transpose(0, 2, 1) + 1e-4 * np.eye(4, dtype=np.float32)
    with_target = terms @ target[..., None]
    explained = np.linalg.solve(products, with_target) * with_target
    rest: NDArray[np.float64] = np.clip(1 - explained.sum((1, 2), dtype=np.float64), 0, 1)
    return rest


def _smooth(pixels: Pixels) -> Floats:
    smooth: Floats = gaussian_filter(pixels.astype(np.float32), (0, 0, BLUR, BLUR))
    return smooth


def _overlap(first: Floats, second: Floats, down: int, right: int) -> tuple[Floats, Floats]:
    """The part that both images show if the second is moved, cut out of each."""
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
    """The rest (N,) under which an image is a copy, by the least rests of its class and its like.

    The spread is taken above the median, where copies cannot widen it.
    """
    usable = evidence.open[pairs].all(1)
    least = np.full(len(evidence.frame), np.inf)
    for side in pairs[usable].T:
        np.minimum.at(least, side, rest[usable])
    compared = np.isfinite(least)
    logs = np.log(np.maximum(least, _LEAST))

    def limit(values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The limit by the logarithms of least rests (…, M)."""
        middle, above = np.quantile(values, (0.5, 0.75), axis=-1)
        down = np.maximum(deviations * (above - middle) / 0.6745, -np.log(max(share, _LEAST)))
        return np.asarray(np.exp(middle - down), dtype=np.float64)

    labels = evidence.labels
    rows = np.flatnonzero(compared)
    if not len(rows):
        return np.zeros(len(labels))
    limits = np.full(len(labels), np.inf)
    unsure = np.full(len(labels), len(rows) < SHAPES * ALIKE)
    for label in np.unique(labels[labels >= 0]):
        members = compared & (labels == label)
        if members.sum() >= FEW:
            limits[labels == label] = limit(logs[members])
        else:
            unsure |= labels == label
    references, count = Neighbours(evidence.features[rows]), min(ALIKE, len(rows))
    for start in range(0, len(limits), _IMAGES):
        block = slice(start, start + _IMAGES)
        alike, _ = references.nearest(evidence.features[block], count)
        limits[block] = np.minimum(limits[block], limit(logs[rows][alike]))
    limits[unsure] = np.minimum(limits[unsure], SURE)
    return limits


def _best_first(evidence: Evidence, rows: Places) -> Places:
    """``rows`` sorted by their right to stay, the first one first; see ``near_duplicate``."""
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
