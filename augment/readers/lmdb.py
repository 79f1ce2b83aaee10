"""LMDB environments as trainers of text recognition write them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from augment.data import provenance
from augment.data.table import natural
from augment.errors import AugmentError
from augment.readers.base import MISSING, NOT_UTF8, READERS, Item, Listing, described, split_of
from augment.readers.beside import others

_DATA = "data.mdb"


def _recognises(source: str) -> bool:
    return bool(_environments(Path(source)))


@READERS.register("lmdb", recognises=_recognises)
def lmdb(source: str) -> Listing:
    """LMDB with ``image-%09d``, ``label-%09d``, ``num-samples``, also in folders named by split.

    Needs the package lmdb, which trusts its files: a damaged file can end the process. Raises
    AugmentError before the first item when an environment is missing, damaged or without a number
    of samples.
    """
    folder = Path(source)
    environments = _environments(folder)
    if not environments:
        raise AugmentError(f"{source}: no {_DATA} there, nor in train, valid or test folders")
    counts = {path: _count(path) for path in environments}
    rows = provenance.rows(folder, {split: counts[path] for path, split in environments.items()})
    items = (
        described(item, row)
        for path, split in environments.items()
        for item, row in zip(_items(path, counts[path], split), rows[split], strict=False)
    )
    beside = others(folder, (path / _DATA for path in environments))
    return Listing(itertools.chain(items, beside), sum(counts.values()) + len(beside))


def _environments(folder: Path) -> dict[Path, str | None]:
    """Each environment with its split."""
    if (folder / _DATA).is_file():
        return {folder: None}
    names = sorted(filter(split_of, os.listdir(folder)), key=natural) if folder.is_dir() else []
    return {folder / name: split_of(name) for name in names if (folder / name / _DATA).is_file()}


def _library() -> Any:
    try:
        import lmdb
    except ImportError:
        raise AugmentError("reader lmdb: needs the package lmdb") from None
    return lmdb


@contextmanager
def _values(path: Path) -> Iterator[Any]:
    """A read transaction on an environment."""
    library = _library()
    try:
        with (
            library.open(str(path), readonly=True, lock=False, readahead=False) as environment,
            environment.begin() as values,
        ):
            yield values
    except library.Error as error:
        raise AugmentError(f"{path}: no LMDB environment, or damaged: {error}") from None


def _count(path: Path) -> int:
    with _values(path) as values:
        stored = values.get(b"num-samples", b"")
        most = values.stat()["entries"]
    if not stored.isdigit() or int(stored) > most:
        raise AugmentError(f"{path}: num-samples: a number up to {most} expected, found {stored!r}")
    return int(stored)


def _items(path: Path, count: int, split: str | None) -> Iterator[Item]:
    """The samples 1 to ``count`` of an environment."""
    with _values(path) as values:
        for number in range(1, count + 1):
            image = values.get(b"image-%09d" % number)
            label = values.get(b"label-%09d" % number, b"")
            name = f"{split or path.name}/image-{number:09d}"
            item = Item(name, image or b"", "", split, reason=MISSING if image is None else "")
            try:
                yield item._replace(label=label.decode("utf-8"))
            except UnicodeDecodeError:
                yield item._replace(reason=NOT_UTF8)
