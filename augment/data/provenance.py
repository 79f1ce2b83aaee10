"""provenance.parquet: every column of the table but the pixels, beside an export's images."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from augment.data.files import ARROW_ERRORS, refusing
from augment.data.table import FACTS, ROWS, SCHEMA, SPLITS, Row
from augment.errors import AugmentError

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


FILE = "provenance.parquet"
_SCHEMA = pa.schema([SCHEMA.field(name) for name in FACTS])


def recorded(samples: Iterable[Row], path: Path) -> Iterator[Row]:
    """The samples unchanged; once they have all gone by, ``path`` holds their facts.

    Rows stand in the order they went by within a split, the splits as train, valid, test: the
    order of formats that keep a file for each split. Rows wait on disk, beside ``path``.
    """
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        parts = {split: Path(folder) / split for split in SPLITS}
        with ExitStack() as stack:
            pending: dict[str, list[Row]] = {split: [] for split in SPLITS}
            files: dict[str, pq.ParquetWriter] = {}

            def flush(split: str) -> None:
                if split not in files:
                    files[split] = stack.enter_context(pq.ParquetWriter(parts[split], _SCHEMA))
                files[split].write_batch(pa.RecordBatch.from_pylist(pending[split], _SCHEMA))
                pending[split].clear()

            for row in samples:
                waiting = pending[row["split"]]
                waiting.append({name: row.get(name) for name in FACTS})
                if len(waiting) >= ROWS:
                    flush(row["split"])
                yield row
            for split in SPLITS:
                flush(split)
        joined = Path(folder) / "joined"
        with pq.ParquetWriter(joined, _SCHEMA, compression="zstd") as file:
            for part in parts.values():
                for batch in pq.ParquetFile(part).iter_batches(ROWS):
                    file.write_batch(batch)
        joined.replace(path)
