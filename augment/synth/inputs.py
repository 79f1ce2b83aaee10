"""The inputs of synth: the generator, the filter and the real images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from augment.classifiers.classifier import load_classifier
from augment.data.arrays import Arrays, load_arrays, with_adopted
from augment.data.places import CLEAN, GENERATOR
from augment.models.generator import Generator
from augment.models.sources import FOREIGN, load_sources
from augment.runtime import devices
from augment.synth.filter import Filter
from augment.synth.quotas import recalls
from augment.synth.settings import SynthSettings


def prepare(settings: SynthSettings, root: Path) -> tuple[Generator, Filter, Arrays]:
    """The generator, the filter of its samples, and the labelled real train images.

    Where a class has no label of its own, adopted images are among them. No train image may be
    copied, with a label or without.
    """
    device = str(devices.choose_device(settings.device))
    generator = Generator.load(root / GENERATOR, device=device)
    labeller = load_classifier(root / GENERATOR, "labeller", device)
    every = load_arrays(
        root / CLEAN, split="train", origin="real", classes=generator.classes, unlabelled=True
    )
    train, _ = with_adopted(every.take(np.flatnonzero(every.labels >= 0)), root)
    label_of = dict(zip(train.ids, train.labels, strict=True))
    labels = np.array([label_of.get(name, -1) for name in every.ids], np.int64)
    sources = load_sources(generator.rule, train, root / CLEAN, generator.key)
    generator.start_from(sources)
    candidate_filter = Filter.fit(
        labeller, dataclasses.replace(every, labels=labels), probability=settings.probability,
        quantile=settings.copy_quantile, sources=sources if generator.rule in FOREIGN else None,
    )  # fmt: skip
    return generator, candidate_filter, train


def valid_recalls(
    settings: SynthSettings, candidate_filter: Filter, root: Path
) -> NDArray[np.float64] | None:
    """Share (K,) of each class's valid images that the labeller recognises, 0 … 1.

    NaN for a class without valid images; None where ``synth.match`` does not need the shares.
    """
    if settings.match != "weakest":
        return None
    train = candidate_filter.train
    valid = load_arrays(
        root / CLEAN, split="valid", origin="real", classes=train.classes, shape=train.shape
    )
    return recalls(candidate_filter.labeller, valid)
