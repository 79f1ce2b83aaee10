"""Flows: maps from noise to images that can be turned round, learned by maximum likelihood."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from augment.models.base import MODELS, Batch, Losses, Parts, Phase
from augment.models.density import dequantised, standard
from augment.models.latents import LatentGenerator
from augment.models.networks.invertible import LEVELS, Flow, to_unit
from augment.models.rivals import Labels, Transport


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
    generators = Flow

    def __init__(self, parts: Parts, *, labels: Labels = "all"):
        """With ``labels: half`` images without a label are learned too; see ``Rival``."""
        self.assemble(parts, labels)

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
    flow: Flow = generator.network  # type: ignore[assignment]
    latent, log_det = flow.encode(to_unit(dequantised(images, rng)), generator.told(labels))
    nats = -standard(latent) - log_det
    return nats / (latent.shape[1] * math.log(2)) + math.log2(LEVELS)
