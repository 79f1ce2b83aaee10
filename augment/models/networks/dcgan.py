"""DCGAN by its five rules: strides, batch norm, no hidden dense layers, ReLU + tanh, leaky ReLU."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from augment.models.networks import DISCRIMINATORS, GENERATORS, Shape, sizes, widths
from augment.models.networks.layers import (
    Chain,
    First,
    Flatten,
    batch_norm,
    normalise_spectrally,
)
from augment.registry import Count

_PAPER = "Radford et al. 2016, DCGAN (arXiv:1511.06434)"


@GENERATORS.register("dcgan", paper=_PAPER)
class Generator(nn.Module):
    """Strided transposed convolutions with batch norm and ReLU, tanh at the end."""

    def __init__(
        self, latent: int, shape: Shape, condition: int = 0, *,
        width: Count = 64, limit: Count = 8,
    ):  # fmt: skip
        """``width`` channels before the last layer, doubling downwards up to ``limit`` times."""
        super().__init__()
        *larger, base = sizes(shape)
        channels = [shape[0], *widths(width, len(larger) - 1, limit)]
        layers: list[nn.Module] = [First(latent, channels[-1], base, bias=False)]
        for size, (outputs, inputs) in zip(larger[::-1], [*pairwise(channels)][::-1], strict=True):
            odd = (size[0] % 2, size[1] % 2)  # 9 was halved to 4
            layers += [
                batch_norm(inputs, condition),
                nn.ReLU(),
                nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, odd, bias=size == larger[0]),
            ]
        self.body = Chain(*layers, nn.Tanh())
        self.apply(_initialise)

    def forward(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, latent) and (N, condition) to (N, C, H, W) in [-1, 1]."""
        images: Tensor = self.body(inputs[:, :, None, None], condition)
        return images


@DISCRIMINATORS.register("dcgan", paper=_PAPER)
class Discriminator(nn.Module):
    """Strided convolutions with leaky ReLU; batch norm in all but the first, as in the paper."""

    def __init__(
        self, shape: Shape, *, width: Count = 64, limit: Count = 8,
        norm: Literal["auto", "batch", "none"] = "auto", spectral: bool = False,
    ):  # fmt: skip
        """``norm: none`` goes with penalties that look at each image by itself: ``auto`` chooses.

        ``spectral`` normalises every weight (Miyato et al. 2018).
        """
        super().__init__()
        *larger, (height, side) = sizes(shape)
        levels = widths(width, max(len(larger) - 1, 0), limit)
        first = (4, 2, 1) if larger else (3, 1, 1)  # the least size is not halved
        layers: list[nn.Module] = [nn.Conv2d(shape[0], levels[0], *first), nn.LeakyReLU(0.2)]
        for inputs, outputs in pairwise(levels):
            layers.append(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=norm == "none"))
            layers += [nn.BatchNorm2d(outputs)] if norm != "none" else []
            layers.append(nn.LeakyReLU(0.2))
        self.body = nn.Sequential(*layers, Flatten())
        self.width = levels[-1] * height * side
        self.apply(_initialise)
        if spectral:
            normalise_spectrally(self)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, width)."""
        features: Tensor = self.body(images)
        return features


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=0.02)
    elif isinstance(module, nn.BatchNorm2d) and module.affine:
        nn.init.normal_(module.weight, mean=1.0, std=0.02)
