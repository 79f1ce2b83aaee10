"""Factors: closed forms from both sides, what each is named after, and what every factor owes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage
from scipy.stats import spearmanr

from augment.readers import builtin
from augment.vision.factors import FACTORS, FAINT, measure


def drawn(height: int, width: int, *boxes: tuple[int, int, int, int], level: int = 255):
    """White rectangles (top, left, height, width) on black."""
    image = np.zeros((height, width), np.uint8)
    for top, left, tall, wide in boxes:
        image[top : top + tall, left : left + wide] = level
    return image


def leaning(lean: int, height: int = 9, thick: int = 3) -> np.ndarray:
    """A bar that moves ``lean`` pixels to the right with every row upwards."""
    image = np.zeros((16, 48), np.uint8)
    for up in range(height):
        left = 22 + lean * (up - height // 2)
        image[12 - up, left : left + thick] = 255
    return image


def bar(thick: int, long: int) -> tuple[np.ndarray, float]:
    """A free bar, and what its mean distance makes of its width: the ends are edges as well."""
    return drawn(32, 64, (8, 2, thick, long)), thick - (thick**2 - 1) / (3 * long)


# name -> (image, value)
CASES = {
    "slant": [(leaning(lean), float(lean)) for lean in (-2, -1, 0, 1, 2)]
    + [(drawn(9, 9, (4, 2, 1, 5)), math.nan)],  # a single row leans nowhere
    "width": [bar(thick, 30) for thick in (1, 2, 3, 4, 6)]
    + [(drawn(9, 9, (4, 4, 1, 1)), 1.0), (np.roll(bar(4, 30)[0], -8, 0), bar(4, 30)[1])],
    "size": [
        (drawn(16, 16, (4, 4, 8, 8)), 0.5),
        (drawn(16, 16, (2, 2, 12, 12)), 0.75),
        (drawn(30, 40, (10, 10, 6, 8)), 0.2),
        (drawn(32, 128, (7, 30, 16, 64)), 0.5),
        (drawn(16, 16, (8, 8, 1, 1)), 1 / 16),
    ],
    "horizontal": [
        (drawn(16, 16, (4, 6, 4, 4)), 0.0),
        (drawn(16, 16, (4, 1, 4, 2)), -0.75),
        (drawn(16, 16, (9, 13, 4, 2)), 0.75),
        (drawn(32, 128, (9, 94, 4, 4)), 0.5),
        (drawn(16, 16, (2, 2, 2, 2), (12, 6, 2, 2)), -0.375),
    ],
    "vertical": [
        (drawn(16, 16, (6, 3, 4, 4)), 0.0),
        (drawn(16, 16, (1, 3, 2, 4)), 0.75),
        (drawn(16, 16, (13, 9, 2, 4)), -0.75),
        (drawn(32, 128, (6, 20, 4, 4)), 0.5),
    ],
    "brightness": [
        (drawn(16, 16, (6, 6, 4, 4)), 1.0),
        (drawn(16, 16, (6, 6, 4, 4), level=51), 0.2),
        (drawn(16, 16, (6, 6, 4, 4), level=204), 0.8),
    ],
}  # fmt: skip


def digits() -> np.ndarray:
    """One digit of each class, 32 × 32 with room around it."""
    pixels, labels = builtin.digits()
    rows = [np.flatnonzero(labels == label)[0] for label in range(10)]
    large = ndimage.zoom(pixels[rows] / 255, (1, 2, 2), order=1)
    return np.pad(large, ((0, 0), (8, 8), (8, 8)))


def moved(image: np.ndarray, matrix: list[list[float]], shift: tuple[float, float] = (0, 0)):
    """Output row, column to input row, column about the middle."""
    middle = (np.array(image.shape) - 1) / 2
    offset = middle - np.array(matrix) @ (middle + shift)
    return ndimage.affine_transform(image, matrix, offset, order=1)


# name -> what a picture in 0 … 1 becomes at an amount in -1 … 1
DEFORMED = {
    "slant": lambda image, amount: moved(image, [[1, 0], [amount / 2, 1]]),
    "width": lambda image, amount: np.clip(
        3 * ndimage.gaussian_filter(image, 1) + amount - 1, 0, 1
    ),
    "size": lambda image, amount: moved(image, (np.eye(2) / (1 + amount / 3)).tolist()),
    "horizontal": lambda image, amount: moved(image, [[1, 0], [0, 1]], (0, 6 * amount)),
    "vertical": lambda image, amount: moved(image, [[1, 0], [0, 1]], (-6 * amount, 0)),
    "brightness": lambda image, amount: image * (0.6 + amount * 0.4),
}


def test_every_factor_has_cases() -> None:
    assert sorted(CASES) == sorted(DEFORMED) == FACTORS.names()


@pytest.mark.parametrize("name", FACTORS.names())
def test_closed_form(name: str) -> None:
    for image, expected in CASES[name]:
        amount = FACTORS.build(name)(image[None, None])
        assert amount == pytest.approx([expected], abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", FACTORS.names())
def test_rises_with_what_it_is_named_after(name: str) -> None:
    amounts = np.linspace(-1, 1, 9)
    for image in digits():
        pictures = np.stack([DEFORMED[name](image, amount) for amount in amounts])
        pixels = np.rint(255 * pictures).astype(np.uint8)[:, None]
        assert spearmanr(amounts, FACTORS.build(name)(pixels)).statistic > 0.98


@pytest.mark.parametrize("name", FACTORS.names())
def test_contract(name: str) -> None:
    part = FACTORS.describe(name)
    assert part.summary and not part.options
    factor = FACTORS.build(name)
    plain = np.rint(255 * digits()).astype(np.uint8)[:, None]
    before = plain.copy()
    amounts = factor(plain)
    assert amounts.shape == (10,) and amounts.dtype == np.float64 and np.isfinite(amounts).all()
    assert (plain == before).all()
    one_by_one = np.concatenate([factor(image[None]) for image in plain])
    assert amounts == pytest.approx(one_by_one, abs=1e-12)
    assert factor(255 - plain) == pytest.approx(amounts, abs=1e-9)  # dark on light
    assert factor(plain.repeat(3, axis=1)) == pytest.approx(amounts, abs=1e-9)
    coloured = np.concatenate([plain, 255 - plain, plain], axis=1)  # purple on green
    assert factor(coloured) == pytest.approx(amounts, abs=1e-9)


@pytest.mark.parametrize("name", FACTORS.names())
@pytest.mark.filterwarnings("error")
def test_blank_is_not_a_number(name: str) -> None:
    faint = drawn(16, 16, (4, 4, 8, 8), level=int(FAINT) - 1)
    seen = drawn(16, 16, (4, 4, 8, 8), level=int(FAINT))
    pixels = np.stack([np.zeros_like(seen), faint, seen, np.full_like(seen, 200)])[:, None]
    assert np.isnan(FACTORS.build(name)(pixels)).tolist() == [True, True, False, True]


def test_width_finds_the_edge_of_a_soft_stroke() -> None:
    """Three pixels and half of one on either side are four, and not the three or five of a mask."""
    soft = drawn(32, 64, (7, 2, 5, 60), level=128)
    soft[8:11, 2:62] = 255
    _, expected = bar(4, 60)
    assert FACTORS.build("width")(soft[None, None]) == pytest.approx([expected], abs=0.1)


def test_specks_of_the_background_do_not_count() -> None:
    """Grain far from the ink has long levers; what is below the threshold has none."""
    clean = drawn(32, 32, (12, 12, 8, 8), level=220)[None, None]
    grain = np.random.default_rng(0).integers(0, 30, clean.shape).astype(np.uint8)
    before, after = measure(clean), measure(clean + grain)
    assert before.keys() == after.keys() == set(FACTORS.names())
    for name in ("slant", "width", "size", "horizontal", "vertical"):
        assert after[name] == pytest.approx(before[name], abs=0.05)
