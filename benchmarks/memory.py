"""Training on sets that do not fit into memory: ``python -m benchmarks.memory``.

So many GiB of 28 × 28 images, whose pixels are noise, in memory or mapped from a file as
``augment.data.arrays`` maps them; each in a process of its own. Memory is what only that process
has: mapped pages, which the system may forget, do not count.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from augment.data.arrays import Arrays
from augment.runtime import seeding
from augment.train import rules
from augment.train.feed import feed_of
from augment.train.settings import TrainSettings
from augment.train.step import Engine
from benchmarks import runs
from benchmarks.mnist import CLASSES
from benchmarks.results import Row
from benchmarks.tables import MACHINE, Frame, first, met, summary
from benchmarks.training import settings

SIZES = (1.0, 4.0)  # GiB of pixels
PLACES = ("memory", "mapped")
SIDE = 28
WARM, TIMED = 5, 40  # steps
MOST, LEAST = 1.0, 0.9  # GiB beside the networks; share of the speed in memory
CHUNK = 100_000  # images that are made at a time


def written(folder: Path, count: int) -> Path:
    """A file of ``count`` images, as a large selection of a table lies in one."""
    path = folder / "pixels.npy"
    rng = seeding.rng(0, "memory")
    with path.open("wb") as file:
        shape = (count, 1, SIDE, SIDE)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, count, CHUNK):
            part = min(CHUNK, count - start)
            file.write(rng.integers(256, size=(part, 1, SIDE, SIDE), dtype=np.uint8).tobytes())
    return path


def trained(
    path: Path, count: int, where: str, planned: TrainSettings, timed: int
) -> dict[str, float]:
    """Median seconds of a step, and GiB of this process's memory beyond a set of a batch."""
    mode: Any = "c" if where == "mapped" else "r"
    torch.set_num_threads(1)
    whole = np.lib.format.open_memmap(path, mode=mode)
    _steps(_set(np.array(whole[: planned.batch])), planned, WARM)
    before = _resident()
    data = _set(whole[:count] if where == "mapped" else np.array(whole[:count]))
    seconds = _steps(data, planned, WARM + timed)
    return {
        "step": statistics.median(seconds[WARM:]),
        "beside": (_resident() - before) / 2**30,
        "networks": before / 2**30,
    }


def measure(gib: float, place: str, seed: int, options: argparse.Namespace) -> Row:
    """A row of the table."""
    count = int(gib * options.scale * 2**30) // SIDE**2
    plain = argparse.Namespace(**{**vars(options), "steps": WARM + options.timed})
    planned = settings("infogan", plain, seed)
    planned = planned.model_copy(update={"model": {"name": "infogan", "styles": 1}})
    planned = rules.decide(planned, count, len(CLASSES), torch.device("cpu"))
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor,
    ):
        path = written(Path(folder), count)
        measured = executor.submit(trained, path, count, place, planned, options.timed).result()
    return {**measured, "images": count}


def memory(rows: Frame) -> Frame:
    """A line for each row; a mapped one beside that in memory."""
    rows = rows.sort_values(["gib", "place", "seed"]).reset_index(drop=True)
    case = ["gib", "seed", "machine"]
    plain = rows[rows["place"] == PLACES[0]][[*case, "step"]]
    alone = rows[case].merge(plain, on=case, how="left")["step"]
    rows = rows.assign(share=alone / rows["step"], milliseconds=1000 * rows["step"]).reset_index()

    def bounded(t: Frame) -> Frame:
        return t["pixels are"] == PLACES[1]

    def enough(t: Frame) -> Frame:
        return (t["GiB beside the networks"] <= MOST) & (t["share of the speed"] >= LEAST)

    return summary(rows, ["index"], {
        "GiB of pixels": first("gib"), "images": first("images", "{:,.0f}"),
        "pixels are": first("place"), "ms a step": first("milliseconds", "{:.1f}"),
        "share of the speed": first("share", "{:.2f}"),
        "GiB beside the networks": first("beside", "{:.2f}"),
        "GiB of the networks": first("networks", "{:.2f}"),
        "met": met(enough, bounded), **MACHINE,
    })  # fmt: skip


TABLES = (memory,)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    options = runs.parse(
        __doc__, argv, {"gibs": [1.0], "scale": 0.001, "timed": 5}, gibs=[*SIZES],
        places=[*PLACES], scale=1.0, width=32, steps=0, timed=TIMED,
    )  # fmt: skip
    axes = {"gib": options.gibs, "place": options.places}
    keys = runs.grid(**axes, seed=options.seeds)
    full_form = runs.grid(dict(options.full), gib=SIZES, place=PLACES)
    runs.collect("memory", options, keys, measure, full_form, ("gib", "place", "seed"))


def _set(pixels: Any) -> Arrays:
    """Images with labels in turn, and ids as long as those of a table."""
    count = len(pixels)
    ids = [f"{number:064x}" for number in range(count)]
    return Arrays(pixels, np.arange(count) % len(CLASSES), ids, CLASSES)


def _steps(data: Arrays, planned: TrainSettings, count: int) -> list[float]:
    engine = Engine(planned, data.shape, len(data.classes), torch.device("cpu"))
    feed = feed_of(engine, dataclasses.replace(data))
    seconds = []
    for step in range(count):
        start = time.perf_counter()
        engine.step(step, feed.at)
        seconds.append(time.perf_counter() - start)
    return seconds


def _resident() -> int:
    """Bytes that only this process has in memory."""
    with open("/proc/self/status", encoding="ascii") as file:
        facts = dict(line.split(":", 1) for line in file)
    return int(facts["RssAnon"].split()[0]) * 1024


if __name__ == "__main__":
    main()
