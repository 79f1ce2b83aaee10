"""Pieces of ink: which of them make up the character, and which stand beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from augment.clean.glyphs import raster
from augment.clean.glyphs.raster import Mask
from augment.data.types import Doubles

Box = tuple[int, int, int, int]  # first row, first column, end row and end column, in pixels

# Chosen by hand, like the weights in ``pieces_of``.
_INSIDE = 0.75  # share of a piece's box in the character's box: from here on it belongs to it
_STRANGE = 0.45  # strangeness, 0 … 1: from here on a piece is no part of the character


@dataclass(frozen=True)
class Pieces:
    """K pieces of ink. Strokes that touch or nearly touch are one piece; the main one is first.

    parts (H, W): the part of the ink that each pixel belongs to, 0 for paper.
    order: which part each piece is; parts that are none of the pieces are dust.
    boxes (K, 4): first row, first column, end row and end column, in pixels.
    strange (K,): how little a piece has to do with the main one, 0 … 1.
    sizes (K,): its longer side, as a share of the character's.
    width: mean width of the main piece's strokes in pixels, 0 without a piece.
    """

    parts: NDArray[np.uint16]
    order: Sequence[int]
    boxes: Doubles
    strange: Doubles
    sizes: Doubles
    width: float

    @cached_property
    def labels(self) -> NDArray[np.uint16]:
        """The piece of each pixel (H, W), k + 1 for piece k, 0 for paper and dust."""
        places = np.zeros(max([int(self.parts.max(initial=0)), *self.order]) + 1, np.uint16)
        places[list(self.order)] = np.arange(len(self.order)) + 1
        labels: NDArray[np.uint16] = places[self.parts]
        return labels

    @property
    def character(self) -> Mask:
        """Which pieces make up the character (K,)."""
        return self.strange < _STRANGE


def pieces_of(
    parts: NDArray[np.uint16],
    order: Sequence[int],
    boxes: Sequence[Box],
    areas: Sequence[int],
    widths: Sequence[float],
) -> Pieces:
    """Judge pieces with these parts (H, W), order and boxes, as ``Pieces`` has them.

    areas, widths: ink and mean width of the strokes of each piece, in pixels. A piece is strange if
    it lies out towards a border, has thinner strokes, keeps apart or is a solid block, and less so
    the larger it is. All that are not strange join the main piece; then the others are compared
    with it once more.
    """
    count = len(boxes)
    strange, sizes = [0.0] * count, [1.0] * count
    joined = [place == 0 for place in range(count)]
    for first in (True, False) if count > 1 else ():
        main = _around([box for box, is_in in zip(boxes, joined, strict=True) if is_in])
        side = longer(main)
        sizes = [longer(box) / side for box in boxes]
        strange = [0.0] * count
        if all(joined):
            break
        weight = sum(area for area, is_in in zip(areas, joined, strict=True) if is_in)
        pairs = zip(widths, areas, joined, strict=True)
        width = sum(stroke * area for stroke, area, is_in in pairs if is_in) / weight
        for place, box in enumerate(boxes):
            if joined[place] or _within(box, main) >= _INSIDE:
                continue
            strange[place] = (
                0.4 * _clipped((_reach(box, main, parts.shape) - 0.5) / 0.4)
                + 0.4 * _clipped((1 - widths[place] / width) / 0.6)
                + 0.1 * _solid(box, areas[place])
                - 0.25 * _clipped((sizes[place] - 0.4) / 0.4)
            )
            if first and strange[place] + 0.1 < _STRANGE:  # whatever the gap, it joins
                strange[place] = 0.0
        if any(strange):
            gaps = _gaps(parts, order, boxes, joined, strange)
            strange = [
                _clipped(signs + 0.1 * _clipped(gap / side / 0.5)) if signs else 0.0
                for signs, gap in zip(strange, gaps, strict=True)
            ]
        before, joined = joined, [signs < _STRANGE for signs in strange]
        if joined == before:
            break
    return Pieces(
        parts,
        order,
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(strange),
        np.array(sizes),
        widths[0] if count else 0.0,
    )


def longer(box: Box) -> int:
    """The longer side of a box, in pixels."""
    return max(box[2] - box[0], box[3] - box[1])


def _clipped(share: float) -> float:
    return min(max(share, 0.0), 1.0)


def _around(boxes: Sequence[Box]) -> Box:
    top, left, bottom, right = zip(*boxes, strict=True)
    return min(top), min(left), max(bottom), max(right)


def _reach(box: Box, main: Box, shape: tuple[int, ...]) -> float:
    """How far a box reaches from the main one to a border, 0 … 1, on the side where that is most.

    Negative where it reaches less far than the main one on all sides.
    """
    rooms = [main[0], main[1], shape[0] - main[2], shape[1] - main[3]]
    margins = [box[0], box[1], shape[0] - box[2], shape[1] - box[3]]
    return max((room - margin) / max(room, 1) for room, margin in zip(rooms, margins, strict=True))


def _solid(box: Box, area: int) -> float:
    """How solid a block with this much ink in its box is, 0 … 1; a long one is less of a block."""
    high, wide = box[2] - box[0], box[3] - box[1]
    return _clipped((area / (high * wide) - 0.5) / 0.3) * min(high, wide) / max(high, wide)


def _within(box: Box, other: Box) -> float:
    """The share of a box that lies in the other one."""
    high = min(box[2], other[2]) - max(box[0], other[0])
    wide = min(box[3], other[3]) - max(box[1], other[1])
    return max(high, 0) * max(wide, 0) / ((box[2] - box[0]) * (box[3] - box[1]))


def _gaps(
    parts: NDArray[np.uint16],
    order: Sequence[int],
    boxes: Sequence[Box],
    joined: Sequence[bool],
    strange: Sequence[float],
) -> list[float]:
    """Pixels from each piece that is strange (not 0) to the nearest joined one; else 0."""
    top, left, bottom, right = _around(boxes)
    inked = parts[top:bottom, left:right]
    is_joined = [part for part, is_in in zip(order, joined, strict=True) if is_in]
    apart = raster.distance(np.isin(inked, is_joined))
    return [
        float(apart[inked == part].min()) if signs else 0.0
        for part, signs in zip(order, strange, strict=True)
    ]
