"""The attacks on a shared set find members where there is something to find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from augment.data.arrays import Arrays
from benchmarks import sharing


def noise(seed: int, count: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 16, 16)).astype(np.uint8)


def test_auc_in_closed_form() -> None:
    assert sharing.auc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1
    assert sharing.auc(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == 0
    assert sharing.auc(np.array([1.0, 3.0]), np.array([2.0, 0.0])) == 0.75


def test_a_copier_is_found_by_distance() -> None:
    members = noise(0)
    copies = (members // 2 + noise(1) // 16).astype(np.uint8)
    assert sharing.by_distance(members, members, noise(2)) == 1
    assert sharing.by_distance(copies, members, noise(2)) > 0.95
    assert sharing.by_distance(noise(3), members, noise(2)) == pytest.approx(0.5, abs=0.25)


def test_a_classifier_that_knows_its_images_by_heart_is_found_by_loss() -> None:
    members, others = (
        Arrays(noise(seed, 4), np.array([0, 1, 0, 1]), [*"abcd"], ["x", "y"]) for seed in (0, 1)
    )

    class ByHeart:
        def predict(self, pixels: Any) -> np.ndarray:
            if not np.array_equal(pixels, members.pixels):
                return np.full((len(pixels), 2), 0.5)
            return np.eye(2)[members.labels] * 0.98 + 0.01

    assert sharing.by_loss(ByHeart(), members, others) == 1  # type: ignore[arg-type]
    assert sharing.by_loss(ByHeart(), others, members) == 0  # type: ignore[arg-type]
