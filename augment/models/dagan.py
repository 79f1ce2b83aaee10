"""Data augmentation GAN: from an image and noise to another image of the same class."""

from __future__ import annotations

import copy
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from augment.models.adversarial import Fakes
from augment.models.base import MODELS, Batch, Losses, Needs, Parts
from augment.models.critic import PairCritic
from augment.models.pairs import PairGame
from augment.registry import Amount, Count


@MODELS.register(
    "dagan",
    paper="Antoniou et al. 2017, Data Augmentation Generative Adversarial Networks "
    "(arXiv:1711.04340); Mao et al. 2019, Mode Seeking GANs (arXiv:1903.05628)",
)
class PairedGan(PairGame):
    """The discriminator sees pairs, and asks whether they are two images of one class.

    Real are two images of a class; made ones beside their source, and images of two classes, are
    not. No network is told the class, so that what is learned on large classes goes for rare ones.
    """

    discriminator: PairCritic

    def __init__(
        self,
        parts: Parts,
        *,
        latent: Count = 32,
        mismatch: Amount = 1.0,
        variety: Amount = 10.0,
        cap: Amount = 1.0,
        tries: Count = 2,
        temperature: Annotated[float, Field(gt=0)] = 0.5,
    ):
        """``latent`` Gaussian inputs; ``mismatch`` weighs the pairs of two classes.

        ``variety`` weighs the reward for two noises that give two images. It ends where these
        differ by ``cap`` times as much as two real images of a class. A sample is the one of
        ``tries`` images that goes best with its source, by the averaged discriminator, which has
        learned what images of one class have in common, whichever it is (after Azadi et al. 2019,
        Discriminator Rejection Sampling, arXiv:1810.06758). ``temperature`` is the standard
        deviation of a sample's noise, which is 1 in training: the reward makes the generator bend
        in many ways, and so far that images leave their class; half as far they stay in it.
        """
        self.mismatch, self.variety, self.cap = mismatch, variety, cap
        self.assemble(parts, noise=latent)
        self.conditions = parts.classes
        self.average.temperature = temperature
        if tries > 1:
            judge = copy.deepcopy(self.discriminator).requires_grad_(False)
            self.average.judge, self.average.tries = judge, tries

    @property
    def needs(self) -> Needs:
        """A label and another image of its class for every image; other classes teach as well."""
        return Needs(source="class", helpers=True)

    def critic(self, conditioning: nn.Module | None) -> PairCritic:
        """A discriminator of pairs, which is told no class."""
        return PairCritic(self.parts.discriminator, self.parts.shape)

    def averaged(self) -> list[tuple[nn.Module, nn.Module]]:
        """With the generator the discriminator that judges its samples."""
        if self.average.judge is None:
            return super().averaged()
        return [(self.average, nn.ModuleList([self.generator, self.discriminator]))]

    def discriminator_heads(self, real: Tensor, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """Pairs of two classes count as fakes."""
        others, apart = mismatched(batch.labels, batch.rng)
        if not (self.mismatch and apart.any()):
            return {}
        labels, critic = self.packed(batch.labels), self.discriminator
        wrong = critic(self.show(batch.real[others], batch), labels)
        right = critic.logits_of(real, labels)
        loss = self.parts.loss.discriminator(real=right[apart], fake=wrong[apart])
        return {"mismatch": loss * self.mismatch}


def mismatched(labels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """For each of ``labels`` (N,) the place of one of another class, at random, and whether (N,).

    Where there is no other class the place means nothing.
    """
    other = labels[:, None] != labels[None]
    size = other.shape
    order = torch.rand(size, generator=rng, device=rng.device).to(labels.device)
    return order.masked_fill(~other, -1).argmax(1), other.any(1)
