"""Images of no class, made of a set's own, by which a network learns what is foreign to it."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from augment.data import images
from augment.data.images import Pixels
from augment.registry import Spec
from augment.runtime import seeding
from augment.vision import augmentations

# Numbers of this file were chosen by hand.
BENT: Spec = {"name": "elastic", "amplitude": 0.25, "degrees": 30.0, "shear": 0.3}
OFFSET = 0.15  # of half a side, by which a cut misses the middle at most
SOFT = 0.05  # of half a side, in which one half fades into the other
CHUNK = 1024  # images made at once: a bound on memory


def foreign(pixels: Pixels, count: int, seed: int) -> Pixels:
    """``count`` images (M, C, S, S) of no class, made of pixels (N, C, S, S), all uint8.

    Three kinds take turns: halves of two images, cut along a line at any angle; the ink of two
    images, one over the other; and an image that is bent out of shape. Ink is what differs from the
    median of an image. The images follow from the arguments alone. Source: Hendrycks, Mazeika &
    Dietterich 2019, Deep Anomaly Detection with Outlier Exposure (arXiv:1812.04606), which takes
    images of another set.
    """
    rng = seeding.rng(seed, "foreign")
    made = np.empty((count, *pixels.shape[1:]), np.uint8)
    bend = augmentations.compose([BENT])
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        first, second = (
            images.to_signed(torch.from_numpy(pixels[rng.integers(len(pixels), size=size)]).float())
            for _ in range(2)
        )
        kinds = (
            _halves(first[0::3], second[0::3], rng),
            _overlaid(first[1::3], second[1::3]),
            bend(first[2::3], seeding.generator(seed, "foreign", start)),
        )
        for place, kind in enumerate(kinds):
            made[start : start + size][place::3] = images.to_uint8(kind.numpy())
    return made


def _halves(first: Tensor, second: Tensor, rng: np.random.Generator) -> Tensor:
    """The one on one side of a line, the other on the other; images (N, C, S, S)."""
    angle, offset = rng.uniform(size=(2, len(first), 1, 1, 1)).astype(np.float32)
    across, down = torch.linspace(-1, 1, first.shape[3]), torch.linspace(-1, 1, first.shape[2])
    angles = torch.from_numpy(2 * math.pi * angle)
    away = across * angles.cos() + down[:, None] * angles.sin()
    away = away - torch.from_numpy(OFFSET * (2 * offset - 1))
    share = torch.sigmoid(away / SOFT)
    return second.lerp(first, share)


def _overlaid(first: Tensor, second: Tensor) -> Tensor:
    """Both on the paper of the first; where inks meet the stronger one counts."""
    ink, other = first - _paper(first), second - _paper(second)
    stronger = torch.where(ink.abs() >= other.abs(), ink, other)
    return (_paper(first) + stronger).clamp(-1, 1)


def _paper(signed: Tensor) -> Tensor:
    """The median of each channel of images (N, C, S, S), as (N, C, 1, 1)."""
    return signed.flatten(2).median(2).values[..., None, None]
