"""Fitting a classifier: AdamW under a one-cycle rate, with every draw seeded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from augment.classifiers.classifier import (
    Classifier,
    ClassifierError,
    build_classifier,
    check_shape,
    signed_batch,
)
from augment.data import images
from augment.data.types import Labels
from augment.registry import Spec
from augment.runtime import precision, progress, seeding
from augment.runtime.untraced import untraced
from augment.vision import augmentations
from augment.vision.augmentations import Augmentation

CLASSIC: tuple[Spec, ...] = ("elastic",)  # affine and elastic: changes no label
# Chosen by hand.
PEAK_RATE = 5e-3  # learning rate at the top of the cycle
DECAY = 1e-2  # weight decay
WARM_UP = 0.15  # share of the steps in which the rate rises
FIRST_STEPS, STEPS_EACH = 100, 2  # of the steps that are enough: some, and so many for each image


def fit_classifier(
    pixels: images.Pixels,
    labels: Labels,
    *,
    classes: int,
    network: Spec,
    steps: int,
    batch: int,
    seed: int,
    device: torch.device | str = "cpu",
    augment: Sequence[Spec] | Augmentation = (),
    weights: NDArray[Any] | None = None,
    even: bool = False,
    title: str = "classifier",
) -> Classifier:
    """Fit ``network`` to uint8 images (N, C, H, W) and their class indices (N,).

    AdamW under a one-cycle rate; the draws of a step follow from ``seed`` and the step alone.
    ``augment`` names augmentations or is a function of a batch and a generator. ``weights`` (N,)
    multiply the samples' losses. With ``even`` images of smaller classes are shown more often, so
    that all classes are equally likely. A judge needs this: it sees as many samples of a rare class
    as of any other, and after a fit to 10 images of that class among 400 of each other it would
    never name it. Raises ClassifierError for labels outside 0 … ``classes`` - 1 and for arrays that
    do not fit together, PartError for an unknown part.
    """
    _check(pixels, labels, classes, weights)
    _, channels, height, width = pixels.shape
    change = augment if callable(augment) else augmentations.compose(augment)
    seeding.everything(seed, "classifier")
    classifier = build_classifier(network, (channels, height, width), classes, device)
    model = classifier.network.train()
    optimiser = untraced(torch.optim.AdamW)(
        model.parameters(), PEAK_RATE, weight_decay=DECAY, fused=True
    )
    every, targets = torch.from_numpy(pixels), torch.from_numpy(labels)
    scale = None if weights is None else torch.from_numpy(np.float32(weights / weights.mean()))
    shown = even_places(labels) if even else np.arange(len(labels))
    with precision.training(classifier.device):
        for step in progress.track(range(steps), title, steps):
            places = shown[seeding.places(len(shown), batch, step, seed)]
            draws = seeding.generator(seed, "classifier", step)
            signed = change(signed_batch(every[places], classifier.device), draws)
            with precision.autocast(classifier.device):
                _, logits = model(signed.contiguous(memory_format=torch.channels_last))
            losses = functional.cross_entropy(
                logits, targets[places].to(classifier.device), reduction="none"
            )
            if scale is not None:
                losses = losses * scale[places].to(losses)
            for group in optimiser.param_groups:
                group["lr"] = PEAK_RATE * one_cycle((step + 1) / steps)
            optimiser.zero_grad()
            torch.autograd.backward(losses.mean())
            optimiser.step()
    model.eval()
    return classifier


def enough_steps(most: int, images: int) -> int:
    """Steps for a fit to so many ``images``: at most ``most``, and fewer for fewer images.

    Chosen by hand: more steps read no more MNIST digits right after a fit to 100 of them.
    """
    return min(most, FIRST_STEPS + STEPS_EACH * images)


def even_places(labels: Labels) -> NDArray[np.int64]:
    """Places of all images; those of smaller classes repeat until all classes are equally large."""
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    largest = max(map(len, members), default=0)
    return np.sort(np.concatenate([np.resize(places, largest) for places in members] or [labels]))


def one_cycle(done: float) -> float:
    """The rate as a share of its peak, after a share ``done`` of the steps: up, then a cosine."""
    if done < WARM_UP:
        return done / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def _check(
    pixels: images.Pixels, labels: Labels, classes: int, weights: NDArray[Any] | None
) -> None:
    """Raise ClassifierError for arrays to which no classifier can be fitted."""
    if not len(pixels):
        raise ClassifierError("no images to fit a classifier to")
    if classes < 2:
        raise ClassifierError(f"a classifier needs at least 2 classes, found {classes}")
    if labels.shape != (len(pixels),) or (weights is not None and weights.shape != labels.shape):
        raise ClassifierError(f"{len(pixels)} images need as many labels and weights")
    if labels.min() < 0 or labels.max() >= classes:
        raise ClassifierError(
            f"labels are 0 to {classes - 1}, found {labels.min()} to {labels.max()}"
        )
    check_shape(pixels, pixels.shape[1:])
