"""Tar shards in which the files of a sample share a name: ``key.png``, ``key.cls``."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from augment.data.images import SUFFIXES
from augment.data.table import natural
from augment.errors import AugmentError
from augment.readers import tar
from augment.readers.base import (
    MAX_BYTES,
    MISSING,
    NOT_UTF8,
    READERS,
    SIDE_FILE,
    TOO_LARGE,
    Item,
    Listing,
    described,
    split_in,
)

_IMAGES = tuple(suffix[1:] for suffix in SUFFIXES)
_NAMES = ("cls", "txt")  # endings of files that hold the label; cls comes before txt
_ROW = "json"
MAX_TEXT = 1 << 20  # bytes of a label or a row, at most
_GLANCE = 64  # members that recognition looks at


def recognises(source: str) -> bool:
    """Whether ``source`` is a shard or a folder of shards: an image and its label side by side."""
    path = Path(source)
    shards = _shards(path)
    if not shards or not tar.is_tar(shards[0]):
        return False
    endings_by_key: dict[str, set[str]] = {}
    try:
        for member in itertools.islice(tar.members(shards[0]), _GLANCE):
            key, ending = _key(member.path)
            endings_by_key.setdefault(key, set()).add(ending)
    except AugmentError:
        return False
    return any(
        not endings.isdisjoint(_IMAGES) and not endings.isdisjoint((*_NAMES, _ROW))
        for endings in endings_by_key.values()
    )


@READERS.register("webdataset", recognises=recognises)
def webdataset(source: str) -> Listing:
    """A tar shard or a folder of them: ``key.png`` beside ``key.cls``, ``key.txt`` or ``key.json``.

    The JSON may hold any column of the sample table. A shard's name may begin with its split.
    Raises AugmentError before the first item for a missing or damaged shard or an unsafe member.
    """
    folder = Path(source)
    shards = _shards(folder)
    if not shards:
        raise AugmentError(f"{source}: no tar shard there")
    members = itertools.chain.from_iterable(map(tar.members, shards))
    count = sum(_key(member.path)[1] in _IMAGES for member in members)
    return Listing(itertools.chain.from_iterable(map(_items, shards)), count)


def _shards(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.glob("*.tar"), key=lambda shard: natural(shard.name))
    return [path] if path.is_file() else []


def _key(path: str) -> tuple[str, str]:
    """The key of a member's sample, up to the first dot of the name, and the member's ending."""
    folder, slash, name = path.rpartition("/")
    stem, _, ending = name.partition(".")
    return folder + slash + stem, ending.lower()


def _items(shard: Path) -> Iterator[Item]:
    """The samples of a shard and its side files; members of a sample stand side by side."""
    split = split_in(PurePosixPath(shard.name))
    for key, members in itertools.groupby(tar.members(shard), lambda member: _key(member.path)[0]):
        path, image, reason = f"{shard.name}/{key}", b"", MISSING
        texts: dict[str, bytes] = {}
        for member in members:
            ending = _key(member.path)[1]
            if ending in _IMAGES:
                path = f"{shard.name}/{member.path}"
                image, reason = (b"", TOO_LARGE) if member.size > MAX_BYTES else (member.read(), "")
            elif ending in (*_NAMES, _ROW) and member.size <= MAX_TEXT:
                texts[ending] = member.read()
            else:
                yield Item(f"{shard.name}/{member.path}", b"", None, reason=SIDE_FILE)
        if texts or reason != MISSING:
            yield _with_texts(Item(path, image, "", split, reason=reason), texts)


def _with_texts(item: Item, texts: dict[str, bytes]) -> Item:
    """``item`` described by the texts of its sample, by ending: JSON row and label."""
    try:
        row: Any = json.loads(texts.get(_ROW, b"{}"))
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        return item._replace(reason="damaged JSON")
    name = next((texts[ending] for ending in _NAMES if ending in texts), None)
    if "label" not in row and name is not None:
        try:
            row["label"] = name.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            return item._replace(reason=NOT_UTF8)
    return described(item, row)
