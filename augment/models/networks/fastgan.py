"""FastGAN's light networks: coarse maps set how much each channel of the fine ones counts."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from augment.models.networks import DISCRIMINATORS, GENERATORS, Shape, sizes, widths
from augment.models.networks.layers import (
    Chain,
    First,
    Flatten,
    batch_norm,
    normalise_spectrally,
)
from augment.registry import Count

_PAPER = "Liu et al. 2021, Towards Faster and Stabilized GAN Training (arXiv:2101.04775)"
SKIPPED = 4  # levels, each twice as large, from coarse maps to the fine ones that they excite
POOLED = 4  # pixels a side of what an excitation sees


class Excitation(nn.Module):
    """Skip-layer excitation: coarse maps multiply each channel of fine maps by 0 … 1."""

    def __init__(self, coarse: int, fine: int):
        """From maps of ``coarse`` channels to those of ``fine`` channels."""
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(POOLED), nn.Conv2d(coarse, fine, POOLED), nn.LeakyReLU(0.1),
            nn.Conv2d(fine, fine, 1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Maps (N, coarse, h, w) and (N, fine, H, W) to the shape of the latter."""
        excited: Tensor = fine * self.gate(coarse)
        return excited


def gated(inputs: int, outputs: int, condition: int = 0) -> Chain:
    """A 3×3 convolution whose second half of channels gates the first (Dauphin et al. 2017)."""
    convolution = nn.Conv2d(inputs, 2 * outputs, 3, padding=1, bias=False)
    return Chain(convolution, batch_norm(2 * outputs, condition), nn.GLU(1))


@GENERATORS.register("fastgan", paper=_PAPER)
class Generator(nn.Module):
    """A convolution a size, doubled by nearest neighbours, with excitation across four sizes.

    The paper's noise in every second block is left out: an image follows from its latents alone.
    """

    def __init__(
        self, latent: int, shape: Shape, condition: int = 0, *,
        width: Count = 32, limit: Count = 8,
    ):  # fmt: skip
        """``width`` channels at full size, doubling downwards up to ``limit`` times."""
        super().__init__()
        self.sizes = sizes(shape)[::-1]
        levels = widths(width, len(self.sizes) - 1, limit)[::-1]
        self.first = Chain(
            First(latent, 2 * levels[0], self.sizes[0], bias=False),
            batch_norm(2 * levels[0], condition),
            nn.GLU(1),
        )
        self.blocks = nn.ModuleList(gated(*pair, condition) for pair in pairwise(levels))
        self.skipped = min(SKIPPED, len(levels) - 1)
        pairs = zip(levels, levels[self.skipped :], strict=False)
        self.excitations = nn.ModuleList(Excitation(*pair) for pair in pairs)
        self.last = nn.Conv2d(levels[-1], shape[0], 3, padding=1)

    def forward(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, latent) and (N, condition) to (N, C, H, W) in [-1, 1]."""
        maps = [self.first(inputs[:, :, None, None], condition)]
        for level, block in enumerate(self.blocks, 1):
            fine = block(functional.interpolate(maps[-1], self.sizes[level]), condition)
            if level >= self.skipped:
                place = level - self.skipped
                fine = self.excitations[place](maps[place], fine)
            maps.append(fine)
        images: Tensor = self.last(maps[-1]).tanh()
        return images


class Halving(nn.Module):
    """The mean of two convolutions and of an average, each half as large as its input."""

    def __init__(self, inputs: int, outputs: int, norm: bool):
        """A block from ``inputs`` to ``outputs`` channels, with batch norms or without."""
        super().__init__()
        self.deep = nn.Sequential(
            nn.Conv2d(inputs, outputs, 4, 2, 1, bias=not norm), *_activation(outputs, norm),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=not norm), *_activation(outputs, norm),
        )  # fmt: skip
        self.direct = nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(inputs, outputs, 1, bias=not norm),
            *_activation(outputs, norm),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / 2, W / 2)."""
        mean: Tensor = (self.deep(x) + self.direct(x)) / 2
        return mean


@DISCRIMINATORS.register("fastgan", paper=_PAPER)
class Discriminator(nn.Module):
    """Halving residual blocks, from whose maps a decoder can make the image again."""

    by_rows = ("forward", "maps")

    def __init__(
        self, shape: Shape, *, width: Count = 32, limit: Count = 8,
        norm: Literal["auto", "batch", "none"] = "auto", spectral: bool = True,
    ):  # fmt: skip
        """``norm: none`` goes with penalties that look at each image by itself: ``auto`` chooses.

        ``spectral`` normalises every weight (Miyato et al. 2018).
        """
        super().__init__()
        self.sizes = sizes(shape)[1:]
        self.channels = widths(width, len(self.sizes) - 1, limit)
        self.blocks = nn.ModuleList(
            Halving(*pair, norm != "none") for pair in pairwise(self.channels)
        )
        self.first = nn.Sequential(nn.Conv2d(shape[0], width, 4, 2, 1), nn.LeakyReLU(0.2))
        self.flatten = Flatten()
        height, side = self.sizes[-1]
        self.width = self.channels[-1] * height * side
        if spectral:
            normalise_spectrally(self)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Images (N, C, H, W) to maps (N, channels, h, w) of each of ``sizes``, finest first."""
        maps = [self.first(images)]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, width)."""
        features: Tensor = self.flatten(self.maps(images)[-1])
        return features


def _activation(channels: int, norm: bool) -> list[nn.Module]:
    return [*([nn.BatchNorm2d(channels)] if norm else []), nn.LeakyReLU(0.2)]
