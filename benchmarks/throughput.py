"""Speed of a full training step and of sampling, by recipe: ``python -m benchmarks.throughput``.

A step is all that the engine does: batches from memory, both networks, penalties, optimisers,
averages; in bf16 on a GPU where there is no double backward. The share of the peak is what
convolutions and matrix products of one step count as, by what the same seconds of one large matrix
product would do (bf16 on a GPU). Nothing here is a test: a busy machine gives other numbers.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from augment.data.arrays import Arrays
from augment.runtime import seeding
from augment.train.recipes import RECIPES
from augment.train.settings import Compiler
from benchmarks import runs
from benchmarks.summaries import RATED

SIZES = (32, 64)
WARM = 3  # steps before the clock runs
WINDOW = {"cpu": 1, "cuda": 20}  # steps, or batches of samples, that are timed together
SIDE = {"cpu": 2048, "cuda": 8192}  # of the matrices whose product is the device's peak
WAYS = {"cpu": ["none"], "cuda": ["none", "inductor", "cudagraphs"]}  # to compile
DRAWN = {"cpu": 64, "cuda": 4096}  # samples at a time


def seconds(work: Callable[[], Any], device: torch.device, times: int) -> float:
    """The median of ``times`` runs."""
    found = []
    for _ in range(times):
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        found.append(time.perf_counter() - start)
    return statistics.median(found)


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
        found = function(*args, **(kwargs or {}))
        formula = flop_registry.get(function.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=found)
        return found


@functools.cache
def peak(device: torch.device) -> float:
    """FLOP/s of the product of two large square matrices."""
    side = SIDE[device.type]
    kind = torch.bfloat16 if device.type == "cuda" else torch.float32
    one = torch.ones(side, side, dtype=kind, device=device)
    one @ one
    return product_flops(side) / seconds(lambda: one @ one, device, 5)


def product_flops(side: int) -> int:
    """Multiplications and additions of the product of two square matrices."""
    return 2 * side**3


def measure(recipe: str, size: int, asked: argparse.Namespace) -> runs.Row:
    """A row of the table."""
    device, window = asked.device, WINDOW[asked.device.type]
    planned = argparse.Namespace(**{**vars(asked), "steps": WARM + asked.steps * window})
    one = runs.Training(
        runs.settings(recipe, planned, 0, compile=asked.compile), noise(size), device
    )
    with Counted() as counted:  # type: ignore[no-untyped-call]
        one.run(1)
    one.run(WARM)
    step = seconds(lambda: one.run(one.step + window), device, asked.steps) / window
    drawn = seconds(lambda: _draw(one, DRAWN[device.type], window), device, asked.steps) / window
    return {
        "recipe": recipe,
        "size": size,
        "compile": asked.compile,
        "rate": 1 / step,
        "images": asked.batch * one.settings.discriminator_steps / step,
        "sampled": DRAWN[device.type] / drawn,
        "flops": counted.flops,
        "peak": peak(device),
        "share": counted.flops / step / peak(device),
    }


def noise(size: int) -> Arrays:
    """A thousand grey images of ten classes; what is on them takes no time."""
    pixels = seeding.rng(0, "noise").integers(256, size=(1000, 1, size, size), dtype=np.uint8)
    names = [str(label) for label in range(10)]
    return Arrays(pixels, np.arange(1000) % 10, [str(place) for place in range(1000)], names)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    made = runs.parser(__doc__, seeds=[0], steps=5, width=32, recipes=list(RECIPES), sizes=[*SIZES])
    made.add_argument("--recipes", type=runs.names, help="a,b; default: all")
    made.add_argument("--sizes", type=runs.numbers, help="32,64: pixels a side")
    made.add_argument("--compile", choices=get_args(Compiler), default="none")
    asked = runs.ask(made, argv, steps=2, sizes=[min(SIZES)])
    rows = [
        runs.signed(measure(recipe, size, asked), asked)
        for size in asked.sizes
        for recipe in asked.recipes
    ]
    wanted = [
        {
            "recipe": recipe,
            "size": size,
            "compile": how,
            "device": device,
            **runs.full(made),
        }  # fmt: skip
        for device, ways in WAYS.items()
        for how in ways
        for size in SIZES
        for recipe in RECIPES
    ]
    wanted.append({**RATED, "device": "cuda"})
    runs.finish("throughput", asked, rows, wanted, ("recipe", "size", "compile"))


def _draw(one: runs.Training, count: int, times: int) -> None:
    """Samples as bytes in memory."""
    rng = seeding.generator(0, "throughput", device=one.device)
    conditions = torch.arange(count, device=one.device) % (one.model.conditions or 1)
    for _ in range(times):
        with one.engine.precision(True):
            signed = one.model.sample(conditions, generator=rng)
        ((signed.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
