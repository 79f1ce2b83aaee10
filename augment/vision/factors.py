"""Factors: properties of an image that a continuous code may move, each measured as a number.

A factor is ``factor(pixels) -> float64 (N,)`` on uint8 images (N, C, H, W). Ink is the difference
from the background, which is the median of the border; so dark on light and light on dark measure
the same. A blank image gives NaN, never an error.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from augment.data.images import Pixels
from augment.data.types import Doubles
from augment.registry import Registry
from augment.vision.thresholds import otsu_threshold

FACTORS = Registry("factor")
FAINT = 16.0  # levels; an image with less ink than this everywhere is blank; chosen by hand


def measure(pixels: Pixels) -> dict[str, Doubles]:
    """Every registered factor, by name: values (N,) of uint8 images (N, C, H, W)."""
    return {name: FACTORS.build(name)(pixels) for name in FACTORS.names()}


@FACTORS.register("slant", paper="Hu 1962, Visual Pattern Recognition by Moment Invariants")
def slant(pixels: Pixels) -> Doubles:
    """How far strokes lean: sideways per upwards, the tangent; positive to the right, as italics.

    Computed from the central moments as μ11 / μ02. Meant for a single glyph, since a line of text
    also has a slope. NaN where the ink is no higher than a pixel.
    """
    measured = moments(pixels)
    return measured.xy / np.where(measured.yy > 1e-9, measured.yy, np.nan)


@FACTORS.register(
    "width", paper="Rosenfeld & Pfaltz 1966, Sequential Operations in Digital Picture Processing"
)
def width(pixels: Pixels) -> Doubles:
    """Stroke width in pixels, from the mean distance of the ink to the nearest background.

    Across a stroke the distance rises evenly to half the width and falls again, so its mean is a
    quarter of the width. The edge of the image counts as background.
    """
    ink = ink_levels(pixels)
    fine = ink.repeat(2, axis=1).repeat(2, axis=2)
    for axis in (1, 2):  # together with the repetition, interpolation to twice the resolution
        fine = ndimage.correlate1d(fine, [0.25, 0.5, 0.25], axis, mode="nearest")
    masks = np.pad(fine > ink_threshold(ink), ((0, 0), (1, 1), (1, 1)))
    distances = np.stack([ndimage.distance_transform_edt(mask) for mask in masks])
    area = masks.sum((1, 2))
    mean = distances.sum((1, 2)) / np.maximum(area, 1)
    # Pixel centres: in a stroke of 2k half pixels the distances are 1 … k, k … 1, mean (k + 1) / 2.
    return np.where(_blank(ink) | (area == 0), np.nan, 2 * mean - 1)


@FACTORS.register("size")
def size(pixels: Pixels) -> Doubles:
    """Extent of the ink relative to the image: 1 where ink fills it evenly, near 0 for a dot.

    Computed as the diagonal of the rectangle that has the image's shape and the ink's second
    moments, over the diagonal of the image.
    """
    measured = moments(pixels)
    pixel_moment = 1 / 12  # the second moment of a pixel, which is a square
    diagonal = 12 * (measured.xx + pixel_moment + measured.yy + pixel_moment)
    return (diagonal / (measured.height**2 + measured.width**2)) ** 0.5


@FACTORS.register("horizontal")
def horizontal(pixels: Pixels) -> Doubles:
    """Where the ink's centre of mass lies: -1 at the left edge, 1 at the right one."""
    measured = moments(pixels)
    return measured.x / (measured.width / 2)


@FACTORS.register("vertical")
def vertical(pixels: Pixels) -> Doubles:
    """Where the ink's centre of mass lies: -1 at the lower edge, 1 at the upper one."""
    measured = moments(pixels)
    return measured.y / (measured.height / 2)


@FACTORS.register("brightness")
def brightness(pixels: Pixels) -> Doubles:
    """Mean difference of ink from background: 1 for white on black, near 0 for faint ink."""
    strokes = _strokes(pixels)
    mean: Doubles = strokes.sum((1, 2)) / np.maximum((strokes > 0).sum((1, 2)), 1)
    return mean / 255


class Moments(NamedTuple):
    """Of N images of a size in pixels: centres of mass ``x``, ``y``, and central second moments.

    Centres count from the middle of the image, ``x`` rightwards and ``y`` upwards. Each is (N,).
    """

    height: int
    width: int
    x: Doubles
    y: Doubles
    xx: Doubles
    yy: Doubles
    xy: Doubles


def moments(pixels: Pixels) -> Moments:
    """Moments of the ink of uint8 images (N, C, H, W); NaN for a blank image."""
    strokes = _strokes(pixels)
    share = strokes / strokes.sum((1, 2), keepdims=True)
    height, width = share.shape[1:]
    across = np.arange(width) - (width - 1) / 2
    up = (height - 1) / 2 - np.arange(height)
    columns, rows = share.sum(1), share.sum(2)
    x, y = columns @ across, rows @ up
    return Moments(
        height,
        width,
        x,
        y,
        columns @ across**2 - x * x,
        rows @ up**2 - y * y,
        np.einsum("nij,i,j->n", share, up, across) - x * y,
    )


def _strokes(pixels: Pixels) -> Doubles:
    """Ink (N, H, W) in levels, 0 on the background; NaN all over a blank image."""
    ink = ink_levels(pixels)
    strokes = np.where(ink > ink_threshold(ink), ink, 0.0)
    strokes[_blank(ink)] = np.nan
    return strokes


def ink_levels(pixels: Pixels) -> Doubles:
    """Absolute difference from the background (N, H, W) in levels, averaged over the channels."""
    edges = (pixels[:, :, 0], pixels[:, :, -1], pixels[..., 0], pixels[..., -1])
    background = np.median(np.concatenate(edges, axis=2), axis=2)
    ink: Doubles = np.abs(pixels - background[:, :, None, None]).mean(1)
    return ink


def _blank(ink: Doubles) -> NDArray[np.bool_]:
    blank: NDArray[np.bool_] = ink.max((1, 2)) < FAINT
    return blank


def ink_threshold(ink: Doubles) -> Doubles:
    """Level (N, 1, 1) above which is ink: halfway between the means of paper and ink."""
    count = len(ink)
    levels = np.rint(ink).astype(np.int64).reshape(count, -1)
    places = levels + 256 * np.arange(count)[:, None]
    histograms = np.bincount(places.ravel(), minlength=256 * count).reshape(count, 256)
    return otsu_threshold(histograms).halfway[:, None, None]
