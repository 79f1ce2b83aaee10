"""Layers that networks share: norms with a condition, self-attention, spectral norm."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.parametrizations import spectral_norm

from augment.registry import PartError

ImageNorm = Literal["instance", "layer"]


def told_of(latent: int, shape: tuple[int, int, int], condition: int) -> int:
    """How many numbers say of what class an image is, where noise has one for each of its values.

    Raises PartError where there are fewer inputs than values.
    """
    values = math.prod(shape)
    if latent < values:
        raise PartError(
            f"generator network: an image {shape} takes {values} numbers of noise, found {latent}"
        )
    return latent - values + condition


def divide(
    inputs: Tensor, condition: Tensor | None, shape: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """Noise (N, values of an image) and what is told (N, K), of what a generator is given."""
    values = math.prod(shape)
    noise, told = inputs[:, :values], inputs[:, values:]
    return noise, told if condition is None else torch.cat([told, condition], 1)


def silent(layer: nn.Module) -> nn.Module:
    """``layer`` with all its parameters at zero, so that it says nothing at first."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Conditional(nn.Module):
    """Base of the layers that a Chain hands the condition to."""


class ConditionalNorm(Conditional):
    """A norm, then the scale 1 + γ(c) and the shift β(c), both linear in the condition c.

    γ and β start at zero, so that it starts as ``norm``. Source: de Vries et al. 2017
    (arXiv:1707.00683).
    """

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d | nn.InstanceNorm2d, condition: int):
        """``norm`` without affine parameters of its own; c has ``condition`` numbers."""
        super().__init__()
        self.norm = norm
        self.affine = nn.Linear(condition, 2 * norm.num_features)
        nn.init.zeros_(self.affine.weight)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(N, C) or (N, C, H, W), and c (N, condition), to the shape of x."""
        affine = self.affine(condition)
        scale, shift = affine.view(*affine.shape, *[1] * (x.dim() - 2)).chunk(2, 1)
        return torch.addcmul(shift, self.norm(x), 1 + scale)


class Chain(Conditional, nn.Sequential):
    """Layers in a row; the conditional ones also get the condition."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Whatever the first layer takes to what the last one gives."""
        for layer in self:
            x = layer(x, condition) if isinstance(layer, Conditional) else layer(x)
        return x


def batch_norm(channels: int, condition: int) -> nn.Module:
    """Batch norm of maps with ``channels``; conditional when ``condition`` is above 0."""
    if not condition:
        return nn.BatchNorm2d(channels)
    return ConditionalNorm(nn.BatchNorm2d(channels, affine=False), condition)


def plain_norm(channels: int) -> nn.Module:
    """Instance norm of maps with ``channels`` (Ulyanov et al. 2016, arXiv:1607.08022)."""
    return nn.InstanceNorm2d(channels, affine=True)


def image_norm(channels: int, kind: ImageNorm) -> nn.Module:
    """A norm of each image's maps: of each channel, or of all together (``layer``).

    Source of the latter: Ba et al. 2016 (arXiv:1607.06450).
    """
    return plain_norm(channels) if kind == "instance" else nn.GroupNorm(1, channels)


class Attention(nn.Module):
    """Every place looks at every other; starts as the identity.

    Source: Zhang et al. 2019, SAGAN (arXiv:1805.08318), with its eighth of the channels inside.
    """

    def __init__(self, channels: int, *, twice: bool = False):
        """For maps with ``channels``; ``twice`` where a gradient is itself differentiated."""
        super().__init__()
        inner = max(channels // 8, 1)
        self.query = nn.Conv2d(channels, inner, 1)
        self.key = nn.Conv2d(channels, inner, 1, bias=False)  # softmax would take it away again
        self.value = nn.Conv2d(channels, inner, 1)
        self.out = nn.Conv2d(inner, channels, 1)
        self.gain = nn.Parameter(torch.zeros(()))
        self.twice = twice

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        query, key, value = (
            layer(x).flatten(2).mT[:, None] for layer in (self.query, self.key, self.value)
        )
        # one head, (N, 1, H·W, inner); the fused kernels have no second derivative
        with sdpa_kernel(SDPBackend.MATH) if self.twice else nullcontext():
            seen = functional.scaled_dot_product_attention(query, key, value, scale=1.0)
        attended: Tensor = self.out(seen[:, 0].mT.reshape(len(x), -1, *x.shape[2:]))
        return x + self.gain * attended


def normalise_spectrally(network: nn.Module) -> None:
    """Keep the largest singular value of every convolution and linear layer of ``network`` at 1.

    Source: Miyato et al. 2018, SNGAN (arXiv:1802.05957).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if not module.weight.any():  # zero has no singular vector to normalise by
                nn.init.kaiming_normal_(module.weight, a=0.2)
            spectral_norm(module)


class First(nn.ConvTranspose2d):
    """A transposed convolution of a vector (N, C, 1, 1), computed as the one product that it is."""

    def forward(self, vectors: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, inputs, 1, 1) to (N, outputs, height, width), in channels-last memory."""
        inputs, outputs, height, width = self.weight.shape
        weight = self.weight.permute(0, 2, 3, 1).reshape(inputs, -1)
        maps: Tensor = (vectors.flatten(1) @ weight).view(-1, height, width, outputs)
        maps = maps if self.bias is None else maps + self.bias
        return maps.permute(0, 3, 1, 2)


class Flatten(nn.Module):
    """Images (N, C, H, W) to (N, H · W · C): of channels-last memory neither way is a copy."""

    def forward(self, images: Tensor) -> Tensor:
        """All numbers of an image in a row."""
        return images.permute(0, 2, 3, 1).flatten(1)
