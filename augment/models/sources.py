"""The real images that a generator starts from: which there are, and which one a sample takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from augment.data import table
from augment.data.arrays import Arrays, DatasetError, load_domains
from augment.models.base import Source
from augment.models.pairs import key_of
from augment.runtime import progress, seeding

FOREIGN = ("domain", "pair")  # rules whose images are those of further domains
SHOWN = 4  # keys that an error shows, at most
LEVEL = 128  # of 0 … 255: below it a pixel is dark


def load_sources(
    rule: Source | None, train: Arrays, folder: Path, key: str | None = None
) -> Arrays:
    """The images that samples start from: those of further domains in ``folder``, or ``train``.

    With a ``key`` they have theirs, and those stay out whose partner is a valid or a test image:
    what is made of them would be that image. Raises DatasetError where a class has none there, or
    where no keys meet.
    """
    if rule not in FOREIGN:
        return train
    sources = load_domains(folder, train)
    if sources is None:
        raise DatasetError(
            f"{folder}: the generator starts from images of another domain, and ingest.domains "
            "names none"
        )
    if key is not None:
        sources = _keyed(sources, train, folder, key)
    counts = np.bincount(sources.labels, minlength=len(train.classes))
    lacking = [name for name, count in zip(train.classes, counts, strict=True) if not count]
    if lacking:
        names = ", ".join(map(repr, lacking))
        raise DatasetError(f"{folder}: no image of a further domain to start from: class {names}")
    return sources


def with_keys(data: Arrays, folder: Path, key: str) -> Arrays:
    """``data`` with the keys that the paths of its images in ``folder`` have."""
    paths = _paths(folder, set(data.ids))
    return replace(data, keys=[key_of(paths[name], key) for name in data.ids])


def _keyed(sources: Arrays, train: Arrays, folder: Path, key: str) -> Arrays:
    """``sources`` with their keys, but for partners of held-out images; says how many meet."""
    sources = with_keys(sources, folder, key)
    labels, keys = [sources.classes[label] for label in sources.labels], sources.keys or []
    facts = table.frame(folder, ["id", "label", "split"]).dropna(subset=["label"])
    paths = _paths(folder, set(facts["id"]))
    pairs = [(label, key_of(paths[name], key)) for name, label in facts[["id", "label"]].to_numpy()]
    learned = [pair for pair, split in zip(pairs, facts["split"], strict=True) if split == "train"]
    there = set(zip(labels, keys, strict=True))
    met = sum(pair in there for pair in learned if pair[1] is not None)
    if not met:
        raise DatasetError(
            f"{folder}: train.model.key {key!r}: no train image has the class and the key of an "
            f"image of ingest.domains; keys of the set: {_some(pairs)}; there: "
            f"{_some(zip(labels, keys, strict=True))}"
        )
    held = set(pairs).difference(learned)
    free = [pair not in held or pair[1] is None for pair in zip(labels, keys, strict=True)]
    progress.say(
        f"pairs by train.model.key {key!r}: {met:,} of {len(train):,} train images have theirs; of "
        f"ingest.domains {len(free) - sum(free):,} stay out, which go with valid or test images"
    )
    rows = np.flatnonzero(free)
    return replace(sources.take(rows), keys=[keys[row] for row in rows])


def _some(pairs: Iterable[tuple[str, str | None]]) -> str:
    """The first few keys with their classes, in words."""
    first = sorted({(label, str(key)) for label, key in pairs if key is not None})[:SHOWN]
    return ", ".join(f"{key!r} of {label!r}" for label, key in first) or "none"


def _paths(folder: Path, ids: set[str]) -> dict[str, str]:
    """The path of each of these images, by id."""
    paths: dict[str, str] = {}
    for batch in table.stream(folder, ["id", "image"], domain=table.EVERY):
        path = pc.struct_field(batch.column("image"), "path").to_pylist()
        paths |= {
            name: text or ""
            for name, text in zip(batch.column("id").to_pylist(), path, strict=True)
            if name in ids
        }
    return paths


def opposed(images: Arrays, sources: Arrays) -> bool:
    """Whether ``sources`` are mostly dark where ``images`` are mostly light, or the reverse."""
    middles = [float(np.median(part.pixels)) for part in (images, sources)]
    return min(middles) < LEVEL <= max(middles)


def source_places(
    data: Arrays, labels: NDArray[np.int64], seed: int, number: int = 0, rule: Source = "class"
) -> NDArray[np.int64]:
    """For each of ``labels`` (N,) the place in ``data`` of an image where a sample of it starts.

    It is an image of that class, by the rule ``others`` one of another class. The images take
    turns, shuffled anew in each round, across the batches that ``number`` counts. Their order in
    ``data`` does not matter. Raises DatasetError where there is no such image.
    """
    places = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        right = data.labels != label if rule == "others" else data.labels == label
        members = sorted(np.flatnonzero(right), key=lambda place: data.ids[place])
        if not members:
            raise DatasetError(f"class {data.classes[label]!r}: no real image to start from")
        here = np.flatnonzero(labels == label)
        turns = seeding.places(len(members), len(here), number, seed)
        places[here] = np.array(members)[turns]
    return places
