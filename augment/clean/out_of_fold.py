"""Evidence for the learned checks, out of fold: no model reads an image that it was fitted to.

Two models read each image: a small network, and the labels of its nearest neighbours in shape. They
err on different images, and the product of their probabilities errs on fewer than either. The
network of glyphs also learns how the classes look when they are turned, and what images of no class
look like. It reads each image in all four turns: what it sees in one it should see in all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from augment.classifiers.classifier import Classifier
from augment.classifiers.fit import fit_classifier
from augment.clean.checks.evidence import Evidence, Floats
from augment.data import table
from augment.data.images import Pixels
from augment.registry import Spec
from augment.runtime import devices, progress, seeding, workers
from augment.vision.foreign import foreign
from augment.vision.gradients import gradients
from augment.vision.neighbours import nearest

# Numbers of this file were chosen by hand.
NETWORK: Spec = {"name": "cnn", "width": 32}
OF_GLYPHS: Spec = {"name": "residual", "width": 16}  # a step takes it two fifths of NETWORK's time
SMALLEST = 8  # pixels of an image's side that a network reads, at least
LONGER = 1.5  # times as many steps as ``fitting_steps``, for a network that learns turned images
AUGMENT: tuple[Spec, ...] = ({"name": "elastic", "amplitude": 0.04},)
BATCH = 64  # images of a class a step
FOREIGN = 4  # images of a class to one of no class
FEW = 20  # labelled images a class, on average: with fewer the network errs more than it finds
SAMPLE = 5000  # images at most to which the components of shapes are fitted
COMPONENTS = 60  # features of a shape at most, without the length of the rest
NEIGHBOURS = 7  # images at most whose label is counted
_CHUNK = 1024  # images described or read at once: a bound on memory
_LEAST = 1e-6  # probability: a floor, so that no product is 0
_TINY = 1e-30  # probability: a floor, so that nothing is divided by 0

Places = NDArray[np.int64]


def gather(
    frame: pd.DataFrame,
    pixels: Pixels,
    *,
    seed: int = 0,
    folds: int = 3,
    steps: int | None = None,
    glyph: bool = True,
    models: bool = True,
    device: torch.device | str = "cpu",
) -> Evidence:
    """Fit models to the labelled train and valid images of ``frame``, and read all images.

    ``frame`` is the data frame that table checks see; pixels (N, C, S, S): its images, uint8. The
    images are dealt into ``folds`` parts. For each part a network is fitted to all other parts, in
    ``steps`` steps, and reads this one; the default is too few steps to learn wrong labels by
    heart. ``glyph``: the network learns turned images too, and shapes are compared without regard
    to place and slant. Without ``models``, or with fewer than two classes, no model is fitted, and
    all classes are equally probable; so too, where ``steps`` are not given, with fewer than ``FEW``
    images a class, and ``abstained`` then says so. Source of the product: Hinton 2002, Training
    Products of Experts.
    """
    classes = tuple(table.classes_of(frame["label"].dropna()))
    usable = (frame["split"] != "test").to_numpy(dtype=bool)
    describe = _shapes(pixels, usable, upright=glyph, seed=seed)
    features = describe(pixels)
    kinds = max(1, len(classes))
    even = np.full((len(frame), len(classes)), 1 / kinds, np.float32)
    upright = np.zeros((*even.shape, 4), np.float32)
    upright[..., 0] = even
    undecided = Evidence(frame, pixels, classes, even, upright, features)
    labels = undecided.labels
    teaches = usable & (labels >= 0)
    if not models or len(np.unique(labels[teaches])) < 2:
        return undecided
    each = teaches.sum() / len(np.unique(labels[teaches]))
    if steps is None and each < FEW:
        return replace(
            undecided,
            abstained=f"{each:.1f} labelled train and valid images a class on average are too few "
            f"for models to read images; they need {FEW}",
        )
    fold = deal_folds(frame["group"], labels, teaches, folds, seed)
    turns, votes = np.zeros_like(upright), np.zeros_like(even)
    if steps is None:
        steps = round(fitting_steps(int(teaches.sum()), kinds) * (LONGER if glyph else 1))
    parts = [
        (np.flatnonzero(teaches & (fold != number)), np.flatnonzero(~teaches | (fold == number)))
        for number in range(folds)
    ]
    place = torch.device(device)
    shown = _as_small(pixels, int(frame[["width", "height"]].to_numpy().max()))
    answers = workers.side_by_side(
        partial(_read_by_others, shown, labels, kinds, steps, 4 if glyph else 1, place),
        (
            (*part, seeding.derive(seed, "evidence", number), f"{number + 1} of {folds}")
            for number, part in enumerate(parts)
        ),
        count=folds,
        processes=devices.fits_at_once(place, folds * steps),
        title="learn and read",
    )
    for (taught, read), answer in zip(parts, answers, strict=True):
        share = np.where(teaches[read], 1, 1 / folds).astype(np.float32)
        turns[read, :, : answer.shape[2]] += share[:, None, None] * answer
        votes[read] += share[:, None] * _votes(features, labels, taught, read, kinds)
    of_class = turns.sum((1, 2))
    turns /= np.maximum(of_class, _TINY)[:, None, None]
    product = np.maximum(turns[..., 0], _LEAST) * votes
    product /= product.sum(1, keepdims=True)
    back = None
    if glyph:
        back = np.stack([describe(np.rot90(pixels, -turn, (2, 3))) for turn in (1, 2, 3)])
    none = np.clip(1 - of_class, 0, 1)
    return Evidence(
        frame, pixels, classes, product, turns, features, turned_back=back, foreign=none
    )


def _as_small(pixels: Pixels, largest: int) -> Pixels:
    """Pixels (N, C, S, S) in squares' means, where the ``largest`` image has half S at most.

    A network sees as much in them, in a fraction of the time.
    """
    count, channels, side, _ = pixels.shape
    times = side // max(SMALLEST, largest)
    if times < 2:
        return pixels
    factor = 1 << (times.bit_length() - 1)
    if side % factor:
        return pixels
    squares = (count, channels, side // factor, factor, side // factor, factor)
    total = pixels.reshape(squares).sum((3, 5), dtype=np.uint32)
    means: Pixels = ((total + factor**2 // 2) // factor**2).astype(np.uint8)
    return means


def _read_by_others(
    pixels: Pixels, labels: Places, kinds: int, steps: int, turns: int, device: torch.device,
    taught: Places, read: Places, seed: int, title: str,
) -> Floats:  # fmt: skip
    """What a network fitted to the images ``taught`` says of those to ``read``, as in reading."""
    network = fit_network(
        pixels[taught], labels[taught], kinds, steps=steps, turns=turns, seed=seed, device=device,
        title=f"learn {title}",
    )  # fmt: skip
    starts = range(0, len(read), _CHUNK)
    answers = [
        reading(network, pixels[read[start : start + _CHUNK]], kinds, turns)
        for start in progress.track(starts, f"read {title}", len(starts))
    ]
    return np.concatenate(answers or [np.zeros((0, kinds, turns), np.float32)])


def fit_network(
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
    """A network of ``kinds`` × ``turns`` classes: its class k · turns + t is k turned by t · 90°.

    It is fitted to each image of pixels (N, C, S, S) in all ``turns`` turns. With several turns it
    has one class more, the last: images of no class, in all turns.
    """
    shown = [np.rot90(pixels, turn, (2, 3)) for turn in range(turns)]
    named = [labels * turns + turn for turn in range(turns)]
    strange = len(pixels) * turns // FOREIGN if turns > 1 else 0
    if strange:
        made = foreign(pixels, strange, seed)
        for turn in range(turns):
            made[turn::turns] = np.rot90(made[turn::turns], turn, (2, 3))
        shown.append(made)
        named.append(np.full(strange, kinds * turns))
    return fit_classifier(
        np.concatenate(shown),
        np.concatenate(named),
        classes=kinds * turns + (turns > 1),
        network=OF_GLYPHS if turns > 1 else NETWORK,
        steps=steps,
        batch=BATCH + BATCH // FOREIGN if strange else BATCH,
        seed=seed,
        device=device,
        augment=AUGMENT,
        title=title,
    )


def reading(network: Classifier, pixels: Pixels, kinds: int, turns: int) -> Floats:
    """Probabilities (N, ``kinds``, ``turns``) of classes and turns of pixels (N, C, S, S).

    They are means over readings of the image in all ``turns``. What is missing to 1 is the
    probability of no class. Source: Golan & El-Yaniv 2018, Deep Anomaly Detection Using Geometric
    Transformations (arXiv:1805.10917).
    """
    total = np.zeros((len(pixels), kinds, turns), np.float32)
    for turn in range(turns):
        shown = np.ascontiguousarray(np.rot90(pixels, turn, (2, 3)))
        answer = network.predict(shown)[:, : kinds * turns].reshape(total.shape)
        total += np.roll(answer, -turn, axis=2)
    total /= turns
    return total


def fitting_steps(count: int, kinds: int) -> int:
    """Steps of a network: eight times round all images, more for few of them or many classes.

    350 steps need 700 images; fewer images have half as many steps as there are images.
    """
    return max(8 * count // BATCH, 12 * kinds, min(350, count // 2))


def deal_folds(
    groups: pd.Series, labels: Places, teaches: NDArray[np.bool_], folds: int, seed: int
) -> Places:
    """The fold of each image (N,), 0 … folds - 1; -1 for images that teach nothing.

    Images of the same group stay together; an image without a group is a group of its own. Groups
    are shuffled, sorted by the label of their first image and dealt out in turn, so that all folds
    have nearly as many of each class. The same seed gives the same folds.
    """
    rows = np.flatnonzero(teaches)
    alone = pd.Series([f"row {row}" for row in rows], index=rows)
    names = ("group " + groups.iloc[rows].astype("string").set_axis(rows)).fillna(alone)
    group, _ = pd.factorize(names)
    first = np.unique(group, return_index=True)[1]
    shuffled = seeding.rng(seed, "folds").permutation(len(first))
    dealt = shuffled[np.argsort(labels[rows][first[shuffled]], kind="stable")]
    fold_of_group = np.empty(len(first), np.int64)
    fold_of_group[dealt] = np.arange(len(first)) % folds
    fold = np.full(len(groups), -1)
    fold[rows] = fold_of_group[group]
    return fold


def _votes(features: Floats, labels: Places, taught: Places, read: Places, kinds: int) -> Floats:
    """Probabilities of the classes for the images ``read`` (R, kinds), 0 … 1.

    Each of the nearest ``taught`` images has one vote for its label; one vote more is shared
    equally by all classes, so that no probability is 0.
    """
    count = min(NEIGHBOURS, len(taught))
    near = nearest(features[read], features[taught], count)[0]
    votes = np.full((len(read), kinds), 1 / kinds, np.float32)
    for column in near.T:
        votes[np.arange(len(read)), labels[taught[column]]] += 1
    votes /= count + 1
    return votes


def _shapes(
    pixels: Pixels, usable: NDArray[np.bool_], *, upright: bool, seed: int
) -> Callable[[Pixels], Floats]:
    """What describes images: the first principal components of their gradients, and the rest.

    It gives features (M, F) of pixels (M, C, S, S). The components are fitted to a sample of the
    ``usable`` (N,) images of ``pixels``. The last feature is the length of what the components
    leave unexplained: it is large for an image unlike all others.
    """
    from sklearn.decomposition import PCA

    rows = np.flatnonzero(usable)
    if not len(rows):
        return lambda shown: np.zeros((len(shown), 1), np.float32)
    rows = seeding.rng(seed, "shapes").permutation(rows)[:SAMPLE]
    sample = gradients(pixels[np.sort(rows)], upright=upright)
    components = PCA(min(COMPONENTS, *sample.shape), random_state=0).fit(sample)

    def describe(shown: Pixels) -> Floats:
        features = np.empty((len(shown), components.n_components_ + 1), np.float32)
        for start in range(0, len(shown), _CHUNK):
            chunk = np.ascontiguousarray(shown[start : start + _CHUNK])
            described = gradients(chunk, upright=upright)
            inside = components.transform(described)
            rest = np.square(described - components.mean_).sum(1) - np.square(inside).sum(1)
            features[start : start + _CHUNK, :-1] = inside
            features[start : start + _CHUNK, -1] = np.sqrt(np.clip(rest, 0, None))
        return features

    return describe
