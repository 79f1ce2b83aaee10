"""A CSV that lists image files and their labels."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from augment.errors import AugmentError
from augment.readers import sheets
from augment.readers.base import READERS, Item, Listing, described, files_in
from augment.readers.beside import unlisted
from augment.readers.columns import Columns, Unclear
from augment.readers.folder import Disk
from augment.readers.label_sheets import SourceFiles, listed_rows, said, sheet_of
from augment.readers.layout import Layout, layout_of
from augment.readers.sheets import Row

_HELD = 200_000  # rows that stay in memory, some 100 MB; longer lists are read twice


def _recognises(source: str) -> bool:
    path = Path(source)
    if path.is_file():
        return path.suffix.lower() in sheets.SUFFIXES
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
    encoding: str | None = None,
    labelled: bool = True,
) -> Listing:
    """A CSV or TSV file, or a folder with one, with path, label and optionally split and group.

    The options name the columns, in any case. Without a column ``path`` or ``label`` they are
    guessed by what they hold, where that is clear. Delimiter and encoding are found out. Paths are
    relative to the folder of the CSV and must not leave it; images of a folder that its CSV does
    not list are rejected, or unlabelled in a folder such as ``test``. Raises AugmentError for a
    file that is no CSV, that is in an unknown encoding or lacks the columns.
    """
    file = Path(source)
    whole = file.is_dir()
    if whole:
        file = _only_list(file)
    if delimiter is not None and len(delimiter) != 1:
        raise AugmentError(f"{file}: delimiter: one character, found {delimiter!r}")
    disk = Disk(file.parent)
    files = SourceFiles(disk)
    expected_columns = Columns(path, label if labelled else None, split, group)
    try:
        sheet = sheet_of(disk, files, (), file.name, expected_columns, delimiter, encoding)
    except Unclear as error:
        raise AugmentError(f"{file}: {error}") from None
    remarks = said(sheet)
    rows = listed_rows(disk, files, sheet, remarks)
    held = list(itertools.islice(rows, _HELD))
    paths = [path for path, _, _ in itertools.chain(held, rows)]
    places = {tuple(path.split("/")[:-1]) for path in paths}
    layout = layout_of(places)
    if layout.splits:
        names = sorted({folders[layout.depth] for folders in places if len(folders) > layout.depth})
        remarks.append(f"folders {', '.join(names)} are splits")
    beside = list(unlisted(disk, {*paths, sheet.name}, sheet.name)) if whole else []
    read = held if len(held) == len(paths) else listed_rows(disk, files, sheet, [])
    items = itertools.chain(_items(disk, read, layout), beside)
    listing = Listing(items, len(paths) + len(beside), remarks)
    listing.reads = [sheet.path]
    return listing


def _items(disk: Disk, rows: Iterable[tuple[str, str, Row]], layout: Layout) -> Iterator[Item]:
    """The rows with what their folders say."""
    for path, reason, row in rows:
        split, _ = layout.place(tuple(path.split("/")[:-1])) if layout.splits else (None, "")
        item = Item(path, b"" if reason else disk.fetch(path)[0], "", split, reason=reason)
        yield described(item, row)


def _lists(folder: Path) -> list[Path]:
    """The CSV and TSV files of a folder that have the columns path and label, in any case."""
    files = files_in(folder, lambda name: name.lower().endswith(sheets.SUFFIXES))
    return [file for file in files if _names_both(file)]


def _names_both(file: Path) -> bool:
    disk = Disk(file.parent)
    try:
        written = sheets.how_written(lambda: disk.raw(file.name), str(file), first_only=True)
        names = sheets.header(lambda: disk.raw(file.name), str(file), written)
    except AugmentError:
        return False
    return {"path", "label"} <= {name.strip().casefold() for name in names}


def _only_list(folder: Path) -> Path:
    lists = _lists(folder)
    if len(lists) != 1:
        names = ", ".join(file.name for file in lists) or "none"
        raise AugmentError(f"{folder}: one CSV with path and label expected, found {names}")
    return lists[0]
