"""The synth stage: quotas, seeded candidates, accepted samples."""

from __future__ import annotations

import itertools
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augment import (
    classifiers,
    dataset,
    devices,
    images,
    progress,
    sheets,
    table,
    widening,
    workers,
)
from augment.acceptance import Filter, Verdict
from augment.dataset import Arrays
from augment.generator import CHUNK, Chunk, Generator
from augment.models.base import Ranges
from augment.params import CACHE, CLEAN, GENERATOR, REPORTS, SYNTHETIC, Params, SynthSettings
from augment.quotas import Order, SynthError, quotas, recalls
from augment.selection import Evidence, Selection
from augment.selectors import SELECTORS
from augment.writers import WRITERS
from augment.writers.names import Folders

SHOWN = 10  # samples of each class in the picture


@dataclass(frozen=True)
class Draw:
    """How candidates are drawn; ``wide`` gives the codes of a class that ``codes`` says not."""

    seed: int = 0
    codes: Ranges = field(default_factory=dict)
    truncation: float | None = None
    max_candidates: float = 20.0
    wide: Mapping[str, Ranges] = field(default_factory=dict)

    def codes_of(self, label: str) -> Ranges:
        """How the codes of a class are drawn."""
        return {**self.wide.get(label, {}), **self.codes}


class Batch(NamedTuple):
    """Rows of accepted candidates, as yet without images, and what selectors see of them."""

    order: Order
    rows: list[table.Row]
    evidence: Evidence | None


@dataclass
class Tally:
    """What became of the candidates, per class."""

    per_class: dict[str, dict[str, Any]] = field(default_factory=dict)

    def note(self, order: Order, passed: int, seen: int, rejected: Mapping[str, int]) -> None:
        """Record one class, of which ``passed`` candidates were there to be selected from."""
        accepted = min(order.count, passed)
        surplus = {"selection": passed - accepted} if passed > accepted else {}
        self.per_class[order.label] = {
            "wanted": order.count,
            "accepted": accepted,
            "candidates": seen,
            "acceptance_rate": accepted / seen if seen else None,
            "rejected": {**rejected, **surplus},
        }


def run(params: Params, root: Path = Path(".")) -> dict[str, Any]:
    """Fill the quotas of ``params.synth`` into data/synthetic; write reports/synth.json."""
    settings = params.synth
    generator, chosen, train = _prepare(settings, root)
    orders = quotas(settings, train, _recalls(settings, chosen, train, root))
    draw = Draw(
        settings.seed,
        truncation=settings.truncation,
        max_candidates=settings.max_candidates,
        wide=_wide(settings, train, root),
    )
    selection = _selection(settings, chosen, root)
    tally = Tally()
    report = {
        "generator": generator.digest,
        "seed": settings.seed,
        "copy_threshold": chosen.threshold,
        "copy_threshold_pixels": chosen.visible,
        "codes": settings.codes,
        "select": [SELECTORS.resolve(spec) for spec in settings.select],
        "per_class": tally.per_class,
    }
    try:
        with table.TableWriter(root / SYNTHETIC, overwrite=True) as out:
            for row in synthesise(generator, chosen, orders, draw, tally, selection):
                out.add(row)
    finally:
        report["accepted"] = sum(one["accepted"] for one in tally.per_class.values())
        table.write_json(root / REPORTS / "synth.json", report)
    _picture(root, train)
    return report


def fulfil(
    params: Params,
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

    ``out`` is synthetic/NAME-N-seedS by default. Gives the counts; raises SynthError for a
    destination that is not empty, GeneratorError for an unknown class or code.
    """
    write = WRITERS.build(writer)
    name = Folders("").of(order.label)
    out = out or root / "synthetic" / f"{name}-{order.count}-seed{draw.seed}"
    if out.exists() and not overwrite and (not out.is_dir() or any(out.iterdir())):
        raise SynthError(f"{out} is not empty; give --overwrite to replace it")
    generator, chosen, train = _prepare(params.synth, root)
    generator.check(order.label, draw.codes, draw.truncation)
    draw = replace(draw, wide=_wide(params.synth, train, root))
    selection = _selection(params.synth, chosen, root) if filtered else None
    tally = Tally()
    temporary = table.temporary_beside(out)
    try:
        given = chosen if filtered else None
        write(synthesise(generator, given, [order], draw, tally, selection), temporary)
        table.publish(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return {
        "class": order.label,
        **tally.per_class[order.label],
        "seed": draw.seed,
        "generator": generator.digest,
        "out": str(out),
    }


def synthesise(
    generator: Generator,
    chosen: Filter | None,
    orders: Sequence[Order],
    draw: Draw,
    tally: Tally,
    selection: Selection | None = None,
) -> Iterator[table.Row]:
    """Accepted samples as rows of the table; encoding overlaps generation on all cores.

    A ``selection``, which needs the filter ``chosen``, holds the surplus of one class at a time.
    Raises SynthError with the numbers when a class's budget of candidates is spent.
    """
    total = sum(_surplus(order, selection) for order in orders)
    with ThreadPoolExecutor() as pool, progress.bar() as display:  # compression leaves the GIL
        task = display.add_task("synth", total=total, note="")
        work = (
            pair
            for order in orders
            for pair in _fill(generator, chosen, order, draw, tally, selection)
        )
        done = workers.mapped(images.encode_many, work, pool)
        for order, found in itertools.groupby(done, key=lambda pair: pair[0].order):
            waiting: list[table.Row] = []
            evidence: list[Evidence] = []
            for batch, encoded in found:
                rows = [_with_image(*pair) for pair in zip(batch.rows, encoded, strict=True)]
                display.advance(task, len(rows))
                if batch.evidence:
                    waiting += rows
                    evidence.append(batch.evidence)
                else:
                    yield from rows
            if selection:
                places = selection.best(order.label, order.count, evidence)
                yield from (waiting[place] for place in places)


def _with_image(row: table.Row, data: bytes) -> table.Row:
    return row | {"image": {"bytes": data, "path": f"{row['id'][:16]}.png"}}


def _surplus(order: Order, selection: Selection | None) -> int:
    """How many candidates are to be accepted, for the best of them to be kept."""
    return math.ceil(order.count * selection.surplus) if selection else order.count


def _fill(
    generator: Generator,
    chosen: Filter | None,
    order: Order,
    draw: Draw,
    tally: Tally,
    selection: Selection | None,
) -> Iterator[tuple[Batch, images.Pixels]]:
    """Accepted candidates of one order, chunk by chunk, and their pixels.

    Where the budget is spent, fewer than the surplus are enough.
    """
    target = _surplus(order, selection)
    turns = 1 if generator.categories else len(generator.classes)  # others are drawn as well
    budget = max(CHUNK, math.ceil(draw.max_candidates * turns * order.count))
    wanted = generator.classes.index(order.label)
    accepted = seen = 0
    if chosen:
        chosen.start_class()
    try:
        for chunk in generator.candidates(
            order.label,
            seed=draw.seed,
            codes=draw.codes_of(order.label),
            truncation=draw.truncation,
        ):
            room = target - accepted
            verdict = chosen.judge(chunk.pixels, wanted, room) if chosen else _unfiltered(room)
            places = np.flatnonzero(verdict.accepted)
            accepted += len(places)
            full = accepted == target
            seen = chunk.start + (int(places[-1]) + 1 if full else CHUNK)
            if len(places):
                rows = [
                    _row(generator, chosen, order.label, draw, chunk, verdict, int(place))
                    for place in places
                ]
                pixels = chunk.pixels[places]
                told = verdict.features[places], verdict.probabilities[places]
                evidence = selection.look(pixels, *told) if selection else None
                yield Batch(order, rows, evidence), images.channels_last(pixels)
            if full or (seen >= budget and accepted >= order.count):
                return
            if seen >= budget:
                raise SynthError(_spent(order, accepted, seen, chosen))
    finally:
        tally.note(order, accepted, seen, chosen.rejected if chosen else {})


def _spent(order: Order, accepted: int, seen: int, chosen: Filter | None) -> str:
    reasons = ", ".join(
        f"{why} {count}" for why, count in (chosen.rejected if chosen else {}).items()
    )
    return (
        f"class {order.label!r}: {accepted} of {order.count} accepted when the budget of {seen} "
        f"candidates was spent (rejected: {reasons}); train longer, lower synth.probability or "
        "raise synth.max_candidates"
    )


def _unfiltered(room: int) -> Verdict:
    nan, nowhere = np.full(CHUNK, np.nan), np.zeros(CHUNK, np.int64)
    nothing = np.zeros((CHUNK, 0), np.float32)
    return Verdict(np.arange(CHUNK) < room, nan.astype(np.float32), nowhere, nan, nothing, nothing)


def _row(
    generator: Generator,
    chosen: Filter | None,
    label: str,
    draw: Draw,
    chunk: Chunk,
    verdict: Verdict,
    place: int,
) -> table.Row:
    index = chunk.start + place
    channels, height, width = generator.shape
    row: table.Row = {
        "id": table.sample_id(generator.digest, draw.seed, label, index),
        "label": label,
        "split": "train",
        "origin": "synthetic",
        "width": width,
        "height": height,
        "mode": "L" if channels == 1 else "RGB",
        "generator": generator.digest,
        "seed": draw.seed,
        "index": index,
        "codes": chunk.codes[place].tolist(),
        "truncation": draw.truncation,
    }
    if chosen:
        row["label_probability"] = float(verdict.probability[place])
        row["nearest_real"] = chosen.train.ids[verdict.nearest[place]]
        row["nearest_distance"] = float(verdict.distance[place])
    return row


def _prepare(settings: SynthSettings, root: Path) -> tuple[Generator, Filter, Arrays]:
    device = str(devices.resolve(settings.device))
    generator = Generator.load(root / GENERATOR, device=device)
    labeller = classifiers.load(root / GENERATOR, "labeller", device)
    train = dataset.arrays(root / CLEAN, split="train", origin="real", classes=generator.classes)
    chosen = Filter.fit(
        labeller, train, probability=settings.probability, quantile=settings.copy_quantile
    )
    return generator, chosen, train


def _recalls(
    settings: SynthSettings, chosen: Filter, train: Arrays, root: Path
) -> NDArray[np.float64] | None:
    """How well the labeller recognises each class of the valid split, where that is asked."""
    if settings.match != "weakest":
        return None
    return recalls(chosen.labeller, _valid(train, root))


def _selection(settings: SynthSettings, chosen: Filter, root: Path) -> Selection | None:
    if not settings.select:
        return None
    return Selection.fit(settings, chosen, _valid(chosen.train, root), root / CACHE / "synth")


def _valid(like: Arrays, root: Path) -> Arrays:
    return dataset.arrays(
        root / CLEAN, split="valid", origin="real", classes=like.classes, shape=like.shape
    )


def _wide(settings: SynthSettings, train: Arrays, root: Path) -> dict[str, Ranges]:
    """How each class's codes are drawn; where nothing is said, uniformly."""
    if settings.codes == "uniform":
        return {}
    return widening.by_class(root / GENERATOR, train, devices.resolve(settings.device))


def _picture(root: Path, train: Arrays) -> None:
    """reports/samples.png: real images beside accepted ones, a row a class."""
    made = dataset.arrays(root / SYNTHETIC, classes=train.classes, shape=train.shape)
    real, fake = (
        {name: data.pixels[data.labels == index][:SHOWN] for index, name in enumerate(data.classes)}
        for data in (train, made)
    )
    picture = sheets.beside(real, fake, SHOWN, ("real", "synthetic"))
    table.write_bytes(root / REPORTS / "samples.png", images.encode(picture))
