"""A process that takes the steps of a run beside its leader: ``python -m augment.train.follow``.

It learns all it needs from the leader, reads no settings and no data, and writes nothing.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import torch

from augment.data.arrays import Arrays
from augment.runtime import checkpoint, precision, progress
from augment.runtime.process_group import ProcessGroup, follow
from augment.train.feed import Feed, feed_of
from augment.train.settings import TrainSettings
from augment.train.step import Engine, shared_evenly


def engine_of(
    settings: TrainSettings, data: Arrays, sources: Arrays | None, classes: int,
    device: torch.device, group: ProcessGroup | None,
) -> tuple[Engine, Feed]:  # fmt: skip
    """An engine with its batches; as the leader of ``group`` also those of all that follow.

    Raises PartError where they cannot share the steps, GroupError where a process is lost.
    """
    if group and not group.rank:
        shared_evenly(settings, group.size)  # before any other process trips over it
        half = precision.decided(device.type)
        group.tell(("build", half, settings, data, sources, classes))
    engine = Engine(settings, data.shape, classes, device, group)
    return engine, feed_of(engine, data, sources)


def obey(group: ProcessGroup) -> None:
    """Do what the leader tells until the end."""
    progress.silence()
    engine: Engine | None = None
    feed: Any = None
    while order := group.hear():
        name, *arguments = order
        if name == "build":
            precision.use(arguments[0])
            settings, data, sources, classes = arguments[1:]
            engine, feed = engine_of(settings, data, sources, classes, group.device, group)
        else:
            assert engine is not None
            if name == "step":
                engine.step(arguments[0], feed.at)
            elif name == "load":
                engine.load(checkpoint.unpacked(arguments[0]))
            else:
                getattr(engine, name)(*arguments)


if __name__ == "__main__":
    try:
        obey(follow(sys.argv[1:]))
    except RuntimeError as error:  # of a process that others cannot reach
        progress.say(f"train: a process that follows ended: {error}", "error")
        os._exit(1)
