"""The images that are looked at, as PNG and no larger than a page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from augment.data import images, normalise
from augment.data.lookup import Lookup
from augment.data.places import CLEAN, INGESTED, SYNTHETIC
from augment.review.queue import COPIES, FlaggedImage

PLACES = {"ingested": INGESTED, "clean": CLEAN, "synthetic": SYNTHETIC}
TYPICAL = 3
LARGEST = 384  # pixels of the longer side; the page shows half as many, on fine screens

_SAMPLED = 24  # images of a class, evenly spread, among which the typical ones are found
_FORM = normalise.Form((24, 24), "L", "pad")  # the form in which they are compared


class Pictures:
    """The images of a project's tables, as far as these are there."""

    def __init__(self, root: Path):
        """Build the index of each table. Raises TableError for a damaged one."""
        self._tables = {
            name: Lookup(root / place) for name, place in PLACES.items() if (root / place).exists()
        }
        self.typical = lru_cache(maxsize=None)(self._typical)

    def has(self, place: str, name: str) -> bool:
        """Whether the table ``place`` is there and holds this image."""
        return place in self._tables and name in self._tables[place]

    def of(self, item: FlaggedImage, section: str) -> list[tuple[str, str, str]]:
        """Place, id and caption of the picture of an item, or of two to compare."""
        if item.origin == "synthetic":
            if section == COPIES and self.has("clean", item.nearest):
                return [
                    ("synthetic", item.id, "synthetic"),
                    ("clean", item.nearest, "nearest real"),
                ]
            return [("synthetic", item.id, "")]
        if item.repairs and self.has("clean", item.id):
            after = ", ".join(name.replace("_", " ") for name in item.repairs)
            return [("ingested", item.id, "before"), ("clean", item.id, f"after: {after}")]
        return [("ingested", item.id, "")]

    def png(self, place: str, name: str, largest: int = LARGEST) -> bytes:
        """The image as PNG. Raises KeyError without such a place or image."""
        image = images.decode(self._tables[place][name])
        image.thumbnail((largest, largest), Image.Resampling.LANCZOS)
        return images.encode(np.asarray(image))

    def tile(self, place: str, name: str, side: int) -> images.Pixels:
        """The image (3, side, side), padded. Raises KeyError without such a place or image."""
        form = normalise.Form((side, side), "RGB", "pad")
        data = normalise.to_form(self._tables[place][name], form)
        return images.pixels(data, "RGB").transpose(2, 0, 1)

    def _typical(self, ids: tuple[str, ...]) -> Sequence[str]:
        """The ids of the images nearest to the median image of their class, nearest first.

        ``ids`` are those of the ingested images of a class. Of many only a sample is compared,
        evenly spread and the same each time.
        """
        sample = ids[:: -(-len(ids) // _SAMPLED)]
        table = self._tables["ingested"]
        small = [images.pixels(normalise.to_form(table[name], _FORM), "L") for name in sample]
        stack = np.stack(small).astype(float)
        far = np.abs(stack - np.median(stack, axis=0)).mean(axis=(1, 2))
        return [sample[place] for place in np.argsort(far, kind="stable")[:TYPICAL]]
