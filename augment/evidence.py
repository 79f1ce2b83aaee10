"""Evidence for the learned checks: what models that never saw an image make of it.

Two models read each image: a small network and the labels of its nearest neighbours in shape. They
err on different images, and their mean errs on fewer than either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from augment import classifiers, progress, pseudolabels, seeding, table
from augment.checks.evidence import Evidence, Floats
from augment.images import Pixels
from augment.neighbours import nearest
from augment.registry import Spec

NETWORK: Spec = {"name": "cnn", "width": 32}
AUGMENT: tuple[Spec, ...] = ({"name": "elastic", "amplitude": 0.04},)
BATCH = 64
SAMPLE = 5000  # images that the components of shapes are found from
COMPONENTS = 60
NEIGHBOURS = 7  # that are asked for their label
_CHUNK = 1024  # images described at once

Places = NDArray[np.int64]


def gather(
    frame: pd.DataFrame,
    pixels: Pixels,
    *,
    seed: int = 0,
    folds: int = 3,
    steps: int | None = None,
    upright: bool = True,
    device: torch.device | str = "cpu",
) -> Evidence:
    """Learn from the labelled train and valid images of ``frame`` and read all with what was learned.

    ``frame`` is that of table checks, ``pixels`` its images, uint8 (N, C, S, S). Each of ``folds``
    networks is fitted in ``steps`` (by default as many as the number of images and of classes call
    for, too few to learn wrong labels by heart) to all folds but one and reads that one.
    ``upright`` compares shapes without regard to place and slant, as suits glyphs. With fewer than
    two classes there is nothing to learn and all classes are equally likely.
    """
    named = frame["label"].dropna()
    classes = tuple(table.classes_of(named))
    features = _shapes(pixels, (frame["split"] != "test").to_numpy(), upright=upright, seed=seed)
    even = np.full((4, len(frame), len(classes)), 1 / max(1, len(classes)), np.float32)
    found = Evidence(frame, pixels, classes, even[0], even, features)
    teaches = found.open & (found.labels >= 0)
    if len(np.unique(found.labels[teaches])) < 2:
        return found
    fold = _folds(frame, found.labels, teaches, folds, seed)
    if steps is None:
        steps = _steps(int(teaches.sum()), len(classes), pixels.shape[2])
    views = np.zeros_like(even)
    asked = np.zeros_like(even[0])
    for number in range(folds):
        taught = np.flatnonzero(teaches & (fold != number))
        read = np.flatnonzero((fold == number) | ~teaches)
        share = np.where(teaches[read], 1, 1 / folds).astype(np.float32)[:, None]
        network = classifiers.fit(
            np.ascontiguousarray(pixels[taught]),
            found.labels[taught],
            classes=len(classes),
            network=NETWORK,
            steps=steps,
            batch=BATCH,
            seed=seeding.derive(seed, "evidence", number),
            device=device,
            augment=AUGMENT,
            title=f"learn {number + 1} of {folds}",
        )
        for rows, weight in _chunks(read, share, f"read {number + 1} of {folds}"):
            some = pixels[rows]
            for turn in range(4):
                turned = np.ascontiguousarray(np.rot90(some, turn, (2, 3)))
                views[turn, rows] += weight * network.predict(turned)
        asked[read] += share * _votes(features, found.labels, taught, read, len(classes))
    return Evidence(frame, pixels, classes, (views[0] + asked) / 2, views, features)


def _steps(count: int, classes: int, side: int) -> int:
    """Steps of a network: about six times round, more for many classes, fewer for tiny images."""
    return int(np.clip(6 * count / BATCH, 12 * classes, 1200)) if side > 12 else 120


def _folds(
    frame: pd.DataFrame, labels: Places, teaches: NDArray[np.bool_], folds: int, seed: int
) -> Places:
    """The fold of each image (N,), -1 for those that teach nothing.

    Images of a group stay together. Groups are shuffled, put in order of their first label and
    dealt out, so that all folds have nearly as many of each class.
    """
    rows = np.flatnonzero(teaches)
    alone = pd.Series([f"row {row}" for row in rows], index=rows)
    groups = ("group " + frame["group"].iloc[rows].astype("string").set_axis(rows)).fillna(alone)
    places, _ = pd.factorize(groups)
    first = np.unique(places, return_index=True)[1]
    shuffled = seeding.rng(seed, "folds").permutation(len(first))
    dealt = shuffled[np.argsort(labels[rows][first[shuffled]], kind="stable")]
    turn = np.empty(len(first), np.int64)
    turn[dealt] = np.arange(len(first)) % folds
    found = np.full(len(frame), -1)
    found[rows] = turn[places]
    return found


def _votes(features: Floats, labels: Places, taught: Places, read: Places, classes: int) -> Floats:
    """Share of each class among the taught images nearest to those that are read."""
    count = min(NEIGHBOURS, len(taught))
    near = nearest(features[read], features[taught], count)[0]
    votes = np.zeros((len(read), classes), np.float32)
    for column in near.T:
        votes[np.arange(len(read)), labels[taught[column]]] += 1 / count
    return votes


def _shapes(pixels: Pixels, chosen: NDArray[np.bool_], *, upright: bool, seed: int) -> Floats:
    """Features (N, F) of images: gradients by their first components, and what is left of them.

    The components come from some of the ``chosen`` images. Images that are like no others are not
    described by their components, and so the length of the rest is a feature too.
    """
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return np.zeros((len(pixels), 1), np.float32)
    rows = seeding.rng(seed, "shapes").permutation(rows)[:SAMPLE]
    known = pseudolabels.gradients(pixels[np.sort(rows)], upright=upright)
    parts = PCA(min(COMPONENTS, *known.shape), random_state=0).fit(known)
    found = np.empty((len(pixels), parts.n_components_ + 1), np.float32)
    for start in range(0, len(pixels), _CHUNK):
        some = pseudolabels.gradients(pixels[start : start + _CHUNK], upright=upright)
        inside = parts.transform(some)
        rest = np.square(some - parts.mean_).sum(1) - np.square(inside).sum(1)
        found[start : start + _CHUNK, :-1] = inside
        found[start : start + _CHUNK, -1] = np.sqrt(np.clip(rest, 0, None))
    return found


def _chunks(read: Places, share: Floats, title: str) -> Iterator[tuple[Places, Any]]:
    starts = range(0, len(read), _CHUNK)
    for start in progress.track(starts, title, total=len(starts)):
        yield read[start : start + _CHUNK], share[start : start + _CHUNK]
