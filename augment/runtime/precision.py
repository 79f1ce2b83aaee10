"""bf16 in place of float32 where this machine's processor computes faster in it.

Processors with AMX or with AVX-512's bf16 read images two to four times as fast, and fit small
networks up to twice as fast; others convert every number and lose. Whether it pays is measured once
for a machine and kept in the user's cache. Weights, sums of losses and optimisers stay float32.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar

from augment.data import files
from augment.runtime import progress

if TYPE_CHECKING:  # the command line sets the precision before it needs torch
    import torch

Part = TypeVar("Part")
Features = TypeVar("Features")
Options = ParamSpec("Options")
Result = TypeVar("Result")

Precision = Literal["auto", "full", "bf16"]

FASTER = 1.2  # times as fast as float32 bf16 has to be; chosen by hand
TRIALS = 7  # timings of each, of which the shortest counts
_CHANNELS, _SIDE, _BATCH = 64, 14, 64  # of the convolution that is timed: a middle layer's

_setting: Precision = "auto"


def use(setting: Precision) -> None:
    """Settle the precision of this process: ``full`` is float32, ``auto`` what is faster here."""
    global _setting
    _setting = setting


@contextmanager
def fixed(setting: Precision) -> Iterator[None]:
    """A context in which networks compute in the precision ``setting``."""
    before = _setting
    use(setting)
    try:
        yield
    finally:
        use(before)


def decided(kind: str) -> Precision:
    """The precision, ``full`` or ``bf16``, of networks on a ``kind`` of device, as cpu or cuda.

    ``auto`` is bf16 on a GPU, and on a processor that is faster in it.
    """
    if _setting != "auto":
        return _setting
    half = kind == "cuda" or (kind == "cpu" and speedup() >= FASTER)
    return "bf16" if half else "full"


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """A context in which networks on ``device`` compute in the precision that was decided.

    On a CPU a backward pass takes bf16 on one thread alone: the threads of its kernels wait for
    each other by spinning, and beside another program a step took 430 ms in place of 17.
    """
    import torch

    half = decided(device.type) == "bf16"
    if device.type == "cpu" and torch.is_grad_enabled() and torch.get_num_threads() > 1:
        half = False
    return torch.autocast(device.type, torch.bfloat16) if half else nullcontext()


@contextmanager
def training(device: torch.device) -> Iterator[None]:
    """A context for backward passes: one thread, where bf16 on it beats float32 on all cores.

    That is so on two cores, where a second thread gains small networks hardly anything.
    """
    import torch

    threads = torch.get_num_threads()
    if device.type == "cpu" and threads <= 2 and decided("cpu") == "bf16":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def in_full(
    method: Callable[Concatenate[Part, Features, Options], Result],
) -> Callable[Concatenate[Part, Features, Options], Result]:
    """A module's method on a tensor of features that computes in float32 within ``autocast``.

    For heads and losses: they tell numbers apart by less than bf16 resolves.
    """

    def full(
        self: Part, features: Features, /, *args: Options.args, **named: Options.kwargs
    ) -> Result:
        import torch

        tensor: Any = features
        with torch.autocast(tensor.device.type, enabled=False):
            return method(self, tensor.float(), *args, **named)

    full.__doc__ = method.__doc__
    return full


@functools.cache
def speedup() -> float:
    """How many times as fast bf16 is as float32 on this processor; 0 where it has no such command.

    Read from the user's cache, or measured in a fraction of a second and kept there.
    """
    import torch

    able: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not in every torch
    if not (able.get("amx_bf16") or able.get("avx512_bf16")):
        return 0.0
    key, path = machine(), notes()
    kept: dict[str, float] = {}
    with suppress(OSError, ValueError, AttributeError):
        kept = dict(json.loads(path.read_text(encoding="utf-8")).items())
    if not isinstance(kept.get(key), float):
        kept[key] = round(measured(), 2)
        takes = "take it (precision: full does not)" if kept[key] >= FASTER else "do not take it"
        progress.say(f"bf16 is {kept[key]} times as fast as float32 here: networks {takes}")
        with suppress(OSError):  # a cache that cannot be written costs a measurement each time
            files.write_json(path, kept)
    return kept[key]


def measured() -> float:
    """The time of a convolution, there and back, in float32, over that in bf16; on one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    shape = (_BATCH, _CHANNELS, _SIDE, _SIDE)
    weight = torch.ones(_CHANNELS, _CHANNELS, 3, 3).to(memory_format=torch.channels_last)
    seconds = {}
    for kind in (torch.float32, torch.bfloat16):
        images = torch.ones(shape, dtype=kind).to(memory_format=torch.channels_last)
        images, filters = images.requires_grad_(), weight.to(kind).requires_grad_()
        times = []
        for _ in range(TRIALS):
            start = time.perf_counter()
            torch.autograd.backward(
                torch.nn.functional.conv2d(images, filters, padding=1).mean(),
                inputs=[images, filters],
            )
            times.append(time.perf_counter() - start)
        seconds[kind] = min(times)
    torch.set_num_threads(threads)
    return seconds[torch.float32] / seconds[torch.bfloat16]


def machine() -> str:
    """What a measurement holds for: the processor and torch's version."""
    import torch

    able: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return f"{able.get('cpu_name')}, torch {torch.__version__}"


def notes() -> Path:
    """The file in the user's cache that keeps the measurement, by ``machine``."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "augment" / "bf16.json"
