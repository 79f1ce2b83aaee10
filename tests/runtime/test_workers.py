"""Worker processes: order, companions, bounded waiting, errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from augment.classifiers.fit import fit_classifier
from augment.runtime import seeding, workers


def work(count: int) -> Iterator[tuple[str, int]]:
    return ((f"c{number}", -number) for number in range(count))


def test_small_sets_stay_in_this_process() -> None:
    with workers.pool(2, 10) as executor:
        assert executor is None
    with workers.pool(1, 1_000_000) as executor:
        assert executor is None


def test_without_ray_there_is_no_crew() -> None:
    assert workers.crew({}, "cpu") is None


def test_processes_keep_the_order() -> None:
    with workers.pool(2, 1_000_000) as executor:
        assert executor is not None
        pairs = list(workers.mapped(abs, work(50), executor))
    assert pairs == list(workers.mapped(abs, work(50), None))
    assert pairs == [(f"c{number}", number) for number in range(50)]


@pytest.mark.parametrize("threads", [True, False])
def test_little_work_is_asked_for_ahead(threads: bool) -> None:
    taken = 0

    def counted() -> Iterator[tuple[None, int]]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield None, number

    def first(executor: Executor | None) -> None:
        assert next(workers.mapped(abs, counted(), executor)) == (None, 0)

    if threads:
        with ThreadPoolExecutor(2) as executor:
            first(executor)
    else:
        first(None)
    assert taken <= workers.WAITING * (os.cpu_count() or 1) + 1


def test_an_error_in_a_task_arrives() -> None:
    with ThreadPoolExecutor(1) as executor, pytest.raises(ZeroDivisionError):
        list(workers.mapped(lambda number: 1 // number, work(3), executor))


SCRIPT = """
import os, signal, time
from augment.runtime import workers

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # CI may have it ignored
    with workers.pool(2, 1_000_000) as executor:
        print(executor.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("sent", "whole_group"), [("SIGKILL", False), ("SIGINT", True)])
def test_workers_end_quietly_with_their_parent(
    sent: str, whole_group: bool, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    program = subprocess.Popen(
        [sys.executable, tmp_path / "script.py"], start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert program.stdout is not None
    worker = int(program.stdout.readline())
    kill = os.killpg if whole_group else os.kill
    kill(program.pid, getattr(signal, sent))
    _, errors = program.communicate(timeout=30)  # the pipes close when no process is left
    assert "Process" not in errors and errors.count("Traceback") == whole_group
    end = time.monotonic() + 30
    while os.path.exists(f"/proc/{worker}") and time.monotonic() < end:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{worker}")


def side_by_side(task: Any, work: list[tuple[Any, ...]], processes: int) -> list[Any]:
    return workers.side_by_side(
        task, iter(work), count=len(work), processes=processes, title="all of them"
    )


@pytest.mark.parametrize("processes", [1, 2])
def test_work_beside_one_another_keeps_its_order(processes: int) -> None:
    work = [(2, number) for number in range(40)]
    assert side_by_side(pow, work, processes) == [2**number for number in range(40)]


def test_fits_beside_one_another_are_those_made_one_after_the_other() -> None:
    pixels = seeding.rng(0, "pixels").integers(0, 256, (40, 1, 8, 8)).astype(np.uint8)
    fit = partial(
        fit_classifier, classes=2, network="cnn", steps=3, batch=8, seed=0, augment=("elastic",)
    )
    work = [(pixels, np.arange(40) % 2), (pixels[::-1].copy(), np.arange(40) % 2)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = [fitted.digest for fitted in side_by_side(fit, work, 1)]
    finally:
        torch.set_num_threads(threads)
    assert [fitted.digest for fitted in side_by_side(fit, work, 2)] == alone
    assert len(set(alone)) == 2


def test_the_cores_are_shared_by_what_runs_side_by_side() -> None:
    threads = side_by_side(torch.get_num_threads, [(), ()], 2)
    assert threads == [max(1, (os.cpu_count() or 1) // 2)] * 2


def test_an_error_in_one_of_several_ends_the_others() -> None:
    start = time.monotonic()
    with pytest.raises(ValueError, match="non-negative"):
        side_by_side(time.sleep, [(-1,), (60,)], 2)
    assert time.monotonic() - start < 30


BARS = """
import sys
from functools import partial
import numpy as np
from augment.classifiers.fit import fit_classifier
from augment.runtime import workers

if __name__ == "__main__":
    fit = partial(fit_classifier, classes=2, network="cnn", steps=2, batch=2, seed=0, title="one")
    work = [(np.zeros((4, 1, 8, 8), np.uint8), np.arange(4) % 2)] * 2
    for processes in (1, 2):
        workers.side_by_side(fit, work, count=2, processes=processes, title="all of them")
        print("NEXT", file=sys.stderr)
"""


def test_one_process_alone_shows_a_bar(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(BARS)
    environment = os.environ | {"FORCE_COLOR": "1", "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=True
    )
    alone, beside, _ = done.stderr.split("NEXT")
    assert "one" in alone and "all of them" not in alone
    assert "all of them" in beside and "one" not in beside
