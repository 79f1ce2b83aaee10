"""The distribution of a pixel: a mixture of logistic distributions, cut into 256 grey values.

Source: Salimans et al. 2017, PixelCNN++ (arXiv:1701.05517). A pixel has C values, in turn: the mean
of each moves with those before it, and so do the weights of the mixture. Values are numbers in
[-1, 1], 2 / 255 apart; what lies beyond the first and the last counts as that.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

HALF = 1 / 255  # of the distance of two values
LEAST = -7.0  # of the logarithm of a logistic distribution's scale


def numbers(channels: int, kinds: int) -> int:
    """How many numbers describe a mixture of ``kinds`` distributions of pixels."""
    return kinds * (1 + 2 * channels + channels * (channels - 1) // 2)


def rounded(images: Tensor) -> Tensor:
    """Images in [-1, 1] with every number at the nearest value."""
    return ((images + 1) / (2 * HALF)).round().clamp(0, 255) * (2 * HALF) - 1


class Mixtures:
    """The distributions of pixels (N, …) that ``raw`` numbers (N, R, …) describe."""

    def __init__(self, raw: Tensor, channels: int):
        """For pixels of ``channels`` values; R is what ``numbers`` says."""
        self.channels = channels
        slopes = channels * (channels - 1) // 2
        kinds = raw.shape[1] // numbers(channels, 1)
        parts = raw.float() if raw.dtype is torch.bfloat16 else raw
        parts = parts.view(len(raw), -1, kinds, *raw.shape[2:])
        sizes = [1, channels, channels, slopes]
        self.weights, self.means, scales, self.slopes = torch.split(parts, sizes, 1)
        self.scales = scales.clamp(min=LEAST)

    def of(self, channel: int, values: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-scales (N, K, …) of a channel, where those before have ``values``."""
        mean = self.means[:, channel]
        first = channel * (channel - 1) // 2
        for place in range(channel):
            mean = mean + self.slopes[:, first + place].tanh() * values[:, place, None]
        return mean, self.scales[:, channel]

    def surprise(self, values: Tensor) -> Tensor:
        """Nats (N, C, …) at each of ``values`` (N, C, …), those before it in its pixel known."""
        logs = self.weights[:, 0].log_softmax(1)
        total, nats = logs.new_zeros(()), []
        for channel in range(self.channels):
            logs = logs + log_share(values[:, channel, None], *self.of(channel, values))
            known_so_far, total = total, logs.logsumexp(1)
            nats.append(known_so_far - total)
        return torch.stack(nats, 1)

    def draw(self, uniform: Tensor) -> Tensor:
        """The values (N, C, …) below which lies the share ``uniform`` (N, C, …) of each channel."""
        logs = self.weights[:, 0]
        values = torch.zeros_like(uniform)
        for channel in range(self.channels):
            mean, scale = self.of(channel, values)
            weights, inverse = logs.softmax(1), (-scale).exp()
            level = torch.zeros_like(uniform[:, channel])
            for step in (128, 64, 32, 16, 8, 4, 2, 1):  # the levels at and above which it lies
                edge = (level + step) * (2 * HALF) - 1 - HALF
                below = (weights * ((edge[:, None] - mean) * inverse).sigmoid()).sum(1)
                level = level + step * (below <= uniform[:, channel])
            values[:, channel] = level * (2 * HALF) - 1
            logs = logs + log_share(values[:, channel, None], mean, scale)
        return values


def log_share(values: Tensor, means: Tensor, log_scales: Tensor) -> Tensor:
    """The logarithm of the share of logistic distributions that falls to each of ``values``.

    σ(b) - σ(a) = σ(b) · σ(-a) · (1 - exp(a - b)), which loses no digits far from the mean.
    """
    inverse = (-log_scales).exp()
    above, below = (values + HALF - means) * inverse, (values - HALF - means) * inverse
    left, right = functional.logsigmoid(above), functional.logsigmoid(-below)
    between = left + right + (-torch.expm1(-2 * HALF * inverse)).log()
    return torch.where(values < HALF - 1, left, torch.where(values > 1 - HALF, right, between))
