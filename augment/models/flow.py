"""Flows: maps from noise to images that can be turned round, learned by maximum likelihood."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from augment.models.base import MODELS, Batch, Losses, Model, Needs, Parts, Phase
from augment.models.latents import LatentGenerator
from augment.models.networks import GENERATORS
from augment.models.networks.invertible import LEVELS, Flow, to_unit
from augment.registry import PartError


class Transport(Model):
    """Base of the models of one phase whose noise has a number for each value of an image.

    ``network`` is what their generator's network has to be.
    """

    matched = True
    discriminates = False
    network: ClassVar[type[nn.Module]]

    def assemble(self, parts: Parts, name: str) -> None:
        """Build the generator. Raises PartError for a network that is none of ``network``."""
        self.parts = parts
        self.conditions, self.facts = parts.classes, {}
        self.generator = LatentGenerator(
            parts.generator, parts.shape, parts.generator_condition(parts.classes),
            noise=math.prod(parts.shape), codes=0,
        )  # fmt: skip
        if not isinstance(self.generator.network, self.network):
            fitting = [
                other
                for other in GENERATORS.names()
                if issubclass(GENERATORS.describe(other).target, self.network)  # type: ignore[arg-type]
            ]
            raise PartError(
                f"train.generator: train.model {name!r} needs one of {', '.join(fitting)}"
            )
        self.average = copy.deepcopy(self.generator).requires_grad_(False)

    @property
    def needs(self) -> Needs:
        """A label for every image; images without one get a guess."""
        return Needs(labels="half", guessed=True)

    def modules(self) -> dict[str, nn.Module]:
        """All that a checkpoint holds, by name."""
        return {"generator": self.generator, "average": self.average}


@MODELS.register(
    "flow",
    paper="Dinh et al. 2015, NICE (arXiv:1410.8516); Dinh et al. 2017, Real NVP "
    "(arXiv:1605.08803); Kingma & Dhariwal 2018, Glow (arXiv:1807.03039)",
)
class MaximumLikelihood(Transport):
    """Turned round, the generator maps real images to noise, which is to be likely.

    Grey values get uniform noise of one of them, so that a density bounds their probability.
    """

    phase_names = ("flow",)
    network = Flow

    def __init__(self, parts: Parts):
        """No options: the networks have them."""
        self.assemble(parts, "flow")

    def phases(self) -> Sequence[Phase]:
        """One, in full precision: bf16 tells fewer than 256 grey values apart."""
        return (Phase("flow", "f", (self.generator,), self.losses, second_order=lambda step: True),)

    def losses(self, batch: Batch) -> Losses:
        """The bits a dimension of the batch."""
        shown = self.parts.augment(batch.real, batch.rng)
        return {"bits": bits(self.generator, shown, batch.labels, batch.rng).mean()}

    @torch.no_grad()
    def bits(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Bits a dimension (N,) of the averaged generator."""
        self.average.eval()
        return bits(self.average, images, labels, rng)


def bits(
    generator: LatentGenerator, images: Tensor, labels: Tensor, rng: torch.Generator
) -> Tensor:
    """Bits a dimension (N,) of images (N, C, H, W) in [-1, 1] of classes (N,).

    That is log₂ 256 less the logarithm of the density of values in [0, 1]: 8 where it is even.
    """
    noise = torch.rand(images.shape, generator=rng, device=rng.device).to(images)
    flow: Flow = generator.network  # type: ignore[assignment]
    latent, log_det = flow.encode(to_unit(images, noise), generator.told(labels))
    values = latent.shape[1]
    nats = (latent.square() + math.log(2 * math.pi)).sum(1) / 2 - log_det
    return nats / (values * math.log(2)) + math.log2(LEVELS)
