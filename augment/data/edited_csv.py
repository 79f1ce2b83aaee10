"""CSV files that people edit: errors name the line, and any text comes back unchanged.

Spreadsheets calculate cells that begin like a formula, and a label may be ``=`` or ``-1``. Such a
cell is written with an apostrophe in front, as people do by hand; reading removes it again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from augment.errors import AugmentError

_FORMULA = re.compile(r"[=+\-@\t\r']")
_ESCAPED = re.compile(r"'[=+\-@\t\r']")
_SPECIAL = re.compile(r'[",\r\n]|^\s|\s$')
_END = re.compile(r"\r\n|\r|\n")


class HandwrittenError(AugmentError, ValueError):
    """The file is no such CSV; the message names file and line."""


class Sheet(NamedTuple):
    """The names of the columns in order, the line end, and the rows with their line numbers."""

    names: list[str]
    end: str
    rows: list[tuple[int, dict[str, str]]]


def parse_edited_csv(path: Path, data: bytes, columns: Sequence[str]) -> Sheet:
    """Read ``data``, the content of ``path``, whose first line names ``columns`` in any order.

    A byte order mark, any line ends and blank lines are allowed. Raises HandwrittenError when the
    text is not UTF-8, a column is missing, unknown or repeated, a quotation mark stays open, or a
    line has too few or too many cells.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = data[: error.start].count(b"\n") + 1
        raise HandwrittenError(f"{path}, line {where}: not UTF-8; save it as UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    names: list[str] = []
    rows: list[tuple[int, dict[str, str]]] = []
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise HandwrittenError(f"{path}, line {number}: {error}") from None
        if not any(cell.strip() for cell in cells):
            continue
        if not names:
            names = [cell.strip() for cell in cells]
            if sorted(names) != sorted(columns):
                expected, actual = ",".join(columns), ",".join(names)
                raise HandwrittenError(
                    f"{path}, line {number}: expected {expected}; found {actual}"
                )
        elif len(cells) != len(names):
            raise HandwrittenError(
                f"{path}, line {number}: expected {len(names)} cells, found {len(cells)}"
            )
        else:
            rows.append((number, dict(zip(names, map(_read, cells), strict=True))))
    if not names:
        raise HandwrittenError(f"{path}: no first line with the columns {','.join(columns)}")
    end = _END.search(text)
    return Sheet(names, end[0] if end else "\n", rows)


def line(cells: Sequence[str]) -> str:
    """The cells as a line without its end; ``parse_edited_csv`` gives them back unchanged."""
    return ",".join(map(_written, cells))


def _read(cell: str) -> str:
    return cell[1:] if _ESCAPED.match(cell) else cell


def _written(cell: str) -> str:
    cell = f"'{cell}" if _FORMULA.match(cell) else cell
    return '"{}"'.format(cell.replace('"', '""')) if _SPECIAL.search(cell) else cell
