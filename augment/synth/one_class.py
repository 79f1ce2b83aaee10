"""Samples of one class on demand: ``augment synth --class``."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from augment.data import files
from augment.synth.candidates import Tally, synthesise
from augment.synth.inputs import journal_of, prepare
from augment.synth.measured import Draw
from augment.synth.quotas import Order, SynthError
from augment.synth.selectors import Selection
from augment.synth.settings import SynthSettings
from augment.synth.translate import sources_of
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
    structure: Path | None = None,
    resize: str = "pad",
    root: Path = Path("."),
) -> dict[str, Any]:
    """Samples of one class, written by ``writer`` to ``out`` at once or not at all.

    ``out`` is synthetic/NAME-N-seedS by default. With ``structure``, a picture that is brought to
    the generator's form by ``resize``, all are painted on its structure, and its file's name joins
    that of ``out``. A request that was killed goes on where it was. Gives the counts of candidates
    by outcome. Raises SynthError for a destination that is not empty, a budget that is spent or a
    generator that does not paint, TranslateError for a picture that cannot be read, GeneratorError
    for an unknown class or code.
    """
    write = WRITERS.build(writer)
    name = Folders("").of(order.label)
    on = f"-{Folders('').of(structure.stem)}" if structure else ""
    out = out or root / "synthetic" / f"{name}-{order.count}-seed{draw.seed}{on}"
    if out.exists() and not overwrite and (not out.is_dir() or any(out.iterdir())):
        raise SynthError(f"{out} is not empty; give --overwrite to replace it")
    generator, candidate_filter, _ = prepare(settings, root)
    generator.check(order.label, draw.codes, draw.truncation)
    if structure:
        if not generator.paints:
            raise SynthError("--structure: the generator paints on none; train.recipe ssgan does")
        draw = replace(draw, source=sources_of([structure], generator, resize)[0])
    selection = Selection.build(settings) if filtered else None
    tally = Tally()
    temporary = files.temporary_beside(out)
    request = (generator, candidate_filter if filtered else None, [order], draw)
    journal = journal_of(root, *request, selection)
    try:
        write(synthesise(*request, tally, selection, journal), temporary)
        files.publish(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    journal.remove()
    return {
        "class": order.label,
        **tally.per_class[order.label],
        "seed": draw.seed,
        **({"structure": str(structure)} if structure else {}),
        "generator": generator.digest,
        "out": str(out),
    }
