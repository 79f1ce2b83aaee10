"""Sheets: files that list images and their labels, as CSV, TSV, JSON lines, JSON or Parquet.

How a sheet is written (encoding, delimiter) is found out from its first bytes, and its rows come by
column name. What the columns hold: augment.readers.columns.
"""

from __future__ import annotations

import codecs
import csv as cells
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from augment.data.files import ARROW_ERRORS, open_parquet, refusing
from augment.errors import AugmentError
from augment.readers.base import is_encoding

DATASET = "dataset.json"
FILE_NAME = "file_name"
SUFFIXES = (".csv", ".tsv")
LINES = ".jsonl"
PARQUET = ".parquet"
METADATA = "metadata.parquet"

_SAMPLE = 1000  # rows from which columns are guessed; chosen by hand
_LINE = 1 << 20  # characters of a line of JSON, at most
_BATCH = 1000  # rows of Parquet that are taken at a time; chosen by hand
_BLOCK = 1 << 20
# A letter of Western Europe's languages, or a typographic sign, among what Windows-1252 can hold.
_WESTERN = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüÿŒœŠšŽž"
_SIGNS = "€‚„…‘’“”–—«»°§²³µ·¿¡£©®½¼"

Opener = Callable[[], AbstractContextManager[BinaryIO]]
Row = dict[Any, Any]


class Written(NamedTuple):
    """How a sheet is written; the delimiter is blank for JSON and Parquet."""

    encoding: str
    delimiter: str


def how_written(
    opener: Opener,
    where: str,
    delimiter: str | None = None,
    encoding: str | None = None,
    *,
    first_only: bool = False,
) -> Written:
    """Encoding and delimiter of a sheet, unless they are given.

    The encoding is UTF-8, UTF-16 by its mark, or Windows-1252 where each word with a foreign byte
    looks Western European; ``first_only`` judges the first MiB. Raises AugmentError for any other,
    and for an encoding that is unknown.
    """
    if where.endswith(PARQUET):
        return Written("utf-8", "")
    if encoding is not None:
        if not is_encoding(encoding):
            raise AugmentError(f"{where}: encoding: {encoding!r} is no encoding")
    else:
        encoding = _encoding(opener, where, first_only)
    if where.lower().endswith((LINES, ".json")):
        return Written(encoding, "")
    if delimiter is None:
        with opener() as raw:
            try:
                first = _text(raw, encoding).readline(_LINE)
            except UnicodeError as error:
                raise AugmentError(f"{where}: no CSV in {encoding}: {error}") from None
        marks = "\t,;|" if where.lower().endswith(".tsv") else ",;\t|"
        delimiter = max(marks, key=lambda mark: _width(first, mark))  # the first of equals
    return Written(encoding, delimiter)


def header(opener: Opener, where: str, written: Written) -> list[str]:
    """The names of the columns; for JSON lines those of the first rows."""
    if where.endswith(PARQUET):
        with opener() as raw, refusing(Path(where), "Parquet file", *ARROW_ERRORS):
            return list(pq.read_schema(raw).names)
    if not written.delimiter:
        names = [dict.fromkeys(row) for row in sample(opener, where, written)]
        return list(dict.fromkeys(itertools.chain.from_iterable(names)))
    with opener() as raw:
        try:
            text = _text(raw, written.encoding)
            return next(cells.reader(text, delimiter=written.delimiter), [])
        except (cells.Error, UnicodeError) as error:
            raise AugmentError(f"{where}: no CSV in {written.encoding}: {error}") from None


def rows(opener: Opener, where: str, written: Written) -> Iterator[Row]:
    """The rows by column name; an absent cell is None, cells in excess stand under the key None.

    Raises AugmentError, with the line, for what is no such file.
    """
    with opener() as raw:
        if where.rpartition("/")[2] == DATASET:
            yield from _dataset(raw, where)
            return
        if where.endswith(PARQUET):
            yield from _parquet(raw, where)
            return
        text = _text(raw, written.encoding)
        if not written.delimiter:
            yield from _json_lines(text, where)
            return
        reader = cells.reader(text, delimiter=written.delimiter)
        try:
            names = next(reader, [])
            for values in filter(None, reader):
                row: Row = dict(zip(names, values, strict=False))
                if len(values) > len(names):
                    row[None] = values[len(names) :]
                elif len(values) < len(names):
                    row.update(dict.fromkeys(names[len(values) :]))
                yield row
        except (cells.Error, UnicodeError) as error:
            raise AugmentError(f"{where}: after line {reader.line_num}: {error}") from None


def sample(opener: Opener, where: str, written: Written) -> list[Row]:
    """The first 1,000 rows."""
    return list(itertools.islice(rows(opener, where, written), _SAMPLE))


def _encoding(opener: Opener, where: str, first_only: bool) -> str:
    """The encoding of a sheet, told by its bytes. Raises AugmentError where none fits."""
    with opener() as raw:
        start = raw.read(4)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        decoder = codecs.getincrementaldecoder("utf-8")()
        block = start
        try:
            while block:
                decoder.decode(block)
                block = b"" if first_only and raw.tell() > _BLOCK else raw.read(_BLOCK)
            decoder.decode(b"", final=not first_only)
            return "utf-8-sig"
        except UnicodeDecodeError as error:
            problem = error
    with opener() as raw:
        if all(map(_is_western, iter(lambda: raw.readline(_BLOCK), b""))):
            return "cp1252"
    raise AugmentError(
        f"{where}: no text in UTF-8 ({problem.reason}); save it as UTF-8, or name the encoding: "
        f"ingest.reader: {{name: csv, encoding: ...}}"
    )


def _is_western(line: bytes) -> bool:
    """Whether a line in Windows-1252 has letters of Western Europe only, in words that make sense.

    In each word at most half of the characters are foreign ones; other encodings hardly give that.
    """
    try:
        text = line.decode("cp1252")
    except UnicodeDecodeError:
        return False
    for word in re.findall(r"\w+", text):
        foreign = [letter for letter in word if not letter.isascii()]
        if 2 * len(foreign) > len(word):
            return False
    return all(letter.isascii() or letter in _WESTERN or letter in _SIGNS for letter in text)


def _text(raw: BinaryIO, encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(raw, encoding=encoding, newline="")


def _width(line: str, delimiter: str) -> int:
    try:
        return len(next(cells.reader([line], delimiter=delimiter), []))
    except cells.Error:
        return 0


def _json_lines(text: io.TextIOWrapper, where: str) -> Iterator[Row]:
    """The object of each line that is not blank. Raises AugmentError, with the line, for others."""
    for number in itertools.count(1):
        try:
            line = text.readline(_LINE)
            if not line:
                return
            row = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError) as error:
            raise AugmentError(f"{where}: line {number}: no JSON in UTF-8: {error}") from None
        if row is not None:
            if not isinstance(row, dict):
                raise AugmentError(f"{where}: line {number}: no JSON object")
            yield row


def _dataset(raw: BinaryIO, where: str) -> Iterator[Row]:
    """StyleGAN2-ADA's list: pairs of file and class number under ``labels``."""
    try:
        labels = json.load(raw)["labels"]
        pairs = [(name, label) for name, label in labels]
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise AugmentError(
            f"{where}: pairs of file and class under 'labels' expected: {error!r}"
        ) from None
    for name, label in pairs:
        yield {FILE_NAME: name, "label": label}


def name_of(number: int, names: list[str]) -> str:
    """The name of a class by its number; blank for -1, "no label" there, and beyond the names."""
    return names[number] if 0 <= number < len(names) else ""


def class_names(schema: pa.Schema, label: str) -> list[str]:
    """The names that Hugging Face's metadata gives to the numbers of the label column."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[label]["names"]]
    except (KeyError, TypeError, ValueError):
        return []


def _parquet(raw: BinaryIO, where: str) -> Iterator[Row]:
    """The rows of a Parquet file, numbers of classes as the names that its metadata give them."""
    with (
        refusing(Path(where), "Parquet file", *ARROW_ERRORS),
        open_parquet(raw) as file,
    ):
        names = {name: class_names(file.schema_arrow, name) for name in file.schema_arrow.names}
        for batch in file.iter_batches(batch_size=_BATCH):
            for row in batch.to_pylist():
                for name, numbered in names.items():
                    if numbered and isinstance(row[name], int):
                        row[name] = name_of(row[name], numbered)
                yield row
