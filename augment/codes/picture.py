"""The picture of code traversals: reports/codes.png."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from augment.codes.probe import MIDDLE, POSITIONS, Probe
from augment.data import contact_sheets, files, images
from augment.runtime import seeding


def write_picture(path: Path, probe: Probe, names: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw a row for each class and a block for each code, which goes from -1 to 1 in its block.

    All images have the same noise, and the other codes are 0. Without continuous codes a row shows
    samples that differ by their noise. ``names`` are the names of codes, as ``name_codes`` gives
    them.
    """
    if not probe.codes:
        files.write_bytes(
            path, images.encode(contact_sheets.by_class(probe.samples(), len(POSITIONS)))
        )
        return
    rest = np.zeros((len(probe.shown), probe.codes))
    pixels = probe.traversals(rest, seeding.derive(probe.seed, "picture"))
    titles = [f"code {code}" for code in range(probe.codes)]
    for name, entry in names.items():
        titles[entry["code"]] += f": {name}, Spearman {entry['spearman']:.2f}"
    blocks = [
        _block(title, dict(zip(probe.shown, pixels[:, code], strict=True)))
        for code, title in enumerate(titles)
    ]
    files.write_bytes(path, images.encode(np.hstack(blocks)))


def _block(title: str, tiles: Mapping[str, images.Pixels]) -> images.Pixels:
    """Traversals of one code, a row a class, under its title and its values."""
    sheet = contact_sheets.by_class(tiles, len(POSITIONS))
    width = contact_sheets.grid(next(iter(tiles.values())), len(POSITIONS)).shape[1]
    left, step = sheet.shape[1] - width, width / len(POSITIONS)
    head = Image.new("RGB", (sheet.shape[1], 50), (contact_sheets.PAPER,) * 3)
    draw = ImageDraw.Draw(head)
    ink = (40, 40, 40)
    draw.text((left, 14), title, fill=ink, font=ImageFont.load_default(16), anchor="lm")
    for place in (0, MIDDLE, len(POSITIONS) - 1):
        centre = (left + (place + 0.5) * step, 38)
        value = f"{POSITIONS[place]:g}"
        draw.text(centre, value, fill=ink, font=ImageFont.load_default(13), anchor="mm")
    return np.vstack([np.asarray(head), sheet])
