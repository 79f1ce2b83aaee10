"""StarGAN: one network turns an image of any class into an image of any other."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from augment.models.adversarial import AdversarialModel, Fakes
from augment.models.base import MODELS, Batch, Losses, Needs, Parts
from augment.models.critic import ClassHead, Critic
from augment.models.latents import latents
from augment.models.networks import sizes
from augment.models.pairs import difference, narrowness
from augment.registry import Amount, Number


class PatchClassCritic(Critic):
    """A critic that judges patches, and reads the class from all of them together."""

    def __init__(self, parts: Parts):
        """Build the network, its logit and its head; large maps are averaged to a few places."""
        super().__init__(parts.discriminator, parts.shape, None, 1)
        width, self.places = self.width, nn.Sequential(nn.Flatten())
        if getattr(self.network, "patches", False):
            rows, columns = sizes(parts.shape)[-1]
            width *= rows * columns
            self.places.insert(0, nn.AdaptiveAvgPool2d((rows, columns)))
        self.category = ClassHead(width, parts.classes, 1, d2d=False)

    def class_loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of features (N, width) or (N, width, h, w) and classes (N,)."""
        return self.category.loss(self.places(features), labels)


@MODELS.register(
    "stargan",
    paper="Choi et al. 2018, StarGAN (arXiv:1711.09020); Mao et al. 2019, Mode Seeking GANs "
    "(arXiv:1903.05628)",
)
class ClassTranslator(AdversarialModel):
    """An image goes to another class, and from there back to what it was.

    The discriminator is not told the class: it finds it, and learns that from real images alone.
    """

    matched = True
    patches = True
    discriminator: PatchClassCritic

    def __init__(
        self,
        parts: Parts,
        *,
        latent: Number = 8,
        classification: Amount = 1.0,
        reconstruction: Amount = 10.0,
        variety: Amount = 1.0,
        cap: Amount = 0.25,
    ):
        """``latent`` Gaussian inputs, of which the paper has none.

        ``classification`` weighs the class that the discriminator reads, ``reconstruction`` the
        mean absolute difference of an image and its way back. ``variety`` weighs the reward for two
        noises that give two images, without which the noise is ignored. It ends where these differ
        by ``cap`` times as much as real images of two classes.
        """
        self.classification, self.reconstruction = classification, reconstruction
        self.variety, self.cap = variety, cap
        self.assemble(parts, noise=latent, conditions=parts.classes)

    @property
    def needs(self) -> Needs:
        """A label and an image of another class for every image."""
        return Needs(source="others")

    def critic(self, conditioning: nn.Module | None) -> Critic:
        """A discriminator of patches with a classifier."""
        return PatchClassCritic(self.parts)

    def discriminator_heads(self, real: Tensor, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """The classes of real images."""
        return {"class_real": self._classify(real, batch.labels)}

    def generator_heads(self, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """Classes of translated images, what their way back loses, what two noises lack."""
        assert batch.source is not None and batch.source_labels is not None
        noise, codes = latents(self.generator, len(batch.labels), batch.rng)
        noise, codes = noise.to(batch.real), codes.to(batch.real)
        back = self.generator(noise, batch.source_labels, codes, source=fakes.images)
        losses = {
            "class_fake": self._classify(fake, fakes.conditions),
            "reconstruction": functional.l1_loss(back, batch.source) * self.reconstruction,
        }
        if self.variety and self.generator.noise:
            usual = difference(batch.source, batch.real).mean()
            again = self.generate(batch).images
            losses["variety"] = narrowness(fakes.images, again, usual, self.cap) * self.variety
        return losses

    def _classify(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.discriminator.class_loss(features, labels) * self.classification
