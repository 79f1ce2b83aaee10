"""The columns of a sheet: which hold paths, labels, splits and groups, told by its first rows.

What was decided is said in words, and what is not clear is an error that names the setting.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from augment.errors import AugmentError
from augment.readers.base import BOXES, CARRIED
from augment.readers.sheets import FILE_NAME, Row, Written

EXTRA = "more cells than columns"
SEVERAL_CLASSES = "1 in the columns of several classes"
NO_CLASS = "1 in the column of no class"
NO_MARK = "neither 0 nor 1 in the column of a class"
_PATHS = ("path", "filename", "file", "filepath", "imagepath", "imagename", "image", "imageid")
_LABELS = ("label", "labels", "classname", "class", "classid", "category", "target", "words")
_BOX_COLUMNS = frozenset(
    {"xmin", "ymin", "xmax", "ymax", "bbox", "bboxes", "boxes", "objects", "segmentation"}
    | {"encodedpixels"}
)
_DEFAULTS = ("path", "label", "split", "group")  # columns that are guessed where they lack
_SHARE = 0.8  # share of the sampled names that must be files; chosen by hand
_MARKS = {"0": False, "0.0": False, "1": True, "1.0": True}  # in a column for each class


class Unclear(AugmentError):
    """A sheet whose columns cannot be told by themselves."""


class Columns(NamedTuple):
    """The columns of a sheet; None where it has no such column.

    Where a column of 0 and 1 stands for each class, ``classes`` are these and ``label`` is None.
    """

    path: str
    label: str | None = None
    split: str | None = None
    group: str | None = None
    classes: tuple[str, ...] = ()

    @property
    def names_labels(self) -> bool:
        """Whether the sheet says the labels."""
        return self.label is not None or bool(self.classes)


def guessed(
    names: Sequence[str],
    first: Sequence[Row],
    is_file: Callable[[str], bool],
    expected_columns: Columns,
) -> Columns:
    """The columns among ``names``, from the ``first`` rows.

    A column that bears a name of ``expected_columns``, in any case, is taken. Otherwise names that
    exist as files tell the paths; the label is a column of a usual name, or the only one with few
    distinct values. Raises Unclear, which says what was found and which setting decides.
    """

    @functools.cache
    def file_share(name: str) -> float:
        return share(first, name, is_file)

    by_plain_name = {_plain(name): name for name in reversed(names)}
    for column, default in zip(expected_columns[:4], _DEFAULTS, strict=True):
        if column not in (None, FILE_NAME, default) and _named(names, column) is None:
            raise Unclear(f"no column {column!r}; columns: {', '.join(names)}")
    path = _named(names, expected_columns.path)
    if path is None:
        holding = [name for name in names if file_share(name) >= _SHARE]
        unique = [name for name in holding if len({row.get(name) for row in first}) == len(first)]
        holding = unique if len(unique) == 1 else holding  # numbers of classes may be names too
        usual = [by_plain_name[word] for word in _PATHS if by_plain_name.get(word) in holding]
        if len(holding) != 1 and not usual:
            raise Unclear(
                f"no column {expected_columns.path!r}; columns: {', '.join(names)}; "
                + (
                    f"{_either(holding)} name files: set ingest.reader: {{name: csv, path: ...}}"
                    if holding
                    else "none holds the names of files that exist here"
                )
            )
        path = usual[0] if usual else holding[0]
    split, group = _named(names, expected_columns.split), _named(names, expected_columns.group)
    label = None if expected_columns.label is None else _named(names, expected_columns.label)
    classes: tuple[str, ...] = ()
    if label is None and expected_columns.label is not None:
        rest = [name for name in names if name not in (path, split, group)]
        missing = f"no column {expected_columns.label!r}; columns: {', '.join(names)}"
        if file_share(path) < _SHARE:
            raise Unclear(missing)
        if boxes := [name for name in rest if _plain(name) in _BOX_COLUMNS]:
            raise Unclear(f"{missing}; {_either(boxes)} hold boxes or masks: {BOXES}")
        label, classes = _label(rest, by_plain_name, first, missing)
    for column in (path, label, split, group, *classes):
        if column is not None and names.count(column) > 1:
            raise Unclear(f"column {column!r} stands twice")
    return Columns(path, label, split, group, classes)


def one_class(row: Row, classes: Sequence[str]) -> tuple[str, str]:
    """The class whose column holds 1, and "" or the reason why the row has no single class."""
    marks = [_MARKS.get(_cell(row, name)) for name in classes]
    if None in marks:
        return "", NO_MARK
    if sum(map(bool, marks)) != 1:
        return "", SEVERAL_CLASSES if any(marks) else NO_CLASS
    return classes[marks.index(True)].strip(), ""


def _label(
    rest: Sequence[str], by_plain_name: dict[str, str], first: Sequence[Row], missing: str
) -> tuple[str | None, tuple[str, ...]]:
    """The column of a usual label name, or the only one with few distinct values.

    Instead of it the columns of 0 and 1 where there is one for each class. Else Unclear.
    """
    usual = [by_plain_name[word] for word in _LABELS if by_plain_name.get(word) in rest]
    if usual:
        return usual[0], ()
    if len(rest) > 1 and all(_cell(row, name) in _MARKS for row in first for name in rest):
        single = sum(not one_class(row, rest)[1] for row in first)
        if 2 * single >= len(first) > 0:
            return None, tuple(rest)
        raise Unclear(
            f"{missing}; {_either(rest)} hold 0 and 1, a column for each class, and only {single} "
            f"of {len(first)} rows have 1 in a single one; augment reads one label for each image"
        )
    values = {name: [str(row.get(name)) for row in first if row.get(name)] for name in rest}
    counts = {name: (len(set(values[name])), len(values[name])) for name in rest}
    few = [name for name, (kinds, rows) in counts.items() if 1 < kinds < rows]
    few = [name for name in few if counts[name][0] <= max(2, counts[name][1] // 2)]
    few = [name for name in few if name and name not in CARRIED]
    if len(few) == 1:
        return few[0], ()
    if few and all(set(values[name]) <= _MARKS.keys() for name in few):
        raise Unclear(
            f"{missing}; {_either(few)} hold 0 and 1, a column for each class: write one column "
            f"label instead"
        )
    if few:
        raise Unclear(
            f"{missing}; {_either(few)} may be the label: set ingest.source to this file and "
            f"ingest.reader: {{name: csv, label: {few[0]}}} or another of them"
        )
    raise Unclear(f"{missing}; none has few distinct values")


def is_usual(label: str | None) -> bool:
    """Whether a column is named as labels usually are."""
    return label is not None and _plain(label) in _LABELS


def said(columns: Columns, written: Written) -> str:
    """What was decided about a sheet, in words."""
    words = [f"column {columns.path!r} names the files"]
    words += [f"{columns.label!r} the label"] if columns.label is not None else []
    words += (
        [f"the 1 in one of {len(columns.classes)} columns the label: {_either(columns.classes)}"]
        if columns.classes
        else []
    )
    words += [f"{columns.split!r} the split"] if columns.split is not None else []
    words += [f"{columns.group!r} the group"] if columns.group is not None else []
    if written.encoding not in ("utf-8", "utf-8-sig"):
        words.append(f"read as {written.encoding}; option encoding of the reader csv decides")
    if written.delimiter not in ("", ","):
        words.append(f"cells between {written.delimiter!r}")
    return ", ".join(words)


def whole(row: Row, columns: Columns, names: Sequence[str], delimiter: str) -> Row:
    """``row`` without cells in excess where the label is the last column: they are its text.

    So ``7.jpg,1,000`` under ``filename,words`` has the words ``1,000``.
    """
    if row.get(None) and names and names[-1] == columns.label:
        rest = row.pop(None)
        row[columns.label] = delimiter.join([row[columns.label], *rest])
    return row


def share(first: Sequence[Row], name: str, is_file: Callable[[str], bool]) -> float:
    """The share of a column's values, blank ones aside, that are files."""
    values = [str(row[name]) for row in first if row.get(name)]
    if not any(map(is_file, values[:20])):
        return 0.0
    return sum(map(is_file, values)) / len(values) if values else 0.0


def _named(names: Sequence[str], column_name: str | None) -> str | None:
    """The column called ``column_name``: as it is, or else the only one in another case."""
    if column_name is None or column_name in names:
        return column_name
    same = [name for name in names if _plain(name) == _plain(column_name)]
    return same[0] if len(same) == 1 else None


def _cell(row: Row, name: str) -> str:
    return str(row.get(name)).strip()


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


def _either(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:8]))
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
