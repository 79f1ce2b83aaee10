"""The likelihood of images, pixel by pixel: PixelCNN and PixelRNN."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from augment.models.base import MODELS, Batch, Losses, Parts, Phase
from augment.models.latents import LatentGenerator
from augment.models.networks.grey_values import rounded
from augment.models.networks.pixels import PixelNetwork
from augment.models.rivals import Labels, Transport

AT_ONCE = 64  # images whose maps are in memory together


@MODELS.register(
    "pixelcnn",
    paper="van den Oord et al. 2016, Conditional Image Generation with PixelCNN Decoders "
    "(arXiv:1606.05328); the same, Pixel Recurrent Neural Networks (arXiv:1601.06759)",
)
class PixelCnn(Transport):
    """Each value of an image is drawn from a distribution that follows from those before it.

    The network is ``pixelcnn`` or ``pixelrnn``. Every image has an exact probability, and a sample
    takes as many looks at the network as it has pixels.
    """

    phase_names = ("likelihood",)
    generators = PixelNetwork

    def __init__(self, parts: Parts, *, labels: Labels = "all"):
        """With ``labels: half`` images without a label are learned too; see ``Rival``."""
        self.assemble(parts, labels)

    def phases(self) -> Sequence[Phase]:
        """One: the network learns to be less surprised at real images."""
        return (Phase("likelihood", "l", (self.generator,), self.losses),)

    def losses(self, batch: Batch) -> Losses:
        """The surprise at real images, in nats per pixel value."""
        shown = self.parts.augment(batch.real, batch.rng)
        return {"surprise": surprise(self.generator, shown, batch.labels).mean()}

    @torch.no_grad()
    def bits(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Exactly what the grey values cost; ``rng`` is not asked."""
        parts = zip(torch.split(images, AT_ONCE), torch.split(labels, AT_ONCE), strict=True)
        nats = [surprise(self.average, *part).flatten(1).mean(1) for part in parts]
        return torch.cat(nats) / math.log(2)


def surprise(generator: LatentGenerator, images: Tensor, labels: Tensor) -> Tensor:
    """Nats (N, C, H, W) at each value of images in [-1, 1], rounded to grey values."""
    network: PixelNetwork = generator.network  # type: ignore[assignment]
    return network.surprise(rounded(images), generator.told(labels))
