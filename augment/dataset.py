"""Sample tables as torch data sets and as arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from PIL import Image

from augment import images, readers, seeding, table
from augment.errors import AugmentError

Origin = Literal["real", "synthetic"]


class DatasetError(AugmentError, ValueError):
    """A table, split or class that is not there, or images that do not fit together."""


@dataclass(frozen=True)
class Arrays:
    """Labelled images in memory: uint8 (N, C, H, W), class indices (N,), ids, class names.

    ``codes`` (N, F) are what continuous codes of a model should be for them, NaN where unknown.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    ids: list[str]
    classes: list[str]
    codes: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        """The number of images."""
        return len(self.ids)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def take(self, rows: NDArray[np.int64]) -> Arrays:
        """The images in ``rows``, in that order."""
        ids = [self.ids[row] for row in rows]
        return Arrays(self.pixels[rows], self.labels[rows], ids, self.classes)


def joined(*parts: Arrays) -> Arrays:
    """All images of ``parts``, which have the same classes, one part after another."""
    return Arrays(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.labels for part in parts]),
        [one for part in parts for one in part.ids],
        parts[0].classes,
    )


def arrays(
    folder: Path,
    *,
    split: str | None = None,
    origin: Origin | None = None,
    classes: list[str] | None = None,
    shape: tuple[int, ...] | None = None,
    unlabelled: bool = False,
) -> Arrays:
    """Decode the labelled samples of a cleaned table, all of one size and mode.

    With ``unlabelled`` those without a label as well; theirs is -1.

    ``classes`` fixes the order of the labels; default is that of the whole table. ``shape`` is
    what channels, height, width must be; default is what the first image has. Raises DatasetError
    for an image of another shape, for a label that is none of the classes, and for a table without
    rows when no shape is given; a selection may be empty.
    """
    if classes is None:
        classes = table.classes_of(table.frame(folder, ["label"])["label"])
    index: dict[str | None, int] = {name: place for place, name in enumerate(classes)}
    if unlabelled:
        index[None] = -1
    pixels: list[images.Pixels] = []
    labels: list[int] = []
    ids: list[str] = []
    columns = ["id", "image", "label", "mode"]
    for batch in table.stream(folder, columns, split=split, origin=origin):
        for row in batch.to_pylist():
            if row["label"] is None and not unlabelled:
                continue
            if row["label"] not in index:
                raise DatasetError(f"{folder}: label {row['label']!r} is none of {classes}")
            one = images.pixels(row["image"]["bytes"], row["mode"])
            one = one[None] if one.ndim == 2 else one.transpose(2, 0, 1)
            shape = shape or one.shape
            if one.shape != shape:
                raise DatasetError(f"{folder}: {row['id']} is {one.shape}, not {shape}")
            pixels.append(one)
            labels.append(index[row["label"]])
            ids.append(row["id"])
    stacked = np.stack(pixels) if pixels else np.zeros((0, *(shape or _shape(folder))), np.uint8)
    return Arrays(stacked, np.array(labels, np.int64), ids, list(classes))


def _shape(folder: Path) -> tuple[int, ...]:
    """Channels, height and width of a cleaned table's images, from its first row."""
    for batch in table.stream(folder, ["height", "width", "mode"], rows=1):
        (row,) = batch.to_pylist()
        return (1 if row["mode"] == "L" else 3, row["height"], row["width"])
    raise DatasetError(f"{folder}: no samples")


class Dataset(torch.utils.data.Dataset[tuple[Any, int]]):
    """Images with class indices; ``classes`` are the names, ``table`` the facts of each sample."""

    def __init__(
        self,
        samples: pa.Table,
        classes: list[str],
        transform: Callable[[Image.Image], Any] | None = None,
    ):
        """Serve the rows of ``samples``; images are decoded on access."""
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
    """An augmented set as a torch ``Dataset`` of (PIL image or ``transform``'s result, index).

    ``split`` is train, valid, test or None for all. ``origin`` keeps real or synthetic samples
    only; images whose label was inferred are real ones, and left out if ``inferred`` is false.
    ``synthetic_ratio`` keeps at most that many synthetic samples per real one, drawn with
    ``seed``. The class order is that of the whole set, whatever is selected. Reads sample tables
    and every format that ``write`` produces. Raises DatasetError for an empty selection.
    """
    folder = Path(path)
    if synthetic_ratio is not None and (synthetic_ratio < 0 or origin is not None):
        raise DatasetError("synthetic_ratio: a number from 0 up, and not together with origin")
    samples = _samples(folder)
    classes = table.classes_of(samples.column("label").unique().to_pylist())
    keep = pc.is_valid(samples.column("label"))
    for column, wanted in (("split", split), ("origin", origin)):
        if wanted is not None:
            keep = pc.and_(keep, pc.equal(samples.column(column), wanted))
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
    drawn = seeding.rng(seed, "mix").permutation(synthetic)[:count]
    return np.sort(np.concatenate([real, drawn]))


def _samples(folder: Path) -> pa.Table:
    if any(folder.glob("part-*.parquet")):
        return pa.Table.from_batches(list(table.stream(folder)), schema=table.SCHEMA)
    return readers.as_table(str(folder))
