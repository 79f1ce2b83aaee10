"""What several processes gain over one: ``python -m benchmarks.devices``.

A full training step of the same batch, shared by so many processes of one thread each, or by so
many GPUs. The share of a linear speed-up is the time of one process over that of all together. This
is no test: a busy machine gives other numbers.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from unittest import mock

import torch

from augment.runtime import process_group
from augment.train import follow, rules
from benchmarks import runs
from benchmarks.results import Row
from benchmarks.tables import MACHINE, Frame, by_recipe, first, summary
from benchmarks.throughput import noise
from benchmarks.training import DEFAULT, settings

SIZES = (32, 64)
RECIPES = [DEFAULT, "wgan_gp", "vae"]
CORES, GPUS = (1, 2), (1, 2, 4, 8)  # processes
WARM = 3  # steps before the clock runs


def measure(recipe: str, size: int, processes: int, seed: int, options: argparse.Namespace) -> Row:
    """A row: the median seconds of a step."""
    data, device = noise(size), options.device
    planned = argparse.Namespace(**{**vars(options), "steps": WARM + options.steps})
    settled = rules.decide(settings(recipe, planned, seed), len(data), len(data.classes), device)
    threads = torch.get_num_threads()
    with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "1"}):
        torch.set_num_threads(1)
        with process_group.group(processes, device.type, follow.__name__) as group:
            here = group.device if group else device
            engine, feed = follow.engine_of(settled, data, None, len(data.classes), here, group)
            seconds = []
            for step in range(settled.length):
                start = time.perf_counter()
                row = engine.step(step, feed.at)
                float(next(iter(row.values())))  # once the device is done
                seconds.append(time.perf_counter() - start)
    torch.set_num_threads(threads)
    return {"step": statistics.median(seconds[WARM:])}


def devices(rows: Frame) -> Frame:
    """A line for each row, beside that of one process."""
    rows = by_recipe(rows, "recipe", "machine", "size", "processes").reset_index(drop=True)
    single = rows[rows["processes"] == 1]
    case = ["recipe", "machine", "size", "batch", "width"]
    alone = rows[case].merge(single[[*case, "step"]], on=case, how="left")["step"]
    rows = rows.assign(milliseconds=1000 * rows["step"], share=alone / rows["step"]
                       / rows["processes"]).reset_index()  # fmt: skip
    return summary(rows, ["index"], {
        "recipe": first("recipe"), "device": first("device", ""), "px": first("size"),
        "processes": first("processes"), "ms a step": first("milliseconds", "{:.0f}"),
        "share of a linear speed-up": first("share", "{:.0%}"), "width": first("width"),
        "batch": first("batch"), **MACHINE,
    })  # fmt: skip


TABLES = (devices,)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    options = runs.parse(
        __doc__, argv, {"steps": 2, "sizes": [min(SIZES)], "recipes": [DEFAULT]},
        steps=15, width=32, recipes=RECIPES, sizes=[*SIZES], processes=[*CORES],
    )  # fmt: skip
    keys = runs.grid(
        size=options.sizes, recipe=options.recipes, processes=options.processes, seed=options.seeds
    )
    full_form = [
        row
        for device, counts in (("cpu", CORES), ("cuda", GPUS))
        for row in runs.grid(
            options.full | {"device": device}, processes=counts, size=SIZES, recipe=RECIPES
        )
    ]
    key = ("recipe", "size", "processes", "seed")
    runs.collect("devices", options, keys, measure, full_form, key)


if __name__ == "__main__":
    main()
