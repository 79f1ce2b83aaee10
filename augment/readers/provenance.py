"""What an export in a format without columns keeps beside it: a row a sample, in written order."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from augment.errors import AugmentError
from augment.readers.item import ARROW_ERRORS, refusing

FILE = "provenance.parquet"
KIND = "provenance table"


def rows(folder: Path, counts: Mapping[str | None, int]) -> dict[str | None, Iterator[Any]]:
    """For each split its rows in written order, or endless empty rows where the file is absent.

    ``counts`` says how many samples of each split the folder holds.
    Raises AugmentError when the file is damaged or has another number of rows for a split.
    """
    path = folder / FILE
    if not path.exists():
        return {split: itertools.repeat({}) for split in counts}
    with refusing(path, KIND, *ARROW_ERRORS), pq.ParquetFile(path) as file:
        written = Counter(
            split
            for batch in file.iter_batches(columns=["split"])
            for split in batch.column("split").to_pylist()
        )
    for split in {*counts, *written}:
        if counts.get(split, 0) != written[split]:
            raise AugmentError(
                f"{path}: {written[split]} rows for split {split}, beside {counts.get(split, 0)} "
                f"samples; without this file all samples are read as real ones"
            )
    return {split: _rows(path, split) for split in counts}


def _rows(path: Path, split: str | None) -> Iterator[dict[str, Any]]:
    with refusing(path, KIND, *ARROW_ERRORS), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1024):
            yield from (row for row in batch.to_pylist() if row["split"] == split)
