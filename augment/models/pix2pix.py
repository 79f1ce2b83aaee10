"""pix2pix: from an image of one domain to its partner in another, learned from pairs."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from augment.models.adversarial import Fakes
from augment.models.base import MODELS, Batch, Losses, Needs, Parts
from augment.models.pairs import PairGame
from augment.registry import Amount, Number


@MODELS.register(
    "pix2pix",
    paper="Isola et al. 2017, Image-to-Image Translation with Conditional Adversarial Networks "
    "(arXiv:1611.07004); Mao et al. 2019, Mode Seeking GANs (arXiv:1903.05628)",
)
class Pix2Pix(PairGame):
    """The generator is told by a discriminator of pairs, and by the distance to the real partner.

    A pair is an image of a further domain and one of its class in the set. Such partners agree in
    what they show and in little else.
    """

    patches = True

    def __init__(
        self,
        parts: Parts,
        *,
        latent: Number = 8,
        l1: Amount = 30.0,
        variety: Amount = 1.0,
        cap: Amount = 0.5,
    ):
        """``latent`` Gaussian inputs, where the paper has dropout; ``l1`` weighs the distance.

        The paper's 100 is for partners that lie pixel on pixel. Of partners that share a class
        alone it makes the mean of the class, and 10 leaves strokes torn: 30 had the best KID of the
        three on fonts and digits. ``variety`` weighs the reward for two noises that give two
        images. It ends where these differ by ``cap`` times as much as two partners.
        """
        self.l1, self.variety, self.cap = l1, variety, cap
        self.assemble(parts, noise=latent)
        self.conditions = parts.classes

    @property
    def needs(self) -> Needs:
        """A label for every image, and one of its class in a further domain."""
        return Needs(source="pair")

    def generator_heads(self, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """The mean absolute difference from the real partner, and what lacks in variety."""
        distance = functional.l1_loss(fakes.images.float(), batch.real) * self.l1
        return {"l1": distance, **super().generator_heads(fake, fakes, batch)}
