"""Networks that grow: from images of a few pixels to the full size, one doubling after another."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from augment.models.networks import DISCRIMINATORS, GENERATORS, Shape, sizes, widths
from augment.registry import Count

_PAPER = (
    "Karras et al. 2018, Progressive Growing of GANs for Improved Quality, Stability, and "
    "Variation (arXiv:1710.10196)"
)
TINY = 1e-8  # beside a mean square or a variance, so that neither is divided by nor rooted at zero


class Scaled(nn.Module):
    """A weight as the layer uses it: times ``scale``."""

    def __init__(self, scale: float):
        """Keep ``scale``."""
        super().__init__()
        self.scale = scale

    def forward(self, weight: Tensor) -> Tensor:
        """The scaled weight."""
        return weight * self.scale


def equalised(layer: nn.Conv2d | nn.Linear, gain: float = math.sqrt(2)) -> nn.Module:
    """``layer`` with standard normal weights, used times ``gain`` / √(inputs of an output).

    That is He's initialisation at each pass instead of once, so that Adam changes every layer at
    the same relative rate (Karras et al. 2018, section 4.1).
    """
    nn.init.normal_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    scale = gain / math.sqrt(layer.weight[0].numel())
    return parametrize.register_parametrization(layer, "weight", Scaled(scale))


class PixelNorm(nn.Module):
    """Each place's vector of channels at a mean square of 1 (Karras et al. 2018, section 4.2)."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) to the same shape."""
        return x * (x.square().mean(1, keepdim=True) + TINY).rsqrt()


class BatchDeviation(nn.Module):
    """A map more: how much the batch varies, its standard deviation averaged over all places.

    So a discriminator sees that fakes are too much alike (Karras et al. 2018, section 3).
    """

    mixes_images = "forward"

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C + 1, H, W); the new map is one number."""
        deviation = (x.float().var(0, correction=0) + TINY).sqrt().mean()
        return torch.cat([x, deviation.to(x).expand(len(x), 1, *x.shape[2:])], 1)


class Growing(nn.Module):
    """Base of both networks: how far it has grown, and its sizes, the smallest first.

    ``growth`` 1.0 means that size 1 is all there is, 1.25 that size 2 is mixed in by a quarter. It
    is a buffer, so that a checkpoint holds it; a new network is fully grown.
    """

    growth: Tensor

    def __init__(self, shape: Shape):
        """For images of ``shape`` (C, H, W)."""
        super().__init__()
        self.sizes = sizes(shape)[::-1]
        self.register_buffer("growth", torch.tensor(len(self.sizes) - 1.0))

    def grow(self, growth: float) -> None:
        """Set how far it has grown: 0 … number of sizes - 1."""
        self.growth.fill_(growth)

    def stage(self) -> tuple[int, float]:
        """The largest size in use, and the share of it that is mixed in: above 0, up to 1."""
        return stage_of(float(self.growth))


def stage_of(growth: float) -> tuple[int, float]:
    """The largest size in use at ``growth`` and its share: 1.0 is (1, 1.0), 1.25 is (2, 0.25)."""
    size = math.ceil(growth)
    return size, 1 - (size - growth)


def shrink(images: Tensor, size: tuple[int, int]) -> Tensor:
    """``images`` (N, C, H, W) at a smaller ``size``, by the mean of what a pixel covers."""
    return functional.adaptive_avg_pool2d(images, size)


def enlarge(images: Tensor, size: tuple[int, int]) -> Tensor:
    """``images`` (N, C, H, W) at a larger ``size``, pixels repeated."""
    return functional.interpolate(images, size)


def as_grown(images: Tensor, sizes: list[tuple[int, int]], growth: float) -> Tensor:
    """``images`` (N, C, H, W) as sharp as a generator of ``growth`` makes them, at their size.

    While a size is mixed in, so it is here.
    """
    top, share = stage_of(growth)
    last, full = len(sizes) - 1, sizes[-1]
    sharp = images if top == last else enlarge(shrink(images, sizes[top]), full)
    if share == 1:
        return sharp
    return torch.lerp(enlarge(shrink(images, sizes[top - 1]), full), sharp, share)


def convolution(inputs: int, outputs: int) -> nn.Module:
    """An equalised 3 × 3 convolution."""
    return equalised(nn.Conv2d(inputs, outputs, 3, padding=1))


@GENERATORS.register("growing", paper=_PAPER)
class Generator(Growing):
    """Two convolutions with pixel norm at each size, pixels repeated in between."""

    def __init__(
        self, latent: int, shape: Shape, condition: int = 0, *,
        width: Count = 16, limit: Count = 8,
    ):  # fmt: skip
        """``width`` channels at full size, doubling downwards up to ``limit`` times.

        A condition joins the inputs: there is no norm that could take it.
        """
        super().__init__(shape)
        levels = widths(width, len(self.sizes) - 1, limit)[::-1]
        self.base = (levels[0], *self.sizes[0])
        # as in the authors' code: inputs that change slowly at first
        self.first = equalised(
            nn.Linear(latent + condition, math.prod(self.base)), gain=math.sqrt(2) / 4
        )
        self.norm = PixelNorm()
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *(_painting(before, outputs) if level else [nn.LeakyReLU(0.2), PixelNorm()]),
                *_painting(outputs, outputs),
            )
            for level, (before, outputs) in enumerate(zip([0, *levels], levels, strict=False))
        )
        self.ends = nn.ModuleList(
            equalised(nn.Conv2d(width, shape[0], 1), gain=1.0) for width in levels
        )

    def forward(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, latent) and (N, condition) to (N, C, H, W) in [-1, 1], as sharp as it has grown."""
        joined = inputs if condition is None else torch.cat([inputs, condition], 1)
        top, share = self.stage()
        before = maps = self.blocks[0](self.first(self.norm(joined)).view(-1, *self.base))
        for level in range(1, top + 1):
            before, maps = maps, self.blocks[level](enlarge(maps, self.sizes[level]))
        images: Tensor = self.ends[top](maps).tanh()
        if share < 1:
            older = self.ends[top - 1](before).tanh()
            images = torch.lerp(enlarge(older, self.sizes[top]), images, share)
        return enlarge(images, self.sizes[-1])


@DISCRIMINATORS.register("growing", paper=_PAPER)
class Discriminator(Growing):
    """The generator's mirror image: it sees an image no sharper than it has grown."""

    def __init__(self, shape: Shape, *, width: Count = 16, limit: Count = 8, features: Count = 128):
        """``width`` channels at full size, doubling downwards; ``features`` outputs."""
        super().__init__(shape)
        levels = widths(width, len(self.sizes) - 1, limit)[::-1]
        self.blocks = nn.ModuleList([nn.Identity()])
        for outputs, inputs in zip(levels, levels[1:], strict=False):
            self.blocks.append(
                nn.Sequential(
                    convolution(inputs, inputs),
                    nn.LeakyReLU(0.2),
                    convolution(inputs, outputs),
                    nn.LeakyReLU(0.2),
                )  # fmt: skip
            )
        self.ends = nn.ModuleList(
            nn.Sequential(equalised(nn.Conv2d(shape[0], width, 1)), nn.LeakyReLU(0.2))
            for width in levels
        )
        self.last = nn.Sequential(
            BatchDeviation(),
            convolution(levels[0] + 1, levels[0]), nn.LeakyReLU(0.2), nn.Flatten(),
            equalised(nn.Linear(levels[0] * math.prod(self.sizes[0]), features)),
            nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.width = features

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, width)."""
        top, share = self.stage()
        images = shrink(images, self.sizes[top])
        maps = self.ends[top](images)
        for level in range(top, 0, -1):
            maps = shrink(self.blocks[level](maps), self.sizes[level - 1])
            if level == top and share < 1:
                older = self.ends[top - 1](shrink(images, self.sizes[top - 1]))
                maps = torch.lerp(older, maps, share)
        features: Tensor = self.last(maps)
        return features


def _painting(inputs: int, outputs: int) -> list[nn.Module]:
    return [convolution(inputs, outputs), nn.LeakyReLU(0.2), PixelNorm()]
