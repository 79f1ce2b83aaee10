"""provenance.parquet: every column of the table but the pixels, beside the images."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from augment.table import FACTS, ROWS, SCHEMA, SPLITS, Row

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
