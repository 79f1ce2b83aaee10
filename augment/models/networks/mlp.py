"""Fully connected networks, as in the first GAN."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn

from augment.models.networks import DISCRIMINATORS, GENERATORS, Shape
from augment.models.networks.layers import Chain, ConditionalNorm, normalise_spectrally
from augment.registry import Count

_PAPER = "Goodfellow et al. 2014, Generative Adversarial Nets (arXiv:1406.2661)"


@GENERATORS.register("mlp", paper=_PAPER)
class Generator(nn.Module):
    """Hidden ReLU layers and tanh."""

    def __init__(
        self, latent: int, shape: Shape, condition: int = 0, *,
        width: Count = 512, layers: Count = 1,
    ):  # fmt: skip
        """``layers`` hidden layers of ``width`` units, each with a norm if there is a condition."""
        super().__init__()
        hidden: list[nn.Module] = []
        for inputs, outputs in pairwise([latent] + [width] * layers):
            hidden.append(nn.Linear(inputs, outputs, bias=not condition))
            if condition:
                hidden.append(ConditionalNorm(nn.BatchNorm1d(outputs, affine=False), condition))
            hidden.append(nn.ReLU())
        self.body = Chain(*hidden, nn.Linear(width, math.prod(shape)), nn.Tanh())
        self.shape = shape

    def forward(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, latent) and (N, condition) to (N, C, H, W) in [-1, 1]."""
        images: Tensor = self.body(inputs, condition).view(-1, *self.shape)
        return images


@DISCRIMINATORS.register("mlp", paper=_PAPER)
class Discriminator(nn.Module):
    """Hidden leaky ReLU layers."""

    def __init__(
        self, shape: Shape, *, width: Count = 512, layers: Count = 1, spectral: bool = False
    ):
        """``layers`` hidden layers of ``width`` units.

        ``spectral`` normalises every weight (Miyato et al. 2018).
        """
        super().__init__()
        hidden: list[nn.Module] = []
        for inputs, outputs in pairwise([math.prod(shape)] + [width] * layers):
            hidden += [nn.Linear(inputs, outputs), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(nn.Flatten(), *hidden)
        self.width = width
        if spectral:
            normalise_spectrally(self)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, width)."""
        features: Tensor = self.body(images)
        return features
