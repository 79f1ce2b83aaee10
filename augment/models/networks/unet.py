"""U-Net: from an image to one that keeps its outlines, through skips at every size."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.models.networks import GENERATORS, Shape, sizes, widths
from augment.models.networks.layers import ImageNorm, image_norm
from augment.registry import Count

FULL = 0.99  # of the range: what a source's black and white count as before tanh


@GENERATORS.register(
    "unet",
    paper="Ronneberger et al. 2015, U-Net (arXiv:1505.04597); Isola et al. 2017, pix2pix "
    "(arXiv:1611.07004)",
)
class Generator(nn.Module):
    """Strided convolutions down, transposed ones up; what was seen on the way down joins in.

    The noise joins where the maps are coarsest. The paper's noise is dropout, which no seed of a
    sample could repeat.
    """

    source = True

    def __init__(
        self, latent: int, shape: Shape, condition: int = 0, *,
        width: Count = 32, limit: Count = 4, added: bool = False,
        norm: ImageNorm = "instance",
    ):  # fmt: skip
        """``width`` channels at first, doubling downwards up to ``limit`` times.

        With ``added`` it paints on the source: its norms forget an image's brightness and colour.
        ``norm`` follows the convolutions; ``instance`` is the paper's, and where little is trained
        it leaves specks of noise, which ``layer`` does not (Chen et al. 2020, AnimeGANv2).
        """
        super().__init__()
        self.added = added
        levels = widths(width, len(sizes(shape)) - 1, limit)
        self.first = nn.Conv2d(shape[0], levels[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.LeakyReLU(0.2), nn.Conv2d(inputs, outputs, 4, 2, 1), image_norm(outputs, norm)
            )
            for inputs, outputs in pairwise(levels)
        )
        self.noise = nn.Linear(latent + condition, levels[-1]) if latent + condition else None
        self.middle = nn.Sequential(
            nn.LeakyReLU(0.2), nn.Conv2d(levels[-1], levels[-1], 3, padding=1),
            image_norm(levels[-1], norm),
        )  # fmt: skip
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(inputs + outputs, outputs, 3, padding=1),
                image_norm(outputs, norm),
            )
            for outputs, inputs in list(pairwise(levels))[::-1]
        )
        self.last = nn.Conv2d(levels[0], shape[0], 3, padding=1)

    def forward(self, inputs: Tensor, condition: Tensor | None = None, *, source: Tensor) -> Tensor:
        """(N, latent), (N, condition) and ``source`` (N, C, H, W) to images of its shape."""
        seen = [self.first(source)]
        for layer in self.down:
            seen.append(layer(seen[-1]))
        joined = inputs if condition is None else torch.cat([inputs, condition], 1)
        maps = seen.pop()
        if self.noise is not None:
            maps = maps + self.noise(joined)[:, :, None, None]
        maps = self.middle(maps)
        for layer in self.up:
            skip = seen.pop()
            larger = functional.interpolate(maps, skip.shape[2:])
            maps = layer(torch.cat([larger, skip], 1))
        maps = self.last(functional.relu(maps))
        if self.added:
            maps = maps + source.clamp(-FULL, FULL).atanh()
        images: Tensor = maps.tanh()
        return images
