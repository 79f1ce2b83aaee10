"""A CSV that lists image files and their labels."""

from __future__ import annotations

import csv as cells
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from augment.errors import AugmentError
from augment.readers.base import READERS, Item, Listing, described, locate

_SUFFIXES = (".csv", ".tsv")
_LINE = 1 << 16  # characters of the first line that recognition reads, at most


def _recognises(source: str) -> bool:
    path = Path(source)
    if path.is_file():
        return path.suffix.lower() in _SUFFIXES
    return path.is_dir() and len(_lists(path)) == 1


@READERS.register("csv", recognises=_recognises, paths=True)
def csv(
    source: str,
    *,
    path: str = "path",
    label: str = "label",
    split: str = "split",
    group: str = "group",
    delimiter: str | None = None,
    labelled: bool = True,
) -> Listing:
    """A CSV or TSV file, or a folder with one, with path, label and optionally split and group.

    The options name the columns; the delimiter is a comma, in a .tsv file a tab. Paths are relative
    to the folder of the CSV and must not leave it. Raises AugmentError for a file that is no CSV in
    UTF-8 or lacks the columns.
    """
    file = Path(source)
    if file.is_dir():
        file = _only_list(file)
    delimiter = delimiter or ("\t" if file.suffix.lower() == ".tsv" else ",")
    if len(delimiter) != 1:
        raise AugmentError(f"{file}: delimiter: one character, found {delimiter!r}")
    with _opened(file) as opened:
        names = header(opened, str(file), delimiter)
    with open(file, "rb") as raw:
        lines = sum(block.count(b"\n") for block in iter(lambda: raw.read(1 << 20), b""))
    missing = [name for name in (path, label)[: 1 + labelled] if name not in names]
    if missing:
        raise AugmentError(
            f"{file}: no column {', '.join(map(repr, missing))}; columns: {', '.join(names)}"
        )
    columns = {path: "path", label: "label", split: "split", group: "group"}
    return Listing(_items(file, columns, delimiter), max(0, lines - 1))


def header(file: TextIO, where: str, delimiter: str = ",") -> list[str]:
    """The names of the columns. Raises AugmentError naming ``where`` if the file is no CSV."""
    try:
        return next(cells.reader(file, delimiter=delimiter), [])
    except (cells.Error, UnicodeDecodeError) as error:
        raise AugmentError(f"{where}: no CSV in UTF-8: {error}") from None


def rows(file: TextIO, where: str, delimiter: str = ",") -> Iterator[dict[str, Any]]:
    """The rows by column name; an absent cell is None. Raises AugmentError like ``header``."""
    reader = cells.DictReader(file, delimiter=delimiter)
    try:
        yield from reader
    except (cells.Error, UnicodeDecodeError) as error:
        raise AugmentError(f"{where}: after line {reader.line_num}: {error}") from None


def _items(file: Path, columns: dict[str, str], delimiter: str) -> Iterator[Item]:
    with _opened(file) as opened:
        for row in rows(opened, str(file), delimiter):
            values = {name: row[column] for column, name in columns.items() if column in row}
            name = values.pop("path") or ""
            data, reason = locate(file.parent, name)
            yield described(Item(name, data, "", reason=reason), values)


def _opened(file: Path) -> TextIO:
    try:
        return open(file, encoding="utf-8-sig", newline="")
    except OSError as error:
        raise AugmentError(f"{file}: {error.strerror}") from None


def _lists(folder: Path) -> list[Path]:
    """The CSV and TSV files of a folder whose first line names path and label."""
    lists = []
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in _SUFFIXES and file.is_file():
            with open(file, encoding="utf-8-sig", errors="replace") as opened:
                first = opened.readline(_LINE)
            if {"path", "label"} <= set(first.strip().replace("\t", ",").split(",")):
                lists.append(file)
    return lists


def _only_list(folder: Path) -> Path:
    lists = _lists(folder)
    if len(lists) != 1:
        names = ", ".join(file.name for file in lists) or "none"
        raise AugmentError(f"{folder}: one CSV with path and label expected, found {names}")
    return lists[0]
