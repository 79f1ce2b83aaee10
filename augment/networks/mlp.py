"""Fully connected networks, as in the first GAN."""

from __future__ import annotations

import math

from torch import Tensor, nn

from augment.networks import DISCRIMINATORS, GENERATORS, Shape
from augment.registry import Count

_PAPER = "Goodfellow et al. 2014, Generative Adversarial Nets (arXiv:1406.2661)"


@GENERATORS.register("mlp", paper=_PAPER)
class Generator(nn.Module):
    """Hidden ReLU layers and tanh."""

    def __init__(self, latent: int, shape: Shape, *, width: Count = 512, layers: Count = 1):
        """``layers`` hidden layers of ``width`` units."""
        super().__init__()
        sizes = [latent] + [width] * layers
        hidden = [m for a, b in zip(sizes, sizes[1:], strict=False) for m in _layer(a, b)]
        self.body = nn.Sequential(*hidden, nn.Linear(sizes[-1], math.prod(shape)), nn.Tanh())
        self.shape = shape

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, latent) to (N, C, H, W) in [-1, 1]."""
        images: Tensor = self.body(inputs).view(-1, *self.shape)
        return images


@DISCRIMINATORS.register("mlp", paper=_PAPER)
class Discriminator(nn.Module):
    """Hidden leaky ReLU layers."""

    def __init__(self, shape: Shape, *, width: Count = 512, layers: Count = 1):
        """``layers`` hidden layers of ``width`` units."""
        super().__init__()
        sizes = [math.prod(shape)] + [width] * layers
        hidden = [m for a, b in zip(sizes, sizes[1:], strict=False) for m in _layer(a, b, 0.2)]
        self.body = nn.Sequential(nn.Flatten(), *hidden)
        self.width = sizes[-1]

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, width)."""
        features: Tensor = self.body(images)
        return features


def _layer(inputs: int, outputs: int, slope: float = 0.0) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs), nn.LeakyReLU(slope)]
