"""Data augmentation GAN: from an image and noise to another image of the same class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from augment.models.adversarial import AdversarialModel, Fakes
from augment.models.base import MODELS, Batch, Losses, Needs, Parts
from augment.models.critic import Critic
from augment.registry import Amount, Count

HIDDEN = 256  # units between features and logit of a pair; chosen by hand


@MODELS.register(
    "dagan",
    paper="Antoniou et al. 2017, Data Augmentation Generative Adversarial Networks "
    "(arXiv:1711.04340); Mao et al. 2019, Mode Seeking GANs (arXiv:1903.05628)",
)
class PairedGan(AdversarialModel):
    """The discriminator sees pairs, and asks whether they are two images of one class.

    Real are two images of a class; made ones beside their source, and images of two classes, are
    not. No network is told the class, so that what is learned on large classes goes for rare ones.
    """

    matched = True  # a sample is of the class of its source

    def __init__(
        self,
        parts: Parts,
        *,
        latent: Count = 32,
        mismatch: Amount = 1.0,
        variety: Amount = 1.0,
        cap: Amount = 0.5,
    ):
        """``latent`` Gaussian inputs; ``mismatch`` weighs the pairs of two classes.

        ``variety`` weighs the reward for two noises that give two images. It ends where these
        differ by ``cap`` times as much as two real images of a class.
        """
        self.mismatch, self.variety, self.cap = mismatch, variety, cap
        self.assemble(parts, noise=latent)
        self.conditions = parts.classes

    @property
    def needs(self) -> Needs:
        """A label and another image of its class for every image."""
        return Needs(source="class")

    def critic(self, conditioning: nn.Module | None) -> Critic:
        """A discriminator of packs of two, with a hidden layer: whether two agree is no sum."""
        critic = Critic(self.parts.discriminator, self.parts.shape, None, 2)
        critic.logit = nn.Sequential(
            nn.Linear(critic.width, HIDDEN), nn.LeakyReLU(0.2), nn.Linear(HIDDEN, 1)
        )
        return critic

    def show(self, images: Tensor, batch: Batch) -> Tensor:
        """``images`` (N, C, H, W) behind their sources: pairs (N, 2·C, H, W), changed together."""
        assert batch.source is not None
        pairs = torch.cat([batch.source, images], 1)
        return super().show(pairs.contiguous(memory_format=torch.channels_last), batch)

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

    def generator_heads(self, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """What two noises from one source lack in difference."""
        assert batch.source is not None
        if not self.variety:
            return {}
        usual = difference(batch.source, batch.real).mean().detach()
        again = self.generate(batch).images
        return {"variety": narrowness(fakes.images, again, usual, self.cap) * self.variety}


def mismatched(labels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """For each of ``labels`` (N,) the place of one of another class, at random, and whether (N,).

    Where there is no other class the place means nothing.
    """
    other = labels[:, None] != labels[None]
    size = other.shape
    order = torch.rand(size, generator=rng, device=rng.device).to(labels.device)
    return order.masked_fill(~other, -1).argmax(1), other.any(1)


def difference(images: Tensor, others: Tensor) -> Tensor:
    """The mean absolute difference (N,) of images (N, C, H, W)."""
    return (images - others).float().abs().flatten(1).mean(1)


def narrowness(images: Tensor, others: Tensor, usual: Tensor, cap: float) -> Tensor:
    """How far two images from one source stay below ``cap`` × ``usual``, 0 … ``cap``: a mean.

    Mao et al. 2019 divide by the difference of the noises, which hardly varies, and set no cap:
    then images leave their class for the reward.
    """
    return (cap - difference(images, others) / usual.clamp(min=1e-6)).clamp(min=0).mean()
