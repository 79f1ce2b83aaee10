"""An augmented set in a training job: ``load`` gives a torch Dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from PIL import Image

from augment import readers
from augment.data import images, table
from augment.data.arrays import DatasetError, Origin
from augment.runtime import remote, seeding


class Dataset(torch.utils.data.Dataset[tuple[Any, int]]):
    """Pairs of an image and its class index.

    ``classes`` are the class names, ``targets`` the class indices, ``table`` the other columns of
    the sample table.
    """

    def __init__(
        self,
        samples: pa.Table,
        classes: list[str],
        transform: Callable[[Image.Image], Any] | None = None,
    ):
        """Serve the rows of ``samples``, a sample table; an image is decoded when it is taken."""
        self.classes = classes
        self.transform = transform
        self.table: pd.DataFrame = samples.drop_columns(["image"]).to_pandas()
        self._bytes = pc.struct_field(samples.column("image"), "bytes").combine_chunks()
        place = {name: index for index, name in enumerate(classes)}
        self.targets = [place[label] for label in self.table["label"]]

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """The (transformed) image and its class index."""
        image = images.decode(self._bytes[index].as_py())
        return (self.transform(image) if self.transform else image), self.targets[index]


def load(
    path: str | Path = "data/augmented",
    split: str | None = "train",
    *,
    transform: Callable[[Image.Image], Any] | None = None,
    origin: Origin | None = None,
    inferred: bool = True,
    synthetic_ratio: float | None = None,
    seed: int = 0,
) -> Dataset:
    """An augmented set as a torch ``Dataset`` of pairs: a PIL image and its class index.

    ``path`` holds a sample table or any format that ``write`` produces; an address such as
    ``s3://bucket/set`` is copied to the cache of this machine first. ``split`` is train, valid,
    test, or None for all samples. ``origin`` selects real or synthetic samples. Images with an
    inferred label are real; ``inferred=False`` leaves them out. ``synthetic_ratio`` limits the
    number of synthetic samples to that multiple of the real ones, drawn with ``seed``.
    ``transform`` is applied to each image. Class indices are those of the whole set, whatever is
    selected. Raises DatasetError for an empty selection and for a ratio that is negative or comes
    with ``origin``.
    """
    if remote.is_remote(str(path)):
        path = remote.fetch(str(path), remote.shared())
    folder = Path(path)
    if synthetic_ratio is not None and (synthetic_ratio < 0 or origin is not None):
        raise DatasetError("synthetic_ratio: a number from 0 up, and not together with origin")
    samples = _samples(folder)
    classes = table.classes_of(samples.column("label").unique().to_pylist())
    keep = pc.is_valid(samples.column("label"))
    for column, value in (("split", split), ("origin", origin)):
        if value is not None:
            keep = pc.and_(keep, pc.equal(samples.column(column), value))
    if not inferred:
        keep = pc.and_not(keep, pc.fill_null(pc.equal(samples["label_source"], "inferred"), False))
    samples = samples.filter(keep)
    if synthetic_ratio is not None:
        samples = samples.take(_mixed(samples, synthetic_ratio, seed))
    if not len(samples):
        raise DatasetError(f"{folder}: no samples with split {split!r} and origin {origin!r}")
    return Dataset(samples, classes, transform)


def _mixed(samples: pa.Table, ratio: float, seed: int) -> NDArray[np.int64]:
    origin = np.asarray(samples.column("origin").to_pylist())
    real, synthetic = np.flatnonzero(origin == "real"), np.flatnonzero(origin == "synthetic")
    count = min(len(synthetic), round(ratio * len(real)))
    picked = seeding.rng(seed, "mix").permutation(synthetic)[:count]
    return np.sort(np.concatenate([real, picked]))


def _samples(folder: Path) -> pa.Table:
    if any(folder.glob("part-*.parquet")):
        return pa.Table.from_batches(list(table.stream(folder)), schema=table.SCHEMA)
    return readers.as_table(str(folder))
