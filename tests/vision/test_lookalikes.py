"""Lookalikes: distances in pixels are exact, and planted copies are found among real images."""

import numpy as np
import pytest
from numpy.typing import NDArray

from augment.readers import builtin
from augment.score.uplift.arms import perturbed
from augment.vision.lookalikes import Lookalikes, pixel_gaps

Pixels = NDArray[np.uint8]


def digits() -> Pixels:
    return builtin.digits()[0][:, None]


def noise(*shape: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def moved(pixels: Pixels, down: int, right: int) -> Pixels:
    """Images moved with their edges repeated, written differently."""
    rows = (np.arange(pixels.shape[2]) - down).clip(0, pixels.shape[2] - 1)
    columns = (np.arange(pixels.shape[3]) - right).clip(0, pixels.shape[3] - 1)
    return pixels[:, :, rows][:, :, :, columns]


def naive(queries: Pixels, images: Pixels) -> NDArray[np.float64]:
    """All gaps (N, M)."""
    gaps = np.full((len(queries), len(images)), np.inf)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            shown = moved(images, down, right).astype(float)
            squares = (queries[:, None].astype(float) - shown[None]) ** 2
            gaps = np.minimum(gaps, np.sqrt(squares.mean((2, 3, 4))))
    return gaps


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 12), (1, 28, 20)])
def test_gaps_of_pairs_are_the_naive_ones(shape: tuple[int, int, int]) -> None:
    queries, images = noise(5, *shape), noise(5, *shape, seed=1)
    assert pixel_gaps(queries, images) == pytest.approx(np.diag(naive(queries, images)), rel=1e-5)
    for down, right in ((0, 0), (1, 0), (-1, 1)):
        assert pixel_gaps(moved(queries, down, right), queries) == pytest.approx(
            np.zeros(5), abs=1e-6
        )
    assert pixel_gaps(moved(queries, 2, 0), queries).min() > 10
    assert pixel_gaps(queries[:0], images[:0]).shape == (0,)  # a chunk that is all turned away


def test_the_nearest_of_small_images_is_found() -> None:
    pixels = digits()[:200]
    lookalikes, others = Lookalikes(pixels[:150]), pixels[150:]
    assert lookalikes.gaps(others) == pytest.approx(naive(others, pixels[:150]).min(1), rel=0.05)
    expected = naive(pixels[:150], pixels[:150])
    np.fill_diagonal(expected, np.inf)
    gaps = lookalikes.gaps(pixels[:150], self_places=np.arange(150))
    assert gaps == pytest.approx(expected.min(1), rel=0.1)
    assert lookalikes.gaps(pixels[:150]).max() == 0


def test_of_some_that_are_among_them_none_is_its_own_neighbour() -> None:
    pixels = digits()[:40]
    lookalikes = Lookalikes(pixels)
    rows = np.array([3, 17])
    every = lookalikes.gaps(pixels, self_places=np.arange(40))
    assert lookalikes.gaps(pixels[rows], self_places=rows).tolist() == every[rows].tolist()
    assert every.min() > 0


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 18), (15, 64)])
def test_copies_are_found_and_honest_images_are_not(size: tuple[int, int]) -> None:
    """At sizes that are looked up as they are, and smaller."""
    smooth = digits()[:400].repeat(8, axis=2).repeat(8, axis=3)
    rows, columns = (np.linspace(0, 63, side).astype(int) for side in size)
    pixels = smooth[:, :, rows][:, :, :, columns]
    train, held = pixels[:250], pixels[250:]
    lookalikes = Lookalikes(train)
    limit = np.quantile(lookalikes.gaps(train, self_places=np.arange(250)), 0.005)
    assert (lookalikes.gaps(perturbed(train, 1)) <= limit).mean() >= 0.9
    assert (lookalikes.gaps(held) <= limit).mean() <= 0.03


def test_where_there_is_nothing_to_compare_with() -> None:
    pixels = digits()[:3]
    assert np.isinf(Lookalikes(pixels[:1]).gaps(pixels[:1], self_places=np.array([0]))).all()
    assert Lookalikes(pixels[:1]).gaps(pixels).tolist()[0] == 0
    assert len(Lookalikes(pixels).gaps(pixels[:0])) == 0
