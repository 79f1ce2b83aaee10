"""DCGAN by its five rules: strides, batch norm, no hidden dense layers, ReLU + tanh, leaky ReLU."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from augment.networks import DISCRIMINATORS, GENERATORS, Shape, halvings, widths
from augment.registry import Count

_PAPER = "Radford et al. 2016, DCGAN (arXiv:1511.06434)"


@GENERATORS.register("dcgan", paper=_PAPER)
class Generator(nn.Module):
    """Strided transposed convolutions with batch norm and ReLU, tanh at the end."""

    def __init__(self, latent: int, shape: Shape, *, width: Count = 64, limit: Count = 8):
        """``width`` channels before the last layer, doubling downwards up to ``limit`` times."""
        super().__init__()
        channels, height, side = shape
        count = halvings(shape)
        levels = widths(width, count - 1, limit)[::-1]
        base = (height >> count, side >> count)
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent, levels[0], base, bias=False),
            nn.BatchNorm2d(levels[0]),
            nn.ReLU(),
        ]
        for inputs, outputs in pairwise(levels):
            layers += [
                nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        layers += [nn.ConvTranspose2d(levels[-1], channels, 4, 2, 1), nn.Tanh()]
        self.body = nn.Sequential(*layers)
        self.apply(_initialise)

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, latent) to (N, C, H, W) in [-1, 1]."""
        images: Tensor = self.body(inputs[:, :, None, None])
        return images


@DISCRIMINATORS.register("dcgan", paper=_PAPER)
class Discriminator(nn.Module):
    """Strided convolutions with leaky ReLU; batch norm in all but the first, as in the paper."""

    def __init__(
        self,
        shape: Shape,
        *,
        width: Count = 64,
        limit: Count = 8,
        norm: Literal["batch", "none"] = "batch",
    ):
        """``norm: none`` for losses whose penalty looks at each image by itself."""
        super().__init__()
        channels, height, side = shape
        count = halvings(shape)
        levels = widths(width, count - 1, limit)
        layers: list[nn.Module] = [nn.Conv2d(channels, levels[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for inputs, outputs in pairwise(levels):
            layers.append(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=norm == "none"))
            layers += [nn.BatchNorm2d(outputs)] if norm == "batch" else []
            layers.append(nn.LeakyReLU(0.2))
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.width = levels[-1] * (height >> count) * (side >> count)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, width)."""
        features: Tensor = self.body(images)
        return features


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, mean=1.0, std=0.02)
