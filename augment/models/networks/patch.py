"""A discriminator of patches: it judges each small piece of an image by itself."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from augment.models.networks import DISCRIMINATORS, Shape, sizes, widths
from augment.models.networks.layers import normalise_spectrally
from augment.registry import Count


@DISCRIMINATORS.register("patch", paper="Isola et al. 2017, PatchGAN (arXiv:1611.07004)")
class Discriminator(nn.Module):
    """Strided convolutions with leaky ReLU that end in a map of features, one for each patch."""

    patches = True  # features are (N, width, h, w)

    def __init__(
        self, shape: Shape, *, width: Count = 32, limit: Count = 8, layers: Count = 2,
        norm: Literal["instance", "none"] = "instance", spectral: bool = False,
    ):  # fmt: skip
        """``layers`` halvings, as far as the image has room: the paper's 70 × 70 patches have 3.

        With 2 a patch is 22 pixels wide. ``norm`` follows all convolutions but the first;
        ``spectral`` normalises every weight (Miyato et al. 2018).
        """
        super().__init__()
        halvings = max(min(layers, len(sizes(shape)) - 1), 1)
        levels = widths(width, halvings, limit)
        body: list[nn.Module] = []
        for number, (inputs, outputs) in enumerate(pairwise([shape[0], *levels])):
            strided = number < halvings
            body.append(nn.Conv2d(inputs, outputs, *((4, 2, 1) if strided else (3, 1, 1))))
            normed = norm == "instance" and number
            body += [nn.InstanceNorm2d(outputs, affine=True)] if normed else []
            body.append(nn.LeakyReLU(0.2))
        self.body = nn.Sequential(*body)
        self.width = levels[-1]
        for module in self.body:
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.02)
        if spectral:
            normalise_spectrally(self)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, width, h, w)."""
        features: Tensor = self.body(images)
        return features
