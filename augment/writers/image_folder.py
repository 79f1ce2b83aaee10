"""A folder of image files by split and class, with a metadata.csv in each split."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa

from augment.data.table import FACTS, SCHEMA, Row
from augment.writers import names
from augment.writers.base import WRITERS, labelled, prepare

METADATA = "metadata.csv"
ABSENT = " "  # the cell of an absent text


@WRITERS.register("image_folder", paper="Hugging Face datasets, ImageFolder with metadata")
def image_folder(samples: Iterable[Row], destination: Path) -> None:
    """``split/class/000000.png`` and ``split/metadata.csv`` with the true labels.

    The first column, file_name, is relative to the metadata; the other columns of the table follow.
    Codes are JSON. An absent number is an empty cell, an absent text a single space: Hugging Face
    guesses the types of columns, refuses splits whose types differ, and would take an empty column
    for numbers.
    """
    prepare(destination)
    folders = names.Folders(taken=METADATA)
    counts: Counter[Path] = Counter()
    with ExitStack() as stack:
        sheets: dict[str, Any] = {}
        for row in labelled(samples):
            split = destination / row["split"]
            if row["split"] not in sheets:
                split.mkdir()
                file = open(split / METADATA, "w", encoding="utf-8", newline="")
                sheets[row["split"]] = csv.writer(stack.enter_context(file))
                sheets[row["split"]].writerow(["file_name", *FACTS])
            folder = split / folders.of(row["label"])
            folder.mkdir(exist_ok=True)
            data = row["image"]["bytes"]
            path = folder / f"{counts[folder]:06d}{names.suffix(data)}"
            counts[folder] += 1
            path.write_bytes(data)
            name = path.relative_to(split).as_posix()
            sheets[row["split"]].writerow([name, *(_cell(fact, row.get(fact)) for fact in FACTS)])


def _cell(column: str, value: Any) -> str:
    if value is None:
        kind = SCHEMA.field(column).type
        return ABSENT if pa.types.is_string(kind) or pa.types.is_list(kind) else ""
    return json.dumps(value) if isinstance(value, list) else str(value)
