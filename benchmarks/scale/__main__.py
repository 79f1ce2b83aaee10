"""Ingest and clean of more and more shards: ``python -m benchmarks.scale``.

On processes and on Ray; a shard is 4,096 digits of 28 × 28. The checks are those of
single images. Each row is a process of its own, whose memory is its largest, beside that of its
largest worker. ``benchmarks.scale.cluster`` carries the seconds of a shard to many machines.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from augment.clean.checks.base import CHECKS
from augment.data import files
from augment.runtime import workers
from benchmarks import costs, runs, stages
from benchmarks.results import Row
from benchmarks.scale.board import RUNTIMES, SHARD
from benchmarks.speed import temporary

SHARDS = (1, 4, 16)
MILLION = 245  # shards
STAGES = ("ingest", "clean")


def write_idx(folder: Path, count: int) -> None:
    """``count`` digits as a folder of IDX files."""
    data = costs.digits(count - count % 10)
    folder.mkdir(parents=True)
    shape = np.array(data.pixels.shape, ">u4")[[0, 2, 3]]
    header = b"\0\0\x08\x03" + shape.tobytes()
    (folder / "train-images-idx3-ubyte").write_bytes(header + data.pixels.tobytes())
    head = b"\0\0\x08\x01" + shape[:1].tobytes()
    labels = head + data.labels.astype(np.uint8).tobytes()
    (folder / "train-labels-idx1-ubyte").write_bytes(labels)


def timed(root: Path, runtime: workers.Runtime) -> dict[str, float | str]:
    """Seconds of each stage in this process, GiB of memory, and the digest of the table."""
    workers.use(runtime)
    made: dict[str, float | str] = {}
    for stage in STAGES:
        start = time.perf_counter()
        stages.run(stage, root)
        made[stage] = time.perf_counter() - start
    for key, whose in (("memory", resource.RUSAGE_SELF), ("worker", resource.RUSAGE_CHILDREN)):
        made[key] = resource.getrusage(whose).ru_maxrss / 2**20
    made["digest"] = files.digest_of_folder(root / "data/clean")
    return made


def measure(shards: int, runtime: workers.Runtime, seed: int, options: argparse.Namespace) -> Row:
    """A row of the table."""
    with temporary() as root:
        write_idx(root / "files", max(100, int(shards * SHARD * options.scale)))
        names = [name for name in CHECKS.names() if CHECKS.describe(name).facts["kind"] == "image"
                 and "glyph" in CHECKS.describe(name).facts["profiles"]]  # fmt: skip
        clean = {"checks": names, "on_doubt": "keep"}
        stages.project(root, clean=clean, ingest={"reader": "idx"})
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
            return dict(executor.submit(timed, root, runtime).result())


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    options = runs.parse(
        __doc__, argv, {"shards": [1], "runtimes": ["processes"], "scale": 0.02},
        shards=[*SHARDS], runtimes=[*RUNTIMES], scale=1.0, width=0, steps=0,
    )  # fmt: skip
    axes = {"shards": options.shards, "runtime": options.runtimes}
    keys = runs.grid(**axes, seed=options.seeds)
    full_form = runs.grid(dict(options.full), shards=[*SHARDS, MILLION], runtime=RUNTIMES, seed=[0])
    runs.collect("scale", options, keys, measure, full_form, ("shards", "runtime", "seed"))


if __name__ == "__main__":
    main()
