"""Samples of a cleaned table, decoded: in memory, or in a file where they are many.

The pixels of a large selection are decoded once into a file under ``.augment/pixels`` of the
project, and mapped from there: the system reads what is asked for, and may forget it again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from augment.data import files, images, table
from augment.data.places import ADOPTED, CACHE
from augment.data.types import Floats, Labels
from augment.errors import AugmentError

Origin = Literal["real", "synthetic"]
V = TypeVar("V", np.float32, np.float64)

LARGE = 1 << 30  # bytes of pixels, beyond which they lie in a file; chosen by hand
BLOCK = 20_000  # images that are described at a time


class DatasetError(AugmentError, ValueError):
    """A table, split or class does not exist, or images do not fit together."""


@dataclass(frozen=True)
class Arrays:
    """Labelled images: uint8 (N, C, H, W), class indices (N,), ids, class names.

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

    @property
    def file(self) -> Path | None:
        """The file that all pixels are mapped from, if they are."""
        name = getattr(self.pixels, "filename", None)
        if name is None or _open(name).shape != self.pixels.shape:
            return None
        return Path(name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process maps the same file."""
        rest = [getattr(self, field.name) for field in fields(self)[1:]]
        return _taken_up, (self.file or self.pixels, *rest)

    def take(self, rows: NDArray[np.int64]) -> Arrays:
        """The images in ``rows``, in that order."""
        ids = [self.ids[row] for row in rows]
        return Arrays(self.pixels[rows], self.labels[rows], ids, self.classes)

    def part(self, rows: NDArray[np.int64]) -> Arrays:
        """The images in ``rows``, in that order, without a copy of many in memory.

        Of mapped images more than LARGE bytes are mapped from a file of their own, which lies
        beside theirs; it is written once. All images in their order are these very ones.
        """
        if np.array_equal(rows, np.arange(len(self))):
            return self
        file = self.file
        if file is None or self.pixels[:1].nbytes * len(rows) <= LARGE:
            return self.take(rows)
        path = file.with_name(f"{file.stem}-{hashlib.sha256(rows.tobytes()).hexdigest()[:16]}.npy")
        if not path.exists():
            shape = len(rows), *self.shape
            _write_pixels(path, shape, (self.pixels[row] for row in rows))
        ids = [self.ids[row] for row in rows]
        return Arrays(_open(path), self.labels[rows], ids, self.classes)

    def labelled(self) -> Arrays:
        """The images with a label: these very ones, not copied, where all have one."""
        return self.part(np.flatnonzero(self.labels >= 0))


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
    image. A selection may be empty. More than LARGE bytes of pixels are mapped from a file.

    Raises DatasetError for an image of another shape, for a label outside ``classes``, and for a
    table without rows when no shape is given.
    """
    if classes is None:
        classes = classes_of_all(folder)
    index: dict[str | None, int] = {name: place for place, name in enumerate(classes)}
    if unlabelled:
        index[None] = -1
    labels: list[int] = []
    ids: list[str] = []
    conditions: dict[str, Any] = {"split": split, "origin": origin, "domain": domain}

    def rows(*columns: str) -> Iterator[dict[str, Any]]:
        for batch in table.stream(folder, [*columns, "label"], **conditions):
            yield from (row for row in batch.to_pylist() if row["label"] is not None or unlabelled)

    for row in rows("id", "mode", "height", "width"):
        shape = shape or _shape_of(row)
        if row["label"] not in index:
            raise DatasetError(f"{folder}: label {row['label']!r} is none of {classes}")
        labels.append(index[row["label"]])
        ids.append(row["id"])
    whole = (len(ids), *(shape or _shape(folder)))

    def decoded() -> Iterator[images.Pixels]:
        for row in rows("id", "image", "mode"):
            image = _decoded(row)
            if image.shape != whole[1:]:
                raise DatasetError(f"{folder}: {row['id']} is {image.shape}, not {whole[1:]}")
            yield image

    if np.prod(whole, dtype=float) > LARGE:
        pixels = _mapped(folder, {**conditions, "unlabelled": unlabelled}, whole, decoded)
    else:
        pixels = np.empty(whole, np.uint8)
        for place, image in enumerate(decoded()):
            pixels[place] = image
    return Arrays(pixels, np.array(labels, np.int64), ids, list(classes))


def in_blocks(function: Callable[[images.Pixels], NDArray[V]], pixels: images.Pixels) -> NDArray[V]:
    """``function`` of images, each by itself, BLOCK images at a time."""
    if len(pixels) <= BLOCK:
        return function(pixels)
    starts = range(0, len(pixels), BLOCK)
    return np.concatenate([function(np.array(pixels[start : start + BLOCK])) for start in starts])


def _shape_of(row: dict[str, Any]) -> tuple[int, ...]:
    """Channels, height and width of the image of a row of a cleaned table."""
    return (1 if row["mode"] == "L" else 3, row["height"], row["width"])


def _decoded(row: dict[str, Any]) -> images.Pixels:
    """The image (C, H, W) of a row of a table."""
    image = images.pixels(row["image"]["bytes"], row["mode"])
    return image[None] if image.ndim == 2 else image.transpose(2, 0, 1)


def _mapped(
    folder: Path, selection: dict[str, Any], shape: tuple[int, ...],
    decoded: Callable[[], Iterator[images.Pixels]],
) -> images.Pixels:  # fmt: skip
    """The pixels of a selection, mapped; what is written to them stays in this process.

    The file is made where the project has none of these very shards yet. Files of the table's
    earlier shards are removed then.
    """
    shards = [(path.name, path.stat().st_size, path.stat().st_mtime_ns)
              for path in table.shards(folder)]  # fmt: skip
    here = folder.resolve()
    project = next((place for place in here.parents if (place / "params.yaml").exists()), None)
    home = (project or here.parent) / CACHE / "pixels" / f"{here.name}-{_digest([str(here)])}"
    path = home / _digest(shards) / f"{_digest([selection, shape])}.npy"
    if not path.exists():
        for earlier in home.glob("*"):
            if earlier.name != path.parent.name:
                shutil.rmtree(earlier)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_pixels(path, shape, decoded())
    return _open(path)


def _write_pixels(path: Path, shape: tuple[int, ...], pixels: Iterable[images.Pixels]) -> None:
    """Write images, together of ``shape``, to a file that ``_open`` maps."""
    temporary = files.temporary_beside(path)
    try:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        with (temporary / "pixels").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for image in pixels:
                file.write(image.tobytes())
        (temporary / "pixels").replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _open(path: Path) -> images.Pixels:
    mapped: images.Pixels = np.lib.format.open_memmap(path, mode="c")
    return mapped


def _taken_up(pixels: images.Pixels | Path, *rest: Any) -> Arrays:
    """What another process has, or maps."""
    return Arrays(_open(pixels) if isinstance(pixels, Path) else pixels, *rest)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def with_adopted(
    train: Arrays, root: Path, part: Callable[[Arrays], Arrays] = lambda adopted: adopted
) -> tuple[Arrays, bool]:
    """The labelled train images, and whether the adopted ones of the project had to join them.

    They do where some class has no image with a label of its own; ``part`` says how many of them.
    """
    lacking = not np.bincount(train.labels, minlength=len(train.classes)).all()
    if not lacking or not (root / ADOPTED).exists():
        return train, False
    adopted = load_arrays(root / ADOPTED, classes=train.classes, shape=train.shape)
    return join(train, part(adopted)), len(adopted) > 0


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
        return _shape_of(row)
    raise DatasetError(f"{folder}: no samples")
