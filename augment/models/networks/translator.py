"""The residual network by which CycleGAN and StarGAN turn one image into another."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.models.networks import GENERATORS, Shape, sizes, widths
from augment.models.networks.layers import Chain, ConditionalNorm, plain_norm
from augment.registry import Count

HALVINGS = 2  # before the residual blocks, as in the papers


@GENERATORS.register(
    "translator",
    paper="Johnson et al. 2016 (arXiv:1603.08155); Zhu et al. 2017, CycleGAN (arXiv:1703.10593); "
    "Huang & Belongie 2017, AdaIN (arXiv:1703.06868)",
)
class Generator(nn.Module):
    """Two halvings, residual blocks, two doublings; noise and class scale and shift the blocks.

    StarGAN paints the class on the image instead, where the first instance norm takes all but its
    edges away again.
    """

    source = True

    def __init__(
        self, latent: int, shape: Shape, condition: int = 0, *,
        width: Count = 16, limit: Count = 4, blocks: Count = 3,
    ):  # fmt: skip
        """``width`` channels at first, doubling at each halving up to ``limit`` times."""
        super().__init__()
        levels = widths(width, min(HALVINGS, len(sizes(shape)) - 1), limit)
        self.first = nn.Sequential(
            nn.Conv2d(shape[0], width, 7, padding=3, padding_mode="reflect"),
            plain_norm(width), nn.ReLU(),
        )  # fmt: skip
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1), plain_norm(outputs), nn.ReLU())
            for inputs, outputs in pairwise(levels)
        )
        self.blocks = nn.ModuleList(
            _residual(levels[-1], latent + condition) for _ in range(blocks)
        )
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), plain_norm(outputs), nn.ReLU())
            for outputs, inputs in list(pairwise(levels))[::-1]
        )
        self.last = nn.Conv2d(width, shape[0], 7, padding=3, padding_mode="reflect")

    def forward(self, inputs: Tensor, condition: Tensor | None = None, *, source: Tensor) -> Tensor:
        """(N, latent), (N, condition) and ``source`` (N, C, H, W) to images of its shape."""
        joined = inputs if condition is None else torch.cat([inputs, condition], 1)
        maps = self.first(source)
        larger = []
        for layer in self.down:
            larger.append(maps.shape[2:])
            maps = layer(maps)
        for block in self.blocks:
            maps = maps + block(maps, joined)
        for layer in self.up:
            maps = layer(functional.interpolate(maps, larger.pop()))
        images: Tensor = self.last(maps).tanh()
        return images


def _residual(channels: int, condition: int) -> Chain:
    """Two convolutions with instance norm, which the ``condition`` scales and shifts, if any."""
    layers: list[nn.Module] = []
    for last in (False, True):
        norm = nn.InstanceNorm2d(channels, affine=not condition)
        layers += [
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            ConditionalNorm(norm, condition) if condition else norm,
            *([] if last else [nn.ReLU()]),
        ]
    return Chain(*layers)
