"""Fixtures that several test files share."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from augment import images, table

IN_TURN = ("train", "train", "valid", "train", "test")  # splits of the images of each class


@pytest.fixture(scope="session")
def digits_table() -> Callable[..., Path]:
    """Writes scikit-learn's digits as a cleaned table: 60 % train, 20 % valid, 20 % test."""

    def write(folder: Path, *, per_class: int = 20, invert_test: bool = False) -> Path:
        found = load_digits()
        pixels = np.rint(found.images * (255 / 16)).astype(np.uint8)
        seen: Counter[str] = Counter()
        with table.TableWriter(folder) as writer:
            for place, (one, label) in enumerate(zip(pixels, map(str, found.target), strict=True)):
                if seen[label] == per_class:
                    continue
                split = IN_TURN[seen[label] % len(IN_TURN)]
                seen[label] += 1
                data = images.encode(255 - one if invert_test and split == "test" else one)
                writer.add(
                    {
                        "id": hashlib.sha256(data).hexdigest(),
                        "image": {"bytes": data, "path": f"digits/{place}"},
                        "label": label,
                        "split": split,
                        "origin": "real",
                        "width": 8,
                        "height": 8,
                        "mode": "L",
                    }
                )
        return folder

    return write
