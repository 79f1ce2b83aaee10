"""The plain and the conditional GAN."""

from __future__ import annotations

import torch
from torch import Tensor

from augment.models.adversarial import AdversarialModel
from augment.models.base import MODELS, Batch, Parts
from augment.registry import Count


@MODELS.register("gan", paper="Goodfellow et al. 2014 (arXiv:1406.2661)")
class Gan(AdversarialModel):
    """No label: the labeller's filter finds the samples of a class."""

    matched = False
    patches = True

    def __init__(self, parts: Parts, *, noise: Count = 62, packing: Count = 1):
        """``noise`` Gaussian inputs; the discriminator sees ``packing`` images at a time."""
        self.assemble(parts, noise=noise, packing=packing)

    def draw_conditions(self, batch: Batch) -> Tensor:
        """None: zeros that nothing looks at."""
        return torch.zeros_like(batch.labels)


@MODELS.register("cgan", paper="Mirza & Osindero 2014 (arXiv:1411.1784)")
class ConditionalGan(AdversarialModel):
    """A class label in, images of that class out."""

    matched = True
    told = True

    def __init__(self, parts: Parts, *, noise: Count = 62, packing: Count = 1):
        """``noise`` Gaussian inputs; the discriminator sees ``packing`` images at a time."""
        self.assemble(parts, noise=noise, conditions=parts.classes, packing=packing)
