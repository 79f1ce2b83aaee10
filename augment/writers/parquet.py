"""The sample table itself: what ``augment.load`` reads fastest."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from augment.data.table import Row, TableWriter
from augment.writers.base import WRITERS, prepare


@WRITERS.register("parquet", data_files="part-*.parquet")
def parquet(samples: Iterable[Row], destination: Path) -> None:
    """Parquet shards of the sample table, as pandas, DuckDB and Hugging Face read them."""
    prepare(destination)
    with TableWriter(destination) as writer:
        for row in samples:
            writer.add(row)
