"""Pieces of ink: which of them make up the character, and which stand beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Floats = NDArray[Any]

# Chosen by hand, like the weights in ``belonging``.
_INSIDE = 0.75  # share of a piece's box in the character's box: from here on it belongs to it
_STRANGE = 0.45  # strangeness, 0 … 1: from here on a piece is no part of the character


@dataclass(frozen=True)
class Pieces:
    """K pieces of ink. Strokes that touch or nearly touch are one piece; the main one is first.

    labels (H, W): the piece of each pixel, k + 1 for piece k, 0 for paper.
    boxes (K, 4): first row, first column, end row and end column, in pixels.
    strange (K,): how little a piece has to do with the main one, 0 … 1.
    sizes (K,): its longer side, as a share of the character's.
    width: mean width of the main piece's strokes in pixels, 0 without a piece.
    """

    labels: NDArray[np.int64]
    boxes: Floats
    strange: Floats
    sizes: Floats
    width: float

    @property
    def character(self) -> Mask:
        """Which pieces make up the character (K,)."""
        return self.strange < _STRANGE


def belonging(
    labels: NDArray[np.int64], boxes: Floats, areas: NDArray[np.int64], widths: Floats
) -> tuple[Floats, Floats]:
    """Strangeness and size of each piece, as ``Pieces`` has them; the first one is the main one.

    labels (H, W) and boxes (K, 4) are as in ``Pieces``; areas (K,) and widths (K,): ink and mean
    width of the strokes of each piece, in pixels. A piece is strange if it lies out towards a
    border, has thinner strokes, keeps apart or is a solid block, and less so the larger it is. All
    that are not strange join the main piece; then the others are compared with it once more.
    """
    strange, sizes = np.zeros(len(boxes)), np.ones(len(boxes))
    if len(boxes) < 2:
        return strange, sizes
    frame = np.array(labels.shape, np.float64)
    lengths = boxes[:, 2:] - boxes[:, :2]
    fill = areas / lengths.prod(axis=1)
    solid = np.clip((fill - 0.5) / 0.3, 0, 1) * lengths.min(axis=1) / lengths.max(axis=1)
    margin = np.concatenate([boxes[:, :2], frame - boxes[:, 2:]], axis=1)
    inked = labels > 0
    pieces = labels[inked] - 1
    joined = np.arange(len(boxes)) == 0
    for _ in range(2):
        box = np.concatenate([boxes[joined, :2].min(axis=0), boxes[joined, 2:].max(axis=0)])
        side = longer(box)
        sizes = longer(boxes) / side
        if joined.all():
            return np.zeros(len(boxes)), sizes
        width = np.average(widths[joined], weights=areas[joined])
        apart = ndimage.distance_transform_cdt(
            ~np.concatenate([[False], joined])[labels], "chessboard"
        )
        gap = np.full(len(boxes), apart.max())
        np.minimum.at(gap, pieces, apart[inked])
        room = np.concatenate([box[:2], frame - box[2:]])
        reach = ((room - margin) / np.maximum(room, 1.0)).max(axis=1)
        signs = (
            0.4 * np.clip((reach - 0.5) / 0.4, 0, 1)
            + 0.4 * np.clip((1 - widths / width) / 0.6, 0, 1)
            + 0.1 * np.clip(gap / side / 0.5, 0, 1)
            + 0.1 * solid
            - 0.25 * np.clip((sizes - 0.4) / 0.4, 0, 1)
        )
        strange = np.where(joined | (_within(boxes, box) >= _INSIDE), 0.0, np.clip(signs, 0, 1))
        before, joined = joined, strange < _STRANGE
        if (joined == before).all():
            break
    return strange, sizes


def longer(boxes: Floats) -> Floats:
    """The longer side of each box (…, 4), in pixels."""
    sides: Floats = (boxes[..., 2:] - boxes[..., :2]).max(axis=-1)
    return sides


def _within(boxes: Floats, box: Floats) -> Floats:
    """The share of each of ``boxes`` (K, 4) that lies in ``box`` (4,)."""
    shared = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    share: Floats = np.maximum(shared, 0).prod(axis=1) / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return share
