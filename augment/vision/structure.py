"""The structure of images: what they show, without how it is painted.

Each function takes images (N, C, H, W) in [-1, 1] to images of the same shape and range. Applied to
a structure they give much the same again, so that a user may draw one, or hand in an image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from augment.vision.edges import blurred, slopes

Structure = Literal["skeleton", "edges", "layout"]

STROKE = 8  # times that the side holds half a stroke's width, at least; chosen by hand
BLUR = 16  # times that the shorter side holds the deviation of a layout's blur; chosen by hand
TINY = 1e-6  # of contrast: an image with less is plain


def structure_of(images: Tensor, kind: Structure) -> Tensor:
    """The structure of ``images`` (N, C, H, W); nothing is differentiated through it."""
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        return _KINDS[kind](images.float())


def skeleton(images: Tensor) -> Tensor:
    """The middle lines of strokes, light on dark, whatever the image's own colours are.

    Source: Shit et al. 2021, clDice (arXiv:2003.07311), algorithm 1: what of ever thinner strokes
    an opening would take away. Strokes are what covers less than half of the image.
    """
    ink = (images.mean(1, keepdim=True) + 1) / 2
    ink = torch.where(ink.mean((2, 3), keepdim=True) > 0.5, 1 - ink, ink)
    least, most = ink.amin((2, 3), keepdim=True), ink.amax((2, 3), keepdim=True)
    ink = (ink - least) / (most - least).clamp(min=TINY)
    lines = torch.zeros_like(ink)
    for _ in range(max(ink.shape[2:]) // STROKE + 1):
        thinner = _eroded(ink)
        lost = (ink - functional.max_pool2d(thinner, 3, 1, 1)).clamp(min=0)
        lines = lines + lost * (1 - lines)
        ink = thinner
    most = lines.amax((2, 3), keepdim=True).clamp(min=TINY)
    return (lines / most * 2 - 1).expand_as(images)


def edges(images: Tensor) -> Tensor:
    """How steep an image is, light on dark: -1 where it is flat, 1 from a step of 2 on."""
    steep = slopes(images).square().sum(1, keepdim=True).sqrt()
    return (steep.clamp(max=1) * 2 - 1).expand_as(images)


def layout(images: Tensor) -> Tensor:
    """Where which colours lie: the image under a blur."""
    return blurred(images, min(images.shape[2:]) / BLUR)


def _eroded(ink: Tensor) -> Tensor:
    """``ink`` (N, 1, H, W), each place as light as the darkest beside, above and below it."""
    rows, columns = (
        functional.max_pool2d(-ink, size, 1, [side // 2 for side in size])
        for size in ([3, 1], [1, 3])
    )
    return -torch.maximum(rows, columns)


_KINDS: dict[Structure, Callable[[Tensor], Tensor]] = {
    "skeleton": skeleton,
    "edges": edges,
    "layout": layout,
}
