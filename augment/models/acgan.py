"""Auxiliary classifier GAN, and ReACGAN's loss for its classifier."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from augment.models.adversarial import AdversarialModel, Fakes
from augment.models.base import MODELS, Batch, Losses, Parts
from augment.models.critic import ClassHead, Critic
from augment.registry import Amount, Count


class ClassCritic(Critic):
    """A critic that also places each image of a pack among the classes."""

    def __init__(self, parts: Parts, members: int, head: Callable[[int, int, int], ClassHead]):
        """Build the network, and its head from width of features, classes and ``members``."""
        super().__init__(parts.discriminator, parts.shape, None, members)
        self.category = head(self.width, parts.classes, members)


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
        self.head = partial(
            ClassHead,
            d2d=self.d2d,
            temperature=temperature,
            margin_positive=margin_positive,
            margin_negative=margin_negative,
        )
        self.assemble(parts, noise=noise, conditions=parts.classes, packing=packing)

    def critic(self, conditioning: nn.Module | None) -> Critic:
        """A discriminator with a classifier."""
        return ClassCritic(self.parts, self.packing, self.head)

    def discriminator_heads(self, real: Tensor, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """Odena: the classes of all images; ReACGAN: of real ones only."""
        losses = {"class_real": self._classify(real, batch.labels)}
        return losses if self.d2d else {**losses, **self.generator_heads(fake, fakes, batch)}

    def generator_heads(self, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """The classes of generated images."""
        return {"class_fake": self._classify(fake, fakes.conditions)}

    def _classify(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.discriminator.category.loss(features, labels) * self.weight
