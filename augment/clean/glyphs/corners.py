"""Corners: the rectangle in a corner of an image whose ink looks most like a character of its own.

A second character that touches the first is no piece of its own. But some rectangle in its corner
holds it, and little ink crosses the rectangle's inner edges.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augment.clean.glyphs.raster import Mask
from augment.data.images import Pixels
from augment.data.types import Floats
from augment.vision.thresholds import otsu_threshold

# Found on MNIST's digits, scikit-learn's and rendered characters with a small character planted in
# a corner until it touched the first one (benchmarks.cleaning.faults.touching, seed 1000): the
# best of 81 sets of weights at 0.35 % of the clean images.
_PALER, _NECK, _LENGTH, _AWAY = -8.0, -5.0, 1.0, -40.0
LIKELY = -14.5  # score: 0.4 % of MNIST's clean digits have a higher one

# Chosen by hand.
_TOGETHER = 256  # images that are looked at together, for memory
_FAINT = 12.0  # levels: with less contrast than this nothing is ink; as in clean/glyphs/ink.py
_LEAST = 4  # pixels of ink in a corner, at least
_MOST = 0.45  # share of all ink in a corner, at most
_FULL = 0.9  # share of a row or column that is ink: it is a ruling line
_CROSSING = 2.0  # widths of the other strokes: more ink than this must not cross the edges


class Corners(NamedTuple):
    """The most character-like corner of each of N images.

    score (N,): the higher, the more it looks like a character; -inf without a corner with ink.
    corner (N,): 1 is added for a corner at the bottom, 2 for one at the right.
    rows, columns (N,): how many rows and columns of the small image it takes.
    """

    score: Floats
    corner: NDArray[np.int64]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


def strangest_corners(small: Pixels, sizes: NDArray[np.int64]) -> Corners:
    """The most character-like corner of each of ``small`` (N, S, S, 3).

    sizes (N, 2): height and width of the images that were padded to squares.
    """
    starts = range(0, max(len(small), 1), _TOGETHER)
    parts = [_strangest(small[k : k + _TOGETHER], sizes[k : k + _TOGETHER]) for k in starts]
    return Corners(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def margins(sizes: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Rows above and columns before an image of ``sizes`` (…, 2) in its square of ``side``."""
    inner = np.maximum(np.rint(side * sizes / sizes.max(axis=-1, keepdims=True)), 1)
    around: NDArray[np.int64] = (side - inner.astype(np.int64)) // 2
    return around


def _strangest(small: Pixels, sizes: NDArray[np.int64]) -> Corners:
    mask, ink, contrast = _inked(small.mean(axis=3, dtype=np.float32))
    score, usable = _scores(mask, ink, margins(sizes, small.shape[1]))
    score = np.where(usable & (contrast >= _FAINT)[:, None, None, None], score, -np.inf)
    flat = score.reshape(len(score), int(np.prod(score.shape[1:])))
    best = flat.argmax(axis=1)
    corner, row, column = np.unravel_index(best, score.shape[1:])
    highest = flat[np.arange(len(best)), best].astype(np.float32)
    return Corners(highest, corner, row + 1, column + 1)


def _inked(grey: Floats) -> tuple[Mask, Floats, Floats]:
    """Which pixels (N, S, S) are ink, how much of it, 0 … 1, and the contrast (N,) in levels.

    Lines from border to border are left out.
    """
    bright = grey > ((grey.min(axis=(1, 2)) + grey.max(axis=(1, 2))) / 2)[:, None, None]
    edge = np.concatenate([bright[:, 0], bright[:, -1], bright[:, :, 0], bright[:, :, -1]], axis=1)
    dark = bright.mean(axis=(1, 2)) + edge.mean(axis=1) >= 1.0
    offset = grey - np.median(grey, axis=(1, 2))[:, None, None]
    away = np.maximum(np.where(dark[:, None, None], -offset, offset), 0.0)
    levels = (away + 0.5).astype(np.int64) + 256 * np.arange(len(away))[:, None, None]
    counts = np.bincount(levels.ravel(), minlength=256 * len(away)).reshape(-1, 256)
    mask = away > otsu_threshold(counts).level[:, None, None]
    ruled = [mask.mean(axis=axis, keepdims=True) >= _FULL for axis in (1, 2)]
    mask &= ~(ruled[0] | ruled[1])
    inked = np.where(mask, away, 0.0)
    contrast = inked.sum(axis=(1, 2)) / np.maximum(mask.sum(axis=(1, 2)), 1)
    ink = np.minimum(inked / np.maximum(contrast, 1.0)[:, None, None], 1.0)
    return mask, ink.astype(np.float32), contrast.astype(np.float32)


def _scores(mask: Mask, ink: Floats, around: NDArray[np.int64]) -> tuple[Floats, Mask]:
    """The score of each rectangle in each corner (N, 4, S / 2, S / 2), and which are usable.

    Rectangles by corner, rows and columns. A rectangle is like a character if its strokes are
    paler than the others, if little ink crosses its inner edges (counted in widths of its strokes),
    if its strokes are long for its size and if they begin near the corner.
    """
    side, half = mask.shape[1], mask.shape[1] // 2
    padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    inner = padded[:, :-2, 1:-1] & padded[:, 2:, 1:-1] & padded[:, 1:-1, :-2] & padded[:, 1:-1, 2:]
    area, inked, outline = (_summed(_turned(part, half)) for part in (mask, ink, mask & ~inner))
    all_area, all_ink, all_outline = (
        part.sum(axis=(1, 2), dtype=np.float32)[:, None, None, None]
        for part in (mask, ink, mask & ~inner)
    )
    width = np.maximum((area + inked) / np.maximum(outline, 1), 0.1)
    rest = (all_area - area + all_ink - inked) / np.maximum(all_outline - outline, 1)
    paler = (inked / np.maximum(area, 1)) / np.maximum(
        (all_ink - inked) / np.maximum(all_area - area, 1), 1e-6
    )
    turned = _turned(ink, half + 1)
    crossing = np.minimum(turned[..., :-1, :-1], turned[..., 1:, :-1]).cumsum(axis=3)
    crossing += np.minimum(turned[..., :-1, :-1], turned[..., :-1, 1:]).cumsum(axis=2)
    whole = _turned(mask, side)
    top = _first(whole[..., :half, :half], 2)[:, :, None]
    left = _first(whole[..., :half, :half], 3)[..., None]
    number = np.arange(1, half + 1)
    longer = np.maximum(number[:, None] - top, number - left)
    above, before = around[:, :1, None, None], around[:, 1:, None, None]
    away = np.clip(np.maximum(top - above, left - before) / side, 0.0, 0.3)
    score = (
        _PALER * np.clip(paler, 0.5, 1.1)
        + _NECK * np.clip(crossing / width, 0.0, 1.5)
        + _LENGTH * np.clip(area / width / np.maximum(longer, 1), 0.5, 2.0)
        + _AWAY * away
    )
    usable = (area >= _LEAST) & (area < _MOST * all_area) & (crossing < _CROSSING * rest)
    usable &= (top < number[:, None]) & (left < number)
    return score.astype(np.float32), usable


def _turned(whole: NDArray[Any], size: int) -> NDArray[Any]:
    """The corners (N, 4, size, size) of (N, S, S), each turned to the upper left."""
    ends = (whole, whole[:, ::-1], whole[:, :, ::-1], whole[:, ::-1, ::-1])
    return np.stack([end[:, :size, :size] for end in ends], axis=1)


def _summed(corners: NDArray[Any]) -> Floats:
    """The sums over all rectangles that begin in the upper left corner of (N, 4, R, C)."""
    return corners.cumsum(axis=2, dtype=np.float32).cumsum(axis=3)


def _first(mask: Mask, axis: int) -> NDArray[np.int64]:
    """The first place along ``axis`` that is true in the lines up to each; the length for none."""
    first = np.where(mask.any(axis=axis), mask.argmax(axis=axis), mask.shape[axis])
    return np.minimum.accumulate(first, axis=2)
