"""Tables with images in them: the sample table, and those of Hugging Face, as Parquet or Arrow.

Without an option the column of images is ``image``, or else the only one that holds encoded images.
The labels are ``label``, or else the only column that Hugging Face's metadata give class names or
whose name speaks of a label; of several the one with the most class names, which a remark says.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from augment.data import provenance, table
from augment.data.files import ARROW_ERRORS, open_parquet, refusing
from augment.errors import AugmentError
from augment.readers import sheets
from augment.readers.base import READERS, Item, Listing, described, split_in
from augment.readers.beside import others

_BATCH = 8 << 20  # bytes read at a time
_END = b"\xff\xff\xff\xff\0\0\0\0"  # of an Arrow stream
ONLY_PATH = "the table holds a path, not the image"
_ARROW = re.compile(r"data-\d+-of-\d+\.arrow|dataset\.arrow")  # as save_to_disk names them
_DEEP = 2  # folders between the source and a file, at most
_BESIDE = (provenance.FILE, sheets.METADATA)  # tables beside images that other readers read
_ROWS = 16  # rows of an Arrow batch that are taken at a time: images of some megabytes each
_SPEAKS = re.compile(r"label|class|categor|target|^text$")
_EXPORT = {field.name for field in table.REAL}  # a file with these columns is a sample table


def _recognises(source: str) -> bool:
    return bool(_files(Path(source)))


@READERS.register("parquet", recognises=_recognises)
def parquet(
    source: str,
    *,
    image: str | None = None,
    label: str | None = None,
    split: str = "split",
    group: str = "group",
    labelled: bool = True,
) -> Listing:
    """A Parquet file or a folder of them: sample tables and the image tables of Hugging Face.

    Also a folder that ``save_to_disk`` of Hugging Face's datasets made, of Arrow files. The options
    name the columns; null finds those of images and labels. Images are bytes or a struct with bytes
    and path. Labels are text, or numbers that the class names in the schema's metadata translate. A
    file or its folder may be named after the split. Raises AugmentError before the first item for a
    file that is missing, damaged or without these columns, and where two columns may be meant.
    """
    folder = Path(source)
    files = _files(folder)
    if not files:
        raise AugmentError(f"{source}: no Parquet file there")
    first = _schema(files[0])
    pictures = image or _image_column(files[0], first)
    remarks = [] if image or pictures == "image" else [f"images: column {pictures!r}"]
    labels = label or ("label" if not labelled else _label_column(files[0], first, pictures))
    if labelled and not label and labels != "label":
        remarks.append(f"labels: column {labels!r} (reader option label)")
    columns = {labels: "label", split: "split", group: "group"}
    schemas = [_checked(path, pictures, labels if labelled else None) for path in files]
    items = (
        item
        for path, schema in zip(files, schemas, strict=True)
        for item in _items(path, folder, pictures, columns, sheets.class_names(schema, labels))
    )
    beside = others(folder, files)
    return Listing(itertools.chain(items, beside), sum(map(_count, files)) + len(beside), remarks)


def _files(path: Path) -> list[Path]:
    """The Parquet files at most two folders deep, without the provenance of other formats."""
    if path.is_file():
        return [path] if path.suffix == ".parquet" or _ARROW.fullmatch(path.name) else []
    paths = list(_near(str(path), _DEEP)) if path.is_dir() else []
    files = [file for file in paths if file.suffix == ".parquet" and file.name not in _BESIDE]
    files = files or [file for file in paths if _ARROW.fullmatch(file.name)]
    return sorted(files, key=lambda file: table.natural(file.as_posix()))


def _near(folder: str, deep: int) -> Iterator[Path]:
    """The Parquet and Arrow files of a folder and of those in it, ``deep`` levels down."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith((".parquet", ".arrow")):
                    if entry.is_file():
                        yield Path(entry.path)
                elif deep and entry.is_dir():
                    yield from _near(entry.path, deep - 1)
    except OSError:  # a folder that may not be read
        return


def _kind(path: Path) -> str:
    """The format of a file, in messages."""
    return "Parquet file" if path.suffix == ".parquet" else "Arrow file"


def _schema(path: Path) -> pa.Schema:
    """The schema of a file. Raises AugmentError for damage."""
    with refusing(path, _kind(path), *ARROW_ERRORS):
        if path.suffix == ".parquet":
            return pq.read_schema(path)
        with open(path, "rb") as end:
            end.seek(-min(len(_END), path.stat().st_size), os.SEEK_END)
            if end.read() != _END:  # pyarrow takes a cut between two batches for the end
                raise AugmentError(f"{path}: no Arrow file, or damaged: ends before its end")
        with pa.OSFile(str(path)) as file, _arrow(file) as reader:
            return reader.schema


def _arrow(file: Any) -> Any:
    """A reader of an Arrow stream, as Hugging Face's datasets writes them."""
    return pa.ipc.open_stream(file)


def _count(path: Path) -> int:
    """The number of rows; none for an Arrow stream, which says it only at its end."""
    return pq.read_metadata(path).num_rows if path.suffix == ".parquet" else 0


def _checked(path: Path, image: str, label: str | None) -> pa.Schema:
    """The schema of a file. Raises AugmentError without the columns or without encoded images."""
    schema = _schema(path)
    for name in (image, label):
        if name is not None and name not in schema.names:
            raise AugmentError(f"{path}: no column {name!r}; columns: {', '.join(schema.names)}")
    if not _holds_images(schema.field(image).type):
        kind = schema.field(image).type
        raise AugmentError(f"{path}: column {image!r} holds {kind}, not encoded images")
    return schema


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _image_column(path: Path, schema: pa.Schema) -> str:
    """``image``, or the only column of encoded images. Raises AugmentError for several."""
    image_columns = [field.name for field in schema if _holds_images(field.type)]
    if "image" in schema.names or not image_columns:
        return "image"
    if len(image_columns) > 1:
        raise AugmentError(
            f"{path}: images in {' or '.join(image_columns)}? Set the reader option image"
        )
    return str(image_columns[0])


def _label_column(path: Path, schema: pa.Schema, image: str) -> str:
    """``label``, or the column that is one. Raises AugmentError where several may be."""
    others = [name for name in schema.names if name != image]
    counts = {name: len(sheets.class_names(schema, name)) for name in others}
    most = max(counts.values(), default=0)
    if "label" in others:
        return "label"
    if most:
        label_columns = [name for name in others if counts[name] == most]
    else:
        label_columns = [name for name in others if _SPEAKS.search(name.lower())]
    if len(label_columns) > 1:
        raise AugmentError(
            f"{path}: labels in {' or '.join(label_columns)}? Set the reader option label"
        )
    return label_columns[0] if label_columns else "label"


def _items(
    path: Path, folder: Path, image: str, columns: Mapping[str, str], names: list[str]
) -> Iterator[Item]:
    """The rows of a file as items; ``columns`` maps its columns to those of the sample table."""
    where = path.name if path == folder else path.relative_to(folder).as_posix()
    split = split_in(PurePosixPath(where))
    with refusing(path, _kind(path), *ARROW_ERRORS):
        present = set(_schema(path).names)
        export = present >= _EXPORT
        read = sorted(present & ({*table.COLUMNS} if export else {image, *columns}))
        rows = (row for batch in _batches(path, read) for row in batch.to_pylist())
        for place, row in enumerate(rows):
            value = row.pop(image)
            value = value if isinstance(value, dict) else {"bytes": value}
            path_in_row = value.get("path") or f"{where}/{place}"
            reason = ONLY_PATH if value["bytes"] is None and value.get("path") else ""
            item = Item(path_in_row, value["bytes"] or b"", "", split, reason=reason)
            if not export:
                row = {columns[name]: cell for name, cell in row.items()}
            yield _item(item, row, names)


def _batches(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The columns of a file, in batches of about 8 MiB."""
    if path.suffix == ".parquet":
        with open_parquet(path) as file:
            yield from file.iter_batches(batch_size=_rows(file.metadata), columns=columns)
        return
    with pa.memory_map(str(path)) as mapped, _arrow(mapped) as reader:
        for batch in reader:
            batch.validate(full=True)  # or an offset out of bounds would read foreign memory
            yield from (
                batch.select(columns).slice(place, _ROWS) for place in range(0, len(batch), _ROWS)
            )


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
        row["label"] = sheets.name_of(number, names)
    return described(item, row)
