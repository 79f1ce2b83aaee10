"""Pieces of ink: which of them make up the character, and which stand beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Floats = NDArray[Any]

_INSIDE = 0.75  # of a piece's box, that lies in the main box where the piece belongs to it
_STRANGE = 0.45  # from here on a piece is no part of the character


@dataclass(frozen=True)
class Parts:
    """Pieces of ink: strokes that touch or nearly touch are one, the main piece is the first."""

    labels: NDArray[np.int64]  # (H, W): 0 for paper, k + 1 for piece k
    boxes: Floats  # (K, 4): first row, first column, end row, end column
    strange: Floats  # (K,): how little a piece has to do with the main one, 0 … 1
    sizes: Floats  # (K,): its longer side, as a share of that of all that belongs together
    width: float  # of the main piece's strokes in pixels

    @property
    def own(self) -> Mask:
        """Which pieces make up the character (K,)."""
        return self.strange < _STRANGE


def belonging(
    labels: NDArray[np.int64], boxes: Floats, areas: NDArray[np.int64], widths: Floats
) -> tuple[Floats, Floats]:
    """Strangeness and size of each piece, the first of which is the main one.

    What lies out towards a border, has thinner strokes, keeps apart, or is a solid block is
    strange, and the less so the larger it is. What is not joins the main piece, and the others are
    looked at once more.
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
    own = np.arange(len(boxes)) == 0
    for _ in range(2):
        box = np.concatenate([boxes[own, :2].min(axis=0), boxes[own, 2:].max(axis=0)])
        side = longer(box)
        sizes = longer(boxes) / side
        if own.all():
            return np.zeros(len(boxes)), sizes
        width = np.average(widths[own], weights=areas[own])
        apart = ndimage.distance_transform_cdt(
            ~np.concatenate([[False], own])[labels], "chessboard"
        )
        gap = np.full(len(boxes), apart.max())
        np.minimum.at(gap, pieces, apart[inked])
        room = np.concatenate([box[:2], frame - box[2:]])
        reach = ((room - margin) / np.maximum(room, 1.0)).max(axis=1)
        found = (
            0.4 * np.clip((reach - 0.5) / 0.4, 0, 1)
            + 0.4 * np.clip((1 - widths / width) / 0.6, 0, 1)
            + 0.1 * np.clip(gap / side / 0.5, 0, 1)
            + 0.1 * solid
            - 0.25 * np.clip((sizes - 0.4) / 0.4, 0, 1)
        )
        strange = np.where(own | (_within(boxes, box) >= _INSIDE), 0.0, np.clip(found, 0, 1))
        before, own = own, strange < _STRANGE
        if (own == before).all():
            break
    return strange, sizes


def longer(boxes: Floats) -> Floats:
    """The longer side of each box (…, 4)."""
    sides: Floats = (boxes[..., 2:] - boxes[..., :2]).max(axis=-1)
    return sides


def _within(boxes: Floats, box: Floats) -> Floats:
    """The share of each box that lies in ``box``."""
    shared = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    share: Floats = np.maximum(shared, 0).prod(axis=1) / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return share
