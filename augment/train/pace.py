"""How long a step takes: from a few of them follows how many fill so much time."""

from __future__ import annotations

import time

import torch

from augment.train.feed import Feed
from augment.train.settings import TrainSettings
from augment.train.step import Engine

TIMED = 10  # steps, after as many others, by which the length of a run is set
LOOKS = 4  # measurements in a run of set length, at least: as many checkpoints to go on from


def seconds_a_step(engine: Engine, feed: Feed) -> float:
    """Seconds of a step, the mean of TIMED steps after as many others. The engine has moved on."""
    start = 0.0
    for step in range(2 * TIMED):
        if step == TIMED:
            start = _now(engine.device)
        engine.step(step, feed.at)
    return (_now(engine.device) - start) / TIMED


def lasting(settings: TrainSettings, steps: int) -> TrainSettings:
    """``settings`` of a run of so many steps, which is measured often enough."""
    every = max(1, min(settings.every, steps // LOOKS))
    return settings.model_copy(update={"steps": steps, "every": every})


def _now(device: torch.device) -> float:
    """Seconds of a clock, once the device has done all that it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
