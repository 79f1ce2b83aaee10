"""The plain autoencoder with a density over its codes: the beginner's way to new images."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from augment.models.base import MODELS, Batch, Losses, Parts, Phase
from augment.models.latents import LatentGenerator
from augment.models.rivals import Labels, Rival
from augment.registry import Count


class CodeEncoder(nn.Module):
    """The discriminator's network with a code at its end, each number of mean 0 and variance 1.

    Without that norm codes could grow for ever, and their density would have to run after them.
    """

    def __init__(self, parts: Parts, latent: int):
        """Build the network for single images; ``latent`` numbers describe one."""
        super().__init__()
        self.network = parts.discriminator(parts.shape)
        width = int(self.network.width)  # type: ignore[arg-type]
        self.code = nn.Linear(width, latent)
        self.norm = nn.BatchNorm1d(latent, affine=False)

    def forward(self, images: Tensor) -> Tensor:
        """Codes (N, latent) of images (N, C, H, W)."""
        codes: Tensor = self.norm(self.code(self.network(images)).float())
        return codes


@MODELS.register(
    "autoencoder",
    paper="Hinton & Salakhutdinov 2006, Reducing the Dimensionality of Data with Neural Networks; "
    "Ghosh et al. 2020, From Variational to Deterministic Autoencoders (arXiv:1903.12436)",
)
class Autoencoder(Rival):
    """Images are coded and drawn again; a class is a mixture of normal distributions of codes.

    The networks are not told the class, and a sample has it by its code alone. Samples are blurred:
    of all images that a code may stand for, the least squared error draws the mean, and nothing
    teaches what lies between the codes of real images.
    """

    phase_names = ("autoencoder", "density")

    def __init__(
        self,
        parts: Parts,
        *,
        latent: Count = 16,
        components: Count = 4,
        labels: Labels = "all",
    ):
        """``latent`` numbers code an image; each class has a mixture of ``components`` of codes.

        With ``labels: half`` images without a label are learned too, with the label that a
        neighbour graph of all images guesses.
        """
        self.parts, self.labels = parts, labels
        self.conditions, self.facts = parts.classes, {}
        self.encoder = CodeEncoder(parts, latent)
        self.generator = LatentGenerator(
            parts.generator, parts.shape, None, noise=latent, codes=0,
            conditions=parts.classes, components=components,
        )  # fmt: skip
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.coded: tuple[Batch, Tensor] | None = None  # a batch and its codes

    def phases(self) -> Sequence[Phase]:
        """Two: the networks learn to draw images again, the density learns their codes."""
        assert self.generator.prior is not None
        networks = (self.encoder, self.generator.network)
        return (
            Phase("autoencoder", "a", networks, self.losses),
            Phase("density", "c", (self.generator.prior,), self.density_losses),
        )

    def modules(self) -> dict[str, nn.Module]:
        """All that a checkpoint holds, by name."""
        return {"encoder": self.encoder, **super().modules()}

    def losses(self, batch: Batch) -> Losses:
        """The mean squared error of an image that is drawn again."""
        shown = self.parts.augment(batch.real, batch.rng)
        codes = self.encoder(shown)
        self.coded = batch, codes.detach()
        made = self.generator.decode(codes, batch.labels, codes.new_zeros(len(codes), 0))
        return {"reconstruction": (made.float() - shown).square().mean()}

    def density_losses(self, batch: Batch) -> Losses:
        """The surprise of codes under the density of their class, in nats a number of theirs."""
        assert self.generator.prior is not None
        last, self.coded = self.coded, None
        if last and last[0] is batch:  # as they were when the networks learned from it
            codes = last[1]
        else:
            with torch.no_grad():
                codes = self.encoder(self.parts.augment(batch.real, batch.rng))
        logs = self.generator.prior.log_density(codes, batch.labels)
        return {"surprise": -logs.mean() / codes.shape[1]}
