"""Classic augmentation policies, of which the best is chosen on valid images.

A policy is ``policy(profile, images, generator, *, options) -> images`` on a batch in [-1, 1]. Each
keeps labels of images of the profile: under ``glyph`` nothing is mirrored or coloured, and turns,
shears and moves are small. Images continue beyond their border, whatever their background is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from augment.registry import Amount, Count, Fraction, Registry
from augment.runtime import seeding
from augment.vision import augmentations

POLICIES = Registry("policy")

# The most that one operation does to a glyph, so that it stays what it is; chosen by hand.
_DEGREES = 15.0  # of a turn
_SHEAR = 0.2  # pixels across for each pixel down
_SHIFT = 0.125  # of the image's side

Bins = Annotated[int, Field(ge=0, le=30)]


@POLICIES.register("affine", paper="Simard et al. 2003, Best Practices for Convolutional Networks")
def affine(
    profile: str,
    images: Tensor,
    generator: torch.Generator,
    *,
    degrees: Annotated[float, Field(ge=0, le=30)] = 10.0,
    scale: Fraction = 0.1,
    shear: Amount = 0.1,
    shift: Fraction = 0.08,
) -> Tensor:
    """Turn, scale, shear and move, all at random."""
    return augmentations.affine(
        _mirrored(profile, images, generator),
        generator,
        degrees=degrees,
        scale=scale,
        shear=shear,
        shift=shift,
    )


@POLICIES.register("elastic", paper="Simard et al. 2003, Best Practices for Convolutional Networks")
def elastic(
    profile: str, images: Tensor, generator: torch.Generator, *, amplitude: Fraction = 0.08
) -> Tensor:
    """An affine map and a smooth random displacement."""
    mirrored = _mirrored(profile, images, generator)
    return augmentations.elastic(mirrored, generator, amplitude=amplitude)


@POLICIES.register("rand_augment", paper="Cubuk et al. 2020, RandAugment (arXiv:1909.13719)")
def rand_augment(
    profile: str,
    images: Tensor,
    generator: torch.Generator,
    *,
    operations: Count = 2,
    magnitude: Bins = 9,
) -> Tensor:
    """Some operations drawn for each image, all of one strength."""
    from torchvision.transforms import v2

    transform = v2.RandAugment(operations, magnitude, interpolation=_bilinear())
    return _each(profile, images, generator, transform)


@POLICIES.register("trivial_augment", paper="Müller & Hutter 2021 (arXiv:2103.10158)")
def trivial_augment(profile: str, images: Tensor, generator: torch.Generator) -> Tensor:
    """One operation of any strength drawn for each image."""
    from torchvision.transforms import v2

    transform = v2.TrivialAugmentWide(interpolation=_bilinear())
    return _each(profile, images, generator, transform)


@POLICIES.register("aug_mix", paper="Hendrycks et al. 2020, AugMix (arXiv:1912.02781)")
def aug_mix(
    profile: str,
    images: Tensor,
    generator: torch.Generator,
    *,
    severity: Annotated[int, Field(ge=1, le=10)] = 3,
    width: Count = 3,
) -> Tensor:
    """Each image mixed with chains of operations on it."""
    from torchvision.transforms import v2

    transform = v2.AugMix(severity, width, interpolation=_bilinear())
    return _each(profile, images, generator, transform)


def _bilinear() -> Any:
    from torchvision.transforms import InterpolationMode

    return InterpolationMode.BILINEAR


def _mirrored(profile: str, images: Tensor, generator: torch.Generator) -> Tensor:
    return augmentations.flip(images, generator) if profile == "natural" else images


def _each(
    profile: str, images: Tensor, generator: torch.Generator, transform: Callable[[Tensor], Tensor]
) -> Tensor:
    """``images`` with torchvision's ``transform`` applied to each, drawn anew for each image.

    torchvision draws from global random states, which are therefore seeded from ``generator``.
    Images are continued by a quarter of their side, so that no border comes into view.
    """
    seeding.everything(int(torch.randint(2**62, (), generator=generator)), "policy")
    if profile == "glyph":
        only_geometric(transform)
    height, width = images.shape[2:]
    down, right = math.ceil(height / 4), math.ceil(width / 4)
    around = functional.pad(
        _mirrored(profile, images, generator), (right, right, down, down), mode="replicate"
    )
    grey = ((around.cpu() + 1) * 127.5).round().to(torch.uint8)
    changed = torch.stack([transform(image) for image in grey]).to(images) / 127.5 - 1
    return changed[:, :, down : down + height, right : right + width]


def only_geometric(transform: Any) -> None:
    """Leave ``transform`` of torchvision only turns, shears and moves that change no glyph."""

    def most(limit: float) -> Callable[[int, int, int], Tensor]:
        return lambda bins, *_: torch.linspace(0, limit, bins)

    def moved(place: int) -> Callable[[int, int, int], Tensor]:
        # A padded side is one and a half of the image's.
        return lambda bins, *sides: torch.linspace(0, _SHIFT * sides[place] / 1.5, bins)

    transform._AUGMENTATION_SPACE = {
        "Rotate": (most(_DEGREES), True),
        "ShearX": (most(_SHEAR), True),
        "ShearY": (most(_SHEAR), True),
        "TranslateX": (moved(1), True),
        "TranslateY": (moved(0), True),
    }
