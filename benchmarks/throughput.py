"""Speed of a full training step and of sampling, by recipe: ``python -m benchmarks.throughput``.

A step is all that the engine does: batches from memory, both networks, penalties, optimisers,
averages; in bf16 on a GPU where there is no double backward. The share of the peak divides the
operations of the convolutions and matrix products of one step by the operations that one large
matrix product does in the same seconds (bf16 on a GPU). This is no test: a busy machine gives other
numbers.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from augment.data.arrays import Arrays
from augment.runtime import seeding
from benchmarks import runs
from benchmarks.mnist import CLASSES
from benchmarks.results import Row
from benchmarks.tables import MACHINE, Frame, by_recipe, first, met, summary
from benchmarks.training import DEFAULT, WITHIN, Training, settings

REAL_RATE, SAMPLE_RATE = 30_000, 200_000  # images a second on a GPU, at RATED
RATED = {"recipe": DEFAULT, "size": 32, "width": 64}
SIZES = (32, 64)
WARM = 3  # steps before the clock runs
WINDOW = {"cpu": 1, "cuda": 20}  # steps, or batches of samples, that are timed together
SIDE = {"cpu": 2048, "cuda": 8192}  # of the matrices whose product is the device's peak
COMPILERS = {"cpu": ["none"], "cuda": ["none", "inductor", "cudagraphs"]}
DRAWN = {"cpu": 64, "cuda": 4096}  # samples at a time


def seconds(work: Callable[[], Any], device: torch.device, times: int) -> float:
    """The median of ``times`` runs."""
    durations = []
    for _ in range(times):
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


class Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """FLOP of the convolutions and matrix products inside, forward, backward and twice backward.

    By torch's own formulas; its FlopCounterMode follows modules too, which autograd.grad of R1 and
    its kind does not let it.
    """

    flops = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call and count."""
        output = function(*args, **(kwargs or {}))
        formula = flop_registry.get(function.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=output)
        return output


@functools.cache
def peak(device: torch.device) -> float:
    """FLOP/s of the product of two large square matrices."""
    side = SIDE[device.type]
    kind = torch.bfloat16 if device.type == "cuda" else torch.float32
    matrix = torch.ones(side, side, dtype=kind, device=device)
    matrix @ matrix
    return product_flops(side) / seconds(lambda: matrix @ matrix, device, 5)


def product_flops(side: int) -> int:
    """Multiplications and additions of the product of two square matrices."""
    return 2 * side**3


def measure(recipe: str, size: int, compile: str, seed: int, options: argparse.Namespace) -> Row:
    """A row of the table."""
    device, window = options.device, WINDOW[options.device.type]
    planned = argparse.Namespace(**{**vars(options), "steps": WARM + options.steps * window})
    training = Training(settings(recipe, planned, seed, compile=compile), noise(size), device)
    with Counted() as counted:  # type: ignore[no-untyped-call]
        training.run(1)
    training.run(WARM)
    times, batch = options.steps, DRAWN[device.type]
    step = seconds(lambda: training.run(training.step + window), device, times) / window
    sampling = seconds(lambda: _draw(training, batch, window), device, times) / window
    return {
        "rate": 1 / step,
        "images": options.batch * training.settings.discriminator_steps / step,
        "sampled": batch / sampling,
        "flops": counted.flops,
        "peak": peak(device),
        "share": counted.flops / step / peak(device),
    }


def noise(size: int) -> Arrays:
    """A thousand images of ten classes; their pixels are noise, which costs no less time."""
    pixels = seeding.rng(0, "noise").integers(256, size=(1000, 1, size, size), dtype=np.uint8)
    return Arrays(pixels, np.arange(1000) % 10, [str(place) for place in range(1000)], CLASSES)


def throughput(rows: Frame) -> Frame:
    """A line for each row; the bounds are those of a GPU."""

    def rated(t: Frame) -> Frame:
        titles = {"recipe": "recipe", "size": "px", "width": "width"}
        default = pd.concat([t[titles[key]] == value for key, value in RATED.items()], axis=1)
        return default.all(axis=1) & (t["device"] == "cuda")

    def enough(t: Frame) -> Frame:
        return (t["real images/s"] >= REAL_RATE) & (t["sampled/s"] >= SAMPLE_RATE)

    rows = by_recipe(rows, "recipe", "machine", "size").reset_index()
    return summary(rows, ["index"], {
        "recipe": first("recipe"), "device": first("device", ""), "px": first("size"),
        "compiled": first("compile"), "steps/s": first("rate", "{:.3g}"),
        "real images/s": first("images", "{:.0f}"), "share of peak": first("share", "{:.1%}"),
        "sampled/s": first("sampled", "{:.0f}"), "width": first("width"),
        "met": met(enough, rated), "batch": first("batch"), **MACHINE,
    })  # fmt: skip


TABLES = (throughput,)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    options = runs.parse(
        __doc__, argv, {"steps": 2, "sizes": [min(SIZES)]},
        steps=5, width=32, recipes=WITHIN, sizes=[*SIZES], compile="none",
    )  # fmt: skip
    keys = runs.grid(
        size=options.sizes, recipe=options.recipes, compile=[options.compile], seed=options.seeds
    )
    full_form = [
        row
        for device, compilers in COMPILERS.items()
        for row in runs.grid(
            options.full | {"device": device}, compile=compilers, size=SIZES, recipe=WITHIN
        )
    ]
    full_form.append({**RATED, "device": "cuda"})
    key = ("recipe", "size", "compile", "seed")
    runs.collect("throughput", options, keys, measure, full_form, key)


def _draw(training: Training, count: int, times: int) -> None:
    """Samples as bytes in memory."""
    rng = seeding.generator(0, "throughput", device=training.device)
    conditions = torch.arange(count, device=training.device) % (training.model.conditions or 1)
    source = training.feed.at(0).real if training.model.needs.source else None
    if source is not None:
        source = source[torch.arange(count) % len(source)]
    for _ in range(times):
        with training.engine.precision(True):
            signed = training.model.sample(conditions, generator=rng, source=source)
        ((signed.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
