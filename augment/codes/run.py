"""The codes stage: which class a categorical code draws, and what each continuous code moves.

A generator trained without labels finds classes by itself, in any order; labelled images, at least
one of each class, tell which class each category draws. A continuous code gets the name of the
factor that correlates with it most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment.classifiers.classifier import load_classifier
from augment.codes.matching import accuracy, contingency, match
from augment.codes.picture import write_picture
from augment.codes.probe import Probe, name_codes
from augment.codes.settings import CodesSettings
from augment.data import files
from augment.data.arrays import Arrays, load_arrays
from augment.data.places import CLEAN, CODES, GENERATOR, REPORTS
from augment.models import class_head
from augment.models.class_head import Head
from augment.models.generator import Generator
from augment.models.sources import load_sources
from augment.runtime import devices, seeding


def run(settings: CodesSettings, root: Path = Path(".")) -> dict[str, Any]:
    """Match, measure and name the codes of models/generator.

    Writes models/codes.json, where names are looked up, reports/codes.json and its picture, and
    gives the report. Raises CodesError for fewer categories than classes or for a class without a
    labelled train image.
    """
    home = root / GENERATOR
    device = devices.choose_device(settings.device)
    generator = Generator.load(home, device=str(device))
    if generator.rule:
        labelled = _labelled(root, generator, "train")
        generator.start_from(load_sources(generator.rule, labelled, root / CLEAN))
    head = None if generator.matched else class_head.load(home, device)
    matching = _no_matching(generator) if head is None else _match(root, generator, head)
    owned: Mapping[str, Sequence[int]] = matching["classes"] or {}
    if generator.matched:
        owned = {name: [index] for index, name in enumerate(generator.classes)}
    probe = Probe(
        generator,
        load_classifier(home, "labeller", device),
        {name: categories[0] for name, categories in owned.items()},
        seeding.derive(settings.seed, "codes"),
    )
    spearman, changes = probe.correlations(), probe.class_changes()
    names = name_codes(spearman)
    write_picture(root / REPORTS / "codes.png", probe, names)
    lookup = {"generator": generator.digest, "classes": matching["classes"], "names": names}
    files.write_json(root / CODES, lookup)
    report = {**lookup, **matching, "continuous": _continuous(probe, spearman, changes, names)}
    report["settings"] = settings.resolved()
    files.write_json(root / REPORTS / "codes.json", report)
    return report


def _no_matching(generator: Generator) -> dict[str, Any]:
    """The report of a generator whose conditions are the classes, or that has none."""
    meaning = "classes" if generator.matched else "none"
    return {"conditions": meaning, "classes": None, "accuracy": {}, "categories": [], "table": {}}


def _match(root: Path, generator: Generator, head: Head) -> dict[str, Any]:
    """Categories matched to classes by the labelled train images, and how good that is."""
    train, valid = (_labelled(root, generator, split) for split in ("train", "valid"))
    train_probabilities = head.predict(train.pixels)
    owned = match(train_probabilities, train.labels, train.classes)
    means = contingency(train_probabilities, train.labels, len(train.classes))
    return {
        "conditions": "categories",
        "classes": owned,
        "accuracy": {
            "train": accuracy(train_probabilities, train.labels, owned),
            "valid": accuracy(head.predict(valid.pixels), valid.labels, owned),
        },
        "categories": _purities(means, owned),
        "table": dict(zip(train.classes, means.tolist(), strict=True)),
    }


def _labelled(root: Path, generator: Generator, split: str) -> Arrays:
    return load_arrays(
        root / CLEAN,
        split=split,
        origin="real",
        classes=generator.classes,
        shape=generator.shape,
    )


def _purities(
    means: NDArray[np.float64], owned: Mapping[str, Sequence[int]]
) -> list[dict[str, Any]]:
    """The class of each category, and its purity, 0 … 1: the share of that class in it."""
    names = list(owned)
    owner = {
        category: row for row, categories in enumerate(owned.values()) for category in categories
    }
    return [
        {
            "category": category,
            "class": names[row],
            "purity": means[row, category] / (means[:, category].sum() or np.nan),
        }
        for category, row in sorted(owner.items())
    ]


def _continuous(
    probe: Probe,
    spearman: Mapping[str, NDArray[np.float64]],
    changes: NDArray[np.float64],
    names: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """A row of the report for each continuous code."""
    called = {entry["code"]: name for name, entry in names.items()}
    return [
        {
            "code": code,
            "name": called.get(code),
            "spearman": {factor: values[code] for factor, values in spearman.items()},
            "class_changes": changes[:, code].mean(),
            "per_class": dict(zip(probe.shown, changes[:, code].tolist(), strict=True)),
        }
        for code in range(probe.codes)
    ]
