"""Repairs: each takes one fault away from an image of a glyph, or leaves it alone.

A repair is ``repair(image, *, options) -> Pixels | None`` on a uint8 array (H, W) or (H, W, 3).
None means that there is nothing to do, or that it is not safe: no stroke of the character is ever
lost. Painted pixels get the level of the paper around them. Registered fact: ``cures`` names the
checks whose fault the repair can remove.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from augment.clean.glyphs.corners import LIKELY, margins, strangest_corners
from augment.clean.glyphs.ink import Ink, ink_of
from augment.clean.glyphs.raster import Mask, grown
from augment.clean.inspection import SIDE
from augment.data import normalise
from augment.data.images import Pixels
from augment.registry import Amount, Registry

REPAIRS = Registry("repair")

_STAINED = 0.02  # share of the longer side: paper this near to ink is painted too; chosen by hand


@REPAIRS.register("ruling_lines", cures=("ruling_line",))
def ruling_lines(image: Pixels) -> Pixels | None:
    """Paint ruling lines and page edges over, except where strokes cross them."""
    ink = ink_of(image)
    if not ink.lines or not ink.strokes.any():
        return None
    halo = grown(ink.ruled, 1) & ~grown(ink.strokes, 1)
    return _painted(image, ink, ink.ruled | halo)


@REPAIRS.register("main_component", cures=("secondary_content",))
def main_component(image: Pixels, *, margin: Amount = 0.2) -> Pixels | None:
    """Paint over the ink that stands beside the character, then crop to the character.

    ``margin``, a share of the character's longer side (0.2: chosen by hand), is left on all sides.
    Beyond the image the paper goes on, but not where the character meets the border. None where
    there is more ink beside the character than in it.
    """
    ink = ink_of(image)
    character, beside = (_inked(ink, k) for k in (ink.pieces.character, ~ink.pieces.character))
    if not beside.any() or beside.sum() > character.sum():
        return None
    halo = max(1, round(_STAINED * max(character.shape)))
    cleared = _painted(image, ink, grown(beside, halo) & ~grown(character, halo) | beside)
    box = _box(ink, image)
    room = round(margin * int((box[2:] - box[:2]).max()))
    meets = np.concatenate([box[:2] <= 0, box[2:] >= image.shape[:2]])
    return _window(cleared, ink, box + np.where(meets, 0, room) * np.array([-1, -1, 1, 1]))


@REPAIRS.register("corner", cures=("corner_content",))
def corner(image: Pixels) -> Pixels | None:
    """Paint over the corner whose ink looks most like a second character, if it does look like one.

    None where there is more ink in that corner than elsewhere.
    """
    size = np.array(image.shape[:2])
    best = strangest_corners(normalise.small(np.asarray(image), SIDE)[None], size[None])
    if best.score[0] < LIKELY:
        return None
    ink = ink_of(image)
    ends = np.array([best.rows[0], best.columns[0]]) - margins(size, SIDE)
    rows, columns = np.rint(ends * size.max() / SIDE / ink.factor).astype(np.int64).clip(0)
    there = np.zeros_like(ink.strokes)
    down, right = best.corner[0] % 2, best.corner[0] // 2
    there[:: -1 if down else 1, :: -1 if right else 1][:rows, :columns] = True
    beside, character = ink.strokes & there, ink.strokes & ~there
    if not beside.any() or beside.sum() > character.sum():
        return None
    halo = max(1, round(_STAINED * max(character.shape)))
    return _painted(image, ink, grown(beside, halo) & there | beside)


@REPAIRS.register("invert", cures=("inverted",))
def invert(image: Pixels) -> Pixels | None:
    """Swap bright and dark in each channel; None for an image without ink."""
    if not ink_of(image).mask.any():
        return None
    inverse: Pixels = 255 - np.asarray(image)
    return inverse


@REPAIRS.register("centre", cures=("secondary_content",))
def centre(image: Pixels) -> Pixels | None:
    """Move the character's centre of mass to the middle, as far as all of it stays in the image.

    None where it is there already, or where the character meets the border.
    """
    ink = ink_of(image)
    character = _inked(ink, ink.pieces.character)
    if not character.any():
        return None
    size = np.array(image.shape[:2])
    box = _box(ink, image)
    if (box[:2] <= 0).any() or (box[2:] >= size).any():
        return None
    mass = (np.array(ndimage.center_of_mass(ink.away * character)) + 0.5) * ink.factor
    start = np.clip(np.rint(mass - size / 2).astype(np.int64), box[2:] - size, box[:2])
    return _window(image, ink, np.concatenate([start, start + size])) if start.any() else None


def _inked(ink: Ink, which: Mask) -> Mask:
    """The pixels of the reduced image (H, W) that belong to the pieces ``which`` (K,)."""
    mask: Mask = np.concatenate([[False], which])[ink.pieces.labels]
    return mask


def _box(ink: Ink, image: Pixels) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """First row, first column, end row and end column of the character in the image."""
    boxes = ink.pieces.boxes[ink.pieces.character]
    ends = np.minimum(boxes[:, 2:].max(axis=0) * ink.factor, image.shape[:2])
    return np.concatenate([boxes[:, :2].min(axis=0) * ink.factor, ends]).astype(np.int64)


def _painted(image: Pixels, ink: Ink, where: Mask) -> Pixels:
    """The image with paper in the place of the pixels ``where`` (H, W), of the reduced image."""
    height, width = image.shape[:2]
    large = where.repeat(ink.factor, axis=0).repeat(ink.factor, axis=1)[:height, :width]
    painted = np.array(image)
    painted[large] = _paper(ink, image)[large]
    return painted


def _paper(ink: Ink, image: Pixels) -> Pixels:
    """The paper alone, in the shape of ``image``."""
    sheet = np.rint(ink.paper(*image.shape[:2]))
    return sheet.astype(np.uint8).reshape(image.shape)


def _window(image: Pixels, ink: Ink, window: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Pixels:
    """The image from the first to the end row and column of ``window``; beyond it is more paper."""
    height, width = image.shape[:2]
    top, left, bottom, right = window.tolist()
    around = ((max(-top, 0), max(bottom - height, 0)), (max(-left, 0), max(right - width, 0)))
    whole = np.pad(_paper(ink, image), (*around, *[(0, 0)] * (image.ndim - 2)), mode="edge")
    (above, _), (before, _) = around
    whole[above : above + height, before : before + width] = image
    return whole[top + above : bottom + above, left + before : right + before].copy()
