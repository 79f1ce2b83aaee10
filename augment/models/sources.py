"""The real images that a generator starts from: which there are, and which one a sample takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from augment.data.arrays import Arrays, DatasetError, load_domains
from augment.models.base import Source
from augment.runtime import seeding

FOREIGN = ("domain", "pair")  # rules whose images are those of further domains
LEVEL = 128  # of 0 … 255: below it a pixel is dark


def load_sources(rule: Source | None, train: Arrays, folder: Path) -> Arrays:
    """The images that samples start from: those of further domains in ``folder``, or ``train``.

    Raises DatasetError where a class has none there.
    """
    if rule not in FOREIGN:
        return train
    sources = load_domains(folder, train)
    if sources is None:
        raise DatasetError(
            f"{folder}: the generator starts from images of another domain, and ingest.domains "
            "names none"
        )
    counts = np.bincount(sources.labels, minlength=len(train.classes))
    lacking = [name for name, count in zip(train.classes, counts, strict=True) if not count]
    if lacking:
        names = ", ".join(map(repr, lacking))
        raise DatasetError(f"{folder}: no image of a further domain to start from: class {names}")
    return sources


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
