"""Writers: each puts a stream of samples into a folder in one format that others read.

``writer(samples, destination, *, options)`` takes rows of the sample table, labelled and in any
order, and an empty or absent folder. It streams: memory does not grow with the set. The same
samples give the same bytes. A caller who wants the folder to appear at once publishes it.

A format that cannot hold all columns of the table leaves them in ``provenance.parquet`` beside the
images. The registered fact ``data_files``, where there is one, tells Hugging Face which files of
the folder are the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from augment.data.table import SPLITS, Row
from augment.errors import AugmentError
from augment.registry import Registry

WRITERS = Registry("writer")


class WriterError(AugmentError, ValueError):
    """A destination that is not empty, or a sample that the format cannot hold."""


def prepare(destination: Path) -> None:
    """Make the folder ``destination``; raises WriterError when something is in it."""
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise WriterError(f"{destination}: not an empty folder")
    destination.mkdir(parents=True, exist_ok=True)


def labelled(samples: Iterable[Row]) -> Iterator[Row]:
    """The samples unchanged; raises WriterError for one without a label or a known split."""
    for row in samples:
        if not isinstance(row["label"], str):
            raise WriterError(f"sample {row['id']}: no label; this format holds labelled images")
        if row["split"] not in SPLITS:
            raise WriterError(
                f"sample {row['id']}: split {row['split']!r}; allowed: {', '.join(SPLITS)}"
            )
        yield row
