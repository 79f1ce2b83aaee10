"""Evidence for the learned checks: what models that never saw an image make of it.

Two models read each image: a small network and the labels of its nearest neighbours in shape. They
err on different images, and their product errs on fewer than either. The network also learns how
the classes look when they are turned, so that it tells a turned image from an odd one.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from augment.classifiers.classifier import Classifier
from augment.classifiers.fit import fit_classifier
from augment.clean.checks.evidence import Evidence, Floats
from augment.data import table
from augment.data.images import Pixels
from augment.registry import Spec
from augment.runtime import progress, seeding
from augment.vision.gradients import gradients
from augment.vision.neighbours import nearest

NETWORK: Spec = {"name": "cnn", "width": 32}
AUGMENT: tuple[Spec, ...] = ({"name": "elastic", "amplitude": 0.04},)
BATCH = 64
SAMPLE = 5000  # images that the components of shapes are found from
COMPONENTS = 60
NEIGHBOURS = 7  # that are asked for their label
_CHUNK = 1024  # images described or read at once
_LEAST = 1e-6  # probability, so that no product is 0

Places = NDArray[np.int64]


def gather(
    frame: pd.DataFrame,
    pixels: Pixels,
    *,
    seed: int = 0,
    folds: int = 3,
    steps: int | None = None,
    glyph: bool = True,
    device: torch.device | str = "cpu",
) -> Evidence:
    """Learn from the labelled train and valid images of ``frame``, and read all images with it.

    ``frame`` is that of table checks, ``pixels`` its images, uint8 (N, C, S, S). Each of ``folds``
    networks is fitted to all folds but one and reads that one, in ``steps`` steps: by default too
    few to learn wrong labels by heart. ``glyph`` learns turned images too, and compares shapes
    without regard to place and slant. With fewer than two classes there is nothing to learn, and
    all are equally likely. Source of the product: Hinton 2002, Training Products of Experts.
    """
    classes = tuple(table.classes_of(frame["label"].dropna()))
    usable = (frame["split"] != "test").to_numpy(dtype=bool)
    features = _shapes(pixels, usable, upright=glyph, seed=seed)
    kinds = max(1, len(classes))
    even = np.full((len(frame), len(classes)), 1 / kinds, np.float32)
    nothing = np.zeros((*even.shape, 4), np.float32)
    nothing[..., 0] = even
    found = Evidence(frame, pixels, classes, even, nothing, features)
    teaches = usable & (found.labels >= 0)
    if len(np.unique(found.labels[teaches])) < 2:
        return found
    fold = _folds(frame, found.labels, teaches, folds, seed)
    turns, votes = np.zeros_like(nothing), np.zeros_like(even)
    for number in range(folds):
        taught = np.flatnonzero(teaches & (fold != number))
        read = np.flatnonzero(~teaches | (fold == number))
        network = _fit(
            pixels[taught],
            found.labels[taught],
            kinds,
            steps=steps or _steps(int(teaches.sum()), kinds),
            turns=4 if glyph else 1,
            seed=seeding.derive(seed, "evidence", number),
            device=device,
            title=f"learn {number + 1} of {folds}",
        )
        share = np.where(teaches[read], 1, 1 / folds).astype(np.float32)
        starts = range(0, len(read), _CHUNK)
        for start in progress.track(starts, f"read {number + 1} of {folds}", len(starts)):
            rows, weight = read[start : start + _CHUNK], share[start : start + _CHUNK]
            answer = network.predict(np.ascontiguousarray(pixels[rows]))
            answer = answer.reshape(len(rows), kinds, -1)
            turns[rows, :, : answer.shape[2]] += weight[:, None, None] * answer
        votes[read] += share[:, None] * _votes(features, found.labels, taught, read, kinds)
    product = np.maximum(turns[..., 0], _LEAST) * votes
    product /= product.sum(1, keepdims=True)
    return Evidence(frame, pixels, classes, product, turns, features)


def _fit(
    pixels: Pixels,
    labels: Places,
    kinds: int,
    *,
    steps: int,
    turns: int,
    seed: int,
    device: torch.device | str,
    title: str,
) -> Classifier:
    """A network of ``kinds`` × ``turns`` classes: what an image shows, and how far it is turned."""
    shown = [np.rot90(pixels, turn, (2, 3)) for turn in range(turns)]
    return fit_classifier(
        np.concatenate(shown),
        np.concatenate([labels * turns + turn for turn in range(turns)]),
        classes=kinds * turns,
        network=NETWORK,
        steps=steps,
        batch=BATCH,
        seed=seed,
        device=device,
        augment=AUGMENT,
        title=title,
    )


def _steps(count: int, kinds: int) -> int:
    """Steps of a network: eight times round all images, more for few of them or many classes."""
    return max(8 * count // BATCH, 12 * kinds, 350)


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


def _votes(features: Floats, labels: Places, taught: Places, read: Places, kinds: int) -> Floats:
    """Probabilities by the labels of the nearest taught images and one more vote for all alike."""
    count = min(NEIGHBOURS, len(taught))
    near = nearest(features[read], features[taught], count)[0]
    votes = np.full((len(read), kinds), 1 / kinds, np.float32)
    for column in near.T:
        votes[np.arange(len(read)), labels[taught[column]]] += 1
    votes /= count + 1
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
    known = gradients(pixels[np.sort(rows)], upright=upright)
    parts = PCA(min(COMPONENTS, *known.shape), random_state=0).fit(known)
    found = np.empty((len(pixels), parts.n_components_ + 1), np.float32)
    for start in range(0, len(pixels), _CHUNK):
        some = gradients(pixels[start : start + _CHUNK], upright=upright)
        inside = parts.transform(some)
        rest = np.square(some - parts.mean_).sum(1) - np.square(inside).sum(1)
        found[start : start + _CHUNK, :-1] = inside
        found[start : start + _CHUNK, -1] = np.sqrt(np.clip(rest, 0, None))
    return found
