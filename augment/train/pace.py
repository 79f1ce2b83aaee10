"""How long a step takes: from a few of them follows how many fill so much time."""

from __future__ import annotations

import math
import time

import torch

from augment.train.feed import Feed
from augment.train.settings import TrainSettings
from augment.train.step import Engine

TIMED = 10  # steps, after as many others, by which the length of a run is set
LOOKS = 2  # measurements, and checkpoints, of a run that is shorter than that many would need


def seconds_a_step(engine: Engine, feed: Feed) -> float:
    """Seconds of a step, the mean of TIMED steps after as many others. The engine has moved on."""
    start = 0.0
    for step in range(2 * TIMED):
        if step == TIMED:
            start = _now(engine.device)
        engine.step(step, feed.at)
    return (_now(engine.device) - start) / TIMED


def lasting(settings: TrainSettings, steps: int) -> TrainSettings:
    """``settings`` of a run of so many steps, which is measured LOOKS times at least.

    Not more often than ``settings`` say: the watch over training judges windows of that length.
    """
    every = min(settings.every, math.ceil(steps / LOOKS))
    return settings.model_copy(update={"steps": steps, "every": every})


def _now(device: torch.device) -> float:
    """Seconds of a clock, once the device has done all that it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
