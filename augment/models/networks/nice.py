"""NICE: couplings that only add, between fully connected layers, and one scale for each value."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from augment.models.networks import GENERATORS, Shape
from augment.models.networks.invertible import (
    Bijection,
    Coupling,
    Flat,
    Flow,
    Preparation,
    Row,
    silent,
    told_of,
)
from augment.registry import Count


class Scale(Bijection):
    """A factor for each value; all couplings before it keep volumes."""

    def __init__(self, values: int):
        """For (N, values); it starts as the identity."""
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(values))

    def forward(self, x: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """(N, values) to as many."""
        return x * self.log_scale.exp(), self.log_scale.sum().expand(len(x))

    def inverse(self, z: Tensor, told: Tensor) -> Tensor:
        """And back."""
        return z * (-self.log_scale).exp()


class Layers(nn.Module):
    """Hidden layers of ReLUs that are told the class; the last starts at zero."""

    def __init__(self, values: int, told: int, width: int, layers: int):
        """From ``values`` to as many."""
        super().__init__()
        hidden = [
            layer
            for inputs, outputs in pairwise([values + told] + [width] * layers)
            for layer in (nn.Linear(inputs, outputs), nn.ReLU())
        ]
        self.body = nn.Sequential(*hidden, silent(nn.Linear(width, values)))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """(N, values) and what is told to (N, values)."""
        moves: Tensor = self.body(torch.cat([x, told], 1))
        return moves


@GENERATORS.register("nice", paper="Dinh et al. 2015, NICE (arXiv:1410.8516)")
class Generator(Flow):
    """Every other value of the image moves the rest, in turns; at the end each gets a scale.

    The noise is normal, in place of the paper's logistic one for grey images.
    """

    def __init__(
        self, latent: int, shape: Shape, condition: int = 0, *,
        width: Count = 512, layers: Count = 2, couplings: Count = 4,
        preparation: Preparation = "logit",
    ):  # fmt: skip
        """``couplings`` of ``layers`` hidden layers of ``width`` units; the paper has 4 of 5.

        ``preparation`` is how values come to the flow: their ``logit``, or moved by a half, as in
        the paper.
        """
        values, told = math.prod(shape), told_of(latent, shape, condition)
        parity = torch.arange(values) % 2
        body = [
            Coupling((parity + place) % 2, Layers(values, told, width, layers), scaled=False)
            for place in range(couplings)
        ]
        super().__init__(
            latent, shape, condition, Row([Flat(shape), *body, Scale(values)]), preparation
        )
