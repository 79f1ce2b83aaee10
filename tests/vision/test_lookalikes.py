"""Lookalikes: distances in pixels are exact, and planted copies are found among real images."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from augment.score.uplift.arms import perturbed
from augment.vision.lookalikes import Lookalikes, pixel_gaps

Pixels = NDArray[np.uint8]


def digits() -> Pixels:
    return (load_digits().images * (255 / 16)).astype(np.uint8)[:, None]


def noise(*shape: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def moved(pixels: Pixels, down: int, right: int) -> Pixels:
    """Images moved with their edges repeated, written differently."""
    rows = (np.arange(pixels.shape[2]) - down).clip(0, pixels.shape[2] - 1)
    columns = (np.arange(pixels.shape[3]) - right).clip(0, pixels.shape[3] - 1)
    return pixels[:, :, rows][:, :, :, columns]


def naive(these: Pixels, those: Pixels) -> NDArray[np.float64]:
    """All gaps (N, M)."""
    found = np.full((len(these), len(those)), np.inf)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            shown = moved(those, down, right).astype(float)
            squares = (these[:, None].astype(float) - shown[None]) ** 2
            found = np.minimum(found, np.sqrt(squares.mean((2, 3, 4))))
    return found


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 12), (1, 28, 20)])
def test_gaps_of_pairs_are_the_naive_ones(shape: tuple[int, int, int]) -> None:
    these, those = noise(5, *shape), noise(5, *shape, seed=1)
    assert pixel_gaps(these, those) == pytest.approx(np.diag(naive(these, those)), rel=1e-5)
    for down, right in ((0, 0), (1, 0), (-1, 1)):
        assert pixel_gaps(moved(these, down, right), these) == pytest.approx(np.zeros(5), abs=1e-6)
    assert pixel_gaps(moved(these, 2, 0), these).min() > 10


def test_the_nearest_of_small_images_is_found() -> None:
    pixels = digits()[:200]
    known, others = Lookalikes(pixels[:150]), pixels[150:]
    assert known.gaps(others) == pytest.approx(naive(others, pixels[:150]).min(1), rel=0.05)
    own = naive(pixels[:150], pixels[:150])
    np.fill_diagonal(own, np.inf)
    found = known.gaps(pixels[:150], own=np.arange(150))
    assert found == pytest.approx(own.min(1), rel=0.1)
    assert known.gaps(pixels[:150]).max() == 0


def test_of_some_that_are_among_them_none_is_its_own_neighbour() -> None:
    pixels = digits()[:40]
    known = Lookalikes(pixels)
    rows = np.array([3, 17])
    every = known.gaps(pixels, own=np.arange(40))
    assert known.gaps(pixels[rows], own=rows).tolist() == every[rows].tolist()
    assert every.min() > 0


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 18), (15, 64)])
def test_copies_are_found_and_honest_images_are_not(size: tuple[int, int]) -> None:
    """At sizes that are looked up as they are, and smaller."""
    smooth = digits()[:400].repeat(8, axis=2).repeat(8, axis=3)
    rows, columns = (np.linspace(0, 63, side).astype(int) for side in size)
    pixels = smooth[:, :, rows][:, :, :, columns]
    train, held = pixels[:250], pixels[250:]
    known = Lookalikes(train)
    limit = np.quantile(known.gaps(train, own=np.arange(250)), 0.005)
    assert (known.gaps(perturbed(train, 1)) <= limit).mean() >= 0.9
    assert (known.gaps(held) <= limit).mean() <= 0.03


def test_where_there_is_nothing_to_compare_with() -> None:
    pixels = digits()[:3]
    assert np.isinf(Lookalikes(pixels[:1]).gaps(pixels[:1], own=np.array([0]))).all()
    assert Lookalikes(pixels[:1]).gaps(pixels).tolist()[0] == 0
    assert len(Lookalikes(pixels).gaps(pixels[:0])) == 0
