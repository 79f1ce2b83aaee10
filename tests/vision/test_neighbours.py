"""Nearest neighbours against the plain double loop, in blocks of any size."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from augment.vision import neighbours


def points(count: int, seed: int, offset: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(count, 5)) + offset).astype(np.float32)


def plain(queries: np.ndarray, references: np.ndarray) -> np.ndarray:
    gaps = queries[:, None].astype(float) - references[None]
    return np.sqrt((gaps**2).sum(2))


@pytest.fixture(params=[2**20, 30, 1], ids=["one block", "some", "a row each"])
def entries(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(neighbours, "ENTRIES", request.param)
    return int(request.param)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("count", [1, 3, 20])
def test_nearest(entries: int, count: int, offset: float) -> None:
    queries, references = points(17, 0, offset), points(20, 1, offset)
    places, distances = neighbours.nearest(queries, references, count)
    truth = plain(queries, references)
    assert distances == pytest.approx(np.sort(truth, 1)[:, :count], rel=1e-9)
    assert np.take_along_axis(truth, places, 1) == pytest.approx(distances, rel=1e-9)
    assert places.dtype == np.int64


@pytest.mark.parametrize("count", [1, 4])
def test_nothing_is_its_own_neighbour(entries: int, count: int) -> None:
    rows = points(12, 0)
    truth = plain(rows, rows)
    np.fill_diagonal(truth, np.inf)
    places, distances = neighbours.nearest(rows, rows, count, same=True)
    assert distances == pytest.approx(np.sort(truth, 1)[:, :count], rel=1e-9)
    assert not (places == np.arange(12)[:, None]).any()


def test_equal_rows_are_exactly_zero_apart(entries: int) -> None:
    rows = points(9, 0, 1000.0)
    places, distances = neighbours.nearest(rows, rows[::-1])
    assert (distances == 0).all() and places[:, 0].tolist() == list(range(9))[::-1]
    twins = np.concatenate([rows, rows])
    places, distances = neighbours.nearest(twins, twins, same=True)
    assert (distances == 0).all() and (places[:, 0] == (np.arange(18) + 9) % 18).all()


@pytest.mark.parametrize(
    ("queries", "references", "count", "same", "available"),
    [
        (3, 0, 2, False, 0),
        (3, 1, 2, False, 1),
        (1, 1, 1, True, 0),
        (2, 2, 3, True, 1),
        (0, 4, 2, False, 2),
    ],
)
def test_too_few_neighbours_are_infinitely_far(
    queries: int, references: int, count: int, same: bool, available: int
) -> None:
    places, distances = neighbours.nearest(
        points(queries, 0), points(references, 0), count, same=same
    )
    assert places.shape == distances.shape == (queries, count)
    assert np.isfinite(distances[:, :available]).all() and np.isinf(distances[:, available:]).all()


def test_a_hundred_thousand_images_fit_into_memory() -> None:
    """Every block is as large as the first, and all that grows with N is places and distances."""
    rows = np.random.default_rng(0).random((100_000, 64), np.float32)
    tracemalloc.start()
    _, block = next(neighbours.blocks(rows, rows))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert block.nbytes <= 4 * 2**20 and peak < 2 * rows.nbytes + 16 * block.nbytes < 2**30


def test_blocks_cover_all_and_stay_small(entries: int) -> None:
    queries, references = points(17, 0), points(20, 1)
    before = queries.copy(), references.copy()
    starts, blocks = zip(*neighbours.blocks(queries, references), strict=True)
    assert np.concatenate(blocks) == pytest.approx(plain(queries, references) ** 2, abs=1e-4)
    assert list(starts) == list(np.cumsum([0, *map(len, blocks)])[:-1])
    assert max(block.size for block in blocks) <= max(entries, 20)
    assert (queries == before[0]).all() and (references == before[1]).all()
    assert (
        list(neighbours.blocks(queries, references[:0]))
        == list(neighbours.blocks(queries[:0], references))
        == []
    )
