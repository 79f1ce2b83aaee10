"""Samples of a trained recipe: unfiltered ones by class, and which of them the filter accepts."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment.codes import run as codes
from augment.codes.settings import CodesSettings
from augment.data.arrays import Arrays
from augment.data.places import CACHE, GENERATOR
from augment.models.generator import CHUNK, Generator
from augment.runtime import cache, progress
from augment.synth.filter import Filter
from augment.synth.inputs import prepare
from augment.synth.settings import SynthSettings

# Chosen by hand.
SAMPLES = 2000  # in all, at least
SURPLUS = 2.0  # candidates for each sample that the dose asks for
MOST = 20_000  # in all


@dataclass(frozen=True)
class Drawn:
    """Unfiltered samples by class, which are accepted (N,), and the seconds of their drawing."""

    samples: Arrays
    accepted: NDArray[np.bool_]
    seconds: float

    @property
    def kept(self) -> Arrays:
        """The accepted samples."""
        return self.samples.take(np.flatnonzero(self.accepted))


def draw(
    settings: SynthSettings, codes_settings: CodesSettings, room: Path, train: Arrays,
    dose: float, seconds: float,
) -> Drawn:  # fmt: skip
    """The first candidates of each class, as ``synth`` would draw and judge them.

    There are enough for ``dose`` samples for each train image, and SAMPLES in all at least, but
    no class takes more than its share of ``seconds``.
    """
    generator = Generator.load(room / GENERATOR, device=settings.device)
    if generator.categories and not generator.matched:
        codes.run(codes_settings, room)
    generator, candidate_filter, _ = prepare(settings, room)
    turns = 1 if generator.categories else len(generator.classes)
    counts = _counts(train, dose, turns)
    share = seconds / len(train.classes)

    def compute() -> cache.Values:
        chunks = [
            chunk
            for name, count in progress.track(
                zip(train.classes, counts, strict=True), "samples", len(counts)
            )
            for chunk in _of_class(generator, candidate_filter, settings, name, count, share)
        ]
        return {key: np.concatenate([chunk[key] for chunk in chunks]) for key in chunks[0]}

    key: dict[str, Any] = {
        "generator": generator.digest, "settings": settings.resolved(), "counts": counts,
        "classes": train.classes,
    }  # fmt: skip
    values = cache.cached(room / CACHE, "samples", key, compute)
    labels = values["labels"]
    names = [str(place) for place in range(len(labels))]
    samples = Arrays(values["pixels"], labels, names, train.classes)
    return Drawn(samples, values["accepted"], float(values["seconds"].sum()))


def _counts(train: Arrays, dose: float, turns: int) -> list[int]:
    """Candidates of each class, in whole chunks."""
    kinds = len(train.classes)
    real = np.bincount(train.labels, minlength=kinds)
    due = np.maximum(SAMPLES / kinds, SURPLUS * dose * turns * real)
    most = max(CHUNK, MOST / kinds)
    return [CHUNK * math.ceil(min(count, most) / CHUNK) for count in due]


def _of_class(
    generator: Generator, candidate_filter: Filter, settings: SynthSettings, name: str,
    count: int, share: float,
) -> list[cache.Values]:  # fmt: skip
    """Chunks of one class: pixels, labels, which are accepted, and the seconds of each."""
    label = generator.classes.index(name)
    candidate_filter.start_class()
    candidates = generator.candidates(name, seed=settings.seed, truncation=settings.truncation)
    chunks: list[cache.Values] = []
    spent = 0.0
    while not chunks or (len(chunks) * CHUNK < count and spent < share):
        start = time.perf_counter()
        chunk = next(candidates)
        seconds = time.perf_counter() - start
        spent += seconds
        accepted = candidate_filter.accept(chunk.pixels, label, CHUNK, chunk.sources)
        chunks.append(
            {
                "pixels": chunk.pixels,
                "labels": np.full(CHUNK, label),
                "accepted": accepted,
                "seconds": np.array([seconds]),
            }
        )
    return chunks
