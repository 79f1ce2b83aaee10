"""Projected GAN: discriminators that see an image through a fixed network's features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from augment.models.adversarial import AdversarialModel
from augment.models.base import MODELS, Parts
from augment.models.critic import Critic
from augment.registry import Count
from augment.runtime import seeding
from augment.vision.content import Features, pyramid_features

Side = Annotated[int, Field(ge=64)]  # the coarsest features then have two places a side


class Mixing(nn.Module):
    """Random projections that never learn: across the channels of each level, then between levels.

    Without them the discriminators look at the deepest features alone and leave the rest. The
    weights follow from a seed that is always the same, so that no checkpoint needs them.
    """

    def __init__(self, channels: Sequence[int], width: int):
        """From levels of ``channels``, from finest to coarsest, to ``width`` channels each."""
        super().__init__()
        self.across = nn.ModuleList(nn.Conv2d(count, width, 1, bias=False) for count in channels)
        self.between = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in channels
        )
        rng = seeding.generator(0, "projected")
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5, generator=rng)
        self.requires_grad_(False)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Levels (N, channels, h, w) to as many (N, width, h, w), from finest to coarsest.

        From each level the next finer one is told what is seen there: it is the root of half the
        squares of both, so that no level is louder than another.
        """
        mixed: list[Tensor] = []
        for level, across, between in reversed(
            [*zip(levels, self.across, self.between, strict=True)]
        ):
            maps = across(level)
            if mixed:
                coarse = functional.interpolate(mixed[-1], maps.shape[2:], mode="bilinear")
                maps = (maps + coarse) * 0.5**0.5
            mixed.append(between(maps))
        return mixed[::-1]


class ProjectedCritic(Critic):
    """A critic for each level of features; its logits are those of all of them."""

    def __init__(self, see: Callable[[Tensor], list[Tensor]], heads: Sequence[Critic]):
        """``see`` takes images (N, C, H, W) to maps, one for each of ``heads``, and never learns.

        A function, and no module of this critic: no optimiser and no checkpoint gets its weights.
        """
        nn.Module.__init__(self)
        self.see = see
        self.members = 1
        self.heads = nn.ModuleList(heads)

    def features(self, packs: Tensor, labels: Tensor) -> list[Tensor]:  # type: ignore[override]
        """Images (N, C, H, W) of classes (N, 1) to the features of each head."""
        maps = self.see(packs)
        return [head.features(seen, labels) for head, seen in self._pairs(maps)]

    def logits_of(self, features: list[Tensor], labels: Tensor) -> Tensor:  # type: ignore[override]
        """Features and classes to the logits of all heads, those of the finest first."""
        return torch.cat([head.logits_of(part, labels) for head, part in self._pairs(features)])

    def logit_parameters(self) -> Iterator[nn.Parameter]:
        """All parameters."""
        yield from self.parameters()

    def _pairs(self, parts: Sequence[Tensor]) -> Iterator[tuple[Critic, Tensor]]:
        return zip(self.heads, parts, strict=True)  # type: ignore[arg-type]


@MODELS.register(
    "projected",
    paper="Sauer et al. 2021, Projected GANs Converge Faster (arXiv:2111.01007)",
)
class ProjectedGan(AdversarialModel):
    """A conditional GAN whose discriminators see features of a fixed network in place of pixels.

    ``train.discriminator`` is built once for each level of the features, which are mixed at random
    across channels and levels; each of them is told the class.
    """

    matched = True
    patches = True

    def __init__(
        self,
        parts: Parts,
        *,
        noise: Count = 62,
        features: Features = "efficientnet",
        side: Side = 64,
        width: Count = 64,
    ):
        """``noise`` Gaussian inputs; ``features`` are the fixed ones, mixed to ``width`` channels.

        ``efficientnet``, learned on ImageNet, needs the extra ``features``; ``filters`` are edges
        and colours that know nothing. Images are enlarged until their shorter side has ``side``
        pixels, at least 64; the paper's 256 cost sixteen times as much.
        """
        self.side = side
        self.fixed = pyramid_features(features)
        with torch.no_grad():
            seen = self.fixed.levels(self.enlarged(torch.zeros(1, *parts.shape)))
        self.mixing = Mixing([level.shape[1] for level in seen], width)
        self.shapes = [(width, *level.shape[2:]) for level in seen]
        self.assemble(parts, noise=noise, conditions=parts.classes)

    def critic(self, conditioning: nn.Module | None) -> Critic:
        """A discriminator of each level, told the class by a conditioning of its own."""
        parts = self.parts
        heads = [
            Critic(
                parts.discriminator,
                shape,
                parts.discriminator_condition(parts.classes, shape, 1),
                1,
            )
            for shape in self.shapes
        ]
        return ProjectedCritic(self.see, heads)

    def see(self, images: Tensor) -> list[Tensor]:
        """Images (N, C, H, W) in [-1, 1] to mixed features (N, width, h, w) of each level."""
        levels = self.fixed.to(images.device).levels(self.enlarged(images))
        maps: list[Tensor] = self.mixing.to(images.device)(levels)
        return maps

    def enlarged(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) whose shorter side has ``side`` pixels at least."""
        sides = images.shape[2:]
        factor = self.side / min(sides)
        if factor <= 1:
            return images
        size = [round(length * factor) for length in sides]
        return functional.interpolate(images, size, mode="bilinear")
