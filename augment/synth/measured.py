"""Candidates and what the filter measures of each by itself: made here, or by workers of Ray.

A chunk depends on its class and number alone, so workers make chunks in any order. What depends on
the candidates before, which of them are duplicates and how many a quota takes, is decided by the
one process that asked.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from augment.data import images
from augment.models.generator import CHUNK, Chunk, Generator
from augment.models.latents import Ranges
from augment.runtime import workers
from augment.synth.filter import Filter, Measures


@dataclass(frozen=True)
class Draw:
    """How candidates are drawn, and how many of them for each sample of a quota at most.

    With ``source``, uint8 (C, H, W), all are painted on that image's structure.
    """

    seed: int = 0
    codes: Ranges = field(default_factory=dict)
    truncation: float | None = None
    max_candidates: float = 20.0
    source: images.Pixels | None = None


class MeasuredChunk(NamedTuple):
    """Candidates, and the measures of each; without a filter these are NaN."""

    chunk: Chunk
    measures: Measures


@dataclass(frozen=True)
class Maker:
    """All that makes the candidates of a request; workers get it once."""

    generator: Generator
    candidate_filter: Filter | None
    draw: Draw

    def chunks(self, label: str, first: int) -> Iterator[MeasuredChunk]:
        """Endless chunks of class ``label`` from chunk ``first`` on, made in this process."""
        number = self.generator.classes.index(label)
        for chunk in self.generator.candidates(
            label,
            seed=self.draw.seed,
            codes=self.draw.codes,
            truncation=self.draw.truncation,
            first=first,
            source=self.draw.source,
        ):
            if self.candidate_filter:
                measures = self.candidate_filter.measure(chunk.pixels, number, chunk.sources)
            else:
                measures = _NOTHING
            yield MeasuredChunk(chunk, measures)

    def chunk(self, label: str, number: int) -> MeasuredChunk:
        """The chunk of class ``label`` with this number."""
        return next(self.chunks(label, number))


def measured(
    maker: Maker, crew: workers.Crew[Maker] | None, label: str, first: int, last: int
) -> Iterator[MeasuredChunk]:
    """The chunks of class ``label`` from number ``first`` to ``last``, in order.

    A ``crew`` makes a few ahead, which a quota that is full does not need.
    """
    if crew is None:
        yield from itertools.islice(maker.chunks(label, first), last + 1 - first)
        return
    yield from crew.mapped(Maker.chunk, ((label, number) for number in range(first, last + 1)))


_NOTHING = Measures(
    np.full(CHUNK, np.nan, np.float32), np.zeros(CHUNK, np.bool_), np.zeros(CHUNK, np.int64),
    np.full(CHUNK, np.nan), np.zeros((CHUNK, 0), np.float32),
)  # fmt: skip
