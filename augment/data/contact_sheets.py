"""Contact sheets: many small images in one picture."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from augment.data.images import Pixels

GAP = 2
PAPER = 255
ROWS = 64  # classes in a picture, at most; a script may have thousands
_INK = (40, 40, 40)
SIZE = 15  # pixels: of the captions' font
_NARROW, _WIDE = 40, 130  # pixels of a caption's width, at least and at most
_SPACE = 6  # pixels around a caption


def grid(tiles: Pixels, columns: int, *, target: int = 48) -> Pixels:
    """Images (N, C, H, W) row by row in a picture (H', W', 3), each about ``target`` pixels large.

    Images are enlarged by a whole factor, so that pixels stay square and sharp.
    """
    count, channels, height, width = tiles.shape
    factor = max(1, round(target / max(height, width)))
    tall, wide = height * factor, width * factor
    rows = -(-count // columns)
    picture = np.full((rows * (tall + GAP) + GAP, columns * (wide + GAP) + GAP, 3), PAPER, np.uint8)
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        top, left = GAP + row * (tall + GAP), GAP + column * (wide + GAP)
        large = tile.transpose(1, 2, 0).repeat(factor, 0).repeat(factor, 1)
        picture[top : top + tall, left : left + wide] = large  # one channel spreads to three
    return picture


def by_class(
    tiles: Mapping[str, Pixels],
    columns: int = 12,
    *,
    target: int = 48,
    things: str = "classes",
) -> Pixels:
    """A row for each class behind its name: the first ``columns`` images of its (N, C, H, W).

    Of more than ROWS classes, or other ``things``, the first are shown, and a last line counts the
    others.
    """
    margin = _margin(tiles)
    rows = []
    for name, images in _shown(tiles):
        blank = np.full((columns, *images.shape[1:]), PAPER, np.uint8)
        blank[: len(images)] = images[:columns]
        row = grid(blank, columns, target=target)
        rows.append(np.hstack([_line(fitted(name), margin, row.shape[0]), row]))
    sheet = np.vstack(rows)
    if len(tiles) > ROWS:
        rest = f"and {len(tiles) - ROWS} more {things}"
        sheet = np.vstack([sheet, _line(rest, sheet.shape[1], 2 * SIZE)])
    return sheet


def beside(
    left: Mapping[str, Pixels],
    right: Mapping[str, Pixels],
    columns: int,
    titles: Sequence[str],
    *,
    target: int = 48,
) -> Pixels:
    """Two sheets by class side by side under their titles."""
    sheets = [by_class(side, columns, target=target) for side in (left, right)]
    tall = max(len(sheet) for sheet in sheets)
    sheets = [
        np.pad(sheet, ((0, tall - len(sheet)), (0, 0), (0, 0)), constant_values=PAPER)
        for sheet in sheets
    ]
    bar = np.full((sheets[0].shape[0], 4 * GAP, 3), PAPER, np.uint8)
    body = np.hstack([sheets[0], bar, sheets[1]])
    head = Image.new("RGB", (body.shape[1], 28), (PAPER,) * 3)
    draw = ImageDraw.Draw(head)
    starts = (_margin(left), sheets[0].shape[1] + 4 * GAP + _margin(right))
    for title, start in zip(titles, starts, strict=True):
        draw.text((start + GAP, 14), title, fill=_INK, font=_font(SIZE + 1), anchor="lm")
    return np.vstack([np.asarray(head), body])


def captioned(tiles: Sequence[Pixels], captions: Sequence[str], columns: int) -> Pixels:
    """Images (C, H, W) of equal height, row by row and not enlarged, each above its caption.

    Every image gets the width of the widest; image and caption stand at its right.
    """
    width = max(tile.shape[2] for tile in tiles)
    labelled = []
    for tile, caption in zip(tiles, captions, strict=True):
        below = _line(fitted(caption, width - 2 * _SPACE), width, 2 * SIZE)
        shown = np.full((3, tile.shape[1], width), PAPER, np.uint8)
        shown[..., width - tile.shape[2] :] = tile
        labelled.append(np.concatenate([shown, below.transpose(2, 0, 1)], axis=1))
    stack = np.stack(labelled)
    return grid(stack, min(columns, len(stack)), target=max(stack.shape[2:]))


def _shown(tiles: Mapping[str, Pixels]) -> Iterable[tuple[str, Pixels]]:
    return itertools.islice(tiles.items(), ROWS)


def _margin(tiles: Mapping[str, Pixels]) -> int:
    """The width of the captions' column."""
    lengths = (_font(SIZE).getlength(fitted(name)) for name, _ in _shown(tiles))
    return math.ceil(max(_NARROW, *lengths)) + 2 * _SPACE


def _line(text: str, width: int, height: int) -> Pixels:
    """A line of text at the right of an empty strip."""
    image = Image.new("RGB", (width, height), (PAPER,) * 3)
    place = (width - _SPACE, height // 2)
    ImageDraw.Draw(image).text(place, text, fill=_INK, font=_font(SIZE), anchor="rm")
    return np.asarray(image)


def fitted(name: str, width: int = _WIDE) -> str:
    """``name`` cut to ``width`` pixels, with code points for letters that the font lacks."""
    text = "".join(
        letter if _drawable(letter) else f" U+{ord(letter):04X} " for letter in name[:_WIDE]
    )
    text, end = " ".join(text.split()), ""
    while _font(SIZE).getlength(text + end) > width:
        text, end = text[:-1].rstrip(), "…"
    return text + end


@cache
def _drawable(letter: str) -> bool:
    """Whether the font has ``letter``; otherwise it would draw a box."""
    box, drawing = (_font(SIZE).getmask(text) for text in ("\uffff", letter))
    return letter.isprintable() and (drawing.size, bytes(drawing)) != (box.size, bytes(box))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # always so where a size is given
    return font
