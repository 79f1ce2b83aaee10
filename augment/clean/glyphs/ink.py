"""Ink: what is paper and what is written in an image of a glyph, and which strokes belong together.

All of it is relative to the image's own paper and contrast: for either polarity, grey or colour.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from augment.clean.glyphs.pieces import Floats, Mask, Parts, belonging, longer
from augment.data.images import Pixels
from augment.vision.thresholds import otsu_threshold

Line = tuple[int, int, int]  # axis 0 (level) or 1 (upright), and the rows or columns from, to

_SIDE = 160  # greatest side that is looked at; larger images are reduced by a whole factor
_FAINT = 12.0  # levels between paper and ink below which nothing is taken for written
_LEAST = 16  # sides under this have no ruling lines: a stroke may span them
_LINE = 0.12  # of the contrast, that a ruling line stands out by
_FULL = 0.95  # of its length that is seen
_SLACK = 0.015  # of the side, by which it may be out of the level
_RULE = 0.08  # of the side, that a ruling line may be thick
_EDGE = 0.12  # of the side, that a page edge may be thick
_STOUT = 0.5  # of the strokes' width: no line is so stout, but the edge of a page
_SEEN = 0.4  # of its length, that is no stroke
_THIN = 0.15  # where the character fills the image and touches the line
_RIM = 0.02  # of the side: what is thinner at the border is how the image was cropped
_BARE = 0.04  # of the side, that strokes are wide where there are none to measure
_HALO = 0.02  # of the side: paper as near as this to ink may be stained by it
_ENOUGH = 32  # pixels of paper that say something about its grain
_NEAR = 0.018  # of the side: strokes as near as this are one part
_DUST = 0.0003  # of the pixels, that a part has at least
_MOST = 64  # parts that are looked at
_TOUCHING = np.ones((3, 3), bool)


class Glyph(np.ndarray[Any, np.dtype[np.uint8]]):
    """An image that finds its ink once, however many checks ask for it: ``array.view(Glyph)``."""

    @cached_property
    def ink(self) -> Ink:
        """What is written; valid as long as the pixels stay as they are."""
        return Ink(np.asarray(self))


def ink_of(image: Pixels) -> Ink:
    """The ink of an image (H, W) or (H, W, 3); of a Glyph it is found only once."""
    return image.ink if isinstance(image, Glyph) else Ink(image)


class Ink:
    """Paper, ink and pieces of one image, at a side of at most 160 pixels.

    ``factor`` is how much smaller that is. ``dark`` says whether ink is darker than the paper,
    ``away`` (H, W) by how many levels a pixel is on the ink's side of the paper (in the channel
    where it is most), ``mask`` what is ink, and ``contrast`` how far that is away on average.
    Nothing is ink on a blank image.
    """

    def __init__(self, image: Pixels):
        """Look at an image (H, W) or (H, W, 3)."""
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
        """The paper alone, in levels 0 … 255 (height, width, channels)."""
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
        x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
        sheet = sum(term * level for term, level in zip(_terms(y, x), self._sheet, strict=True))
        within: Floats = np.clip(sheet, 0.0, 255.0)
        return within

    @cached_property
    def lines(self) -> list[Line]:
        """Ruling lines and page edges, and no straight stroke of a character that fills the image.

        A line is thinner than strokes or paler, or it is the edge of a page that nothing touches.
        """
        if min(self.mask.shape) < _LEAST or self.contrast < _FAINT:
            return []
        found = []
        for axis in (0, 1):
            across = (self.away if axis == 0 else self.away.T) > _LINE * self.contrast
            most = max(1, round(_SLACK * len(across)))
            for slack in (0, most):  # straight ones first, and their soft edges go with them
                for start, stop in _bands(across, slack):
                    found.append((axis, start, stop))
                    across[max(start - most, 0) : stop + most] = False
        return self._foreign(found) if found else found

    def _foreign(self, found: list[Line]) -> list[Line]:
        """Those of the ``found`` lines that are no strokes of the character itself."""
        strokes, ruled = self._parted(found)
        bare, rim = (max(1.0, share * max(strokes.shape)) for share in (_BARE, _RIM))
        width = 2 * strokes.sum() / _outline(strokes).sum() if strokes.any() else bare
        sides = [np.rot90(self.mask, turn) for turn in range(4)]
        tight = all(side[: _end(len(side))].any() for side in sides)
        foreign = []
        for axis, start, stop in found:
            across, beneath, away = (
                whole if axis == 0 else whole.T for whole in (strokes, ruled, self.away)
            )
            plain = beneath[start:stop].any(axis=0)
            if plain.mean() < _SEEN:
                continue
            touched = across[max(start - 1, 0) : stop + 1].any()
            weight = away[start:stop, plain].sum(axis=0).mean() / self.contrast
            if 0 < start and stop < len(across):
                own = weight >= width * (_THIN if tight and touched else _STOUT)
            else:
                own = tight or touched and weight >= width * _STOUT or weight < rim
            if not own:
                foreign.append((axis, start, stop))
        return foreign

    def _parted(self, lines: list[Line]) -> tuple[Mask, Mask]:
        """Strokes (H, W), and where ``lines`` lie (H, W) but for strokes that cross them."""
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
        """Where ruling lines lie (H, W), but for strokes that cross them."""
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
        """Standard deviation of the paper around its smooth sheet, as a share of the contrast."""
        if self.contrast < _FAINT:
            return 0.0
        near = max(1, round(_HALO * max(self.mask.shape)))
        inked = ndimage.maximum_filter(self.mask | self.ruled, 2 * near + 1)
        rest = self._offset[~inked]
        return float(rest.std() / self.contrast) if rest.size >= _ENOUGH else 0.0

    @cached_property
    def parts(self) -> Parts:
        """Which strokes belong together, and which stand beside them."""
        mask = self.strokes
        reach = round(_NEAR * max(mask.shape) / 2)
        wide = ndimage.maximum_filter(mask, 2 * reach + 1) if reach else mask
        labels = ndimage.label(wide, _TOUCHING)[0] * mask
        pieces = labels[mask]
        areas = np.bincount(pieces)[1:]
        chosen = np.argsort(-areas, kind="stable")[:_MOST]
        chosen = chosen[areas[chosen] > _DUST * mask.size]
        found = ndimage.find_objects(labels)
        boxes = np.array(
            [(y.start, x.start, y.stop, x.stop) for y, x in (found[k] for k in chosen)], np.float64
        ).reshape(-1, 4)
        if len(chosen):
            middle = (boxes[:, :2] + boxes[:, 2:]) / 2 / mask.shape
            central = longer(boxes) * (1 - np.abs(middle - 0.5).max(axis=1))
            first = np.argsort(-central, kind="stable")[:1]
            order = np.concatenate([first, np.delete(np.arange(len(chosen)), first)])
            chosen, boxes = chosen[order], boxes[order]
        place = np.zeros(len(areas) + 1, np.int64)
        place[chosen + 1] = np.arange(len(chosen)) + 1
        labels = place[labels]
        count = len(chosen) + 1
        outline = np.bincount(labels[self.outline], minlength=count)[1:]
        inked = np.bincount(place[pieces], self.away[mask], count)[1:] / max(self.contrast, 1.0)
        widths = (areas[chosen] + inked) / np.maximum(outline, 1)
        strange, sizes = belonging(labels, boxes, areas[chosen], widths)
        return Parts(labels, boxes, strange, sizes, float(widths[0]) if len(widths) else 0.0)


def _otsu(levels: Floats) -> float:
    """The level that parts ``levels`` (0 … 255) best in two; midway where several do."""
    counts = np.bincount((levels + 0.5).astype(np.uint8).ravel(), minlength=256)
    return float(otsu_threshold(counts[None]).level[0])


def _terms(y: Floats, x: Floats) -> tuple[Floats | float, ...]:
    return 1.0, x, y, x * x, x * y, y * y


def _fitted(levels: Floats, plain: Mask) -> Floats:
    """Coefficients (6, channels) of a smooth sheet through the ``plain`` pixels of each channel."""
    height, width, channels = levels.shape
    step = max(1, max(height, width) // 32)
    some = plain[::step, ::step]
    if some.sum() < 60:  # too few for a slope
        flat = levels[plain] if plain.any() else levels.reshape(-1, channels)
        return np.concatenate([np.median(flat, axis=0)[None], np.zeros((5, channels))])
    y = np.linspace(-1, 1, height)[::step, None]
    x = np.linspace(-1, 1, width)[None, ::step]
    terms = np.stack([np.broadcast_to(term, some.shape)[some] for term in _terms(y, x)], axis=1)
    values = levels[::step, ::step][some]
    fit = _least_squares(terms, values)
    away = np.abs(values - terms @ fit).max(axis=1)
    clean = away <= 2.5 * np.median(away)  # neither the soft edge of a stroke nor a stain
    return _least_squares(terms[clean], values[clean]).astype(np.float32)


def _least_squares(terms: Floats, values: Floats) -> Floats:
    """The normal equations: a few numbers, where all rows would take ten times as long."""
    square = terms.T @ terms
    fit: Floats = np.linalg.lstsq(square, terms.T @ values, rcond=None)[0]
    return fit


def _outline(mask: Mask) -> Mask:
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def _end(length: int) -> int:
    """How many pixels from a border on something counts as reaching it."""
    return max(1, length // 32)


def _bands(inked: Mask, slack: int) -> list[tuple[int, int]]:
    """Rows that are inked from border to border: thin ones, or thicker ones at the border.

    A line may leave its row by ``slack`` rows on either side, which then belong to the band.
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
