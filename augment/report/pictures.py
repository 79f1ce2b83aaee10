"""Pictures as data URIs: files that stages drew, and images chosen from sample tables."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from augment.data import contact_sheets, images, lookup, normalise, table
from augment.report.elements import Picture

LARGEST = 2_000_000  # bytes of a file that the page takes in; chosen by hand
SIDE = 48  # pixels: largest side of an image in a strip; chosen by hand
_TYPES = {".png": "image/png", ".gif": "image/gif"}


def of_file(path: Path, alt: str, width: int = 1120) -> Picture | None:
    """The picture in a file; none where there is no such file or it is too large for a page."""
    if not path.is_file() or path.stat().st_size > LARGEST:
        return None
    return Picture(_uri(path.read_bytes(), _TYPES[path.suffix]), alt, width)


def strip(encoded: Sequence[bytes], alt: str, columns: int) -> Picture | None:
    """Images of any size in one row, ``columns`` places wide; none where there is no image."""
    if not encoded:
        return None
    tiles = _tiles(encoded[:columns])
    blank = np.full((columns - len(tiles), *tiles.shape[1:]), contact_sheets.PAPER, np.uint8)
    row = contact_sheets.grid(np.concatenate([tiles, blank]), columns, target=SIDE)
    return Picture(_uri(images.encode(row), "image/png"), alt, row.shape[1])


def single(data: bytes, alt: str, side: int = 72) -> Picture:
    """One image, shown ``side`` pixels wide."""
    tile = contact_sheets.grid(_tiles([data]), 1, target=side)
    return Picture(_uri(images.encode(tile), "image/png"), alt, tile.shape[1])


def first_by_class(
    folder: Path, count: int, *, split: str | None = None
) -> Mapping[str, list[bytes]]:
    """The first ``count`` images of each class of a table, classes in natural order."""
    encoded: dict[str, list[bytes]] = {}
    for row in table.rows(folder, columns=("image", "label"), split=split):
        if (
            row["label"] is not None
            and len(of_class := encoded.setdefault(row["label"], [])) < count
        ):
            of_class.append(row["image"]["bytes"])
    return {name: encoded[name] for name in table.classes_of(encoded)}


def by_id(folder: Path, ids: Iterable[str]) -> Mapping[str, bytes]:
    """The images of a table with these ids, as far as it has them."""
    return lookup.images_by_id(folder, ids)


def _tiles(encoded: Sequence[bytes]) -> images.Pixels:
    """(N, 3, H, H) at most SIDE pixels wide: padded to a square, never cut."""
    longer = [max(images.decode(data).size) for data in encoded]
    side = min(SIDE, normalise.auto_size(longer))
    form = normalise.Form((side, side), "RGB", "pad")
    tiles = [images.pixels(normalise.to_form(data, form), "RGB") for data in encoded]
    return np.stack(tiles).transpose(0, 3, 1, 2)


def _uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
