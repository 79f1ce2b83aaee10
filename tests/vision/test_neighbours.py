"""Nearest neighbours against the plain double loop, in blocks of any size."""

from __future__ import annotations

import re
import sys
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from augment.vision import neighbours

Points = Callable[[int, int], np.ndarray]


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


def clustered(count: int, seed: int) -> np.ndarray:
    """Points around thirty centres, far from the origin; the centres do not follow the seed."""
    centres = np.random.default_rng(0).normal(size=(30, 16))
    rng = np.random.default_rng(seed)
    rows = centres[rng.integers(30, size=count)] + rng.normal(0, 0.2, (count, 16)) + 50
    return rows.astype(np.float32)


def uniform(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 3), np.float32)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "LARGE", 1000)


SAID = re.compile(
    r"nearest neighbours among 3,000 rows: an index searches (\d+) of 219 lists "
    r"and finds ([0-9.]+)% of the nearest\n"
)


@pytest.mark.parametrize("make", [clustered, uniform])
@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("same", [True, False])
def test_an_index_says_how_much_it_finds(
    large: None, capsys: pytest.CaptureFixture[str], make: Points, count: int, same: bool
) -> None:
    references = make(3000, 1)
    queries = references if same else make(1000, 2)
    places, distances = neighbours.nearest(queries, references, count, same=same)
    said = SAID.fullmatch(capsys.readouterr().err)
    assert said and 1 <= int(said[1]) <= 219 / 4 and float(said[2]) >= 99
    truth = plain(queries, references)
    assert distances == pytest.approx(np.take_along_axis(truth, places, 1), rel=1e-12)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert all(len(set(row)) == count for row in places.tolist())
    if same:
        np.fill_diagonal(truth, np.inf)
        assert not (places == np.arange(3000)[:, None]).any()
    assert (distances[:, 0] <= truth.min(1) * (1 + 1e-6)).mean() >= 0.98


def test_an_index_gives_the_same_answer_twice_and_in_parts(large: None) -> None:
    """Another number of threads or another cut into calls changes nothing."""
    references, queries = clustered(3000, 1), clustered(700, 2)
    whole = neighbours.Neighbours(references).nearest(queries, 3)
    with threadpool_limits(1):
        again = neighbours.Neighbours(references)
        parts = [again.nearest(queries[start : start + 70], 3) for start in range(0, 700, 70)]
    for left, right in zip(whole, zip(*parts, strict=True), strict=True):
        assert np.array_equal(left, np.concatenate(right))
    assert (again.nearest(references)[1] == 0).all()  # each row is there, 0 from itself


def test_an_index_gives_as_many_neighbours_as_there_are(
    large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the searched lists hold fewer, and where all rows are equal."""
    monkeypatch.setattr(neighbours, "ENTRIES", 2**17)
    references = clustered(1001, 1)
    among = neighbours.Neighbours(references)
    places, distances = among.nearest(references, 1001, same=True)
    assert (np.sort(places[:, :1000], 1) == others(1001)).all()
    assert np.isfinite(distances[:, :1000]).all() and np.isinf(distances[:, 1000]).all()
    equal = np.ones((1001, 2), np.float32)
    places, distances = neighbours.Neighbours(equal).nearest(equal, 5, same=True)
    assert (distances == 0).all() and not (places == np.arange(1001)[:, None]).any()
    assert neighbours.Neighbours(references).nearest(references[:0], 2)[0].shape == (0, 2)


def others(count: int) -> np.ndarray:
    """For each of ``count`` rows all others (count, count - 1)."""
    every = np.tile(np.arange(count), (count, 1))
    return every[~np.eye(count, dtype=bool)].reshape(count, -1)


def test_an_index_that_is_no_faster_is_given_up(
    large: None, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.random.default_rng(0).random((1500, 40), np.float32)
    places, distances = neighbours.nearest(rows, rows, 2, same=True)
    assert "1,500 rows: exact search, for an index would search" in capsys.readouterr().err
    truth = plain(rows, rows)
    np.fill_diagonal(truth, np.inf)
    assert distances == pytest.approx(np.sort(truth, 1)[:, :2], rel=1e-12)


def test_without_faiss_the_search_is_exact_and_says_so_once(
    large: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    rows = clustered(1200, 1)
    answers = [neighbours.nearest(rows, rows, 2, same=True) for _ in range(2)]
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["pip install 'augment[neighbours]' makes the search for neighbours faster"]
    monkeypatch.setattr(neighbours, "LARGE", 2000)
    for answer in answers:
        for left, right in zip(answer, neighbours.nearest(rows, rows, 2, same=True), strict=True):
            assert np.array_equal(left, right)


def test_few_queries_or_rows_never_import_faiss(
    large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few queries of many rows neither: an index would take longer than the search."""
    monkeypatch.delitem(sys.modules, "faiss", raising=False)
    rows = clustered(1000, 1)
    neighbours.nearest(rows, rows, same=True)
    neighbours.Neighbours(rows).nearest(rows)
    neighbours.nearest(rows[:50], clustered(1100, 1))
    assert "faiss" not in sys.modules
