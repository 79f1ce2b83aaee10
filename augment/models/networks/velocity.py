"""The U-Net of flow matching: it says whither noise flows, and an image is where it arrives."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.models.networks import GENERATORS, Shape, sizes, widths
from augment.models.networks.layers import divide, silent, told_of
from augment.registry import Amount, Count

Solver = Literal["euler", "heun"]

TIMES = 16  # frequencies by which the network is told the time
FASTEST = 100.0  # radians that the fastest of them turns from noise to image


@GENERATORS.register(
    "velocity",
    paper="Lipman et al. 2023, Flow Matching (arXiv:2210.02747); Liu et al. 2023, Rectified Flow "
    "(arXiv:2209.03003); Ronneberger et al. 2015, U-Net (arXiv:1505.04597); Ho & Salimans 2022, "
    "Classifier-free guidance (arXiv:2207.12598); Li & He 2025, Back to Basics (arXiv:2511.13720)",
)
class Generator(nn.Module):
    """A U-Net is asked for a velocity at a few times, and noise moves by it to an image.

    Noise has a number for each value of the image; nothing else is random on the way.
    """

    by_rows = ("forward", "expected")

    noise_for_each_value = True

    def __init__(
        self, latent: int, shape: Shape, condition: int = 0, *,
        width: Count = 32, limit: Count = 4,
        steps: Count = 4, solver: Solver = "heun", guidance: Amount = 1.5,
    ):  # fmt: skip
        """``width`` channels at first, doubling downwards up to ``limit`` times.

        An image takes ``steps`` equal steps of the ``solver``; ``heun`` asks twice in
        each but the last.
        ``guidance`` 1 takes the velocity of the class as it was learned, and 0 that of all classes
        together. Above 1 it leads away from what all have in common, to clearer images that vary
        less, and asks twice as often.
        """
        super().__init__()
        self.shape, self.steps, self.solver, self.guidance = shape, steps, solver, guidance
        levels = widths(width, len(sizes(shape)) - 1, limit)
        inner = 4 * width
        self.time = nn.Sequential(nn.Linear(2 * TIMES, inner), nn.SiLU(), nn.Linear(inner, inner))
        self.label = nn.Linear(told_of(latent, shape, condition), inner, bias=False)
        self.first = nn.Conv2d(shape[0], width, 3, padding=1)
        self.down = nn.ModuleList(Block(channels, channels, inner) for channels in levels)
        self.smaller = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 4, 2, 1) for inputs, outputs in pairwise(levels)
        )
        self.middle = Block(levels[-1], levels[-1], inner)
        self.larger = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, padding=1) for outputs, inputs in pairwise(levels)
        )
        self.up = nn.ModuleList(Block(2 * channels, channels, inner) for channels in levels)
        self.last = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(width, shape[0], 3, padding=1),
        )  # fmt: skip

    def forward(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, latent) and (N, condition) to (N, C, H, W) in [-1, 1]."""
        noise, told = divide(inputs, condition, self.shape)
        noise = noise.view(-1, *self.shape).contiguous(memory_format=torch.channels_last)
        end = integrate(lambda x, time: self.guided(x, time, told), noise, self.steps, self.solver)
        return end.clamp(-1, 1)

    def guided(self, x: Tensor, time: Tensor, told: Tensor) -> Tensor:
        """The velocity (N, C, H, W) under guidance at places ``x`` and times (N,) from 0 to 1.

        Told nothing but zeros the network knows no class.
        """
        if self.guidance == 1 or not told.shape[1]:
            return self.velocity(x, time, told)
        if self.guidance == 0:
            return self.velocity(x, time, torch.zeros_like(told))
        both = torch.cat([told, torch.zeros_like(told)])
        told_so, of_all = self.velocity(x.repeat(2, 1, 1, 1), time.repeat(2), both).chunk(2)
        return torch.lerp(of_all, told_so, self.guidance)

    def velocity(self, x: Tensor, time: Tensor, told: Tensor) -> Tensor:
        """The velocity (N, C, H, W) as learned at places ``x`` and times (N,) from 0 to below 1.

        It leads to the image that the network expects at the end of the path. To foretell the
        image, which is in [-1, 1] and simpler than noise, is learned much sooner (Li & He 2025).
        """
        left = (1 - time)[:, None, None, None]
        return (self.expected(x, time, told).float() - x) / left

    def expected(self, x: Tensor, time: Tensor, told: Tensor) -> Tensor:
        """The image (N, C, H, W) in [-1, 1] that is expected from places and times."""
        turns = torch.logspace(0, math.log10(FASTEST), TIMES, device=x.device) * time[:, None]
        known_by = self.time(torch.cat([turns.sin(), turns.cos()], 1)) + self.label(told)
        known_by = functional.silu(known_by)
        maps = self.first(x)
        skips: list[Tensor] = []
        for block, smaller in zip(self.down, [*self.smaller, None], strict=True):
            maps = block(maps, known_by)
            skips.append(maps)
            maps = maps if smaller is None else smaller(maps)
        maps = self.middle(maps, known_by)
        for block, larger in zip(reversed(self.up), [*reversed(self.larger), None], strict=True):
            maps = block(torch.cat([maps, skips.pop()], 1), known_by)
            if larger is not None:
                maps = larger(functional.interpolate(maps, skips[-1].shape[2:]))
        images: Tensor = self.last(maps).tanh()
        return images


class Block(nn.Module):
    """Two 3×3 convolutions beside a shortcut; what is told scales and shifts the maps between."""

    def __init__(self, inputs: int, outputs: int, told: int):
        """From ``inputs`` to ``outputs`` channels at one size; the second starts at zero."""
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.told = silent(nn.Linear(told, 2 * outputs))
        self.second = silent(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.short = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """The same size, other channels."""
        maps = normal(self.first(functional.silu(x)))
        scale, shift = self.told(told)[:, :, None, None].chunk(2, 1)
        maps = torch.addcmul(shift, maps, 1 + scale)
        summed: Tensor = self.short(x) + self.second(functional.silu(maps))
        return summed


def normal(maps: Tensor) -> Tensor:
    """Maps (N, C, H, W) with mean 0 and deviation 1 over the channels of each place.

    Source: Ba et al. 2016 (arXiv:1607.06450). On a CPU a norm over places costs more than the
    convolutions.
    """
    places = maps.permute(0, 2, 3, 1)
    return functional.layer_norm(places, places.shape[3:]).permute(0, 3, 1, 2)


def integrate(
    velocity: Callable[[Tensor, Tensor], Tensor], start: Tensor, steps: int, solver: Solver
) -> Tensor:
    """Where ``start`` (N, C, H, W) is after the time from 0 to 1, in ``steps`` equal steps.

    ``velocity`` is asked at places and times (N,) before 1: once in a step of ``euler``, twice in
    one of ``heun`` but the last, whose error falls with the square of the steps.
    """
    place = start
    for step in range(steps):
        time, after = (start.new_full((len(start),), (step + k) / steps) for k in (0, 1))
        move = velocity(place, time) / steps
        if solver == "heun" and step < steps - 1:
            move = (move + velocity(place + move, after) / steps) / 2
        place = place + move
    return place
