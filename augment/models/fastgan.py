"""FastGAN: a conditional GAN whose discriminator must also rebuild real images from its maps."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.models.adversarial import AdversarialModel, Fakes
from augment.models.base import MODELS, Batch, Losses, Parts
from augment.models.critic import Critic
from augment.models.networks.fastgan import Discriminator, gated
from augment.models.networks.layers import Flatten
from augment.registry import Amount, Count

NARROWEST = 8  # channels of a decoder's finest maps, at least; chosen by hand


class Decoder(nn.Module):
    """From a discriminator's maps to an image, doubled by nearest neighbours."""

    def __init__(self, inputs: int, outputs: int, sizes: list[tuple[int, int]]):
        """From ``inputs`` channels to images of ``outputs`` channels, through ``sizes``."""
        super().__init__()
        self.sizes = sizes
        levels = [inputs] + [max(inputs >> level, NARROWEST) for level in range(1, len(sizes) + 1)]
        self.blocks = nn.ModuleList(gated(*pair) for pair in pairwise(levels))
        self.last = nn.Conv2d(levels[-1], outputs, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, inputs, h, w) to images (N, outputs, H, W) of the last size in [-1, 1]."""
        for size, block in zip(self.sizes, self.blocks, strict=True):
            maps = block(functional.interpolate(maps, size))
        images: Tensor = self.last(maps).tanh()
        return images


class RebuildingCritic(Critic):
    """A critic with two decoders: of its coarsest maps, and of a quarter of those before.

    Its features are those of the logit and, behind them, the maps of which a quarter is decoded.
    """

    def __init__(self, parts: Parts, conditioning: nn.Module | None, members: int):
        """The discriminator's network hands out its maps."""
        super().__init__(parts.discriminator, parts.shape, conditioning, members)
        network: Any = self.network
        pairs = zip(network.channels, network.sizes, strict=True)
        self.shapes = [(*size, channels) for channels, size in pairs][:-3:-1]
        self.decoders = nn.ModuleList(
            Decoder(channels, parts.shape[0] * members, network.sizes[::-1])
            for _, _, channels in self.shapes
        )
        self.flatten = Flatten()

    def features(self, packs: Tensor, labels: Tensor) -> Tensor:
        """Packs (N, members·C, H, W) of classes (N, members) to features (N, width …)."""
        if self.conditioning is not None:
            packs = self.conditioning.add(packs, labels)  # type: ignore[operator]
        maps: list[Tensor] = self.network.maps(packs)  # type: ignore[operator]
        return torch.cat([self.flatten(level) for level in maps[:-3:-1]], 1)

    def logits_of(self, features: Tensor, labels: Tensor) -> Tensor:
        """Features and classes (N, members) to logits (N,)."""
        return super().logits_of(features[:, : self.width], labels)

    def rebuilt(
        self, features: Tensor, packs: Tensor, rng: torch.Generator
    ) -> list[tuple[Tensor, Tensor]]:
        """What the decoders make of the ``features`` of ``packs``, each beside what it should.

        The whole is rebuilt from the coarsest maps, and where there are finer ones a quarter of
        it, which ``rng`` picks, from that quarter of them: the paper's f2 and f1.
        """
        flats = torch.split(features, [math.prod(shape) for shape in self.shapes], 1)
        pairs = []
        for place, (flat, shape) in enumerate(zip(flats, self.shapes, strict=True)):
            maps, target = flat.view(-1, *shape).permute(0, 3, 1, 2), packs
            if place:
                corner = int(torch.randint(4, (), generator=rng, device=rng.device))
                maps, target = (quarter(images, corner) for images in (maps, packs))
            made = self.decoders[place](maps)
            pairs.append((made, functional.adaptive_avg_pool2d(target, made.shape[2:])))
        return pairs


def quarter(images: Tensor, corner: int) -> Tensor:
    """The ``corner`` (0 … 3, by rows) of images (N, C, H, W): (N, C, H // 2, W // 2)."""
    height, width = (side // 2 for side in images.shape[2:])
    rows = images[:, :, -height:] if corner >= 2 else images[:, :, :height]
    return rows[..., -width:] if corner % 2 else rows[..., :width]


@MODELS.register(
    "fastgan",
    paper="Liu et al. 2021, Towards Faster and Stabilized GAN Training for High-fidelity Few-shot "
    "Image Synthesis (arXiv:2101.04775)",
)
class FastGan(AdversarialModel):
    """A conditional GAN for few images: what the discriminator reads must hold the whole image.

    It rebuilds real images, as it was shown them, by decoders of its own. So it has to look at
    everything there, and learns the few images by heart more slowly.
    """

    matched = True
    told = True
    discriminators = Discriminator
    discriminator: RebuildingCritic

    def __init__(
        self,
        parts: Parts,
        *,
        noise: Count = 62,
        packing: Count = 1,
        reconstruction: Amount = 1.0,
    ):
        """``noise`` Gaussian inputs; the discriminator sees ``packing`` images at a time.

        ``reconstruction`` weighs the mean absolute difference of the rebuilt images; the authors'
        perceptual distance would need another network's weights.
        """
        self.reconstruction = reconstruction
        self.shown: Tensor | None = None  # real images as the discriminator has seen them
        self.assemble(parts, noise=noise, conditions=parts.classes, packing=packing)

    def critic(self, conditioning: nn.Module | None) -> Critic:
        """A discriminator with decoders."""
        return RebuildingCritic(self.parts, conditioning, self.packing)

    def show(self, images: Tensor, batch: Batch) -> Tensor:
        """Images as the discriminator sees them; the real ones are kept for the decoders."""
        shown = super().show(images, batch)
        if images is batch.real:
            self.shown = shown
        return shown

    def discriminator_heads(self, real: Tensor, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """How far the real images are from what the decoders make of their features."""
        if not self.reconstruction:
            return {}
        assert self.shown is not None
        pairs = self.discriminator.rebuilt(real, self.shown.detach(), batch.rng)
        distances = [functional.l1_loss(made.float(), target.float()) for made, target in pairs]
        return {"reconstruction": torch.stack(distances).sum() * self.reconstruction}
