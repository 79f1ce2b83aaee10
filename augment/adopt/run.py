"""The adopt stage: images without a label get one where its probability is high enough."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from augment.adopt.calibration import Floats, Labels
from augment.adopt.combine import AdoptError, Combination, label_pool
from augment.adopt.opinions import Pool
from augment.adopt.settings import AdoptSettings
from augment.classifiers.fit import enough_steps
from augment.data import files, table
from augment.data.arrays import Arrays, classes_of_all, load_arrays, load_domains
from augment.data.places import ADOPTED, CACHE, CLEAN, GENERATOR, REPORTS
from augment.runtime import devices
from augment.runtime.sampling import Sampler


def run(settings: AdoptSettings, root: Path = Path(".")) -> dict[str, Any]:
    """Label the unlabelled train images of data/clean; write data/adopted and reports/adopt.json.

    The valid split calibrates the opinions and decides how they are combined; the test split is
    not read. The images of other domains teach (``ingest.domains``) where some class has no
    labelled train image. Of very many images a sample is looked at (``adopt.images``); the report
    says so under ``sampled``. Gives the report. Raises AdoptError where under two classes have a
    labelled train image and no domain speaks, or where no labeller has an opinion.
    """
    clean = root / CLEAN
    facts = table.frame(clean, ["label"], split="train", origin="real")
    report: dict[str, Any] = {"unlabelled": int(facts["label"].isna().sum()), "domain": None}
    adopted: dict[str, tuple[str, float]] = {}
    if report["unlabelled"]:
        every = load_arrays(clean, split="train", origin="real", unlabelled=True)
        told = "adopt: {count} {kind} images are looked at (adopt.images)"
        sampler = Sampler(settings.images, settings.seed, told)
        train = _sample(every, sampler)
        classes = train.classes
        valid = load_arrays(clean, split="valid", origin="real", classes=classes, shape=train.shape)
        valid = sampler.images("valid", valid)
        report |= sampler.facts
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
        report["domain"] = _checked(pool, train.labels, valid.labels, clean)
        probabilities, combination = label_pool(
            pool, train.labels, valid.labels, settings.labellers
        )
        adopted = dict(_sure(train, probabilities, settings.probability))
    else:
        classes = classes_of_all(clean)
        combination = Combination()
    labels = [label for label, _ in adopted.values()]
    report |= {
        "adopted": len(adopted),
        "per_class": {name: labels.count(name) for name in classes},
        "threshold": settings.probability,
        **dataclasses.asdict(combination),
        "settings": settings.resolved(),
    }
    _write(root, adopted)
    files.write_json(root / REPORTS / "adopt.json", report)
    return report


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


def _write(root: Path, adopted: Mapping[str, tuple[str, float]]) -> None:
    """data/adopted: the rows of data/clean that got a label, in their order."""
    with table.TableWriter(root / ADOPTED, overwrite=True) as out:
        for row in table.rows(root / CLEAN, split="train", origin="real") if adopted else ():
            if row["id"] in adopted:
                label, probability = adopted[row["id"]]
                row |= {"label": label, "label_source": "inferred"}
                out.add(row | {"label_probability": probability})
