"""provenance.parquet: every column of the sample table except the image, beside an export.

Formats that cannot hold these columns keep them here. A writer passes its samples through
``recorded``; the reader of that format takes the rows back from ``rows``. Within a split the rows
stand in the order of the images.
"""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from augment.data.files import ARROW_ERRORS, open_parquet, refusing
from augment.data.table import FACTS, ROWS, SCHEMA, SPLITS, Row
from augment.errors import AugmentError

FILE = "provenance.parquet"
_KIND = "provenance table"  # in messages
_SCHEMA = pa.schema([SCHEMA.field(name) for name in FACTS])


def recorded(samples: Iterable[Row], path: Path) -> Iterator[Row]:
    """Yield the samples unchanged; after the last one, write their facts to ``path``.

    The splits stand as train, valid, test, which is the order of formats with a file for each
    split. Rows wait on disk, in a temporary folder beside ``path``.
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
                for batch in open_parquet(part).iter_batches(ROWS):
                    file.write_batch(batch)
        joined.replace(path)


def rows(folder: Path, counts: Mapping[str | None, int]) -> dict[str | None, Iterator[Row]]:
    """For each split the recorded rows in order; endless empty rows where there is no file.

    ``counts`` gives the number of images that ``folder`` holds of each split. Raises AugmentError
    when the file is damaged or has another number of rows for a split.
    """
    path = folder / FILE
    if not path.is_file():
        return {split: itertools.repeat({}) for split in counts}
    with refusing(path, _KIND, *ARROW_ERRORS), open_parquet(path) as file:
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


def _rows(path: Path, split: str | None) -> Iterator[Row]:
    with refusing(path, _KIND, *ARROW_ERRORS), open_parquet(path) as file:
        for batch in file.iter_batches(batch_size=ROWS):
            yield from (row for row in batch.to_pylist() if row["split"] == split)
