"""A network that bends a source image: where its pixels lie, how heavy its strokes, its tone."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.models.networks import GENERATORS, Shape, sizes, widths
from augment.registry import Count, Fraction

_PAPER = "Jaderberg et al. 2015, Spatial Transformer Networks (arXiv:1506.02025)"
START = 1e-3  # standard deviation of the last layers' first weights, so that it starts as a copier


@GENERATORS.register("bend", paper=_PAPER)
class Generator(nn.Module):
    """Bends a source image and paints nothing: a coarse flow, an affine map, weight and tone.

    Strided convolutions read the source; the noise joins them where they are coarsest.
    """

    source = True  # what tells such a network from those that draw from noise alone

    def __init__(
        self, latent: int, shape: Shape, condition: int = 0, *,
        width: Count = 32, limit: Count = 4, flow: Fraction = 0.15, affine: Fraction = 0.3,
        weight: Fraction = 1.0, tone: Fraction = 0.5,
    ):  # fmt: skip
        """``width`` channels at first, doubling downwards up to ``limit`` times.

        The rest bounds what it does: ``flow`` moves a place by that share of the image's side,
        ``affine`` adds to each number of the unit map, ``weight`` makes strokes up to one pixel
        wider or thinner on either side, ``tone`` makes middle greys lighter or darker, and edges
        sharper or softer: what reading between pixels blurs.
        """
        super().__init__()
        base = sizes(shape)[-1]
        levels = widths(width, max(len(sizes(shape)) - 2, 0), limit)
        encoder: list[nn.Module] = []
        for inputs, outputs in pairwise([shape[0], *levels]):
            stride = 2 if len(sizes(shape)) > 1 else 1
            encoder += [nn.Conv2d(inputs, outputs, 4, stride, 1), nn.LeakyReLU(0.2)]
        self.encoder = nn.Sequential(*encoder, nn.AdaptiveAvgPool2d(base))
        self.noise = nn.Linear(latent + condition, levels[-1] * base[0] * base[1])
        self.body = nn.Sequential(
            nn.Conv2d(2 * levels[-1], levels[-1], 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(levels[-1], levels[-1], 3, padding=1), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.maps = nn.Conv2d(levels[-1], 5, 3, padding=1)  # flow across and down, weight, tone
        self.affine = nn.Linear(levels[-1], 6)
        for module in (*self.encoder, *self.body):
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0.2)
        for parameter in (*self.maps.parameters(), *self.affine.parameters()):
            nn.init.normal_(parameter, std=START)
        self.base = base
        self.bounds = flow, affine, weight, tone

    def forward(self, inputs: Tensor, condition: Tensor | None = None, *, source: Tensor) -> Tensor:
        """(N, latent), (N, condition) and ``source`` (N, C, H, W) to images of its shape."""
        joined = inputs if condition is None else torch.cat([inputs, condition], 1)
        noise = self.noise(joined).view(len(inputs), -1, *self.base)
        features = self.body(torch.cat([self.encoder(source), noise], 1))
        maps, affine = self.maps(features), self.affine(features.mean((2, 3)))
        with torch.autocast(source.device.type, enabled=False):  # places need float32
            return bent(source.float(), maps.float(), affine.float(), self.bounds)


def bent(
    source: Tensor, maps: Tensor, affine: Tensor, bounds: tuple[float, float, float, float]
) -> Tensor:
    """``source`` (N, C, H, W) in [-1, 1], bent by ``maps`` (N, 5, h, w) and ``affine`` (N, 6).

    Both may be any numbers: tanh keeps them within ``bounds`` (flow, affine, weight, tone). Zeros
    give the source. A pixel is read from where the affine map and twice the flow, in coordinates
    from -1 to 1, take its own place; beyond the border it is what the border is.
    """
    flow, turn, weight, tone = bounds
    unit = torch.eye(2, 3, device=source.device)
    places = functional.affine_grid(
        unit + turn * affine.tanh().view(-1, 2, 3), list(source.shape), align_corners=False
    )
    full = functional.interpolate(
        maps.tanh(), source.shape[2:], mode="bicubic", align_corners=False
    )
    places = places + 2 * flow * full[:, :2].permute(0, 2, 3, 1)
    moved = functional.grid_sample(source, places, padding_mode="border", align_corners=False)
    heavier = weight * full[:, 2:3].clamp(-1, 1)
    light = functional.max_pool2d(moved, 3, 1, 1) - moved  # what each pixel gains by its lightest
    dark = functional.max_pool2d(-moved, 3, 1, 1) + moved  # or loses by its darkest neighbour
    moved = moved + heavier.clamp(min=0) * light + heavier.clamp(max=0) * dark
    lighter, sharper = (full[:, 3:].clamp(-1, 1) * (tone / 2)).chunk(2, 1)
    moved = moved + lighter * (1 - moved.square())  # black and white stay what they are
    moved = moved + sharper * moved * (1 - moved.square())
    return moved
