"""What ``auto`` and null stand for in a run: decided once, before the first step, and said.

The numbers rest on ``benchmarks.frontier``.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from augment.models.base import MODELS
from augment.registry import Spec
from augment.runtime import precision
from augment.train.settings import TrainSettings
from augment.vision import augmentations

STEPS = {"cpu": 2000, "cuda": 8000}  # of a run, by device
MANY = 200  # images a class, from which on the discriminator sees them as they are
PASSES = 120  # times that a run shows each image, beyond which it sees no image as it is
FEW = 10  # images a class; of 4 the default draws copies, see docs/evidence/costs.md
LONG = 30.0  # minutes, beyond which a run says what would be cheaper


def decide(
    settings: TrainSettings, images: int, classes: int, device: torch.device
) -> TrainSettings:
    """``settings`` with all that is left open decided for ``images`` train images in all.

    Those of the settings stay. What the discriminator sees is augmented, by the profile, where
    images are few or a run is long, so that it cannot learn them by heart (Zhao et al. 2020,
    arXiv:2006.10738); elsewhere that costs coverage.
    """
    steps = settings.steps if settings.steps != "auto" else STEPS[device.type]
    augment = settings.augment
    if augment is None:
        short = steps * settings.batch <= PASSES * images
        as_they_are = images >= MANY * classes and short
        augment = [] if as_they_are else list(augmentations.DEFAULTS[settings.profile])
    model = MODELS.resolve(settings.model)
    model = MODELS.describe(model["name"]).target.decide(model, images / classes)  # type: ignore[attr-defined]
    return settings.model_copy(update={"steps": steps, "augment": augment, "model": model})


def in_words(
    settings: TrainSettings, images: int, classes: int, shape: tuple[int, ...],
    device: torch.device, styles: int = 1,
) -> str:  # fmt: skip
    """What a run is about to do and by which rules: the line that it starts with.

    ``styles`` is how many kinds of a class the model needs to be told apart, at most.
    """
    _, height, width = shape
    augment = ", ".join(map(_name, settings.augment or [])) or "none"
    half = " in bf16" if precision.decided(device.type) == "bf16" else ""
    styled = f", {styles} styles a class" if styles > 1 else ""
    few = ""
    if images < FEW * classes:
        few = (
            f"; {images / classes:.1f} images a class are so few that most samples may be copies "
            "of them, which synth refuses: images without a label (ingest.unlabelled) would help"
        )
    model = MODELS.describe(MODELS.resolve(settings.model)["name"]).target
    judged = model.discriminates  # type: ignore[attr-defined]
    against = f" against {_network(settings.discriminator)}" if judged else ""
    return (
        f"{settings.recipe}: {images:,} images of {classes} classes, {width} × {height}, on "
        f"{device.type}{half}: {_network(settings.generator)}{against}{styled}, "
        f"augmentation {augment}, "
        f"{settings.length:,} steps of {settings.batch} images{few}"
    )


def cost_in_words(settings: TrainSettings, seconds: float) -> str:
    """What a run will cost whose steps take ``seconds`` each, and beyond LONG what would less."""
    minutes = settings.length * seconds / 60
    about = (
        f"about {math.ceil(minutes)} minutes" if minutes > 1.5 else f"about {60 * minutes:.0f} s"
    )
    words = f"{about} on this machine, {settings.length:,} steps of {1000 * seconds:.0f} ms"
    if minutes <= LONG:
        return words
    return f"{words}; fewer train.steps, a smaller width or clean.size, or a GPU would be cheaper"


def _network(spec: Spec) -> str:
    width = spec.get("width") if isinstance(spec, dict) else None
    return _name(spec) if width is None else f"{_name(spec)} (width {width})"


def _name(spec: Any) -> str:
    return str(spec["name"] if isinstance(spec, dict) else spec)
