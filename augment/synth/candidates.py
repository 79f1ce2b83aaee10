"""Seeded candidates, filtered until each quota is filled."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from augment.data import images, table
from augment.models.generator import CHUNK, Chunk, Generator
from augment.models.latents import Ranges
from augment.runtime import progress, workers
from augment.synth.filter import Filter, Verdict
from augment.synth.quotas import Order, SynthError
from augment.synth.selection import Evidence, Selection


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
