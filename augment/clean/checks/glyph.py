"""Checks of glyphs: does anything stand beside the character, and was it scanned well.

All measures are relative to the image's own paper and ink (clean/glyphs/ink.py). Thresholds follow
the set: a set whose images all have ruling lines, touch the border or are soft keeps them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from augment.clean.checks.base import CHECKS, Outlier
from augment.clean.glyphs import raster
from augment.clean.glyphs.corners import LIKELY, strangest_corners
from augment.clean.glyphs.ink import ink_of
from augment.data.images import Pixels
from augment.registry import Fraction

_GLYPH = ("glyph",)
_SCORES = 40.0  # scores of corners that the measures 0 … 1 span
_LEAST = 16  # pixels: the corners of an image with a shorter side are not judged; chosen by hand

# The shares of ``Outlier`` are shares of the set's median measure. They and the defaults of options
# were chosen by hand, but for that of cut_off.


@CHECKS.register(
    "secondary_content",
    kind="image",
    threshold=Outlier(share=0.55),
    profiles=_GLYPH,
    alone=True,
)
def secondary_content(image: Pixels, *, size: Fraction = 0.1) -> float:
    """1 less how strange the strangest piece of ink is: a second character, a seal, a smudge.

    A piece is strange if it lies out towards a border, keeps apart from the rest, has thinner
    strokes or is a solid block. A piece that is shorter than ``size`` of the character counts in
    proportion.
    """
    pieces = ink_of(image).pieces
    strange = pieces.strange * np.minimum(1.0, pieces.sizes / max(size, 1e-9))
    return float(1.0 - strange.max(initial=0.0))


@CHECKS.register("ruling_line", kind="image", threshold=Outlier(share=0.6), profiles=_GLYPH)
def ruling_line(image: Pixels) -> float:
    """1 / (1 + n) for n ruling lines and page edges, level or upright, from border to border."""
    return 1.0 / (1.0 + len(ink_of(image).lines))


# 0.62: looked for on planted sets of benchmarks.cleaning with seeds 10 and 11; other shares found
# more only by losing more clean images
@CHECKS.register("cut_off", kind="image", threshold=Outlier(share=0.62), profiles=_GLYPH)
def cut_off(image: Pixels, *, size: Fraction = 0.5) -> float:
    """How little of the character goes on beyond the border; 0 from two widths of its strokes on.

    The side with the most ink at the border counts; a pixel counts by its share of the contrast. A
    stroke that only ends at the border is weaker there than one pixel further in, and counts for so
    much less. Ruling lines are left out, and so are pieces beside the character, unless they are as
    long as ``size`` of it.
    """
    ink = ink_of(image)
    if not any(side[0].any() for side in _sides(ink.strokes)):
        return 1.0
    pieces = ink.pieces
    if not pieces.width:
        return 1.0
    counted = np.array([False, *(pieces.character | (pieces.sizes >= size))])
    most = 0.0
    for labels, away in zip(_sides(pieces.labels), _sides(ink.away), strict=True):
        if not labels[0].any():
            continue
        lines = (counted[labels] * away).sum(axis=1) / ink.contrast
        outer, inner = lines[0], lines[-1]
        most = max(most, float(outer * min(1.0, outer / max(inner, 1e-9))))
    return max(0.0, 1.0 - most / (2.0 * pieces.width))


def _sides(whole: NDArray[Any]) -> list[NDArray[Any]]:
    """The outermost line of each side of (H, W), and behind it the next one."""
    return [turned[:2] for turned in (whole, whole[::-1], whole.T, whole.T[::-1])]


@CHECKS.register("ink_share", kind="image", threshold=Outlier(share=0.25), profiles=_GLYPH)
def ink_share(image: Pixels) -> float:
    """Twice the share of pixels that are ink, up to 1; ruling lines are left out."""
    strokes = ink_of(image).strokes
    return min(1.0, 2.0 * raster.count(strokes) / strokes.size)


@CHECKS.register("blur", kind="image", threshold=Outlier(share=0.55), profiles=_GLYPH)
def blur(image: Pixels) -> float:
    """1 / (1 + w), where w is the width of a stroke's edge in pixels.

    An edge is where a pixel has a quarter to three quarters of the contrast.
    """
    ink = ink_of(image)
    length = raster.count(ink.outline)
    if not length:
        return 1.0
    low, high = (np.float32(share * ink.contrast) for share in (0.25, 0.75))
    return 1.0 / (1.0 + raster.count((ink.away > low) & (ink.away < high)) / length)


@CHECKS.register("noise", kind="image", threshold=Outlier(share=0.6), profiles=_GLYPH)
def noise(image: Pixels, *, worst: Fraction = 0.1) -> float:
    """How quiet the paper is away from strokes; 0 where its grain is ``worst`` of the contrast.

    It finds the grain of a camera, and the waves and blocks of heavy JPEG compression.
    """
    return 1.0 - min(1.0, ink_of(image).grain / max(worst, 1e-9))


# threshold: the value of an image with as much bright paper as dark
@CHECKS.register("inverted", kind="pixels", threshold=0.5, profiles=_GLYPH)
def inverted(table: pd.DataFrame, pixels: Pixels, *, minority: Fraction = 0.25) -> pd.Series:
    """How far the paper is as bright, or as dark, as the paper of most images; 0.5 is undecided.

    Most of the border and of the image is taken for paper. The usual paper is that of most train
    and valid images; where more than ``minority`` of them differ from it, no paper is usual and all
    images pass.
    """
    grey = pixels.mean(axis=3, dtype=np.float32)
    low, high = grey.min(axis=(1, 2)), grey.max(axis=(1, 2))
    bright = grey > ((low + high) / 2)[:, None, None]
    edge = np.concatenate([bright[:, 0], bright[:, -1], bright[:, :, 0], bright[:, :, -1]], axis=1)
    paper = np.where(low < high, (bright.mean(axis=(1, 2)) + edge.mean(axis=1)) / 2, 0.5)
    usable = paper[(table["split"] != "test").to_numpy()]
    usual = float((usable > 0.5).mean()) if len(usable) else 0.5
    measure = paper if usual > 0.5 else 1.0 - paper
    if min(usual, 1.0 - usual) > minority:
        measure = np.ones_like(measure)
    return pd.Series(measure, index=table.index)


# Deviations and most: looked for where LIKELY was. Without a share, for the measure is no share.
@CHECKS.register(
    "corner_content",
    kind="pixels",
    threshold=Outlier(share=1.0, deviations=2.0, most=0.5),
    profiles=_GLYPH,
    alone=True,
)
def corner_content(table: pd.DataFrame, pixels: Pixels) -> pd.Series:
    """How little the ink in any corner looks like a second character, though it touches the first.

    It looks like one if it is paler than the rest, joined to it by little ink, long for its size
    and near the corner. Images with a side of less than 16 pixels pass: one stroke may fill their
    corner.
    """
    sizes = table[["height", "width"]].to_numpy()
    score = strangest_corners(pixels, sizes).score
    measure = np.clip(0.5 - (score - LIKELY) / _SCORES, 0.0, 1.0)
    return pd.Series(np.where(sizes.min(axis=1) < _LEAST, 1.0, measure), index=table.index)
