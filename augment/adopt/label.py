"""The images without a label, looked at together with those that have one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from augment.adopt.calibration import Combination, Floats, Labels
from augment.adopt.combine import AdoptError, label_pool
from augment.adopt.opinions import Pool
from augment.adopt.settings import AdoptSettings
from augment.classifiers.fit import enough_steps
from augment.data.arrays import Arrays, load_arrays, load_domains
from augment.data.places import CACHE, CLEAN, GENERATOR
from augment.runtime import devices
from augment.runtime.sampling import Sampler

Adopted = dict[str, tuple[str, float]]  # by id, the label and its probability


def label_images(
    settings: AdoptSettings, root: Path
) -> tuple[Adopted, list[str], Combination, dict[str, Any]]:
    """What is adopted, the classes, how opinions were combined, and facts for the report.

    Raises AdoptError where there is nothing to start from, or where no labeller has an opinion.
    """
    clean = root / CLEAN
    every = load_arrays(clean, split="train", origin="real", unlabelled=True)
    told = "adopt: {count} {kind} images are looked at (adopt.images)"
    sampler = Sampler(settings.images, settings.seed, told)
    train = _sample(every, sampler)
    classes = train.classes
    valid = load_arrays(clean, split="valid", origin="real", classes=classes, shape=train.shape)
    valid = sampler.images("valid", valid)
    pool = Pool(
        np.concatenate([train.pixels, valid.pixels]),
        classes,
        upright=settings.profile == "glyph",
        home=root / GENERATOR,
        device=devices.choose_device(settings.device),
        steps=enough_steps(settings.steps, len(train) + len(valid)),
        rounds=settings.rounds,
        batch=settings.batch,
        seed=settings.seed,
        domain=load_domains(clean, train),
        room=root / CACHE,
    )
    facts = sampler.facts | {"domain": _checked(pool, train.labels, valid.labels, clean)}
    probabilities, combination = label_pool(pool, train.labels, valid.labels, settings.labellers)
    adopted = dict(_sure(train, probabilities, settings.probability))
    return adopted, classes, combination, facts


def _sample(every: Arrays, sampler: Sampler) -> Arrays:
    """The images that are looked at, in their order."""
    rows = [
        sampler.rows(kind, every.labels, np.flatnonzero(fits))
        for kind, fits in (("labelled", every.labels >= 0), ("unlabelled", every.labels < 0))
    ]
    return every.take(np.sort(np.concatenate(rows))) if sampler.counts else every


def _checked(pool: Pool, train: Labels, valid: Labels, clean: Path) -> dict[str, Any] | None:
    """What the other domain says, checked by the labels that there are; None without one.

    Raises AdoptError where there is nothing to start from.
    """
    reading = pool.reading
    if len(set(train) - {-1}) < 2 and (reading is None or reading.silent):
        why = f"; the other domain says nothing: {reading.silent}" if reading else ""
        raise AdoptError(f"{clean}: no two classes with a labelled image in the train split{why}")
    return reading.report(np.concatenate([train, valid])) if reading else None


def _sure(
    train: Arrays, probabilities: Floats, least: float
) -> Iterator[tuple[str, tuple[str, float]]]:
    """Id, label and probability of each unlabelled image whose best label reaches ``least``."""
    guesses, chances = probabilities.argmax(1), probabilities.max(1)
    for place in np.flatnonzero(train.labels < 0):
        if chances[place] >= least:
            yield train.ids[place], (train.classes[guesses[place]], float(chances[place]))
