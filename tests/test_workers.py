"""Worker processes: order, companions, bounded waiting, errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest

from augment import workers


def work(count: int) -> Iterator[tuple[str, int]]:
    return ((f"c{number}", -number) for number in range(count))


def test_small_sets_stay_in_this_process() -> None:
    with workers.pool(2, 10) as executor:
        assert executor is None
    with workers.pool(1, 1_000_000) as executor:
        assert executor is None


def test_processes_keep_the_order() -> None:
    with workers.pool(2, 1_000_000) as executor:
        assert executor is not None
        found = list(workers.mapped(abs, work(50), executor))
    assert found == list(workers.mapped(abs, work(50), None))
    assert found == [(f"c{number}", number) for number in range(50)]


@pytest.mark.parametrize("threads", [True, False])
def test_little_work_is_asked_for_ahead(threads: bool) -> None:
    asked = 0

    def counted() -> Iterator[tuple[None, int]]:
        nonlocal asked
        for number in range(1000):
            asked += 1
            yield None, number

    def first(executor: Executor | None) -> None:
        assert next(workers.mapped(abs, counted(), executor)) == (None, 0)

    if threads:
        with ThreadPoolExecutor(2) as executor:
            first(executor)
    else:
        first(None)
    assert asked <= workers._WAITING * (os.cpu_count() or 1) + 1


def test_an_error_in_a_task_arrives() -> None:
    with ThreadPoolExecutor(1) as executor, pytest.raises(ZeroDivisionError):
        list(workers.mapped(lambda number: 1 // number, work(3), executor))
