"""Maps that can be turned round, of which flows are made, each with its log-determinant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.models.networks import Shape
from augment.models.networks.layers import silent

MARGIN = 0.05  # of the logit at either end: Dinh et al. 2017

Preparation = Literal["affine", "logit"]


class Bijection(nn.Module):
    """Base of the maps: from an image towards noise, and back.

    ``told`` (N, K) is what is known of the images, such as their class.
    """

    def forward(self, x: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Towards noise; with it the log-determinant (N,) of the Jacobian in nats."""
        raise NotImplementedError

    def inverse(self, z: Tensor, told: Tensor) -> Tensor:
        """Towards the image."""
        raise NotImplementedError


class Row(Bijection):
    """Maps in a row."""

    def __init__(self, maps: Sequence[Bijection]):
        """The first is next to the image."""
        super().__init__()
        self.maps = nn.ModuleList(maps)

    def forward(self, x: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Through all, and the sum of their log-determinants."""
        total = x.new_zeros(len(x))
        for layer in self.maps:
            x, log_det = layer(x, told)
            total = total + log_det
        return x, total

    def inverse(self, z: Tensor, told: Tensor) -> Tensor:
        """Through all, from the last to the first."""
        for layer in reversed(self.maps):
            z = layer.inverse(z, told)  # type: ignore[operator]
        return z


class Flat(Bijection):
    """Images (N, C, H, W) to (N, values)."""

    def __init__(self, shape: Shape):
        """For maps of ``shape``."""
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """All values in a row."""
        return x.flatten(1), x.new_zeros(len(x))

    def inverse(self, z: Tensor, told: Tensor) -> Tensor:
        """And back."""
        return z.view(-1, *self.shape)


class Squeeze(Bijection):
    """Squares of four places become four channels (Dinh et al. 2017)."""

    def forward(self, x: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) to (N, 4 C, H / 2, W / 2)."""
        return functional.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, z: Tensor, told: Tensor) -> Tensor:
        """And back."""
        return functional.pixel_shuffle(z, 2)


class Prepare(Bijection):
    """Values in [0, 1] to those that a flow likes: moved by a half, or to the whole line.

    ``affine`` is Glow's. ``logit`` is RealNVP's: an image is then never out of range, and the
    ends, where most pixels of a glyph lie, are drawn apart.
    """

    def __init__(self, kind: Preparation):
        """See above."""
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """From [0, 1]."""
        if self.kind == "affine":
            return x - 0.5, x.new_zeros(len(x))
        share = MARGIN + (1 - 2 * MARGIN) * x
        slopes = math.log(1 - 2 * MARGIN) - share.log() - (1 - share).log()
        return torch.logit(share), slopes.flatten(1).sum(1)

    def inverse(self, z: Tensor, told: Tensor) -> Tensor:
        """To [0, 1] and a little beyond."""
        if self.kind == "affine":
            return z + 0.5
        return (z.sigmoid() - MARGIN) / (1 - 2 * MARGIN)


class Told(Bijection):
    """Numbers in units of what is usual for what is told: less a mean, over a scale.

    Seen from the noise it makes a normal distribution for each class (Kingma & Dhariwal 2018).
    """

    def __init__(self, values: int, told: int):
        """For (N, values); it starts as the identity."""
        super().__init__()
        self.moments = silent(nn.Linear(told, 2 * values))

    def forward(self, x: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """(N, values) to as many."""
        mean, log_scale = self.moments(told).chunk(2, 1)
        return (x - mean) * (-log_scale).exp(), -log_scale.sum(1)

    def inverse(self, z: Tensor, told: Tensor) -> Tensor:
        """And back."""
        mean, log_scale = self.moments(told).chunk(2, 1)
        return torch.addcmul(mean, z, log_scale.exp())


class ActNorm(Bijection):
    """A shift and a scale of each channel, such that the first batch has mean 0 and deviation 1.

    Source: Kingma & Dhariwal 2018. ``seen`` is 0 until that batch and goes with the state.
    """

    mixes_images = "begin"

    seen: Tensor

    def __init__(self, channels: int):
        """For maps with ``channels``."""
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels, 1, 1))
        self.log_scale = nn.Parameter(torch.zeros(channels, 1, 1))
        self.register_buffer("seen", torch.zeros(()))

    @torch.no_grad()
    def begin(self, x: Tensor) -> None:
        """Shift and scale as ``x`` (N, C, H, W) needs them."""
        variance, mean = torch.var_mean(x, (0, 2, 3), correction=0, keepdim=True)
        self.shift.copy_(-mean[0])
        self.log_scale.copy_(-(variance[0] + 1e-6).log() / 2)
        self.seen.fill_(1)

    def forward(self, x: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) to the same shape."""
        if self.training and not self.seen:
            self.begin(x)
        places = x.shape[2] * x.shape[3]
        return (x + self.shift) * self.log_scale.exp(), self.log_scale.sum().expand(len(x)) * places

    def inverse(self, z: Tensor, told: Tensor) -> Tensor:
        """And back."""
        return z * (-self.log_scale).exp() - self.shift


class Mix(Bijection):
    """A 1×1 convolution that mixes the channels: P L (U + diag s) at every place.

    Source: Kingma & Dhariwal 2018, with P fixed and s never 0. It starts as a rotation.
    """

    order: Tensor
    signs: Tensor

    def __init__(self, channels: int):
        """For maps with ``channels``."""
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(channels, channels))[0]
        order, lower, upper = torch.linalg.lu(rotation)
        self.register_buffer("order", order)
        self.register_buffer("signs", upper.diagonal().sign())
        self.lower, self.upper = nn.Parameter(lower), nn.Parameter(upper)
        self.log_scale = nn.Parameter(upper.diagonal().abs().log())

    def weight(self) -> Tensor:
        """The matrix (C, C)."""
        lower = self.lower.tril(-1) + torch.eye(len(self.lower)).to(self.lower)
        upper = self.upper.triu(1) + (self.signs * self.log_scale.exp()).diag()
        return self.order @ lower @ upper

    def forward(self, x: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) to the same shape."""
        mixed = functional.conv2d(x, self.weight()[:, :, None, None])
        return mixed, self.log_scale.sum().expand(len(x)) * (x.shape[2] * x.shape[3])

    def inverse(self, z: Tensor, told: Tensor) -> Tensor:
        """And back."""
        back = torch.linalg.inv(self.weight().double()).to(z)
        return functional.conv2d(z, back[:, :, None, None])


class Coupling(Bijection):
    """What a mask keeps says how all else is moved and, with ``scaled``, stretched.

    Sources: Dinh et al. 2015 (moved), 2017 (stretched by the exponential of a bounded number).
    """

    mask: Tensor

    def __init__(self, mask: Tensor, network: nn.Module, *, scaled: bool = True):
        """``mask`` is 1 where a value is kept, else 0; as large as one image or broadcast to it.

        ``network`` takes the masked image and what is told, to as many channels, or twice as many
        where they are stretched.
        """
        super().__init__()
        self.register_buffer("mask", mask.float())
        self.network, self.scaled = network, scaled
        if scaled:
            self.gain = nn.Parameter(torch.ones(len(mask), *[1] * (mask.dim() - 1)))

    def moves(self, x: Tensor, told: Tensor) -> tuple[Tensor, Tensor | None]:
        """Shift and logarithm of the scale, of the shape of ``x``; 0 where the mask keeps it."""
        made = self.network(x * self.mask, told)
        changed = 1 - self.mask
        if not self.scaled:
            return made * changed, None
        shift, raw = made.chunk(2, 1)
        return shift * changed, raw.tanh() * self.gain * changed

    def forward(self, x: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """The same shape."""
        shift, log_scale = self.moves(x, told)
        if log_scale is None:
            return x + shift, x.new_zeros(len(x))
        return (x + shift) * log_scale.exp(), log_scale.flatten(1).sum(1)

    def inverse(self, z: Tensor, told: Tensor) -> Tensor:
        """And back."""
        shift, log_scale = self.moves(z, told)
        return (z if log_scale is None else z * (-log_scale).exp()) - shift


class Split(Bijection):
    """Half of the channels are noise already; the other half goes through ``rest`` to noise.

    Source: Dinh et al. 2017. The first are measured in units that the others foretell (Kingma &
    Dhariwal 2018).
    """

    def __init__(self, shape: Shape, rest: Bijection):
        """Maps of ``shape``, of which ``rest`` takes the first half of the channels."""
        super().__init__()
        channels, *size = shape
        self.kept, self.shape = channels // 2, (channels - channels // 2, *size)
        self.rest = rest
        self.foretell = silent(nn.Conv2d(self.kept, 2 * self.shape[0], 3, padding=1))

    def forward(self, x: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) to (N, values)."""
        further, leaving = x[:, : self.kept], x[:, self.kept :]
        mean, log_scale = self.foretell(further).chunk(2, 1)
        leaving = (leaving - mean) * (-log_scale).exp()
        z, log_det = self.rest(further, told)
        return torch.cat([z, leaving.flatten(1)], 1), log_det - log_scale.flatten(1).sum(1)

    def inverse(self, z: Tensor, told: Tensor) -> Tensor:
        """And back."""
        count = math.prod(self.shape)
        further = self.rest.inverse(z[:, :-count], told)
        mean, log_scale = self.foretell(further).chunk(2, 1)
        leaving = z[:, -count:].view(-1, *self.shape)
        return torch.cat([further, torch.addcmul(mean, leaving, log_scale.exp())], 1)
