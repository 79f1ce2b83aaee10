"""The inputs of synth: the generator, the filter and the real images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from augment import __version__
from augment.classifiers.classifier import load_classifier
from augment.data.arrays import Arrays, load_arrays, with_adopted
from augment.data.places import CLEAN, GENERATOR
from augment.models.generator import CHUNK, Generator
from augment.models.sources import FOREIGN, load_sources
from augment.runtime import devices
from augment.synth.filter import Filter
from augment.synth.journal import Journal
from augment.synth.measured import Draw
from augment.synth.quotas import Order, recalls
from augment.synth.selectors import Selection
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
    train, _ = with_adopted(every.labelled(), root)
    label_of = dict(zip(train.ids, train.labels, strict=True))
    labels = np.array([label_of.get(name, -1) for name in every.ids], np.int64)
    sources = load_sources(generator.rule, train, root / CLEAN, generator.key)
    generator.start_from(sources)
    candidate_filter = Filter.fit(
        labeller, dataclasses.replace(every, labels=labels), probability=settings.probability,
        quantile=settings.copy_quantile, sources=sources if generator.rule in FOREIGN else None,
    )  # fmt: skip
    return generator, candidate_filter, train


def journal_of(
    root: Path, generator: Generator, candidate_filter: Filter | None, orders: Sequence[Order],
    draw: Draw, selection: Selection | None,
) -> Journal:  # fmt: skip
    """Where the candidates of a request are kept until it is done."""
    facts: list[object] = [__version__, CHUNK, generator.digest, generator.device, orders]
    facts += [draw.seed, dict(draw.codes), draw.truncation, draw.max_candidates]
    facts += [b"" if draw.source is None else draw.source.tobytes(), generator.starts]
    facts += [selection.surplus if selection else 1]
    if candidate_filter:
        facts += [candidate_filter.probability, candidate_filter.threshold]
        facts += [candidate_filter.visible, np.ascontiguousarray(candidate_filter.reference).data]
        facts += ["".join(candidate_filter.train.ids)]
    return Journal(root, *facts)


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
