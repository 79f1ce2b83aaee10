"""Residual networks without normalisation: the default of the relativistic recipe."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.models.networks import DISCRIMINATORS, GENERATORS, Shape, sizes, widths
from augment.models.networks.layers import (
    Attention,
    Chain,
    Conditional,
    batch_norm,
    normalise_spectrally,
)
from augment.registry import Count

_PAPER = "He et al. 2016 (arXiv:1603.05027); Huang et al. 2024, R3GAN (arXiv:2501.05441)"


class Block(Conditional):
    """Two 3×3 convolutions beside a shortcut; the second starts at zero (Fixup)."""

    def __init__(self, inputs: int, outputs: int, *, norm: bool = False, condition: int = 0):
        """A block from ``inputs`` to ``outputs`` channels at one size."""
        super().__init__()
        first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=not norm)
        second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=not norm)
        short = nn.Conv2d(inputs, outputs, 1, bias=not norm) if inputs != outputs else None
        nn.init.kaiming_normal_(first.weight, a=0.2)
        nn.init.zeros_(second.weight)
        self.inner = Chain(
            *_activation(inputs, norm, condition), first,
            *_activation(outputs, norm, condition), second,
        )  # fmt: skip
        self.short = short or nn.Identity()

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The same size, other channels."""
        summed: Tensor = self.short(x) + self.inner(x, condition)
        return summed


@GENERATORS.register("resnet", paper=_PAPER)
class Generator(nn.Module):
    """Residual blocks, doubled in size by bilinear interpolation in between."""

    def __init__(
        self, latent: int, shape: Shape, condition: int = 0, *,
        width: Count = 32, limit: Count = 4,
        norm: Literal["none", "batch"] = "none", attention: bool = False,
    ):  # fmt: skip
        """``width`` channels at full size, doubling downwards up to ``limit`` times.

        Norms come with ``norm: batch``, and with a condition; ``attention`` is that of SAGAN.
        """
        super().__init__()
        self.sizes = sizes(shape)[::-1]
        levels = widths(width, len(self.sizes) - 1, limit)[::-1]
        self.base = (levels[0], *self.sizes[0])
        self.first = nn.Linear(latent, levels[0] * self.base[1] * self.base[2])
        normed = norm == "batch" or condition > 0
        blocks: list[nn.Module] = [
            Block(inputs, outputs, norm=normed, condition=condition)
            for inputs, outputs in pairwise([levels[0], *levels])
        ]
        last = nn.Conv2d(levels[-1], shape[0], 3, padding=1)
        if attention:
            level = -1 - _attended(shape)
            blocks[level] = Chain(blocks[level], Attention(levels[level]))
        self.blocks = nn.ModuleList(blocks)
        self.last = Chain(*_activation(levels[-1], normed, condition), last, nn.Tanh())

    def forward(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, latent) and (N, condition) to (N, C, H, W) in [-1, 1]."""
        x = self.first(inputs).view(-1, *self.base)
        x = x.contiguous(memory_format=torch.channels_last)
        for size, block in zip(self.sizes, self.blocks, strict=True):
            if x.shape[2:] != size:
                x = functional.interpolate(x, size, mode="bilinear")
            x = block(x, condition)
        images: Tensor = self.last(x, condition)
        return images


@DISCRIMINATORS.register("resnet", paper=_PAPER)
class Discriminator(nn.Module):
    """Residual blocks, halved by averaging in between; no normalisation by default."""

    def __init__(
        self, shape: Shape, *, width: Count = 32, limit: Count = 4, features: Count = 128,
        spectral: bool = False, attention: bool = False,
    ):  # fmt: skip
        """``features`` outputs; ``spectral`` normalises every weight (Miyato et al. 2018).

        ``attention`` is that of SAGAN.
        """
        super().__init__()
        *larger, (height, side) = sizes(shape)
        levels = widths(width, len(larger), limit)
        self.first = nn.Conv2d(shape[0], levels[0], 3, padding=1)
        blocks: list[nn.Module] = [
            Block(inputs, outputs) for inputs, outputs in pairwise([*levels, levels[-1]])
        ]
        self.last = nn.Linear(levels[-1] * height * side, features)
        if attention:
            level = _attended(shape)
            channels = [*levels, levels[-1]][level + 1]
            blocks[level] = Chain(blocks[level], Attention(channels, twice=True))
        self.blocks = nn.ModuleList(blocks)
        self.width = features
        if spectral:
            normalise_spectrally(self)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, width)."""
        x = self.first(images)
        for level, block in enumerate(self.blocks):
            x = block(functional.avg_pool2d(x, 2) if level else x)
        x = functional.leaky_relu(x, 0.2).flatten(1)
        return functional.leaky_relu(self.last(x), 0.2)


def _activation(channels: int, norm: bool, condition: int) -> list[nn.Module]:
    return [*([batch_norm(channels, condition)] if norm else []), nn.LeakyReLU(0.2)]


def _attended(shape: Shape) -> int:
    """The level whose shorter side is nearest to 16, the full size left out."""
    sides = [min(size) for size in sizes(shape)]
    return min(range(1, len(sides)), key=lambda level: abs(sides[level] - 16), default=0)
