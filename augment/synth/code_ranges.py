"""Continuous codes drawn to widen what real images cover thinly, not to repeat what they have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from augment.classifiers.classifier import Floats
from augment.data.arrays import Arrays
from augment.errors import AugmentError
from augment.models import class_head
from augment.models.class_head import Head
from augment.models.latents import Ranges

BINS = 8  # of a code, that real images are counted in
KNOTS = 129  # quantiles that a code is drawn by


class WideningError(AugmentError):
    """A model that does not tell where real images' codes lie."""


def by_class(folder: Path, train: Arrays, device: torch.device) -> dict[str, Ranges]:
    """How the codes of each class are drawn, from those that the class head of ``folder`` reads.

    Raises WideningError where the model has no head or no continuous code.
    """
    head = class_head.load(folder, device)
    if head is None or not head.critic.count:
        raise WideningError(
            "synth.codes: found wide, but this model reads no continuous codes from images; "
            "allowed: uniform (or train an infogan with continuous above 0)"
        )
    return by_head(head, train)


def by_head(head: Head, train: Arrays) -> dict[str, Ranges]:
    """How the codes of each class are drawn, from those that ``head`` reads from its images.

    The head learned to read them from samples, so those of real images are guesses.
    """
    read = head.codes(train.pixels)
    return {name: wide(read[train.labels == index]) for index, name in enumerate(train.classes)}


def wide(read: Floats) -> Ranges:
    """Quantiles that draw each code most where the codes ``read`` (N, codes) are thin.

    The density is the inverse of the count in each of ``BINS`` equal parts of [-1, 1], to which
    the mean count is added, so that a part without images does not take everything.
    """
    found = {}
    for index, column in enumerate(read.T):
        counts, edges = np.histogram(column.clip(-1, 1), BINS, (-1, 1))
        weights = 1 / (counts + (counts.mean() or 1))
        shares = np.concatenate([[0], weights.cumsum() / weights.sum()])
        knots = np.interp(np.linspace(0, 1, KNOTS), shares, edges)
        found[index] = tuple(knots.tolist())
    return found
