"""The base of all readers: their registry, the items they yield, and the meaning of names."""

from __future__ import annotations

import functools
import json
import math
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
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
BOXES = (
    "this is a set for detection or segmentation; augment reads one label for each image, "
    "so cut each object out into a folder of its class"
)
MAX_BYTES = 256 << 20  # bytes of an encoded image; a larger one is rejected unread
SPLITS = MappingProxyType(
    {
        "train": "train", "training": "train",
        "valid": "valid", "val": "valid", "validation": "valid", "dev": "valid",
        "test": "test", "testing": "test", "t10k": "test",
    }
)  # fmt: skip
CARRIED = ("id", "origin", *(field.name for field in table.PROVENANCE))
_ABSENT = (None, "")
_FOLDER_WORDS = frozenset({"image", "images", "img", "imgs", "data", "dataset", "set", "folder"})
_JUNK_FOLDERS = frozenset(
    {"__macosx", "@eadir", ".git", ".svn", ".hg", ".dvc", ".venv", ".cache", ".thumbnails"}
    | {".ipynb_checkpoints", ".appledouble", ".trashes", ".spotlight-v100", ".fseventsd"}
)
_SIDE_NAMES = frozenset(
    {"thumbs.db", "desktop.ini", "icon\r", "readme", "license", "licence", "makefile"}
)
_SIDE_SUFFIXES = frozenset(
    {".txt", ".csv", ".tsv", ".json", ".jsonl", ".md", ".rst", ".html", ".xml", ".yaml", ".yml"}
    | {".toml", ".ini", ".log", ".parquet", ".py", ".ipynb", ".dvc", ".db"}
    | {".aae", ".xmp", ".mov"}  # beside the photographs of phones and photo tools
)


class Item(NamedTuple):
    """An image of a source, before it is decoded.

    ``path`` is its place, relative to the source, with forward slashes. ``data`` is the encoded
    image or the file that holds it. ``label`` is the class name as the source has it. A blank label
    means that the source should name a class and does not; None means that an export holds the
    image as unlabelled. ``reason`` says why the image cannot be read; the reason SIDE_FILE marks a
    file that is no image and is only counted. ``facts`` are further columns of the sample table
    (CARRIED), which an augmented set brings back. ``domain`` names the further source that it is
    from; readers leave it to ingest.
    """

    path: str
    data: bytes | Path
    label: str | None
    split: str | None = None
    group: str | None = None
    reason: str = ""
    facts: Mapping[str, Any] = MappingProxyType({})
    domain: str | None = None


class Listing(Iterator[Item]):
    """Items and their approximate number, which a progress bar takes from operator.length_hint.

    ``reads`` are the paths of side files that the labels come from. ``remarks`` says in words what
    the reader decided; some lines come only with the last item.
    """

    def __init__(self, items: Iterable[Item], count: int, remarks: list[str] | None = None):
        """Pass on ``items``; ``count`` is their approximate number."""
        self.remarks = [] if remarks is None else remarks
        self.reads: Collection[str] = ()
        self._items = iter(items)
        self._count = count

    def __iter__(self) -> Iterator[Item]:
        """The items themselves."""
        return self._items

    def __next__(self) -> Item:
        """The next item."""
        return next(self._items)

    def __length_hint__(self) -> int:
        """The number given at the start, side files included."""
        return self._count


@functools.lru_cache(1 << 12)
def split_of(name: str) -> str | None:
    """The split that the name of a folder or a cell means, in any spelling of SPLITS."""
    return SPLITS.get(name.strip().lower())


@functools.lru_cache(1 << 12)
def split_of_folder(name: str) -> str | None:
    """The split that a folder's name means, as in ``test``, ``train_images`` or ``val2017``."""
    words = re.findall(r"[^\W\d_]+", name.lower())
    splits = {split_of(word) for word in words if word not in _FOLDER_WORDS}
    return splits.pop() if len(splits) == 1 else None


def split_in(path: PurePosixPath) -> str | None:
    """The split in a shard's relative path, as in ``train-00000.tar`` or ``test/0000.parquet``."""
    words = [re.split(r"[-_.]", path.name)[0], *reversed(path.parts[:-1])]
    return next((split for word in words if (split := split_of(word))), None)


def one_form(label: str) -> str:
    """``label`` in Unicode's composed form (NFC) and without blanks at its end."""
    return unicodedata.normalize("NFC", label).rstrip()


def is_junk_folder(name: str) -> bool:
    """Whether a folder belongs to a tool; any other may be a class, even with a leading dot."""
    return name.lower() in _JUNK_FOLDERS


def is_side_file(name: str) -> bool:
    """Whether a file name rules out an image: dot files, junk, texts and tables.

    All other files are judged by their bytes, so that a photograph in an unsupported format appears
    among the rejected images.
    """
    lower = name.lower()
    return (
        lower.startswith(".")
        or lower[max(lower.rfind("."), 0) :] in _SIDE_SUFFIXES
        or lower in _SIDE_NAMES
        or lower in _JUNK_FOLDERS
    )


def files_in(folder: Path, fits: Callable[[str], object]) -> list[Path]:
    """The files in a folder whose names fit, in natural order, without pipes and devices."""
    names = sorted(filter(fits, os.listdir(folder)), key=table.natural)
    return [path for name in names if (path := folder / name).is_file()]


def is_encoding(name: str) -> bool:
    """Whether ``name`` is an encoding of texts."""
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return False
    return True


def locate(folder: Path, name: str) -> tuple[Path, str]:
    """The file that a list calls ``name``, and a reason where it must not be read."""
    why = refused(name)
    return (folder, why) if why else (folder / name, "")


def refused(name: str) -> str:
    """Why a list's ``name`` of a file must not be read; blank for one that may."""
    if not name or name.isspace():
        return "blank path"
    leaves = name.startswith("/") or "\0" in name or ".." in name and ".." in name.split("/")
    return LEAVES if leaves else ""


def described(item: Item, row: Mapping[str, Any]) -> Item:
    """``item`` with label, split, group and facts from a row of a table, where it has them.

    Values may be typed or text; a blank text counts as no value. A row with an id and an origin
    comes from an augmented set, in which an image without a label is unlabelled. A value that
    cannot be understood becomes the item's reason.
    """
    if any(isinstance(cell, str) and cell.isspace() for cell in row.values()):
        row = {
            name: "" if isinstance(cell, str) and cell.isspace() else cell
            for name, cell in row.items()
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
    """A cell as a class name: whole numbers in decimal, an empty text for null and NaN."""
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
