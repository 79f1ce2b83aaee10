"""Parquet tables with images in them: the sample table, and those of Hugging Face."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from augment.data import provenance, table
from augment.data.files import ARROW_ERRORS, refusing
from augment.errors import AugmentError
from augment.readers.base import READERS, Item, Listing, described, split_in

_BATCH = 8 << 20  # bytes read at a time
KIND = "Parquet file"  # in messages
_EXPORT = {field.name for field in table.REAL}  # a file with these columns is a sample table


def _recognises(source: str) -> bool:
    return bool(_files(Path(source)))


@READERS.register("parquet", recognises=_recognises)
def parquet(
    source: str,
    *,
    image: str = "image",
    label: str = "label",
    split: str = "split",
    group: str = "group",
    labelled: bool = True,
) -> Listing:
    """A Parquet file or a folder of them: sample tables and the image tables of Hugging Face.

    The options name the columns. Images are bytes or a struct with bytes and path. Labels are text,
    or numbers that the class names in the schema's metadata translate. A file or its folder may be
    named after the split. Raises AugmentError before the first item for a file that is missing,
    damaged or without these columns.
    """
    folder = Path(source)
    files = _files(folder)
    if not files:
        raise AugmentError(f"{source}: no Parquet file there")
    columns = {label: "label", split: "split", group: "group"}
    schemas = [_schema(path, image, label if labelled else None) for path in files]
    items = (
        item
        for path, schema in zip(files, schemas, strict=True)
        for item in _items(path, folder, image, columns, _class_names(schema, label))
    )
    return Listing(items, sum(pq.read_metadata(path).num_rows for path in files))


def _files(path: Path) -> list[Path]:
    """The Parquet files at most two folders deep, without the provenance of other formats."""
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    paths = [*path.glob("*.parquet"), *path.glob("*/*.parquet"), *path.glob("*/*/*.parquet")]
    files = [file for file in paths if file.name != provenance.FILE]
    return sorted(files, key=lambda file: table.natural(file.as_posix()))


def _schema(path: Path, image: str, label: str | None) -> pa.Schema:
    """The schema of a file. Raises AugmentError without the columns or without encoded images."""
    with refusing(path, KIND, *ARROW_ERRORS):
        schema = pq.read_schema(path)
    for name in (image, label):
        if name is not None and name not in schema.names:
            raise AugmentError(f"{path}: no column {name!r}; columns: {', '.join(schema.names)}")
    kind = schema.field(image).type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise AugmentError(f"{path}: column {image!r} holds {kind}, not encoded images")
    return schema


def _class_names(schema: pa.Schema, label: str) -> list[str]:
    """The names that Hugging Face's metadata gives to the numbers of the label column."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[label]["names"]]
    except (KeyError, TypeError, ValueError):
        return []


def _items(
    path: Path, folder: Path, image: str, columns: Mapping[str, str], names: list[str]
) -> Iterator[Item]:
    """The rows of a file as items; ``columns`` maps its columns to those of the sample table."""
    where = path.name if path == folder else path.relative_to(folder).as_posix()
    split = split_in(PurePosixPath(where))
    with refusing(path, KIND, *ARROW_ERRORS), pq.ParquetFile(path) as file:
        present = set(file.schema_arrow.names)
        export = present >= _EXPORT
        read = sorted(present & ({*table.COLUMNS} if export else {image, *columns}))
        batches = file.iter_batches(batch_size=_rows(file.metadata), columns=read)
        rows = (row for batch in batches for row in batch.to_pylist())
        for place, row in enumerate(rows):
            value = row.pop(image)
            value = value if isinstance(value, dict) else {"bytes": value}
            path_in_row = value.get("path") or f"{where}/{place}"
            item = Item(path_in_row, value["bytes"] or b"", "", split)
            if not export:
                row = {columns[name]: cell for name, cell in row.items()}
            yield _item(item, row, names)


def _rows(metadata: pq.FileMetaData) -> int:
    """The number of rows to read at a time, so that they take about 8 MiB."""
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    most: int = _BATCH * metadata.num_rows // max(1, size)
    return max(1, min(table.ROWS, most))


def _item(item: Item, row: dict[str, Any], names: list[str]) -> Item:
    number = row.get("label")
    if names and isinstance(number, int):
        if number >= len(names):
            return item._replace(reason="label is not among the class names")
        row["label"] = names[number] if number >= 0 else ""  # -1 is "no label" there
    return described(item, row)
