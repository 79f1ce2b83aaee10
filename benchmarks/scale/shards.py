"""One row of shards, in a process that imports no torch: ``… ROOT RUNTIME`` prints it as JSON."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from augment.clean.passes import Passes
from augment.data import files, table
from augment.data.places import AUGMENTED, SYNTHETIC
from augment.runtime import workers
from benchmarks import stages
from benchmarks.scale.cluster import STAGES

P = ParamSpec("P")
R = TypeVar("R")
OFTEN = 0.05  # seconds between two looks at the workers


def timed(root: Path, runtime: workers.Runtime) -> dict[str, float | str]:
    """Seconds of each stage, GiB of this process and of its largest worker, the table's digest.

    ``joining`` are those seconds of clean that are no pass over images: from the facts of all
    images to their verdicts and to clean.csv.
    """
    workers.use(runtime)
    with table.TableWriter(root / SYNTHETIC):
        pass  # nothing was made: what is written are the images that came
    made: dict[str, float | str] = {}
    largest, over = [0.0], threading.Event()

    def look() -> None:
        while not over.wait(OFTEN):
            largest[0] = max([largest[0], *(peak(child) for child in descendants("self"))])

    in_passes = [0.0]
    for name in ("measure", "mend", "write"):
        setattr(Passes, name, clocked(getattr(Passes, name), in_passes))
    looking = threading.Thread(target=look)
    looking.start()
    for stage in STAGES:
        start = time.perf_counter()
        stages.run(stage, root)
        made[stage] = time.perf_counter() - start
    over.set()
    looking.join()
    made |= {"joining": float(made["clean"]) - in_passes[0]}
    made |= {"memory": peak("self"), "worker": largest[0]}
    made["digest"] = files.digest_of_folder(root / AUGMENTED)
    return made


def clocked(function: Callable[P, R], spent: list[float]) -> Callable[P, R]:
    """``function``; the seconds that it takes are added to ``spent[0]``."""

    def timed_function(*arguments: P.args, **options: P.kwargs) -> R:
        start = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            spent[0] += time.perf_counter() - start

    return timed_function


def descendants(process: str) -> list[str]:
    """The processes that ``process`` and those that it started have started."""
    children: list[str] = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children += path.read_text().split()
        except OSError:  # it has just ended
            continue
    return [*children, *(inner for child in children for inner in descendants(child))]


def peak(process: str) -> float:
    """The most memory that a process has had, in GiB; 0 where it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    lines = (line.split() for line in status.splitlines())
    return next((int(words[1]) / 2**20 for words in lines if words[0] == "VmHWM:"), 0.0)


if __name__ == "__main__":
    folder, name = sys.argv[1:]
    print(json.dumps(timed(Path(folder), cast(workers.Runtime, name))))
