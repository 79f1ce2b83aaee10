"""Glyphs are laid alike, whatever their size, place, contrast and polarity."""

from __future__ import annotations

import numpy as np
import pytest

from augment.vision.layout import LONGER, laid


def bar(side: int, length: int, place: tuple[int, int], paper: int, ink: int) -> np.ndarray:
    """An upright bar (1, side, side), its upper left corner at ``place``."""
    image = np.full((1, side, side), paper, np.uint8)
    image[0, place[0] : place[0] + length, place[1] : place[1] + length // 5] = ink
    return image


def test_a_bar_is_laid_the_same_wherever_it_stood() -> None:
    shown = np.stack([
        bar(56, 20, (3, 40), 255, 0), bar(56, 40, (8, 20), 0, 200), bar(56, 10, (40, 4), 90, 150)
    ])  # fmt: skip
    white = laid(shown)
    assert white.shape == (3, 1, 56, 56) and white.dtype == np.uint8
    for image in white[:, 0]:
        rows, columns = np.nonzero(image > 127)
        assert np.ptp(rows) + 1 == pytest.approx(LONGER * 56, abs=3)
        assert np.ptp(columns) + 1 == pytest.approx(LONGER * 56 / 5, abs=3)
        for places in (rows, columns):
            assert (places.min() + places.max()) / 2 == pytest.approx(27.5, abs=1)
        assert image.max() == 255 and image[0].max() == 0


def test_a_blank_image_is_black_and_colours_are_averaged() -> None:
    assert not laid(np.full((1, 3, 12, 12), 200, np.uint8)).any()
    grey = bar(28, 15, (2, 3), 250, 10)[None]
    assert (laid(grey.repeat(3, axis=1)) == laid(grey)).all()
