"""Tar shards in which the files of a sample share a name: ``key.png``, ``key.cls``.

In WebDataset a key ends at the first dot of a name. A shard in which every image has a dot before
its ending (``scan 1.0 page.001.jpg``), and a text of the same name, is read with keys that end at
the last dot. In any other shard an image behind such a dot has no sample; it is rejected, unless it
is a further picture of a sample (``key.mask.png`` beside ``key.png``), which is a side file.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from augment.data.images import SUFFIXES
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
    files_in,
    split_in,
)
from augment.readers.beside import others
from augment.readers.boxes import kind_of

_IMAGES = tuple(suffix[1:] for suffix in SUFFIXES)
_NAMES = ("cls", "txt")  # endings of files that hold the label; cls comes before txt
_ROW = "json"
_TEXTS = (*_NAMES, _ROW)
_SHARDS = (".tar", ".tar.gz", ".tgz")
BEHIND_A_DOT = "a dot in the name ends its key early (reader option key: last)"
MAX_TEXT = 1 << 20  # bytes of a label or a row, at most
_GLANCE = 64  # members that recognition looks at

Cut = Callable[[str], tuple[str, str]]


def recognises(source: str) -> bool:
    """Whether ``source`` is a shard or a folder of shards: an image and its label side by side."""
    path = Path(source)
    shards = _shards(path)
    if not shards or not tar.is_tar(shards[0]):
        return False
    try:
        paths = [member.path for member in itertools.islice(tar.members(shards[0]), _GLANCE)]
    except AugmentError:
        return False
    for cut in (_first_dot, _last_dot):
        endings_by_key: dict[str, set[str]] = {}
        for key, ending in map(cut, paths):
            endings_by_key.setdefault(key, set()).add(ending)
        for endings in endings_by_key.values():
            if not endings.isdisjoint(_IMAGES) and not endings.isdisjoint(_TEXTS):
                return True
    return False


@READERS.register("webdataset", recognises=recognises)
def webdataset(source: str, *, key: Literal["auto", "first", "last"] = "auto") -> Listing:
    """A tar shard or a folder of them: ``key.png`` beside ``key.cls``, ``key.txt`` or ``key.json``.

    A shard is a .tar, .tar.gz or .tgz. ``key`` says at which dot of a name its key ends; "auto"
    takes the last where all images of a shard have a dot before their ending, else the first, as
    WebDataset does, and rejects images behind a further dot. The JSON may hold any column of the
    sample table. A shard's name may begin with its split. Raises AugmentError before the first item
    for a missing or damaged shard or an unsafe member.
    """
    folder = Path(source)
    shards = _shards(folder)
    if not shards:
        raise AugmentError(f"{source}: no tar shard there")
    cuts: dict[Path, Cut] = {}
    count = 0
    for shard in shards:
        names = [member.path for member in tar.members(shard)]
        count += sum(_last_dot(name)[1] in _IMAGES for name in names)
        last = _all_dotted(names) if key == "auto" else key == "last"
        cuts[shard] = _last_dot if last else _first_dot
    dotted = sum(cut is _last_dot for cut in cuts.values()) if key == "auto" else 0
    remarks = [f"{dotted} shards have dots in all keys, which end at the last"] if dotted else []
    items = itertools.chain.from_iterable(itertools.starmap(_items, cuts.items()))
    beside = others(folder, shards)
    return Listing(itertools.chain(items, beside), count + len(beside), remarks)


def _shards(path: Path) -> list[Path]:
    if path.is_dir():
        return files_in(path, lambda name: name.endswith(_SHARDS))
    return [path] if path.is_file() else []


def _first_dot(path: str) -> tuple[str, str]:
    """The key of a member's sample, up to the first dot of the name, and the member's ending."""
    folder, slash, name = path.rpartition("/")
    stem, _, ending = name.partition(".")
    return folder + slash + stem, ending.lower()


def _last_dot(path: str) -> tuple[str, str]:
    """Key and ending where the key goes up to the last dot."""
    stem, dot, ending = path.rpartition(".")
    return (stem, ending.lower()) if dot and "/" not in ending else (path, "")


def _all_dotted(names: Iterable[str]) -> bool:
    """Whether every image has a dot before its ending and a text of the same name."""
    ends = [_last_dot(name) for name in names]
    pictures = {key for key, ending in ends if ending in _IMAGES}
    texts = {key for key, ending in ends if ending in _TEXTS}
    dotted = all("." in PurePosixPath(key).name for key in pictures)
    return bool(pictures) and dotted and pictures <= texts


def _items(shard: Path, cut: Cut) -> Iterator[Item]:
    """The samples of a shard and its side files; members of a sample stand side by side."""
    split = split_in(PurePosixPath(shard.name))
    for key, members in itertools.groupby(tar.members(shard), lambda member: cut(member.path)[0]):
        path, image, reason = f"{shard.name}/{key}", b"", MISSING
        texts: dict[str, bytes] = {}
        others: list[str] = []
        for member in members:
            ending = cut(member.path)[1]
            if ending in _IMAGES:
                path = f"{shard.name}/{member.path}"
                image, reason = (b"", TOO_LARGE) if member.size > MAX_BYTES else (member.read(), "")
            elif ending in _TEXTS and member.size <= MAX_TEXT:
                texts[ending] = member.read()
            else:
                others.append(member.path)
        for other in others:
            lost = reason == MISSING and _last_dot(other)[1] in _IMAGES
            why = BEHIND_A_DOT if lost else SIDE_FILE
            yield Item(f"{shard.name}/{other}", b"", None, reason=why)
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
        if boxes := kind_of(".txt", name):
            return item._replace(reason=f"{boxes}, no label")
        try:
            row["label"] = name.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            return item._replace(reason=NOT_UTF8)
    return described(item, row)
