"""Lists of images with their labels, and the files that their names mean."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from augment.errors import visible
from augment.readers import columns as sheet_columns
from augment.readers import sheets
from augment.readers.base import MISSING, is_side_file, refused, split_of_folder
from augment.readers.columns import Columns
from augment.readers.layout import Folders, Tree, joined
from augment.readers.sheets import Row, Written

SEVERAL = "several files of this name"


class LabelSheet(NamedTuple):
    """A list of images with their labels."""

    folders: Folders
    name: str
    written: Written
    header: tuple[str, ...]
    columns: Columns
    every: bool  # whether all columns count, as in metadata.csv
    file_share: float  # share of its first names that are files
    loose: bool  # whether they are found only without a folder or an ending
    outer: str = ""  # folders before its names that do not exist here

    @property
    def path(self) -> str:
        """Where it lies."""
        return joined(self.folders, self.name)

    @property
    def split(self) -> str | None:
        """The split in its name, as in ``train.csv``."""
        return split_of_folder(self.name.rpartition(".")[0])


class SourceFiles:
    """Finds the file that a sheet means by a name."""

    def __init__(self, tree: Tree):
        """Nothing is looked at before the first question."""
        self._tree = tree
        self._by_name: dict[str, list[str]] | None = None

    def place(
        self, folders: Folders, name: str, *, loose: bool = False, split: str | None = None
    ) -> tuple[str, str]:
        """Like ``find``, but no reason for a file that is missing; it looks only where it must."""
        if loose or "\\" in name or not name.isascii():
            path, reason = self.find(folders, name, loose=loose, split=split)
            return path, "" if reason == MISSING else reason
        reason = refused(name)  # no other file can be meant
        return name if reason else joined(folders, _plain(name)), reason

    def find(
        self, folders: Folders, name: str, *, loose: bool, split: str | None = None
    ) -> tuple[str, str]:
        """The path of the file that a sheet in ``folders`` calls ``name``, and "" or a reason.

        Backslashes count as separators, and another Unicode form as the same name, where no file
        has the name as it is. A ``loose`` name may lack outer folders and the ending; among several
        files the one in a folder of ``split`` is meant.
        """
        first = ""
        for form in _forms(name):
            if why := refused(form):
                return (name, why) if not first else (first, MISSING)
            path = joined(folders, _plain(form))
            first = first or path
            if self._tree.has(path):
                return path, ""
        if loose:
            tail = "/" + composed(_plain(form))
            above = joined(folders, "")
            paths = [
                path
                for path in self._index().get(tail.rpartition("/")[2], ())
                if path.startswith(above) and _ends("/" + composed(path), tail)
            ]
            if len(paths) > 1 and split is not None:
                in_split = [p for p in paths if split in map(split_of_folder, p.split("/")[:-1])]
                paths = in_split if len(in_split) == 1 else paths
            if paths:
                return paths[0], SEVERAL if len(paths) > 1 else ""
        return first, MISSING

    def _index(self) -> dict[str, list[str]]:
        """The images by their names with and without an ending, in Unicode's composed form."""
        if self._by_name is None:
            self._by_name = defaultdict(list)
            for folders, names in self._tree.walk():
                for name in names:
                    if not is_side_file(name):
                        path = joined(folders, name)
                        name = composed(name)
                        for key in {name, name.rpartition(".")[0] or name}:
                            self._by_name[key].append(path)
        return self._by_name


def sheet_of(
    tree: Tree,
    files: SourceFiles,
    folders: Folders,
    name: str,
    expected_columns: Columns,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> LabelSheet:
    """The sheet ``name`` in ``folders``, after a look at its first rows.

    Raises AugmentError where it cannot be read, and Unclear where its columns are not clear.
    """
    path = joined(folders, name)
    where = visible(f"{tree.name}/{path}")
    every = expected_columns.path == sheets.FILE_NAME
    written = sheets.how_written(lambda: tree.raw(path), where, delimiter, encoding)
    names = sheets.header(lambda: tree.raw(path), where, written)
    first = sheets.sample(lambda: tree.raw(path), where, written)

    def is_file(value: str, loose: bool = not every) -> bool:
        return files.find(folders, value, loose=loose)[1] in ("", SEVERAL)

    def is_there(value: str) -> bool:
        return is_file(value, False)

    outer = {
        column: outer_folders([str(row[column]) for row in first if row.get(column)], is_there)
        for column in names
    }
    for column in filter(outer.get, names):
        first = [row | {column: without(str(row.get(column)), outer[column])} for row in first]
    columns = sheet_columns.guessed(names, first, is_file, expected_columns)
    file_share = sheet_columns.share(first, columns.path, is_file)
    loose = file_share > sheet_columns.share(first, columns.path, is_there)
    return LabelSheet(
        folders, name, written, tuple(names), columns, every, file_share, loose, outer[columns.path]
    )


def said(sheet: LabelSheet) -> list[str]:
    """How a sheet is read, in words."""
    remarks = [f"{sheet.path}: {sheet_columns.said(sheet.columns, sheet.written)}"]
    if sheet.loose:
        remarks.append(f"{sheet.path}: its names lack a folder or an ending: found by name")
    return remarks + about_outer(sheet.path, sheet.outer)


def outer_folders(names: Sequence[str], is_file: Callable[[str], bool]) -> str:
    """The folders with which all these names begin and that do not exist here; else blank.

    Such as ``train_data/rec/`` or ``/home/me/`` of the machine on which the list was made: no name
    is a file as it is, and each is one without them. A name with ``..`` means what it says.
    """
    parts = [re.split(r"[/\\]", name)[:-1] for name in names]
    common = os.path.commonprefix(parts)
    if not common or any(".." in folders for folders in parts) or any(map(is_file, names)):
        return ""
    lengths = [sum(len(part) + 1 for part in common[:count]) for count in range(1, len(common) + 1)]
    for length in lengths:
        if all(is_file(name[length:]) for name in names):
            return names[0][:length].replace("\\", "/")
    return ""


def without(name: str, outer: str) -> str:
    """``name`` without the folders ``outer`` before it."""
    return name[len(outer) :] if outer and name.replace("\\", "/").startswith(outer) else name


def about_outer(path: str, outer: str) -> list[str]:
    """What was decided about the folders before the names of a list, in words."""
    if not outer:
        return []
    return [f"{path}: {outer!r} before its names is not here, and is left out"]


def header_of(tree: Tree, path: str) -> list[str]:
    """The column names of the list at ``path``, in lower case and without blanks at their ends."""
    where = visible(f"{tree.name}/{path}")
    written = sheets.how_written(lambda: tree.raw(path), where)
    names = sheets.header(lambda: tree.raw(path), where, written)
    return [name.strip().casefold() for name in names if name]


def listed_rows(
    tree: Tree, files: SourceFiles, sheet: LabelSheet, remarks: list[str]
) -> Iterator[tuple[str, str, Row]]:
    """Each row of a sheet after its image's path and a reason not to read it, or none."""
    joins = 0
    columns = sheet.columns
    for row in sheets.rows(
        lambda: tree.raw(sheet.path), visible(f"{tree.name}/{sheet.path}"), sheet.written
    ):
        if row.get(None):
            row = sheet_columns.whole(row, columns, sheet.header, sheet.written.delimiter)
            joins += None not in row
        cell = row.get(columns.path)
        name = "" if cell is None else str(cell)
        name = without(name, sheet.outer)
        path, reason = files.place(sheet.folders, name, loose=sheet.loose, split=sheet.split)
        if row.pop(None, None):
            reason = reason or sheet_columns.EXTRA
        values: dict[str, Any] = row if sheet.every else {}
        for target, column in zip(("label", "split", "group"), columns[1:4], strict=True):
            if column is not None and column in row:
                values[target] = row[column]
        if columns.classes:
            values["label"], why = sheet_columns.one_class(row, columns.classes)
            reason = reason or why
        yield path, reason, values
    if joins:
        remarks.append(
            f"{sheet.path}: {joins} rows have {sheet.written.delimiter!r} in the label: kept so"
        )


def _forms(name: str) -> Iterator[str]:
    """``name``, then with slashes for backslashes, and both in Unicode's two forms."""
    for form in dict.fromkeys((name, name.replace("\\", "/"))):
        yield form
        if not form.isascii():
            yield unicodedata.normalize("NFC", form)
            yield unicodedata.normalize("NFD", form)


def _plain(name: str) -> str:
    """``name`` without empty steps such as ``./``."""
    odd = "//" in name or "." in (name[:1], name[-1:]) or "/." in name or name.endswith("/")
    return PurePosixPath(name).as_posix() if odd else name


def _ends(path: str, tail: str) -> bool:
    """Whether ``path``, with or without its ending, ends with ``tail``."""
    return path.endswith(tail) or path.rpartition(".")[0].endswith(tail)


def composed(name: str) -> str:
    """``name`` in Unicode's composed form (NFC)."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def listed_in_words(names: Collection[str]) -> str:
    """The first eight names with commas between, and how many more there are."""
    names = list(map(visible, names))
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
