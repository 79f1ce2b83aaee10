"""Nearest neighbours against the plain double loop, in blocks of any size."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from augment.vision import neighbours


def points(count: int, seed: int, offset: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(count, 5)) + offset).astype(np.float32)


def plain(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    gaps = these[:, None].astype(float) - those[None]
    return np.sqrt((gaps**2).sum(2))


@pytest.fixture(params=[2**20, 30, 1], ids=["one block", "some", "a row each"])
def entries(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(neighbours, "_ENTRIES", request.param)
    return int(request.param)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("count", [1, 3, 20])
def test_nearest(entries: int, count: int, offset: float) -> None:
    these, those = points(17, 0, offset), points(20, 1, offset)
    places, distances = neighbours.nearest(these, those, count)
    truth = plain(these, those)
    assert distances == pytest.approx(np.sort(truth, 1)[:, :count], rel=1e-9)
    assert np.take_along_axis(truth, places, 1) == pytest.approx(distances, rel=1e-9)
    assert places.dtype == np.int64


@pytest.mark.parametrize("count", [1, 4])
def test_nothing_is_its_own_neighbour(entries: int, count: int) -> None:
    these = points(12, 0)
    truth = plain(these, these)
    np.fill_diagonal(truth, np.inf)
    places, distances = neighbours.nearest(these, these, count, same=True)
    assert distances == pytest.approx(np.sort(truth, 1)[:, :count], rel=1e-9)
    assert not (places == np.arange(12)[:, None]).any()


def test_equal_rows_are_exactly_zero_apart(entries: int) -> None:
    these = points(9, 0, 1000.0)
    places, distances = neighbours.nearest(these, these[::-1])
    assert (distances == 0).all() and places[:, 0].tolist() == list(range(9))[::-1]
    twins = np.concatenate([these, these])
    places, distances = neighbours.nearest(twins, twins, same=True)
    assert (distances == 0).all() and (places[:, 0] == (np.arange(18) + 9) % 18).all()


@pytest.mark.parametrize(
    ("these", "those", "count", "same", "known"),
    [
        (3, 0, 2, False, 0),
        (3, 1, 2, False, 1),
        (1, 1, 1, True, 0),
        (2, 2, 3, True, 1),
        (0, 4, 2, False, 2),
    ],
)
def test_too_few_neighbours_are_infinitely_far(
    these: int, those: int, count: int, same: bool, known: int
) -> None:
    places, distances = neighbours.nearest(points(these, 0), points(those, 0), count, same=same)
    assert places.shape == distances.shape == (these, count)
    assert np.isfinite(distances[:, :known]).all() and np.isinf(distances[:, known:]).all()


def test_a_hundred_thousand_images_fit_into_memory() -> None:
    """Every block is as large as the first, and all that grows with N is places and distances."""
    rows = np.random.default_rng(0).random((100_000, 64), np.float32)
    tracemalloc.start()
    _, block = next(neighbours.blocks(rows, rows))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert block.nbytes <= 4 * 2**20 and peak < 2 * rows.nbytes + 16 * block.nbytes < 2**30


def test_blocks_cover_all_and_stay_small(entries: int) -> None:
    these, those = points(17, 0), points(20, 1)
    before = these.copy(), those.copy()
    starts, found = zip(*neighbours.blocks(these, those), strict=True)
    assert np.concatenate(found) == pytest.approx(plain(these, those) ** 2, abs=1e-4)
    assert list(starts) == list(np.cumsum([0, *map(len, found)])[:-1])
    assert max(block.size for block in found) <= max(entries, 20)
    assert (these == before[0]).all() and (those == before[1]).all()
    assert (
        list(neighbours.blocks(these, those[:0])) == list(neighbours.blocks(these[:0], those)) == []
    )
