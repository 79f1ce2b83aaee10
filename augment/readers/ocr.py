"""Lists as trainers of text recognition write them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from augment.data import provenance
from augment.data.table import natural
from augment.errors import AugmentError
from augment.readers.base import READERS, SPLITS, Item, Listing, described, locate, split_of

_WORDS = {*SPLITS, "rec", "gt", "list", "label", "labels"}
_LINE = 1 << 16  # bytes of the first line that recognition reads, at most


def _recognises(source: str) -> bool:
    path = Path(source)
    return path.is_dir() and bool(_lists(path))


@READERS.register("ocr_list", recognises=_recognises, paths=True)
def ocr_list(source: str) -> Listing:
    """PaddleOCR's lists (``train.txt``, ``rec_gt_train.txt``) of ``relative/path<TAB>label``.

    Paths are relative to the folder of the lists and must not leave it. Raises AugmentError before
    the first item when there is no list or a list is not UTF-8.
    """
    folder = Path(source)
    lists = _lists(folder) if folder.is_dir() else []
    if not lists:
        raise AugmentError(f"{source}: no list such as train.txt there")
    counts = _counts(lists)
    rows = provenance.rows(folder, counts)
    items = (
        described(_item(folder, line, split), row)
        for path in lists
        for split in [_split(path)]
        for line, row in zip(_lines(path), rows[split], strict=False)
    )
    return Listing(items, counts.total())


def _lists(folder: Path) -> list[Path]:
    """The text files that are named like a list and have a tab in their first line."""
    named = [path for path in folder.glob("*.txt") if _WORDS.issuperset(_words(path))]
    return sorted(filter(_is_list, named), key=lambda path: natural(path.name))


def _words(path: Path) -> list[str]:
    return re.split(r"[-_.]", path.stem.lower())


def _split(path: Path) -> str | None:
    return next(filter(None, map(split_of, _words(path))), None)


def _is_list(path: Path) -> bool:
    with open(path, "rb") as file:
        return b"\t" in file.readline(_LINE)


def _counts(lists: list[Path]) -> Counter[str | None]:
    counts: Counter[str | None] = Counter()
    for path in lists:
        try:
            counts[_split(path)] += sum(1 for _ in _lines(path))
        except UnicodeDecodeError as error:
            raise AugmentError(f"{path}: not UTF-8: {error}") from None
    return counts


def _lines(path: Path) -> Iterator[str]:
    with open(path, encoding="utf-8-sig", newline="\n") as file:
        for line in file:
            if line.strip():
                yield line.rstrip("\r\n")


def _item(folder: Path, line: str, split: str | None) -> Item:
    name, tab, label = line.partition("\t")
    data, reason = locate(folder, name)
    return Item(name, data, label, split, reason=reason if tab else "line without a tab")
