"""Contact sheets of a sample table, for a look at any stage's result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from augment.data import contact_sheets, files, images, normalise, table
from augment.errors import AugmentError

UNLABELLED = "(none)"


def contact_sheet(
    folder: Path, out: Path, *, per_class: int = 12, split: str | None = None,
    origin: str | None = None,
) -> Mapping[str, int]:  # fmt: skip
    """Draw the first ``per_class`` samples of each class of ``folder`` into the PNG ``out``.

    Images of any size are padded to one. Gives the number of samples of each class; raises
    AugmentError when there is nothing to show.
    """
    encoded: dict[str, list[bytes]] = {}
    counts: dict[str, int] = {}
    sides: list[int] = []
    columns = ("image", "label", "width", "height")
    for row in table.rows(folder, columns=columns, split=split, origin=origin):
        name = UNLABELLED if row["label"] is None else row["label"]
        counts[name] = counts.get(name, 0) + 1
        if counts[name] <= per_class:
            encoded.setdefault(name, []).append(row["image"]["bytes"])
            sides.append(max(row["width"], row["height"]))
    if not encoded:
        raise AugmentError(f"{folder}: no samples with split {split!r} and origin {origin!r}")
    side = normalise.auto_size(sides)
    form = normalise.Form((side, side), "RGB", "pad")
    tiles = {
        name: np.stack(
            [
                images.pixels(normalise.to_form(image, form), "RGB").transpose(2, 0, 1)
                for image in of_class
            ]
        )
        for name, of_class in sorted(encoded.items(), key=lambda item: table.natural(item[0]))
    }
    files.write_bytes(out, images.encode(contact_sheets.by_class(tiles, per_class)))
    return {name: counts[name] for name in tiles}
