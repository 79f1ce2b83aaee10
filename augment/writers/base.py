"""Writers: each writes a stream of samples to a folder, in a format that other programs read.

``writer(samples, destination, *, options)`` takes labelled rows of the sample table, in any order,
and an empty or absent folder. It streams, so that memory does not grow with the set. Equal samples
give equal bytes. For a folder that appears at once, the caller writes aside and publishes.

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
    """The destination is not empty, or the format cannot hold a sample."""


def prepare(destination: Path) -> None:
    """Make the folder ``destination``. Raises WriterError when it is not empty."""
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise WriterError(f"{destination}: not an empty folder")
    destination.mkdir(parents=True, exist_ok=True)


def labelled(samples: Iterable[Row]) -> Iterator[Row]:
    """The samples unchanged. Raises WriterError for a missing label or an unknown split."""
    for row in samples:
        if not isinstance(row["label"], str):
            raise WriterError(f"sample {row['id']}: no label; this format holds labelled images")
        if row["split"] not in SPLITS:
            raise WriterError(
                f"sample {row['id']}: split {row['split']!r}; allowed: {', '.join(SPLITS)}"
            )
        yield row
