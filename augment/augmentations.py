"""Label-safe augmentations of a batch, differentiable, drawn per sample from one generator.

One set serves both uses: in front of the discriminator (DiffAugment, Zhao et al. 2020) and as the
classic augmentation of classifiers. Nothing here flips or turns by 90°: that changes glyphs.
torchvision's transforms draw one set of parameters for a whole batch, hence these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from augment.registry import Amount, Count, Fraction, Registry, Spec

AUGMENTATIONS = Registry("augmentation")
Augmentation = Callable[[Tensor, torch.Generator], Tensor]

_DIFFAUGMENT = "Zhao et al. 2020, Differentiable Augmentation (arXiv:2006.10738)"


def compose(specs: Sequence[Spec]) -> Augmentation:
    """One function that applies the named augmentations in order."""
    parts: list[Any] = [AUGMENTATIONS.build(spec) for spec in specs]

    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        for part in parts:
            images = part(images, generator)
        return images

    return augment


@AUGMENTATIONS.register("shift", paper=_DIFFAUGMENT)
def shift(images: Tensor, generator: torch.Generator, *, fraction: Fraction = 0.125) -> Tensor:
    """Move by whole pixels, up to ``fraction`` of each side; the border's pixels continue."""
    count, _, height, width = images.shape
    rows = _moved(count, height, fraction, images, generator)
    columns = _moved(count, width, fraction, images, generator)
    batch = torch.arange(count, device=images.device)[:, None, None]
    moved = images.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


@AUGMENTATIONS.register("affine", paper=_DIFFAUGMENT)
def affine(
    images: Tensor,
    generator: torch.Generator,
    *,
    degrees: Amount = 8.0,
    scale: Fraction = 0.1,
    shear: Amount = 0.1,
    shift: Amount = 0.0,
) -> Tensor:
    """Turn by ±``degrees``, scale by 1 ± ``scale``, shear by ±``shear``, move by ±``shift``.

    Bilinear; shift is a fraction of the side; the border's pixels continue.
    """
    grid = functional.affine_grid(
        _matrices(images, generator, degrees, scale, shear, shift),
        list(images.shape),
        align_corners=False,
    )
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


@AUGMENTATIONS.register(
    "elastic", paper="Simard et al. 2003, Best Practices for Convolutional Neural Networks"
)
def elastic(
    images: Tensor,
    generator: torch.Generator,
    *,
    amplitude: Amount = 0.08,
    cells: Count = 4,
    degrees: Amount = 8.0,
    scale: Fraction = 0.1,
    shear: Amount = 0.1,
    shift: Amount = 0.05,
) -> Tensor:
    """An affine map plus a smooth random displacement field.

    The field is drawn on a ``cells`` × ``cells`` lattice with standard deviation ``amplitude``
    of half a side and interpolated bicubically.
    """
    count, _, height, width = images.shape
    theta = _matrices(images, generator, degrees, scale, shear, shift)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    lattice = torch.randn(count, 2, cells, cells, generator=generator, device=generator.device)
    field = functional.interpolate(
        lattice.to(images) * amplitude, (height, width), mode="bicubic", align_corners=True
    )
    grid = grid + field.permute(0, 2, 3, 1)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


@AUGMENTATIONS.register("cutout", paper="DeVries & Taylor 2017 (arXiv:1708.04552)")
def cutout(
    images: Tensor, generator: torch.Generator, *, fraction: Fraction = 0.3, chance: Fraction = 0.5
) -> Tensor:
    """Replace a box of ``fraction`` of each side by mid-grey, in a share ``chance`` of images."""
    count, _, height, width = images.shape
    draws = _uniform(images, generator, count, 3)
    inside = draws[:, 2, None, None] < chance
    for axis, side in ((0, height), (1, width)):
        length = max(1, round(side * fraction))
        start = (draws[:, axis] * (side - length + 1)).floor()[:, None]
        place = torch.arange(side, device=images.device)[None]
        within = (place >= start) & (place < start + length)
        inside = inside & (within[:, :, None] if axis == 0 else within[:, None, :])
    return images.masked_fill(inside[:, None], 0.0)


@AUGMENTATIONS.register("brightness", paper=_DIFFAUGMENT)
def brightness(images: Tensor, generator: torch.Generator, *, amount: Amount = 0.2) -> Tensor:
    """Add one value of ±``amount`` (images span 2) to each image, clipped to [-1, 1]."""
    offset = (_uniform(images, generator, len(images)) * 2 - 1) * amount
    return (images + offset[:, None, None, None]).clamp(-1, 1)


def _uniform(images: Tensor, generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator, device=generator.device).to(images)


def _moved(
    count: int, side: int, fraction: float, images: Tensor, generator: torch.Generator
) -> Tensor:
    most = round(side * fraction)
    offset = torch.randint(
        -most, most + 1, (count, 1), generator=generator, device=generator.device
    )
    place = torch.arange(side, device=images.device)[None]
    return (place + offset.to(images.device)).clamp(0, side - 1)


def _matrices(
    images: Tensor,
    generator: torch.Generator,
    degrees: float,
    scale: float,
    shear: float,
    shift: float,
) -> Tensor:
    draws = _uniform(images, generator, len(images), 6) * 2 - 1
    angle = draws[:, 0] * math.radians(degrees)
    wide, high = 1 + draws[:, 1] * scale, 1 + draws[:, 2] * scale
    slant = draws[:, 3] * shear
    cos, sin = angle.cos(), angle.sin()
    across = torch.stack([cos * wide, (slant * cos - sin) * high, draws[:, 4] * 2 * shift], 1)
    down = torch.stack([sin * wide, (slant * sin + cos) * high, draws[:, 5] * 2 * shift], 1)
    return torch.stack([across, down], 1)
