"""Settings to a checked model: parts resolved, built and put together."""

from __future__ import annotations

import math
from typing import Any

from augment.classifiers.fit import CLASSIC
from augment.classifiers.networks import CLASSIFIERS
from augment.models.base import MODELS, Model, Parts
from augment.models.conditioning import DISCRIMINATOR_CONDITIONS, GENERATOR_CONDITIONS
from augment.models.losses import LOSSES
from augment.models.networks import DISCRIMINATORS, GENERATORS, Shape
from augment.models.penalties import PENALTIES
from augment.registry import PartError
from augment.train.settings import TrainSettings
from augment.vision import augmentations

STRUCTURES = {"glyph": "skeleton", "natural": "layout"}  # what a set has, by its profile


def augment_of(settings: TrainSettings) -> list[Any]:
    """The augmentations of a run: those of the settings, or the defaults of the profile."""
    if settings.augment is not None:
        return settings.augment
    return list(augmentations.DEFAULTS[settings.profile])


def discriminator_of(settings: TrainSettings) -> dict[str, Any]:
    """The discriminator's part with ``norm: auto`` decided: ``none`` beside a per-image penalty."""
    spec = DISCRIMINATORS.resolve(settings.discriminator)
    if spec.get("norm") == "auto":
        spec["norm"] = "none" if _per_image(settings) else "batch"
    return spec


def generator_of(settings: TrainSettings) -> dict[str, Any]:
    """The generator's part with ``structure: auto`` decided by the profile."""
    spec = GENERATORS.resolve(settings.generator)
    if spec.get("structure") == "auto":
        spec["structure"] = STRUCTURES[settings.profile]
    return spec


def check(settings: TrainSettings) -> None:
    """Raise PartError for parts that do not go together."""
    augmentations.safe(augment_of(settings), settings.profile)
    if discriminator_of(settings).get("norm") == "batch" and _per_image(settings):
        raise PartError(
            f"train.penalties: {_per_image(settings)[0]!r} looks at each image by itself, and "
            "train.discriminator.norm 'batch' mixes images; set norm to 'none'"
        )
    name, network = MODELS.resolve(settings.model)["name"], discriminator_of(settings)["name"]
    judged = getattr(DISCRIMINATORS.describe(network).target, "patches", False)
    if judged and not MODELS.describe(name).target.patches:  # type: ignore[attr-defined]
        raise PartError(
            f"train.discriminator: {network!r} judges patches, and train.model {name!r} asks about "
            "whole images"
        )
    drawing = GENERATORS.resolve(settings.generator)["name"]
    exact = getattr(GENERATORS.describe(drawing).target, "density", False)
    if exact != MODELS.describe(name).target.density:  # type: ignore[attr-defined]
        gives, asks = ("gives", "does not ask for") if exact else ("does not give", "asks for")
        raise PartError(
            f"train.generator: {drawing!r} {gives} the probability of images, which train.model "
            f"{name!r} {asks}"
        )
    check_rates(settings)


def check_rates(settings: TrainSettings) -> None:
    """Raise PartError for the rate of a phase that the model does not have."""
    model = MODELS.resolve(settings.model)["name"]
    phases = MODELS.describe(model).target.phase_names  # type: ignore[attr-defined]
    for name in settings.rate.named:
        if name not in phases:
            raise PartError(
                f"train.rate.{name}: unknown key; known: default, schedule, and the phases of "
                f"{model!r}: {', '.join(phases)}"
            )


def _per_image(settings: TrainSettings) -> list[str]:
    names = [PENALTIES.resolve(spec)["name"] for spec in settings.penalties]
    return [name for name in names if PENALTIES.describe(name).facts.get("per_image")]


def build(settings: TrainSettings, shape: Shape, classes: int) -> Model:
    """The model that ``settings`` describe, with fresh weights. Raises PartError like check."""
    check(settings)
    specs = augment_of(settings)
    ada = settings.ada
    parts = Parts(
        shape=shape,
        classes=classes,
        generator=lambda *sizes: GENERATORS.build(generator_of(settings), *sizes),
        discriminator=lambda size: DISCRIMINATORS.build(discriminator_of(settings), size),
        generator_condition=lambda count: GENERATOR_CONDITIONS.build(
            settings.conditioning.generator, count
        ),
        discriminator_condition=lambda *sizes: DISCRIMINATOR_CONDITIONS.build(
            settings.conditioning.discriminator, *sizes
        ),
        loss=LOSSES.build(settings.loss),
        penalties=[PENALTIES.build(spec) for spec in settings.penalties],
        augment=augmentations.Adaptive(specs, target=ada.target, images=ada.images)
        if ada
        else augmentations.compose(specs),
        head=lambda *sizes: CLASSIFIERS.build(settings.labeller.network, *sizes),
        vary=augmentations.compose(CLASSIC),
        instance_noise=settings.instance_noise.std,
        noise_until=settings.instance_noise.until,
        discriminator_steps=settings.discriminator_steps,
    )
    model: Model = MODELS.build(settings.model, parts)
    network, name = (
        registry.resolve(spec)["name"]
        for registry, spec in ((GENERATORS, settings.generator), (MODELS, settings.model))
    )
    values = math.prod(shape)
    full = getattr(model.generator.network, "noise_for_each_value", False)
    if full and model.generator.noise != values:
        raise PartError(
            f"train.generator: {network!r} takes {values} numbers of noise, as many as an image "
            f"has values, and train.model {name!r} gives {model.generator.noise}; 'flow' and "
            "'flow_matching' give as many"
        )
    if model.generator.source != bool(model.needs.source):
        starts = ("noise", "an image") if model.needs.source else ("an image", "noise")
        raise PartError(
            f"train.generator: {network!r} starts from {starts[0]}, train.model {name!r} needs one "
            f"that starts from {starts[1]}"
        )
    if settings.batch % model.needs.pack:
        raise PartError(
            f"train.batch: {settings.batch} images do not fill packs of {model.needs.pack} "
            "(train.model.packing)"
        )
    return model


def resolved_settings(settings: TrainSettings) -> dict[str, Any]:
    """The settings with every part's options filled in. Raises PartError for a wrong one."""
    decided = {
        "augment": augment_of(settings),
        "discriminator": discriminator_of(settings),
        "generator": generator_of(settings),
    }
    return settings.model_copy(update=decided).resolved()
