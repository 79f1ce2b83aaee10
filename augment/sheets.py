"""Contact sheets: many small images in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from augment.images import Pixels

GAP = 2
PAPER = 255


def grid(tiles: Pixels, columns: int, *, target: int = 48) -> Pixels:
    """Images (N, C, H, W) row by row in a picture (H', W', 3), each about ``target`` pixels wide.

    Enlargement is by whole factors, so that pixels stay square and sharp.
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


def by_class(tiles: Mapping[str, Pixels], columns: int = 12, *, target: int = 48) -> Pixels:
    """One row a class, its name in front; each value is (N, C, H, W) with N up to ``columns``."""
    rows = []
    for name, images in tiles.items():
        blank = np.full((columns, *images.shape[1:]), PAPER, np.uint8)
        blank[: len(images)] = images[:columns]
        row = grid(blank, columns, target=target)
        rows.append(np.hstack([_caption(name, row.shape[0]), row]))
    return np.vstack(rows)


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
    for title, start in zip(titles, (0, sheets[0].shape[1] + 4 * GAP), strict=True):
        draw.text((start + 56, 14), title, fill=(40, 40, 40), font=_font(16), anchor="lm")
    return np.vstack([np.asarray(head), body])


def _caption(name: str, height: int) -> Pixels:
    image = Image.new("RGB", (52, height), (PAPER,) * 3)
    text = name if len(name) <= 6 else name[:5] + "…"
    ImageDraw.Draw(image).text(
        (46, height // 2), text, fill=(40, 40, 40), font=_font(15), anchor="rm"
    )
    return np.asarray(image)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
