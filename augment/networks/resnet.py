"""Residual networks without normalisation: the default of the relativistic recipe."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from augment.networks import DISCRIMINATORS, GENERATORS, Shape, halvings, widths
from augment.registry import Count

_PAPER = "He et al. 2016 (arXiv:1603.05027); Huang et al. 2024, R3GAN (arXiv:2501.05441)"


class Block(nn.Module):
    """Two 3×3 convolutions beside a shortcut; the second starts at zero (Fixup)."""

    def __init__(self, inputs: int, outputs: int):
        """A block from ``inputs`` to ``outputs`` channels at one size."""
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.short = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        nn.init.kaiming_normal_(self.first.weight, a=0.2)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """The same size, other channels."""
        inner = self.first(functional.leaky_relu(x, 0.2))
        inner = self.second(functional.leaky_relu(inner, 0.2))
        summed: Tensor = self.short(x) + inner
        return summed


@GENERATORS.register("resnet", paper=_PAPER)
class Generator(nn.Module):
    """Residual blocks, doubled in size by bilinear interpolation in between."""

    def __init__(self, latent: int, shape: Shape, *, width: Count = 32, limit: Count = 4):
        """``width`` channels at full size, doubling downwards up to ``limit`` times."""
        super().__init__()
        channels, height, side = shape
        count = halvings(shape)
        levels = widths(width, count, limit)[::-1]
        self.base = (levels[0], height >> count, side >> count)
        self.first = nn.Linear(latent, levels[0] * self.base[1] * self.base[2])
        self.blocks = nn.ModuleList(
            [Block(levels[0], levels[0]), *(Block(a, b) for a, b in pairwise(levels))]
        )
        self.last = nn.Conv2d(levels[-1], channels, 3, padding=1)

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, latent) to (N, C, H, W) in [-1, 1]."""
        x = self.first(inputs).view(-1, *self.base)
        x = x.contiguous(memory_format=torch.channels_last)
        for level, block in enumerate(self.blocks):
            if level:
                x = functional.interpolate(x, scale_factor=2, mode="bilinear")
            x = block(x)
        return torch.tanh(self.last(functional.leaky_relu(x, 0.2)))


@DISCRIMINATORS.register("resnet", paper=_PAPER)
class Discriminator(nn.Module):
    """Residual blocks, halved by averaging in between; no normalisation by default."""

    def __init__(
        self, shape: Shape, *, width: Count = 32, limit: Count = 4, features: Count = 128,
        spectral: bool = False,
    ):  # fmt: skip
        """``features`` outputs; ``spectral`` normalises every weight (Miyato et al. 2018)."""
        super().__init__()
        channels, height, side = shape
        count = halvings(shape)
        levels = widths(width, count, limit)
        self.first = nn.Conv2d(channels, levels[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            [*(Block(a, b) for a, b in pairwise(levels)), Block(levels[-1], levels[-1])]
        )
        self.last = nn.Linear(levels[-1] * (height >> count) * (side >> count), features)
        self.width = features
        if spectral:
            for module in self.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    if not module.weight.any():  # zero has no singular vector to normalise by
                        nn.init.kaiming_normal_(module.weight, a=0.2)
                    spectral_norm(module)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, width)."""
        x = self.first(images)
        for level, block in enumerate(self.blocks):
            x = block(x)
            if level < len(self.blocks) - 1:
                x = functional.avg_pool2d(x, 2)
        x = functional.leaky_relu(x, 0.2).flatten(1)
        return functional.leaky_relu(self.last(x), 0.2)
