"""Auxiliary classifier GAN, and ReACGAN's loss for its classifier."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from augment.models.adversarial import AdversarialModel, Fakes
from augment.models.base import MODELS, Batch, Losses, Parts
from augment.models.critic import Critic
from augment.registry import Amount, Count

PROXY = 128  # numbers in a vector by which D2D-CE compares images with classes; chosen by hand


class ClassCritic(Critic):
    """A critic that also places each image of a pack among the classes."""

    def __init__(self, parts: Parts, members: int):
        """Build the network, a projection of features and a vector a class."""
        super().__init__(parts.discriminator, parts.shape, None, members)
        self.project = nn.Linear(self.width, PROXY * members)
        self.proxies = nn.Linear(PROXY, parts.classes)

    def embed(self, features: Tensor) -> Tensor:
        """Features (N / members, width) to one vector (N, PROXY) an image."""
        projected: Tensor = self.project(features).view(-1, PROXY)
        return projected


@MODELS.register(
    "acgan",
    paper="Odena et al. 2017 (arXiv:1610.09585); Kang et al. 2021, ReACGAN (arXiv:2111.01118)",
)
class AuxiliaryGan(AdversarialModel):
    """The discriminator is not told the class: it has to find it, on real and generated images."""

    matched = True
    discriminator: ClassCritic

    def __init__(
        self,
        parts: Parts,
        *,
        noise: Count = 62,
        packing: Count = 1,
        classifier: Literal["cross_entropy", "d2d"] = "cross_entropy",
        weight: Amount = 1.0,
        temperature: Annotated[float, Field(gt=0)] = 0.5,
        margin_positive: Amount = 0.98,
        margin_negative: float = -0.02,
    ):
        """``d2d`` is ReACGAN's data-to-data cross-entropy, with its temperature and margins."""
        self.weight, self.d2d = weight, classifier == "d2d"
        self.temperature, self.margins = temperature, (margin_positive, margin_negative)
        self.assemble(parts, noise=noise, conditions=parts.classes, packing=packing)

    def critic(self, conditioning: nn.Module | None) -> Critic:
        """A discriminator with a classifier."""
        return ClassCritic(self.parts, self.packing)

    def discriminator_heads(self, real: Tensor, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """Odena: the classes of all images; ReACGAN: of real ones only."""
        losses = {"class_real": self._classify(real, batch.labels)}
        return losses if self.d2d else {**losses, **self.generator_heads(fake, fakes, batch)}

    def generator_heads(self, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """The classes of generated images."""
        return {"class_fake": self._classify(fake, fakes.conditions)}

    def _classify(self, features: Tensor, labels: Tensor) -> Tensor:
        vectors = self.discriminator.embed(features)
        if not self.d2d:
            logits = self.discriminator.proxies(functional.relu(vectors))
            return functional.cross_entropy(logits, labels) * self.weight
        proxies = functional.normalize(self.discriminator.proxies.weight, dim=1)
        unit = functional.normalize(vectors, dim=1)
        return data_to_data(unit, proxies, labels, self.temperature, *self.margins) * self.weight


def data_to_data(
    unit: Tensor,
    proxies: Tensor,
    labels: Tensor,
    temperature: float,
    margin_positive: float,
    margin_negative: float,
) -> Tensor:
    """D2D-CE (Kang et al. 2021, equation 8) of unit vectors (N, F), proxies (K, F), classes (N,).

    Each image is drawn to its class's proxy up to one margin and away from the batch's images of
    other classes down to the other.
    """
    similarity = (unit * proxies[labels]).sum(1)  # to the proxy of the image's class
    attract = (similarity - margin_positive).clamp(max=0) / temperature
    repel = (unit @ unit.T - margin_negative).clamp(min=0) / temperature
    repel = repel.masked_fill(labels[:, None] == labels[None], -torch.inf)
    whole = torch.cat([attract[:, None], repel], 1).logsumexp(1)
    return (whole - attract).mean()
