"""A Laplacian pyramid, and a generator that paints it: a small image, then details by size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.models.networks import GENERATORS, Shape, mlp, sizes
from augment.models.networks.layers import Chain, Conditional, batch_norm
from augment.registry import Count

_PAPER = (
    "Denton et al. 2015, Deep Generative Image Models using a Laplacian Pyramid of Adversarial "
    "Networks (arXiv:1506.05751); Burt & Adelson 1983, The Laplacian Pyramid as a Compact Image "
    "Code"
)
Size = tuple[int, int]


def blurred(images: Tensor, size: Size) -> Tensor:
    """``images`` (N, C, h, w) at a larger ``size``, smooth in between, for details to go on."""
    return functional.interpolate(images, size, mode="bilinear", align_corners=False)


def scaled(images: Tensor, at: Sequence[Size]) -> list[Tensor]:
    """``images`` (N, C, H, W) at each size of ``at``, the smallest first and (H, W) the last."""
    smaller = [images]
    for size in at[-2::-1]:
        smaller.append(functional.adaptive_avg_pool2d(smaller[-1], size))
    return smaller[::-1]


def pyramid(images: Tensor, at: Sequence[Size]) -> list[Tensor]:
    """The Laplacian pyramid: the smallest image, then the details that each larger size adds."""
    small, *larger = scaled(images, at)
    details = [small]
    for image in larger:
        details.append(image - blurred(small, (image.shape[2], image.shape[3])))
        small = image
    return details


def rebuilt(levels: Sequence[Tensor]) -> Tensor:
    """The images (N, C, H, W) of a ``pyramid``."""
    images, *details = levels
    for detail in details:
        images = blurred(images, (detail.shape[2], detail.shape[3])) + detail
    return images


class Details(Conditional):
    """The details of one size, given noise and the blurred image that they are added to."""

    def __init__(self, latent: int, shape: Shape, condition: int, width: int, layers: int):
        """``layers`` hidden convolutions of ``width`` channels for images of ``shape``."""
        super().__init__()
        channels, *self.size = shape
        self.plane = nn.Linear(latent, self.size[0] * self.size[1])
        body: list[nn.Module] = [nn.Conv2d(channels + 1, width, 3, padding=1, bias=False)]
        for _ in range(layers - 1):
            body += [batch_norm(width, condition), nn.ReLU()]
            body.append(nn.Conv2d(width, width, 3, padding=1, bias=False))
        body += [batch_norm(width, condition), nn.ReLU()]
        self.body = Chain(*body, nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, inputs: Tensor, condition: Tensor | None, under: Tensor) -> Tensor:
        """(N, latent), (N, condition) and blurred images (N, C, h, w) to details of them."""
        plane = self.plane(inputs).view(-1, 1, *self.size)
        details: Tensor = self.body(torch.cat([under.to(plane), plane], 1), condition)
        return details


@GENERATORS.register("pyramid", paper=_PAPER)
class Generator(nn.Module):
    """Dense layers for the smallest size; convolutions for each larger one's details.

    Each size has noise of its own: inputs (N, ``levels``, latent), the smallest size's first.
    """

    by_rows = ("forward", "each")

    def __init__(
        self, latent: int, shape: Shape, condition: int = 0, *,
        width: Count = 32, layers: Count = 3, doublings: Count = 3,
    ):  # fmt: skip
        """``layers`` hidden convolutions of ``width`` channels at each size.

        Each size is half of the next one, ``doublings`` times at most, with sides of at least 4.
        The smallest has two hidden layers of 8 · ``width`` units.
        """
        super().__init__()
        self.sizes = sizes(shape)[: doublings + 1][::-1]
        self.levels = len(self.sizes)
        channels = shape[0]
        smallest, *larger = self.sizes
        self.small = mlp.Generator(
            latent, (channels, *smallest), condition, width=8 * width, layers=2
        )
        self.details = nn.ModuleList(
            Details(latent, (channels, *size), condition, width, layers) for size in larger
        )

    def forward(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, levels, latent) and (N, condition) to (N, C, H, W) in [-1, 1]."""
        return self.each(inputs, condition)[-1]

    def each(
        self, inputs: Tensor, condition: Tensor | None, real: Sequence[Tensor] | None = None
    ) -> list[Tensor]:
        """The images of each size, the smallest first; inputs are those of ``forward``.

        With ``real`` images of each size (``scaled``), details are those of the next smaller real
        one, and not of the one just made: so each size is learned by itself.
        """
        first, *rest = inputs.unbind(1)
        made: list[Tensor] = [self.small(first, condition)]
        for level, (part, noise) in enumerate(zip(self.details, rest, strict=True)):
            under = blurred((real or made)[level], self.sizes[level + 1])
            image = under + part(noise, condition, under)
            made.append(image if real else image.clamp(-1, 1))
        return made
