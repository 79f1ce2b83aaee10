"""Ingest, clean and write of more and more shards: ``python -m benchmarks.scale``.

On processes and on Ray; a shard is 4,096 digits of 28 × 28. The checks are those of
single images. Each row is a process of its own, whose memory is its largest, beside that of its
largest worker. ``benchmarks.scale.cluster`` carries the seconds of a shard to many machines.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from augment.clean.checks.base import CHECKS
from augment.runtime import workers
from benchmarks import costs, runs, stages
from benchmarks.results import Row
from benchmarks.scale.board import RUNTIMES, SHARD
from benchmarks.speed import temporary

SHARDS = (1, 4, 16)
MILLION = 245  # shards


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


def measure(shards: int, runtime: workers.Runtime, seed: int, options: argparse.Namespace) -> Row:
    """A row of the table."""
    with temporary() as root:
        write_idx(root / "files", max(100, int(shards * SHARD * options.scale)))
        names = [name for name in CHECKS.names() if CHECKS.describe(name).facts["kind"] == "image"
                 and "glyph" in CHECKS.describe(name).facts["profiles"]]  # fmt: skip
        clean = {"checks": names, "on_doubt": "keep"}
        stages.project(root, clean=clean, ingest={"reader": "idx"}, write={"gates": []})
        command = [sys.executable, "-m", "benchmarks.scale.shards", str(root), runtime]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return dict(json.loads(run.stdout))


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
