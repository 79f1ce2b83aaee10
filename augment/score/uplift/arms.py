"""Arms: training sets for a classifier, each made from one study by a named function.

An arm is ``arm(study, seed, *, options) -> Training``. Registered facts: ``needs`` names the fields
of the study that may not be empty; ``control`` marks an arm whose outcome is known beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from augment.data.arrays import Arrays, join
from augment.data.images import Pixels
from augment.registry import Amount, Fraction, Registry, Spec
from augment.runtime import seeding

ARMS = Registry("arm")
NOISE = 4.0  # grey levels of 255: standard deviation in a perturbed copy; chosen by hand


@dataclass(frozen=True)
class Training:
    """Images and class indices to fit to, and the policy that varies them; None for none."""

    pixels: Pixels
    labels: NDArray[np.int64]
    policy: Spec | None = None


class Outcome(NamedTuple):
    """Class probabilities (N, K) that a fitted learner gives the images of a study."""

    valid: NDArray[np.float32]
    test: NDArray[np.float32]
    unlabelled: NDArray[np.float32]


@dataclass(frozen=True)
class Study:
    """The images on which arms are compared, and a learner.

    ``trained(training, seed, title)`` fits the learner and gives its answers; ``title`` is for the
    progress bar. Of each class, a dose takes the ``synthetic`` images in the order of this array.
    ``unlabelled`` (N, C, H, W) are the pixels of train images without a label. With ``processes``
    above 1 so many learners are fitted beside one another, and ``trained`` must be picklable.
    """

    train: Arrays
    valid: Arrays
    test: Arrays
    synthetic: Arrays
    adopted: Arrays
    unlabelled: Pixels
    trained: Callable[[Training, int, str], Outcome]
    policy: Spec | None = None
    processes: int = 1


@ARMS.register("real")
def real(study: Study, _: int) -> Training:
    """The real train images as they are."""
    return Training(study.train.pixels, study.train.labels)


@ARMS.register("classic")
def classic(study: Study, _: int) -> Training:
    """The real train images under the classic augmentation: what all others are compared with."""
    return _varied(study, study.train)


@ARMS.register("oversampling")
def oversampling(study: Study, _: int) -> Training:
    """Classic, with the images of smaller classes repeated until all are as large."""
    return _filled(study, 0.0)


@ARMS.register(
    "pseudo_labels",
    paper="Lee 2013, Pseudo-Label (ICML workshop on representation learning)",
    needs=("unlabelled",),
)
def pseudo_labels(study: Study, seed: int, *, threshold: Fraction = 0.9) -> Training:
    """Classic, with unlabelled images that a classifier so trained is sure of: the honest rival."""
    guessed = study.trained(classic(study, seed), seed, "labeller").unlabelled
    sure = guessed.max(1) > threshold
    return Training(
        np.concatenate([study.train.pixels, study.unlabelled[sure]]),
        np.concatenate([study.train.labels, guessed[sure].argmax(1)]),
        study.policy,
    )


@ARMS.register("adopted", needs=("adopted",))
def adopted(study: Study, _: int) -> Training:
    """Classic, with the adopted images and their inferred labels."""
    return _varied(study, study.train, study.adopted)


@ARMS.register("synthetic", needs=("synthetic",))
def synthetic(study: Study, _: int, *, dose: Amount = 1.0) -> Training:
    """Classic, with ``dose`` synthetic images for each real one of the class."""
    return _varied(study, study.train, dosed(study, dose))


@ARMS.register("oversampling+synthetic", needs=("synthetic",))
def oversampling_and_synthetic(study: Study, _: int, *, dose: Amount = 1.0) -> Training:
    """Classic, with synthetic images of that dose, then real ones repeated as in oversampling."""
    return _filled(study, dose)


@ARMS.register("adopted+synthetic", needs=("adopted", "synthetic"))
def adopted_and_synthetic(study: Study, _: int, *, dose: Amount = 1.0) -> Training:
    """Classic, with the adopted images and the synthetic ones of that dose."""
    return _varied(study, study.train, study.adopted, dosed(study, dose))


@ARMS.register(
    "synthetic_only",
    paper="Ravuri & Vinyals 2019, Classification Accuracy Score (arXiv:1905.10887)",
    needs=("synthetic",),
)
def synthetic_only(study: Study, _: int) -> Training:
    """All synthetic images and no real one, under the classic augmentation."""
    return _varied(study, study.synthetic)


@ARMS.register("shuffled", needs=("synthetic",), control=True)
def shuffled(study: Study, seed: int) -> Training:
    """Classic, with all synthetic images under one another's labels: must harm."""
    labels = seeding.rng(seed, "shuffled").permutation(study.synthetic.labels)
    return Training(
        np.concatenate([study.train.pixels, study.synthetic.pixels]),
        np.concatenate([study.train.labels, labels]),
        study.policy,
    )


@ARMS.register("perturbed", control=True)
def copies(study: Study, seed: int) -> Training:
    """Classic, with a perturbed copy of each real image: what copying alone is worth."""
    train = study.train
    return Training(
        np.concatenate([train.pixels, perturbed(train.pixels, seed)]),
        np.concatenate([train.labels, train.labels]),
        study.policy,
    )


def written(
    study: Study, _: int, *, with_adopted: bool, doses: NDArray[np.float64]
) -> Training:  # fmt: skip
    """Classic, with what the written set holds: ``doses`` (K,) are those of the classes.

    It is no part that a plan can name: what it holds is chosen from the other arms.
    """
    parts = (study.train, *([study.adopted] if with_adopted else []), dosed(study, doses))
    return _varied(study, *parts)


def dosed(study: Study, dose: float | NDArray[np.float64]) -> Arrays:
    """Of each class the first synthetic images: ``dose`` for each real train image, or all.

    ``dose`` is one for all classes or one each (K,). The number is rounded down, but 3 · ⅓ is one
    image, however floats round it.
    """
    synthetic = study.synthetic
    counts = np.bincount(study.train.labels, minlength=len(synthetic.classes))
    most = np.floor(counts * dose + 1e-9)
    rank = np.empty(len(synthetic), np.int64)
    for label in np.unique(synthetic.labels):
        rows = np.flatnonzero(synthetic.labels == label)
        rank[rows] = np.arange(len(rows))
    return synthetic.take(np.flatnonzero(rank < most[synthetic.labels]))


def perturbed(pixels: Pixels, seed: int) -> Pixels:
    """A near copy of each uint8 image (N, C, H, W): half with noise, half moved by one pixel."""
    rng = seeding.rng(seed, "perturbed")
    count, _, height, width = pixels.shape
    around = np.pad(pixels, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    noise = rng.normal(0, NOISE, pixels.shape)
    copied = np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
    kinds = rng.integers(0, 8, count)  # half of them keep the noise
    for kind, (down, right) in enumerate(((0, 1), (1, 0), (1, 2), (2, 1))):
        rows = kinds == kind
        copied[rows] = around[rows, :, down : down + height, right : right + width]
    return copied


def _filled(study: Study, dose: float) -> Training:
    """The real images with synthetic ones of that dose, and real ones repeated.

    Repetition makes every class as large as the largest, synthetic images counted.
    """
    labels, added = study.train.labels, dosed(study, dose)
    added_counts = np.bincount(added.labels, minlength=len(study.train.classes))
    largest = int((np.bincount(labels, minlength=len(added_counts)) + added_counts).max())
    rows = [
        np.resize(np.flatnonzero(labels == label), largest - added_counts[label])
        for label in np.unique(labels)
    ]
    return _varied(study, study.train.take(np.concatenate(rows)), added)


def _varied(study: Study, *parts: Arrays) -> Training:
    whole = join(*parts)
    return Training(whole.pixels, whole.labels, study.policy)
