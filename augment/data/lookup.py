"""Single images of a sample table by id, without reading the others."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from threading import Lock

import pyarrow.compute as pc

from augment.data import files, table

KEPT_BYTES = 256 << 20  # bytes of images in memory, at most; chosen by hand


class Lookup:
    """The encoded images of a table by id, found through an index that is built once.

    Reading goes by row group, and the latest groups stay in memory. Several threads may read at
    once. When the table is replaced meanwhile, the images of the old table are still given, on
    systems that keep open files. Raises TableError for a folder that is no sample table.
    """

    def __init__(self, folder: Path):
        """Read the ids of ``folder``."""
        self._folder = folder
        ids = table.frame(folder, ["id"], domain=table.WHOLE)["id"]
        self._place = {name: place for place, name in enumerate(ids)}
        self._files = [files.open_parquet(path) for path in table.shards(folder)]
        self._groups = [
            (file, group) for file in self._files for group in range(file.num_row_groups)
        ]
        self._starts = [0]
        for file, group in self._groups:
            self._starts.append(self._starts[-1] + file.metadata.row_group(group).num_rows)
        self.kept: OrderedDict[int, list[bytes]] = OrderedDict()  # row groups, the latest last
        self._bytes = 0
        self._lock = Lock()

    def __contains__(self, name: object) -> bool:
        """Whether there is an image with this id."""
        return name in self._place

    def __getitem__(self, name: str) -> bytes:
        """The encoded image with this id. Raises KeyError."""
        place = self._place[name]
        group = bisect_right(self._starts, place) - 1
        with self._lock:
            return self._read(group)[place - self._starts[group]]

    def _read(self, group: int) -> list[bytes]:
        """The encoded images of a row group, from memory or from its file."""
        if group in self.kept:
            self.kept.move_to_end(group)
            return self.kept[group]
        file, number = self._groups[group]
        with files.refusing(self._folder, "sample table", *files.ARROW_ERRORS):
            images = file.read_row_group(number, columns=["image"]).column("image")
        encoded: list[bytes] = pc.struct_field(images, "bytes").to_pylist()
        self.kept[group] = encoded
        self._bytes += sum(map(len, encoded))
        while self._bytes > KEPT_BYTES and len(self.kept) > 1:
            _, old = self.kept.popitem(last=False)
            self._bytes -= sum(map(len, old))
        return encoded


def images_by_id(folder: Path, ids: Iterable[str]) -> dict[str, bytes]:
    """The encoded images of a table with these ids, as far as the table has them.

    Raises TableError for a folder that is no sample table.
    """
    images = Lookup(folder)
    return {name: images[name] for name in ids if name in images}
