"""Ink: tells paper from ink in an image of a glyph, finds ruling lines and the pieces of ink.

All measures are relative to the image's own paper and contrast, so that dark and bright ink, grey
and colour are treated alike.
"""

from __future__ import annotations

import math
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.linalg import lapack

from augment.clean.glyphs import raster
from augment.clean.glyphs.pieces import Box, Pieces, longer, pieces_of
from augment.clean.glyphs.raster import Mask
from augment.data.images import Pixels
from augment.data.types import Doubles, Floats

Line = tuple[int, int, int]  # axis 0 (level) or 1 (upright), first row or column, end row or column

# All numbers were chosen by hand. Pixels are those of the reduced image, "side" its longer side.
_SIDE = 160  # pixels: an image with a longer side is reduced by a whole factor
_FAINT = 12.0  # levels: with less contrast than this nothing is ink
_NEAR = 0.018  # share of the side: strokes with a smaller gap are one piece
_DUST = 0.0003  # share of the image's pixels: a piece has more than this
_MOST = 64  # pieces: only the largest are kept
_HALO = 0.02  # share of the side: paper within this distance of ink may be stained by it
_SINGULAR = 1e-4  # least ratio of a Cholesky factor's diagonal for equations that are solved by it
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


# Of y and x: the six terms of a quadratic sheet, then what else their products with each other are.
_TERMS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0))
_POWERS = (*_TERMS, *((down, all_ - down) for all_ in (3, 4) for down in range(all_ + 1)))
_PRODUCTS = np.array([[_POWERS.index((a + c, b + d)) for c, d in _TERMS] for a, b in _TERMS])


class Glyph(np.ndarray[Any, np.dtype[np.uint8]]):
    """An image that finds its ink once, however many checks ask for it: ``array.view(Glyph)``.

    What it has found is valid as long as its pixels do not change.
    """

    @cached_property
    def ink(self) -> Ink:
        """The ink of this image."""
        return Ink(self)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How many pixels have each level (channels, 256)."""
        return _counts(np.asarray(self))


def ink_of(image: Pixels) -> Ink:
    """The ink of an image (H, W) or (H, W, 3), uint8; it is found only once for a Glyph."""
    return image.ink if isinstance(image, Glyph) else Ink(image)


def counts_of(image: Pixels) -> NDArray[np.int64]:
    """How many pixels have each level (channels, 256); they are counted only once for a Glyph."""
    return image.counts if isinstance(image, Glyph) else _counts(image)


def _counts(image: Pixels) -> NDArray[np.int64]:
    channels = [image] if image.ndim == 2 else image.transpose(2, 0, 1)
    return np.array([raster.histogram(channel) for channel in channels])


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
        whole = np.asarray(image)
        small = (
            whole
            if self.factor == 1
            else np.asarray(Image.fromarray(whole).reduce(self.factor), np.uint8)
        )
        levels = small.reshape(*small.shape[:2], -1).astype(np.float32)
        bright = raster.bright(small) if small.ndim == 2 else _bright(levels.mean(axis=2))
        edges = (bright[0], bright[-1], bright[:, 0], bright[:, -1])
        edge = sum(map(raster.count, edges)) / sum(map(len, edges))
        self.dark = bool(_share(bright) + edge >= 1.0)
        self._sheet = _fitted(levels, bright if self.dark else ~bright)
        paper = self.paper(*small.shape[:2])
        offset = paper - levels if self.dark else levels - paper
        self._offset: Floats = offset[..., 0] if small.ndim == 2 else offset.max(axis=2)
        self.away: Floats = np.maximum(self._offset, np.float32(0))
        self.mask: Mask = _bright(self.away)
        self.contrast = _mean(self.away, self.mask)
        if self.contrast < _FAINT:
            self.mask = np.zeros_like(self.mask)

    def paper(self, height: int, width: int) -> Floats:
        """The paper without ink (height, width, channels), in levels, 0 … 255."""
        down, right = _powers(height), _powers(width).T
        sheets = [down @ sheet @ right for sheet in self._sheet]
        whole: Floats = sheets[0][..., None] if len(sheets) == 1 else np.stack(sheets, axis=2)
        flat = self._sheet[:, 0, 0]
        most = np.abs(self._sheet).sum(axis=(1, 2)) - np.abs(flat)  # the sheet is flat ± most
        if (flat < most).any() or (flat + most > 255).any():
            np.clip(whole, 0, 255, out=whole)
        return whole

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
            away = self.away if axis == 0 else self.away.T
            end, level = _end(away.shape[1]), _LINE * self.contrast
            if away[:, :end].max() <= level or away[:, -end:].max() <= level:
                continue
            across = away > level
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
        width = 2 * strokes.sum() / raster.outline(strokes).sum() if strokes.any() else bare
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
        return raster.outline(self.strokes)

    @cached_property
    def grain(self) -> float:
        """Standard deviation of the paper around its smooth sheet, as a share of the contrast.

        0 without ink, and where too little paper lies away from it.
        """
        if self.contrast < _FAINT:
            return 0.0
        near = max(1, round(_HALO * max(self.mask.shape)))
        inked = raster.grown(self.mask | self.ruled if self.lines else self.mask, near)
        paper = (~inked).astype(np.float32)
        count = inked.size - raster.count(inked)
        if count < _ENOUGH:
            return 0.0
        offset = (self._offset * paper).ravel()
        mean, square = np.dot(offset, paper.ravel()) / count, np.dot(offset, offset) / count
        return math.sqrt(max(float(square) - float(mean) ** 2, 0.0)) / self.contrast

    @cached_property
    def pieces(self) -> Pieces:
        """The pieces of ink, without ruling lines and without dust."""
        mask = self.strokes
        reach = round(_NEAR * max(mask.shape) / 2)
        count, parts = raster.connected(raster.grown(mask, reach) if reach else mask)
        parts = parts * mask
        at = np.flatnonzero(mask)
        part_of = parts.ravel()[at]
        areas = np.bincount(part_of, minlength=count + 1)
        outlines = np.bincount(part_of[self.outline.ravel()[at]], minlength=count + 1)
        away = np.bincount(part_of, self.away.ravel()[at], minlength=count + 1)
        widths = (areas + away / max(self.contrast, 1.0)) / np.maximum(outlines, 1)
        kept = 1 + np.argsort(-areas[1:], kind="stable")[:_MOST]
        order = [part for part in kept.tolist() if areas[part] > _DUST * mask.size]
        boxes = {part: raster.box(parts == part if count > 1 else mask) for part in order}
        if len(order) > 1:
            main = max(order, key=lambda part: _central(boxes[part], mask.shape))
            order = [main, *(part for part in order if part != main)]
        return pieces_of(
            parts,
            order,
            [boxes[part] for part in order],
            areas[order].tolist(),
            widths[order].tolist(),
        )


def _central(box: Box, shape: tuple[int, ...]) -> float:
    """The longer side of a box in pixels, and the less the farther it lies from the middle."""
    places = ((box[k] + box[k + 2]) / 2 / shape[k] for k in (0, 1))
    return longer(box) * (1 - max(abs(place - 0.5) for place in places))


def _bright(levels: Floats) -> Mask:
    """The brighter ones of ``levels`` (H, W), 0 … 255, to the nearest whole level."""
    return raster.bright((levels + np.float32(0.5)).astype(np.uint8))


def _share(mask: Mask) -> float:
    return raster.count(mask) / mask.size


def _mean(values: Floats, mask: Mask) -> float:
    """The mean of ``values`` (H, W) in ``mask``; 0 where it is empty."""
    count = raster.count(mask)
    total = np.dot(values.ravel(), mask.ravel().astype(np.float32))
    return float(total) / count if count else 0.0


@lru_cache(maxsize=16)
def _powers(count: int) -> Floats:
    """1, t and t² (count, 3) at as many places t from -1 to 1."""
    return np.vander(np.linspace(-1, 1, count), 3, increasing=True).astype(np.float32)


@lru_cache(maxsize=16)
def _grid(height: int, width: int) -> tuple[int, Doubles]:
    """The step of a grid of about 32 × 32 places, and there ``_POWERS`` (15, N) of y and x.

    y and x go from -1 to 1.
    """
    step = max(1, max(height, width) // 32)
    y = np.linspace(-1, 1, height)[::step, None]
    x = np.linspace(-1, 1, width)[None, ::step]
    return step, np.stack([(y**down * x**right).ravel() for down, right in _POWERS])


def _fitted(levels: Floats, plain: Mask) -> Floats:
    """Coefficients of a smooth sheet through the paper (channels, 3, 3), by powers of y and x.

    levels (H, W, channels), plain (H, W): which pixels are paper. A second fit leaves out pixels
    over 2.5 times the median residual away, a bound chosen by hand: the soft edges of strokes, and
    stains. With under 60 pixels of paper, too few for a slope, the sheet is flat.
    """
    height, width, channels = levels.shape
    step, powers = _grid(height, width)
    sampled = plain[::step, ::step].ravel()
    sheet = np.zeros((channels, 3, 3), np.float32)
    if raster.count(sampled) < 60:
        flat = levels[plain] if plain.any() else levels.reshape(-1, channels)
        sheet[:, 0, 0] = np.median(flat, axis=0)
        return sheet
    values = levels[::step, ::step].reshape(-1, channels).T
    used, weighted = sampled, np.empty((1 + channels, len(sampled)))
    for again in (True, False):  # by the normal equations, ten times as fast as with all rows
        weighted[0] = used
        np.multiply(values, used, out=weighted[1:])
        sums = powers @ weighted.T
        fit = _solved(sums[:, 0][_PRODUCTS], sums[:6, 1:])
        if again:
            away = np.abs(values - fit.T @ powers[:6])
            away = away[0] if channels == 1 else away.max(axis=0)
            used = sampled & (away <= 2.5 * _median(away[sampled]))
    sheet[:, 0], sheet[:, 1, :2], sheet[:, 2, 0] = fit[:3].T, fit[3:5].T, fit[5]
    return sheet


def _median(values: Doubles) -> float:
    """np.median, in half the time."""
    half = len(values) // 2
    low = half - 1 + len(values) % 2
    parted = np.partition(values, (low, half))
    return float(parted[low] + parted[half]) / 2


def _solved(square: Doubles, right: Doubles) -> Doubles:
    """The solution (6, channels) of normal equations, the smallest one where there are many."""
    factor, fit, failed = lapack.dposv(square, right)
    diagonal = factor.diagonal().tolist()
    if failed or min(diagonal) < _SINGULAR * max(diagonal):  # all paper in a row or two
        fit = np.linalg.lstsq(square, right, rcond=None)[0]
    return np.asarray(fit, np.float64)


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
        inked = raster.grown(inked, slack, 0)
    end = _end(width)
    reaching = inked[:, :end].any(axis=1) & inked[:, -end:].any(axis=1)
    full = reaching & (inked.mean(axis=1) >= _FULL)
    edges = np.flatnonzero(np.diff(full, prepend=False, append=False))
    return [
        (start, stop)
        for start, stop in edges.reshape(-1, 2).tolist()
        if stop - start - 2 * slack <= height * (_RULE if 0 < start and stop < height else _EDGE)
    ]
