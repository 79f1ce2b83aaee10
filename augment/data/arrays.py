"""Samples of a cleaned table in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from augment.data import images, table
from augment.data.places import ADOPTED
from augment.data.types import Floats, Labels
from augment.errors import AugmentError

Origin = Literal["real", "synthetic"]


class DatasetError(AugmentError, ValueError):
    """A table, split or class does not exist, or images do not fit together."""


@dataclass(frozen=True)
class Arrays:
    """Labelled images in memory: uint8 (N, C, H, W), class indices (N,), ids, class names.

    ``codes`` (N, F) are the values that a model's continuous codes should have, NaN where unknown.
    ``styles`` (N,) tell images of a class apart that look different, from 0 on in each class.
    ``keys`` (N) are those of pairs: images of one class and key in two domains belong together.
    """

    pixels: images.Pixels
    labels: Labels
    ids: list[str]
    classes: list[str]
    codes: Floats | None = None
    styles: Labels | None = None
    keys: list[str | None] | None = None

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


def join(*parts: Arrays) -> Arrays:
    """All images of ``parts``, part after part; all parts have the same classes."""
    return Arrays(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.labels for part in parts]),
        [name for part in parts for name in part.ids],
        parts[0].classes,
    )


def load_arrays(
    folder: Path,
    *,
    split: str | None = None,
    origin: Origin | None = None,
    domain: str | None = None,
    classes: list[str] | None = None,
    shape: tuple[int, ...] | None = None,
    unlabelled: bool = False,
) -> Arrays:
    """Decode the labelled samples of a cleaned table, all of one size and mode.

    With ``unlabelled`` the samples without a label come as well, under the label -1. ``classes``
    fixes the order of the labels; the default is all classes of the table, those that only a
    domain names among them, in natural order. ``split``, ``origin`` and ``domain`` select as
    ``table.stream`` does. ``shape`` (channels, height, width) defaults to the shape of the first
    image. A selection may be empty. Raises DatasetError for an image of another shape, for a label
    outside ``classes``, and for a table without rows when no shape is given.
    """
    if classes is None:
        classes = classes_of_all(folder)
    index: dict[str | None, int] = {name: place for place, name in enumerate(classes)}
    if unlabelled:
        index[None] = -1
    pixels: list[images.Pixels] = []
    labels: list[int] = []
    ids: list[str] = []
    columns = ["id", "image", "label", "mode"]
    for batch in table.stream(folder, columns, split=split, origin=origin, domain=domain):
        for row in batch.to_pylist():
            if row["label"] is None and not unlabelled:
                continue
            if row["label"] not in index:
                raise DatasetError(f"{folder}: label {row['label']!r} is none of {classes}")
            image = images.pixels(row["image"]["bytes"], row["mode"])
            image = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
            shape = shape or image.shape
            if image.shape != shape:
                raise DatasetError(f"{folder}: {row['id']} is {image.shape}, not {shape}")
            pixels.append(image)
            labels.append(index[row["label"]])
            ids.append(row["id"])
    stacked = np.stack(pixels) if pixels else np.zeros((0, *(shape or _shape(folder))), np.uint8)
    return Arrays(stacked, np.array(labels, np.int64), ids, list(classes))


def with_adopted(train: Arrays, root: Path) -> tuple[Arrays, bool]:
    """The labelled train images, and whether the adopted ones of the project had to join them.

    They do where some class has no image with a label of its own.
    """
    lacking = not np.bincount(train.labels, minlength=len(train.classes)).all()
    if not lacking or not (root / ADOPTED).exists():
        return train, False
    adopted = load_arrays(root / ADOPTED, classes=train.classes, shape=train.shape)
    return join(train, adopted), len(adopted) > 0


def classes_of_all(folder: Path) -> list[str]:
    """The classes of a table in natural order, those that only a domain names among them."""
    return table.classes_of(table.frame(folder, ["label"], domain=table.EVERY)["label"])


def load_domains(folder: Path, like: Arrays) -> Arrays | None:
    """The labelled images of all further domains of a table; None where there is none.

    Classes and shape are those of ``like``.
    """
    parts = [
        load_arrays(folder, domain=name, classes=like.classes, shape=like.shape)
        for name in table.domains(folder)
    ]
    return join(*parts) if parts else None


def load_helpers(folder: Path, like: Arrays) -> Arrays | None:
    """The images of other classes in a table (``ingest.helpers``); None where there is none.

    Their labels follow those of ``like``, whose shape they have: a helper class is never one of the
    set's, whatever its name.
    """
    names = table.classes_of(table.frame(folder, ["label"], domain=table.HELPERS)["label"])
    if not names:
        return None
    helpers = load_arrays(folder, domain=table.HELPERS, classes=names, shape=like.shape)
    classes = [*like.classes, *(f"{table.HELPERS}: {name}" for name in names)]
    return replace(helpers, labels=helpers.labels + len(like.classes), classes=classes)


def _shape(folder: Path) -> tuple[int, ...]:
    """Channels, height and width of a cleaned table's images, from its first row."""
    columns = ["height", "width", "mode"]
    for batch in table.stream(folder, columns, domain=table.EVERY, rows=1):
        (row,) = batch.to_pylist()
        return (1 if row["mode"] == "L" else 3, row["height"], row["width"])
    raise DatasetError(f"{folder}: no samples")
