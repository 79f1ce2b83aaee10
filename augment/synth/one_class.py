"""Samples of one class on demand: ``augment synth --class``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from augment.data import files
from augment.synth.candidates import Draw, Tally, synthesise
from augment.synth.inputs import prepare
from augment.synth.quotas import Order, SynthError
from augment.synth.selectors import Selection
from augment.synth.settings import SynthSettings
from augment.writers.base import WRITERS
from augment.writers.names import Folders


def fulfil(
    settings: SynthSettings,
    order: Order,
    draw: Draw,
    *,
    writer: str = "image_folder",
    out: Path | None = None,
    filtered: bool = True,
    overwrite: bool = False,
    root: Path = Path("."),
) -> dict[str, Any]:
    """Samples of one class, written by ``writer`` to ``out`` at once or not at all.

    ``out`` is synthetic/NAME-N-seedS by default. Gives the counts of candidates by outcome. Raises
    SynthError for a destination that is not empty or a budget that is spent, GeneratorError for an
    unknown class or code.
    """
    write = WRITERS.build(writer)
    name = Folders("").of(order.label)
    out = out or root / "synthetic" / f"{name}-{order.count}-seed{draw.seed}"
    if out.exists() and not overwrite and (not out.is_dir() or any(out.iterdir())):
        raise SynthError(f"{out} is not empty; give --overwrite to replace it")
    generator, candidate_filter, _ = prepare(settings, root)
    generator.check(order.label, draw.codes, draw.truncation)
    selection = Selection.build(settings) if filtered else None
    tally = Tally()
    temporary = files.temporary_beside(out)
    try:
        used_filter = candidate_filter if filtered else None
        write(synthesise(generator, used_filter, [order], draw, tally, selection), temporary)
        files.publish(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return {
        "class": order.label,
        **tally.per_class[order.label],
        "seed": draw.seed,
        "generator": generator.digest,
        "out": str(out),
    }
