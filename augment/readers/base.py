"""What readers share: the item they yield, their registry, and how names are understood."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa

from augment.data import table
from augment.registry import Registry

READERS = Registry("reader")
SIDE_FILE = "side file"
MISSING = "missing file"
UNREADABLE = "unreadable file"
DAMAGED = "truncated or damaged"
TOO_LARGE = "file too large"
NOT_UTF8 = "label is not UTF-8"
LEAVES = "path leaves its folder"
MAX_BYTES = 256 << 20  # of one encoded image; what is larger is rejected unread
SPLITS = MappingProxyType(
    {
        "train": "train", "training": "train",
        "valid": "valid", "val": "valid", "validation": "valid", "dev": "valid",
        "test": "test", "testing": "test", "t10k": "test",
    }
)  # fmt: skip
CARRIED = ("id", "origin", *(field.name for field in table.PROVENANCE))
_ABSENT = (None, "")
_JUNK_FOLDERS = frozenset(
    {"__macosx", "@eadir", ".git", ".svn", ".hg", ".dvc", ".venv", ".cache", ".thumbnails"}
    | {".ipynb_checkpoints", ".appledouble", ".trashes", ".spotlight-v100", ".fseventsd"}
)
_SIDE_NAMES = frozenset({"thumbs.db", "desktop.ini", "readme", "license", "licence", "makefile"})
_SIDE_SUFFIXES = frozenset(
    {".txt", ".csv", ".tsv", ".json", ".jsonl", ".md", ".rst", ".html", ".xml", ".yaml", ".yml"}
    | {".toml", ".ini", ".log", ".parquet", ".py", ".ipynb", ".dvc", ".db"}
)


class Item(NamedTuple):
    """One image as a reader found it, before it is decoded.

    ``path`` says where it came from, relative to the source, with forward slashes. ``data`` is the
    encoded image or the file that holds it. ``label`` is the class name as the source has it, blank
    where the source should name a class and does not, None where an export says that there is none.
    ``reason`` says why the image cannot be read; the reason SIDE_FILE marks what is no image at all
    and is only counted. ``facts`` holds columns of the sample table that an augmented set carries
    back (CARRIED).
    """

    path: str
    data: bytes | Path
    label: str | None
    split: str | None = None
    group: str | None = None
    reason: str = ""
    facts: Mapping[str, Any] = MappingProxyType({})


class Listing(Iterator[Item]):
    """Items, and about how many there will be (operator.length_hint), for a progress bar."""

    def __init__(self, items: Iterable[Item], count: int):
        """Pass on ``items``."""
        self._items = iter(items)
        self._count = count

    def __iter__(self) -> Iterator[Item]:
        """The items themselves."""
        return self._items

    def __next__(self) -> Item:
        """The next item."""
        return next(self._items)

    def __length_hint__(self) -> int:
        """How many items there were at first, side files among them."""
        return self._count


def split_of(name: str) -> str | None:
    """The split that a folder, a cell or a word names, in any spelling of SPLITS."""
    return SPLITS.get(name.strip().lower())


def split_in(path: PurePosixPath) -> str | None:
    """The split that a shard's relative path names: ``train-00000.tar``, ``test/0000.parquet``."""
    words = [re.split(r"[-_.]", path.name)[0], *reversed(path.parts[:-1])]
    return next((split for word in words if (split := split_of(word))), None)


def is_junk_folder(name: str) -> bool:
    """Whether a folder is a tool's own; any other folder, leading dot or not, may be a class."""
    return name.lower() in _JUNK_FOLDERS


def is_side_file(name: str) -> bool:
    """Whether a file is no candidate for an image: dot files, junk, texts and tables.

    Everything else is judged by its bytes, so that a photograph in a format that is not supported
    is rejected in the open.
    """
    lower = name.lower()
    return (
        lower.startswith(".")
        or lower[max(lower.rfind("."), 0) :] in _SIDE_SUFFIXES
        or lower in _SIDE_NAMES
        or lower in _JUNK_FOLDERS
    )


def locate(folder: Path, name: str) -> tuple[Path, str]:
    """The file that a list calls ``name``, and the reason why it may not be read, or nothing."""
    if not name.strip():
        return folder, "blank path"
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\0" in name:
        return folder, LEAVES
    return folder / name, ""


def described(item: Item, row: Mapping[str, Any]) -> Item:
    """``item`` with the label, split, group and facts that a row of a table has for it.

    Columns that are absent change nothing. Values may be typed or text; a blank text is none. A row
    that carries an id and an origin comes from an augmented set: there, no label means unlabelled.
    """
    row = {
        name: "" if isinstance(cell, str) and cell.isspace() else cell for name, cell in row.items()
    }
    changes: dict[str, Any] = {}
    if row.get("id") and row.get("origin") in ("real", "synthetic"):
        try:
            changes["facts"] = {
                name: _typed(name, row[name]) for name in CARRIED if row.get(name) not in _ABSENT
            }
        except (ValueError, TypeError, OverflowError):
            return item._replace(reason="damaged provenance")
    if "label" in row:
        label = row["label"]
        if not isinstance(label, str | int | float | None):
            return item._replace(reason="label is no text")
        name = text_of(label)
        changes["label"] = None if changes and name in _ABSENT else name
    if row.get("split") not in _ABSENT:
        changes["split"] = split_of(str(row["split"]))
        if changes["split"] is None:
            changes["reason"] = f"unknown split {row['split']!r}"
    if row.get("group") not in _ABSENT:
        group = row["group"]
        changes["group"] = text_of(group) if isinstance(group, float) else str(group)
    return item._replace(**changes)


def text_of(value: str | float | None) -> str:
    """A cell as a name: whole numbers in decimal, nothing for null and NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _typed(name: str, value: Any) -> Any:
    kind = table.SCHEMA.field(name).type
    if pa.types.is_list(kind):
        return [
            float(number) for number in (json.loads(value) if isinstance(value, str) else value)
        ]
    if pa.types.is_integer(kind):
        return int(value)
    return float(value) if pa.types.is_floating(kind) else str(value)
