"""Label-safe augmentations of a batch, differentiable, drawn per sample from one generator.

The same set serves in front of the discriminator (DiffAugment, Zhao et al. 2020) and as the classic
augmentation of classifiers. Whether a change keeps the label depends on the images, so each
augmentation states the profiles for which it is safe. A ``glyph`` is never flipped, turned by 90°
or coloured; a ``natural`` image may be mirrored and coloured. torchvision's transforms do not
serve: they draw the same parameters for a whole batch. Channels are 1, 3 or 4, or those of several
images in a pack, which then change together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.registry import Amount, Count, Fraction, PartError, Registry, Spec

AUGMENTATIONS = Registry("augmentation")
Augmentation = Callable[[Tensor, torch.Generator], Tensor]

DEFAULTS: Mapping[str, list[str]] = {  # of each profile
    "glyph": ["shift", "affine", "cutout"],
    "natural": ["flip", "shift", "affine", "colour", "cutout"],
}

_DIFFAUGMENT = "Zhao et al. 2020, Differentiable Augmentation (arXiv:2006.10738)"
_ADA = "Karras et al. 2020, Training GANs with Limited Data (arXiv:2006.06676)"
_ALL = ("glyph", "natural")
_UPRIGHT = {"glyph": {"degrees": 30.0}}  # at 45° an N is as near to a Z


def safe(specs: Sequence[Spec], profile: str) -> None:
    """Raise PartError where an augmentation changes labels of images of ``profile``.

    An augmentation may do so by its nature or by an option beyond the profile's limit; the error
    says which.
    """
    if profile not in DEFAULTS:
        raise PartError(f"unknown profile {profile!r}; known: {', '.join(DEFAULTS)}")
    allowed = [
        name
        for name in AUGMENTATIONS.names()
        if profile in AUGMENTATIONS.describe(name).facts["profiles"]
    ]
    for spec in specs:
        resolved = AUGMENTATIONS.resolve(spec)
        name = resolved["name"]
        if name not in allowed:
            raise PartError(
                f"augmentation {name!r} changes labels of profile {profile!r}; "
                f"allowed: {', '.join(allowed)}"
            )
        most = AUGMENTATIONS.describe(name).facts.get("most", {})
        for option, limit in most.get(profile, {}).items():
            if resolved[option] > limit:
                raise PartError(
                    f"augmentation {name!r}: option {option!r} is at most {limit} for profile "
                    f"{profile!r} (found {resolved[option]!r})"
                )


def compose(specs: Sequence[Spec]) -> Augmentation:
    """A function that applies the named augmentations in order."""
    parts: list[Any] = [AUGMENTATIONS.build(spec) for spec in specs]

    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        for part in parts:
            images = part(images, generator)
        return images

    return augment


class Adaptive(nn.Module):
    """Adaptive discriminator augmentation (Karras et al. 2020, ADA, arXiv:2006.06676).

    Each augmentation changes each image with probability ``p``, which rises while the discriminator
    is too sure of real images and falls otherwise. As long as ``p`` stays clear of 1, unchanged
    images are the likeliest, and the generator learns those. An augmentation with its own option
    ``chance`` changes p × chance of the images. ``p`` is a buffer and so travels in checkpoints.
    """

    p: Tensor

    def __init__(
        self,
        specs: Sequence[Spec],
        *,
        target: Fraction = 0.6,
        images: Count = 5000,
        p: Fraction = 0.0,
    ):
        """Start at ``p`` and steer the mean sign of logits of real images towards ``target``.

        ``images`` is the number of real images that moves ``p`` from 0 to 1. The paper's 500,000
        suit its runs over millions of images; the default suits thousands of steps.
        """
        super().__init__()
        self.parts: list[Any] = [AUGMENTATIONS.build(spec) for spec in specs]
        self.target = target
        self.images = images
        self.register_buffer("p", torch.tensor(float(p)))

    def forward(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images (N, C, H, W), each changed by each augmentation with probability ``p``."""
        if self.p.device.type == "cpu" and not self.p:  # a GPU would have to be waited for
            return images
        draws = torch.rand(
            len(self.parts), len(images), generator=generator, device=generator.device
        )
        changed = draws.to(self.p) < self.p
        for part, mask in zip(self.parts, changed[..., None, None, None], strict=True):
            images = torch.where(mask, part(images, generator), images)
        return images

    @torch.no_grad()
    def update(self, sign: Tensor, count: int) -> None:
        """Move ``p`` by ``count / images``, within 0 … 1, after ``count`` real images.

        ``sign`` is the paper's r_t, a scalar in [-1, 1]: the mean sign of the discriminator's
        logits of real images. ``p`` rises when it is above the target and falls when it is below.
        The call never waits for a GPU.
        """
        self.p.add_((sign - self.target).sign() * (count / self.images)).clamp_(0, 1)


@AUGMENTATIONS.register("flip", paper=_ADA, profiles=("natural",))
def flip(images: Tensor, generator: torch.Generator, *, chance: Fraction = 0.5) -> Tensor:
    """Mirror left and right, in a share ``chance`` of images."""
    mirrored = _uniform(images, generator, len(images)) < chance
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


@AUGMENTATIONS.register("shift", paper=_DIFFAUGMENT, profiles=_ALL)
def shift(images: Tensor, generator: torch.Generator, *, fraction: Fraction = 0.125) -> Tensor:
    """Move by whole pixels, up to ``fraction`` of each side; border pixels are repeated."""
    count, _, height, width = images.shape
    rows = _moved(count, height, fraction, images, generator)
    columns = _moved(count, width, fraction, images, generator)
    batch = torch.arange(count, device=images.device)[:, None, None]
    moved = images.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


@AUGMENTATIONS.register("affine", paper=_DIFFAUGMENT, profiles=_ALL, most=_UPRIGHT)
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

    Bilinear. ``shift`` is a fraction of the side. Border pixels are repeated.
    """
    grid = functional.affine_grid(
        _matrices(images, generator, degrees, scale, shear, shift),
        list(images.shape),
        align_corners=False,
    )
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


@AUGMENTATIONS.register(
    "elastic",
    paper="Simard et al. 2003, Best Practices for Convolutional Neural Networks",
    profiles=_ALL,
    most=_UPRIGHT,
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


@AUGMENTATIONS.register("cutout", paper="DeVries & Taylor 2017 (arXiv:1708.04552)", profiles=_ALL)
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


@AUGMENTATIONS.register("brightness", paper=_DIFFAUGMENT, profiles=_ALL)
def brightness(images: Tensor, generator: torch.Generator, *, amount: Amount = 0.2) -> Tensor:
    """Add one value of ±``amount`` (images span 2) to each image, clipped to [-1, 1]."""
    offset = (_uniform(images, generator, len(images)) * 2 - 1) * amount
    return (images + offset[:, None, None, None]).clamp(-1, 1)


@AUGMENTATIONS.register("colour", paper=_DIFFAUGMENT, profiles=("natural",))
def colour(
    images: Tensor,
    generator: torch.Generator,
    *,
    saturation: Fraction = 1.0,
    contrast: Fraction = 0.5,
) -> Tensor:
    """Scale each image's saturation by 1 ± ``saturation`` and its contrast by 1 ± ``contrast``.

    Clipped to [-1, 1]. Every three channels are one RGB image; channels that do not come in threes
    are images without colour, of which only the contrast changes.
    """
    count, channels, height, width = images.shape
    grouped = images.reshape(count, -1, 3 if channels % 3 == 0 else 1, height, width)
    draws = (_uniform(images, generator, 2, len(images)) * 2 - 1)[..., None, None, None, None]
    grouped = grouped.mean(2, keepdim=True).lerp(grouped, 1 + draws[0] * saturation)
    grouped = grouped.mean((2, 3, 4), keepdim=True).lerp(grouped, 1 + draws[1] * contrast)
    return grouped.reshape(images.shape).clamp(-1, 1)


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
    """Affine maps (N, 2, 3) for affine_grid, with uniform draws up to ± each amount."""
    draws = _uniform(images, generator, len(images), 6) * 2 - 1
    angle = draws[:, 0] * math.radians(degrees)
    wide, high = 1 + draws[:, 1] * scale, 1 + draws[:, 2] * scale
    slant = draws[:, 3] * shear
    cos, sin = angle.cos(), angle.sin()
    across = torch.stack([cos * wide, (slant * cos - sin) * high, draws[:, 4] * 2 * shift], 1)
    down = torch.stack([sin * wide, (slant * sin + cos) * high, draws[:, 5] * 2 * shift], 1)
    return torch.stack([across, down], 1)
