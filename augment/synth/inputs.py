"""What synth starts from: the generator, the filter and the real images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from augment.classifiers.classifier import load_classifier
from augment.data.arrays import Arrays, load_arrays
from augment.data.places import CACHE, CLEAN, GENERATOR
from augment.models.generator import Generator
from augment.models.latents import Ranges
from augment.runtime import devices
from augment.synth import code_ranges
from augment.synth.filter import Filter
from augment.synth.quotas import recalls
from augment.synth.selection import Selection
from augment.synth.settings import SynthSettings


def prepare(settings: SynthSettings, root: Path) -> tuple[Generator, Filter, Arrays]:
    """The generator, the filter of its samples, and the real train images that fitted it."""
    device = str(devices.choose_device(settings.device))
    generator = Generator.load(root / GENERATOR, device=device)
    labeller = load_classifier(root / GENERATOR, "labeller", device)
    train = load_arrays(root / CLEAN, split="train", origin="real", classes=generator.classes)
    chosen = Filter.fit(
        labeller, train, probability=settings.probability, quantile=settings.copy_quantile
    )
    return generator, chosen, train


def valid_recalls(
    settings: SynthSettings, chosen: Filter, train: Arrays, root: Path
) -> NDArray[np.float64] | None:
    """How well the labeller recognises each class of the valid split, where that is asked."""
    if settings.match != "weakest":
        return None
    return recalls(chosen.labeller, _valid(train, root))


def fit_selection(settings: SynthSettings, chosen: Filter, root: Path) -> Selection | None:
    """What chooses among accepted samples; None where ``synth.select`` names nothing."""
    if not settings.select:
        return None
    return Selection.fit(settings, chosen, _valid(chosen.train, root), root / CACHE / "synth")


def _valid(like: Arrays, root: Path) -> Arrays:
    return load_arrays(
        root / CLEAN, split="valid", origin="real", classes=like.classes, shape=like.shape
    )


def wide_codes(settings: SynthSettings, train: Arrays, root: Path) -> dict[str, Ranges]:
    """How each class's codes are drawn; where nothing is said, uniformly."""
    if settings.codes == "uniform":
        return {}
    return code_ranges.by_class(root / GENERATOR, train, devices.choose_device(settings.device))
