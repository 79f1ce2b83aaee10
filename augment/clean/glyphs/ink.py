"""Ink: tells paper from ink in an image of a glyph, finds ruling lines and the pieces of ink.

All measures are relative to the image's own paper and contrast, so that dark and bright ink, grey
and colour are treated alike.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from augment.clean.glyphs.pieces import Floats, Mask, Pieces, belonging, longer
from augment.data.images import Pixels
from augment.vision.thresholds import otsu_threshold

Line = tuple[int, int, int]  # axis 0 (level) or 1 (upright), first row or column, end row or column

# All numbers were chosen by hand. Pixels are those of the reduced image, "side" its longer side.
_SIDE = 160  # pixels: an image with a longer side is reduced by a whole factor
_FAINT = 12.0  # levels: with less contrast than this nothing is ink
_NEAR = 0.018  # share of the side: strokes with a smaller gap are one piece
_DUST = 0.0003  # share of the image's pixels: a piece has more than this
_MOST = 64  # pieces: only the largest are kept
_TOUCHING = np.ones((3, 3), bool)  # pixels that touch at a corner are one piece
_HALO = 0.02  # share of the side: paper within this distance of ink may be stained by it
_ENOUGH = 32  # pixels of paper: with fewer its grain is not measured

# Candidates for ruling lines.
_LEAST = 16  # pixels: an image with a shorter side has no lines, for one stroke may span it
_LINE = 0.12  # share of the contrast: a pixel of a line stands out by more than this
_FULL = 0.95  # share of a row's pixels, at least, that are inked
_SLACK = 0.015  # share of the image across the line: it may leave its row by this much
_RULE = 0.08  # share of the image across the line: a line is at most this thick
_EDGE = 0.12  # the same share for the edge of a page, which lies at the border

# A candidate that is a straight stroke of the character. Chosen so that letters that fill their
# image, and T, L, E, H, 十, 一 and 二, keep their strokes (tests/clean/test_ink.py).
_SEEN = 0.4  # share of a line's length, at least, that no stroke covers
_STOUT = 0.5  # share of the strokes' width: a candidate as thick as this is a stroke
_THIN = 0.15  # the same share where the character fills the image and touches the candidate
_RIM = 0.02  # share of the side: what is thinner than this at the border comes from cropping
_BARE = 0.04  # share of the side: the strokes' width where there is no stroke to measure


class Glyph(np.ndarray[Any, np.dtype[np.uint8]]):
    """An image that finds its ink once, however many checks ask for it: ``array.view(Glyph)``."""

    @cached_property
    def ink(self) -> Ink:
        """The ink of this image; valid as long as its pixels do not change."""
        return Ink(np.asarray(self))


def ink_of(image: Pixels) -> Ink:
    """The ink of an image (H, W) or (H, W, 3), uint8; it is found only once for a Glyph."""
    return image.ink if isinstance(image, Glyph) else Ink(image)


class Ink:
    """Paper, ink and pieces of one image, reduced to a side (H or W) of at most 160 pixels.

    factor: how many times smaller the reduced image is.
    dark: whether ink is darker than the paper.
    away (H, W): distance of a pixel from the paper towards the ink in levels, 0 … 255, in the
    channel where it is greatest.
    mask (H, W): which pixels are ink; none on a blank image.
    contrast: mean of ``away`` over the ink, in levels; 0 without ink.
    """

    def __init__(self, image: Pixels):
        """Find paper and ink of an image (H, W) or (H, W, 3), uint8; the rest on demand."""
        self.factor = -(-max(image.shape[:2]) // _SIDE)
        small = np.asarray(
            Image.fromarray(image).reduce(self.factor) if self.factor > 1 else image, np.float32
        )
        levels = small.reshape(*small.shape[:2], -1)
        grey = levels.mean(axis=2)
        bright = grey > _otsu(grey)
        edge = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
        self.dark = bool(bright.mean() + edge.mean() >= 1.0)
        self._sheet = _fitted(levels, bright if self.dark else ~bright)
        paper = self.paper(*grey.shape)
        self._offset = (paper - levels if self.dark else levels - paper).max(axis=2)
        self.away: Floats = np.maximum(self._offset, 0.0)
        self.mask: Mask = self.away > _otsu(self.away)
        self.contrast = float(self.away[self.mask].mean()) if self.mask.any() else 0.0
        if self.contrast < _FAINT:
            self.mask = np.zeros_like(self.mask)

    def paper(self, height: int, width: int) -> Floats:
        """The paper without ink (height, width, channels), in levels, 0 … 255."""
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
        x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
        sheet = sum(term * level for term, level in zip(_terms(y, x), self._sheet, strict=True))
        within: Floats = np.clip(sheet, 0.0, 255.0)
        return within

    @cached_property
    def lines(self) -> list[Line]:
        """Ruling lines and page edges, in pixels of the reduced image.

        A line is thinner or paler than strokes, or it is the edge of a page that nothing touches. A
        straight stroke of a character that fills the image is none.
        """
        if min(self.mask.shape) < _LEAST or self.contrast < _FAINT:
            return []
        candidates = []
        for axis in (0, 1):
            across = (self.away if axis == 0 else self.away.T) > _LINE * self.contrast
            most = max(1, round(_SLACK * len(across)))
            for slack in (0, most):  # straight ones first, and their soft edges go with them
                for start, stop in _bands(across, slack):
                    candidates.append((axis, start, stop))
                    across[max(start - most, 0) : stop + most] = False
        return self._foreign(candidates) if candidates else []

    def _foreign(self, candidates: list[Line]) -> list[Line]:
        """The candidates that are no strokes of the character itself."""
        strokes, ruled = self._parted(candidates)
        bare, rim = (max(1.0, share * max(strokes.shape)) for share in (_BARE, _RIM))
        width = 2 * strokes.sum() / _outline(strokes).sum() if strokes.any() else bare
        sides = [np.rot90(self.mask, turn) for turn in range(4)]
        tight = all(side[: _end(len(side))].any() for side in sides)
        foreign = []
        for axis, start, stop in candidates:
            across, beneath, away = (
                whole if axis == 0 else whole.T for whole in (strokes, ruled, self.away)
            )
            plain = beneath[start:stop].any(axis=0)
            if plain.mean() < _SEEN:
                continue
            touched = across[max(start - 1, 0) : stop + 1].any()
            weight = away[start:stop, plain].sum(axis=0).mean() / self.contrast
            if 0 < start and stop < len(across):
                is_stroke = weight >= width * (_THIN if tight and touched else _STOUT)
            else:
                is_stroke = tight or touched and weight >= width * _STOUT or weight < rim
            if not is_stroke:
                foreign.append((axis, start, stop))
        return foreign

    def _parted(self, lines: list[Line]) -> tuple[Mask, Mask]:
        """The strokes (H, W), and the pixels of ``lines`` (H, W) that no stroke crosses."""
        strokes, ruled = self.mask.copy(), np.zeros_like(self.mask)
        for axis, start, stop in lines:
            across, beneath = (strokes, ruled) if axis == 0 else (strokes.T, ruled.T)
            plain = ~(across[start - 1] if start else np.zeros(across.shape[1], bool))
            if stop < len(across):
                plain &= ~across[stop]
            across[start:stop, plain] = False
            beneath[start:stop, plain] = True
        return strokes, ruled

    @cached_property
    def ruled(self) -> Mask:
        """The pixels of ruling lines (H, W) that no stroke crosses."""
        return self._parted(self.lines)[1]

    @cached_property
    def strokes(self) -> Mask:
        """The ink (H, W) without ruling lines."""
        return self._parted(self.lines)[0] if self.lines else self.mask

    @cached_property
    def outline(self) -> Mask:
        """The outermost pixels (H, W) of all strokes."""
        return _outline(self.strokes)

    @cached_property
    def grain(self) -> float:
        """Standard deviation of the paper around its smooth sheet, as a share of the contrast.

        0 without ink, and where too little paper lies away from it.
        """
        if self.contrast < _FAINT:
            return 0.0
        near = max(1, round(_HALO * max(self.mask.shape)))
        inked = ndimage.maximum_filter(self.mask | self.ruled, 2 * near + 1)
        rest = self._offset[~inked]
        return float(rest.std() / self.contrast) if rest.size >= _ENOUGH else 0.0

    @cached_property
    def pieces(self) -> Pieces:
        """The pieces of ink, without ruling lines and without dust."""
        mask = self.strokes
        reach = round(_NEAR * max(mask.shape) / 2)
        wide = ndimage.maximum_filter(mask, 2 * reach + 1) if reach else mask
        labels = ndimage.label(wide, _TOUCHING)[0] * mask
        inked_labels = labels[mask]
        areas = np.bincount(inked_labels)[1:]
        kept = np.argsort(-areas, kind="stable")[:_MOST]
        kept = kept[areas[kept] > _DUST * mask.size]
        slices = ndimage.find_objects(labels)
        boxes = np.array(
            [(y.start, x.start, y.stop, x.stop) for y, x in (slices[k] for k in kept)], np.float64
        ).reshape(-1, 4)
        if len(kept):
            middle = (boxes[:, :2] + boxes[:, 2:]) / 2 / mask.shape
            central = longer(boxes) * (1 - np.abs(middle - 0.5).max(axis=1))
            first = np.argsort(-central, kind="stable")[:1]
            order = np.concatenate([first, np.delete(np.arange(len(kept)), first)])
            kept, boxes = kept[order], boxes[order]
        place = np.zeros(len(areas) + 1, np.int64)
        place[kept + 1] = np.arange(len(kept)) + 1
        labels = place[labels]
        count = len(kept) + 1
        outline = np.bincount(labels[self.outline], minlength=count)[1:]
        away = np.bincount(place[inked_labels], self.away[mask], count)[1:]
        widths = (areas[kept] + away / max(self.contrast, 1.0)) / np.maximum(outline, 1)
        strange, sizes = belonging(labels, boxes, areas[kept], widths)
        return Pieces(labels, boxes, strange, sizes, float(widths[0]) if len(widths) else 0.0)


def _otsu(levels: Floats) -> float:
    """The level that parts ``levels`` (0 … 255) best in two; midway where several do."""
    counts = np.bincount((levels + 0.5).astype(np.uint8).ravel(), minlength=256)
    return float(otsu_threshold(counts[None]).level[0])


def _terms(y: Floats, x: Floats) -> tuple[Floats | float, ...]:
    """The terms of a quadratic sheet at places -1 … 1."""
    return 1.0, x, y, x * x, x * y, y * y


def _fitted(levels: Floats, plain: Mask) -> Floats:
    """Coefficients (6, channels) of a smooth sheet through the paper, for each channel.

    levels (H, W, channels), plain (H, W): which pixels are paper. A second fit leaves out pixels
    over 2.5 times the median residual away, a bound chosen by hand: the soft edges of strokes, and
    stains. With under 60 pixels of paper, too few for a slope, the sheet is flat.
    """
    height, width, channels = levels.shape
    step = max(1, max(height, width) // 32)
    sampled = plain[::step, ::step]
    if sampled.sum() < 60:
        flat = levels[plain] if plain.any() else levels.reshape(-1, channels)
        return np.concatenate([np.median(flat, axis=0)[None], np.zeros((5, channels))])
    y = np.linspace(-1, 1, height)[::step, None]
    x = np.linspace(-1, 1, width)[None, ::step]
    grid = (np.broadcast_to(term, sampled.shape) for term in _terms(y, x))
    terms = np.stack([term[sampled] for term in grid], axis=1)
    values = levels[::step, ::step][sampled]
    fit = _least_squares(terms, values)
    away = np.abs(values - terms @ fit).max(axis=1)
    clean = away <= 2.5 * np.median(away)
    return _least_squares(terms[clean], values[clean]).astype(np.float32)


def _least_squares(terms: Floats, values: Floats) -> Floats:
    """Least squares by the normal equations, ten times as fast as with all rows."""
    square = terms.T @ terms
    fit: Floats = np.linalg.lstsq(square, terms.T @ values, rcond=None)[0]
    return fit


def _outline(mask: Mask) -> Mask:
    """The pixels of ``mask`` (H, W) with a neighbour above, below, left or right that is not."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def _end(length: int) -> int:
    """The distance from a border, in pixels, at which something counts as reaching it."""
    return max(1, length // 32)


def _bands(inked: Mask, slack: int) -> list[tuple[int, int]]:
    """First and end row of each band of rows that are inked (H, W) from border to border.

    A band is thin, but at the border it may be thicker. A line may leave its row by ``slack`` rows
    on either side, which then belong to the band.
    """
    height, width = inked.shape
    if slack:
        inked = ndimage.maximum_filter1d(inked, 2 * slack + 1, axis=0)
    end = _end(width)
    reaching = inked[:, :end].any(axis=1) & inked[:, -end:].any(axis=1)
    full = reaching & (inked.mean(axis=1) >= _FULL)
    edges = np.flatnonzero(np.diff(full, prepend=False, append=False))
    return [
        (start, stop)
        for start, stop in edges.reshape(-1, 2).tolist()
        if stop - start - 2 * slack <= height * (_RULE if 0 < start and stop < height else _EDGE)
    ]
