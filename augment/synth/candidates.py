"""Seeded candidates, filtered until each quota is filled."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from augment.data import images, table
from augment.models.generator import CHUNK, Chunk, Generator
from augment.runtime import progress, workers
from augment.synth.filter import Filter, Measures
from augment.synth.journal import KEPT, Journal, KeptPart, Place
from augment.synth.measured import Draw, Maker, measured
from augment.synth.quotas import Order, SynthError
from augment.synth.selectors import Floats, Selection

BLOCK = 10_000  # samples of a class that a selection keeps at a time; chosen by hand


class AcceptedChunk(NamedTuple):
    """Rows of accepted candidates, without images yet, their features (N, F), where they end.

    Those of the journal have their images, and their ``place`` is None.
    """

    order: Order
    rows: list[table.Row]
    features: Floats
    place: Place | None


@dataclass
class Tally:
    """Counts of the candidates of each class: accepted, and rejected by reason."""

    per_class: dict[str, dict[str, Any]] = field(default_factory=dict)

    def note(self, order: Order, passed: int, seen: int, rejected: Mapping[str, int]) -> None:
        """Record a class, of whose ``seen`` candidates ``passed`` were accepted by the filter."""
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
    candidate_filter: Filter | None,
    orders: Sequence[Order],
    draw: Draw,
    tally: Tally,
    selection: Selection | None = None,
    journal: Journal | None = None,
) -> Iterator[table.Row]:
    """Accepted samples as rows of the table; encoding overlaps generation on all cores.

    Ray's workers make the candidates, where Ray is the runtime and they are many. Without
    ``candidate_filter`` every candidate is accepted. A ``selection`` needs the filter, and keeps
    the best of the surplus of every BLOCK samples, which it holds in memory. What ``journal`` has
    is not made again. Raises SynthError with the numbers when a class's budget of candidates is
    spent, FilterError for a selection in a class without train images.
    """
    total = sum(_surplus(order, selection) for order in orders)
    maker = Maker(generator, candidate_filter, draw)
    crew = workers.crew(maker, generator.device) if total >= workers.INLINE else None
    with ThreadPoolExecutor() as pool, progress.bar() as display:  # compression leaves the GIL
        task = display.add_task("synth", total=total, note="")
        work = (
            pair
            for order in orders
            for pair in _fill(maker, crew, order, tally, selection, journal)
        )
        encoded = workers.mapped(images.encode_many, work, pool)
        for order, chunks in itertools.groupby(encoded, key=lambda pair: pair[0].order):
            complete = _complete(chunks, order, journal, lambda n: display.advance(task, n))
            if selection and candidate_filter:
                real = candidate_filter.real_features(order.label)
                yield from _best(complete, order, selection, real)
            else:
                for rows, _ in complete:
                    yield from rows


def _complete(
    chunks: Iterable[tuple[AcceptedChunk, list[bytes]]], order: Order, journal: Journal | None,
    advance: Callable[[int], None],
) -> Iterator[tuple[list[table.Row], Floats]]:  # fmt: skip
    """Rows with their images and features (N, F), chunk by chunk, which go to the journal."""
    rows: list[table.Row] = []
    features: list[Floats] = []
    for chunk, data in chunks:
        done = chunk.rows
        if chunk.place:
            done = [_with_image(*pair) for pair in zip(chunk.rows, data, strict=True)]
            if journal:
                rows += done
                features.append(chunk.features)
        advance(len(done))
        yield done, chunk.features
        if journal and chunk.place and len(rows) >= KEPT:
            lengths = [len(values) for values in features]
            journal.keep(
                order.label, KeptPart(rows, np.concatenate(features), lengths, chunk.place)
            )
            rows, features = [], []


def _best(
    complete: Iterable[tuple[list[table.Row], Floats]], order: Order, selection: Selection,
    real: Floats,
) -> Iterator[table.Row]:  # fmt: skip
    """The rows that a selection keeps: of each BLOCK samples' surplus, and of what is left."""
    surplus: list[table.Row] = []
    features: list[Floats] = []
    left, full = order.count, math.ceil(BLOCK * selection.surplus)
    for rows, values in complete:
        surplus += rows
        features.append(values)
        while left > BLOCK and len(surplus) >= full:
            every = np.concatenate(features)
            best = selection.best(every[:full], real, BLOCK)
            yield from (surplus[place] for place in best)
            surplus, features, left = surplus[full:], [every[full:]], left - BLOCK
    if left > len(surplus):
        raise SynthError(
            f"class {order.label!r}: the budget of candidates was spent before the surplus of "
            "every sample was there; lower synth.surplus or raise synth.max_candidates"
        )
    best = selection.best(np.concatenate(features), real, left)
    yield from (surplus[place] for place in best)


def _with_image(row: table.Row, data: bytes) -> table.Row:
    return row | {"image": {"bytes": data, "path": f"{row['id'][:16]}.png"}}


def _surplus(order: Order, selection: Selection | None) -> int:
    """How many candidates the filter has to accept before the best of them are kept."""
    return math.ceil(order.count * selection.surplus) if selection else order.count


def _fill(
    maker: Maker,
    crew: workers.Crew[Maker] | None,
    order: Order,
    tally: Tally,
    selection: Selection | None,
    journal: Journal | None,
) -> Iterator[tuple[AcceptedChunk, images.Pixels]]:
    """Accepted candidates of an order, chunk by chunk, and their pixels (N, H, W, C).

    First those that the journal has, without pixels. When the budget is spent, the quota without
    the surplus is enough.
    """
    generator, candidate_filter, draw = maker.generator, maker.candidate_filter, maker.draw
    target = _surplus(order, selection)
    # a generator without a condition draws the other classes as well
    turns = 1 if generator.categories else len(generator.classes)
    budget = max(CHUNK, math.ceil(draw.max_candidates * turns * order.count))
    before = journal.place(order.label) if journal else Place()
    accepted, seen = before.accepted, before.seen
    rejected: Mapping[str, int] = {}
    if candidate_filter:
        candidate_filter.start_class()
        candidate_filter.rejected |= before.rejected
        rejected = candidate_filter.rejected  # counts as candidates are seen

    def over() -> bool:
        if seen >= budget and accepted < order.count:
            raise SynthError(_spent(order, accepted, seen, rejected))
        return accepted == target or seen >= budget

    try:
        if journal and accepted:
            progress.say(f"synth: class {order.label!r} goes on after {accepted} samples")
            yield from _again(journal, candidate_filter, order, draw)
        if over():
            return
        last = math.ceil(budget / CHUNK) - 1
        for chunk, measures in measured(maker, crew, order.label, before.chunk, last):
            room = target - accepted
            if candidate_filter:
                places = np.flatnonzero(candidate_filter.judge(measures, room))
            else:
                places = np.arange(min(room, CHUNK))
            accepted += len(places)
            full = accepted == target
            seen = chunk.start + (int(places[-1]) + 1 if full else CHUNK)
            if len(places):
                rows = [_row(maker, order.label, chunk, measures, int(place)) for place in places]
                pixels = images.channels_last(chunk.pixels[places])
                place = Place(chunk.start // CHUNK + 1, seen, accepted, dict(rejected))
                yield AcceptedChunk(order, rows, measures.features[places], place), pixels
            if over():
                return
    finally:
        tally.note(order, accepted, seen, rejected)


def _again(
    journal: Journal, candidate_filter: Filter | None, order: Order, draw: Draw
) -> Iterator[tuple[AcceptedChunk, images.Pixels]]:
    """What the journal has of an order; the filter compares later candidates with it."""
    nothing = np.empty((0, 1, 1, 1), np.uint8)
    for part in journal.parts(order.label):
        if candidate_filter:
            for features in np.split(part.features, np.cumsum(part.lengths)[:-1]):
                candidate_filter.remember(features)
        rows = [row | {"truncation": draw.truncation} for row in part.rows]  # not rounded
        yield AcceptedChunk(order, rows, part.features, None), nothing


def _spent(order: Order, accepted: int, seen: int, rejected: Mapping[str, int]) -> str:
    """The error of a budget that is spent, with its numbers."""
    reasons = ", ".join(f"{reason} {count}" for reason, count in rejected.items())
    return (
        f"class {order.label!r}: {accepted} of {order.count} accepted when the budget of {seen} "
        f"candidates was spent (rejected: {reasons}); train longer, lower synth.probability or "
        "raise synth.max_candidates"
    )


def _row(maker: Maker, label: str, chunk: Chunk, measures: Measures, place: int) -> table.Row:
    """The row of the candidate at ``place`` of a chunk, without its image."""
    generator, candidate_filter, draw = maker.generator, maker.candidate_filter, maker.draw
    index = chunk.start + place
    channels, height, width = generator.shape
    origin = generator.digest
    if draw.source is not None:
        origin += hashlib.sha256(draw.source.tobytes()).hexdigest()
    row: table.Row = {
        "id": table.sample_id(origin, draw.seed, label, index),
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
    if chunk.sources:
        row["source"] = chunk.sources[place]
    if candidate_filter:
        row["label_probability"] = float(measures.probability[place])
        row["nearest_real"] = candidate_filter.train.ids[measures.nearest[place]]
        row["nearest_distance"] = float(np.float32(measures.distance[place]))  # as tables hold it
    return row
