"""pix2pix: from an image of one domain to its partner in another, learned from pairs."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from augment.models.adversarial import Fakes
from augment.models.base import MODELS, Batch, Losses, Needs, Parts
from augment.models.pairs import PairGame, pattern_of
from augment.registry import Amount, Number


@MODELS.register(
    "pix2pix",
    paper="Isola et al. 2017, Image-to-Image Translation with Conditional Adversarial Networks "
    "(arXiv:1611.07004); Mao et al. 2019, Mode Seeking GANs (arXiv:1903.05628)",
)
class Pix2Pix(PairGame):
    """The generator is told by a discriminator of pairs, and by the distance to the real partner.

    A pair is an image of a further domain and one of its class in the set: by a key the very one
    that goes with it, such as a photograph's edges or mask. Without a key such partners agree in
    what they show and in little else.
    """

    patches = True

    def __init__(
        self,
        parts: Parts,
        *,
        latent: Number = 8,
        key: str | None = None,
        l1: Amount | None = None,
        variety: Amount = 1.0,
        cap: Amount = 0.5,
    ):
        """``latent`` Gaussian inputs, where the paper has dropout; ``l1`` weighs the distance.

        ``key`` says which images are partners: those of a class in whose paths it has the same
        value, ``stem`` for file names without their suffix, or else a regular expression, whose
        first group counts. Null, or an image that has no partner: any image of the class.

        ``l1`` is the paper's 100 with a key, whose partners lie pixel on pixel. Of partners that
        share a class alone 100 makes the mean of the class, and 10 leaves strokes torn: 30, the
        default then, had the best KID of the three on fonts and digits. ``variety`` weighs the
        reward for two noises that give two images. It ends where these differ by ``cap`` times as
        much as two partners. Raises PartError for a key that is no regular expression.
        """
        if key is not None:
            pattern_of(key)
        self.key = key
        self.l1 = l1 if l1 is not None else 30.0 if key is None else 100.0
        self.variety, self.cap = variety, cap
        self.assemble(parts, noise=latent)
        self.conditions = parts.classes

    @property
    def needs(self) -> Needs:
        """A label for every image, and one of its class in a further domain."""
        return Needs(source="pair", key=self.key)

    def generator_heads(self, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """The mean absolute difference from the real partner, and what lacks in variety."""
        distance = functional.l1_loss(fakes.images.float(), batch.real) * self.l1
        return {"l1": distance, **super().generator_heads(fake, fakes, batch)}
