"""Generators that can be turned round: bijections from an image's values to as much noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.models.networks import Shape
from augment.models.networks.bijections import (
    Bijection,
    Flat,
    Preparation,
    Prepare,
    Row,
    Split,
    Squeeze,
    Told,
)
from augment.models.networks.layers import divide, silent, told_of

LEVELS = 256  # grey values of a pixel


def to_unit(images: Tensor) -> Tensor:
    """Images in [-1, 1] to values in [0, 1]: each grey value to the middle of its own interval.

    With noise as wide as a grey value they fill [0, 1] (``augment.models.density.dequantised``).
    """
    return ((images + 1) * ((LEVELS - 1) / 2) + 0.5) / LEVELS


def to_images(values: Tensor) -> Tensor:
    """The inverse of ``to_unit``: values in [0, 1] to the middles of their intervals."""
    return ((values * LEVELS - 0.5) * (2 / (LEVELS - 1)) - 1).clamp(-1, 1)


class Flow(nn.Module):
    """Base of the generator networks that can be turned round.

    Noise has a number for each value of the image.
    """

    by_rows = ("forward", "encode")

    noise_for_each_value = True

    def __init__(
        self, latent: int, shape: Shape, condition: int, body: Bijection, preparation: Preparation
    ):
        """``body`` maps prepared images to (N, values), which are told the class at their end."""
        super().__init__()
        self.shape = shape
        told = Told(math.prod(shape), told_of(latent, shape, condition))
        self.body = Row([Prepare(preparation), body, told])

    def forward(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, latent) and (N, condition) to (N, C, H, W) in [-1, 1]."""
        noise, told = divide(inputs, condition, self.shape)
        with torch.autocast(inputs.device.type, enabled=False):
            return to_images(self.body.inverse(noise.float(), told.float()))

    def encode(self, values: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Values (N, C, H, W) in [0, 1] to noise (N, values) and log-determinants (N,) in nats.

        In float32: bf16 tells fewer than 256 grey values apart.
        """
        with torch.autocast(values.device.type, enabled=False):
            noise: tuple[Tensor, Tensor] = self.body(values.float(), told.float())
            return noise


class Adviser(nn.Module):
    """The network of a coupling of maps: convolutions, in the middle of them ``blocks`` residual.

    Without blocks they are Glow's three, of 3×3, 1×1 and 3×3.
    """

    def __init__(self, inputs: int, outputs: int, told: int, width: int, blocks: int = 0):
        """``width`` channels inside; the last layer starts at zero, so that nothing moves."""
        super().__init__()
        self.first = nn.Conv2d(inputs, width, 3, padding=1)
        self.told = nn.Linear(told, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(), nn.Conv2d(width, width, 3, padding=1),
                nn.ReLU(), nn.Conv2d(width, width, 3, padding=1),
            )
            for _ in range(blocks)
        )  # fmt: skip
        self.middle = nn.Conv2d(width, width, 1)
        self.last = silent(nn.Conv2d(width, outputs, 3, padding=1))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """(N, inputs, H, W) and what is told to (N, outputs, H, W)."""
        maps = self.first(x) + self.told(told)[:, :, None, None]
        for block in self.blocks:
            maps = maps + block(maps)
        maps = self.middle(functional.relu(maps))
        moves: Tensor = self.last(functional.relu(maps))
        return moves


def checkerboard(shape: Shape, place: int) -> Tensor:
    """A mask (C, H, W) of every other pixel; another ``place`` parity is its opposite."""
    _, height, width = shape
    board = (torch.arange(height)[:, None] + torch.arange(width) + place) % 2
    return board.expand(shape)


def halves(shape: Shape, place: int) -> Tensor:
    """A mask (C, 1, 1) of the first half of the channels; odd ``place`` keeps the second one."""
    channels = shape[0]
    kept = (torch.arange(channels) < channels // 2) == (place % 2 == 0)
    return kept[:, None, None]


def pyramid(
    shape: Shape, halvings: int, steps: Callable[[Shape, bool, bool], Sequence[Bijection]]
) -> Row:
    """Steps at every size, and after each halving one half of the channels is noise already.

    An image is halved up to ``halvings`` times while both sides are even and at least eight.
    ``steps`` is told the shape, whether it has just been halved and whether it will be no more.
    """
    channels, height, width = shape
    last = not halvings or bool(height % 2 or width % 2) or min(height, width) < 8
    maps = list(steps(shape, False, last))
    if last:
        return Row([*maps, Flat(shape)])
    squeezed = (4 * channels, height // 2, width // 2)
    rest = pyramid((2 * channels, *squeezed[1:]), halvings - 1, steps)
    return Row([*maps, Squeeze(), *steps(squeezed, True, False), Split(squeezed, rest)])
