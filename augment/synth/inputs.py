"""The inputs of synth: the generator, the filter and the real images."""

from __future__ import annotations

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
    """The generator, the filter of its samples, and the real train images that fitted it.

    Where a class has no label of its own, adopted images are among them.
    """
    device = str(devices.choose_device(settings.device))
    generator = Generator.load(root / GENERATOR, device=device)
    labeller = load_classifier(root / GENERATOR, "labeller", device)
    labelled = load_arrays(root / CLEAN, split="train", origin="real", classes=generator.classes)
    train, _ = with_adopted(labelled, root)
    sources = load_sources(generator.rule, train, root / CLEAN)
    generator.start_from(sources)
    candidate_filter = Filter.fit(
        labeller, train, probability=settings.probability, quantile=settings.copy_quantile,
        sources=sources if generator.rule in FOREIGN else None,
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
