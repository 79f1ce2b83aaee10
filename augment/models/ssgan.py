"""Structure and style: one network draws what an image shows, another one paints on that."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from augment.models.adversarial import AdversarialModel, Fakes
from augment.models.base import MODELS, Batch, Losses, Parts
from augment.models.critic import Critic
from augment.models.latents import latents
from augment.registry import Amount, Count, PartError
from augment.vision.structure import structure_of

Share = Annotated[float, Field(ge=0, le=1)]  # of a run


class PairOfCritics(Critic):
    """A critic of structures with the images painted on them, and one of structures alone."""

    def __init__(self, parts: Parts, pairs: nn.Module | None, alone: nn.Module | None):
        """``pairs`` and ``alone`` tell either one the class."""
        channels, *size = parts.shape
        super().__init__(parts.discriminator, (2 * channels, *size), pairs, 1)  # type: ignore[arg-type]
        self.structure = Critic(parts.discriminator, parts.shape, alone, 1)


@MODELS.register(
    "ssgan",
    paper="Wang & Gupta 2016, Generative Image Modeling using Style and Structure Adversarial "
    "Networks (arXiv:1603.05631)",
)
class StructureStyleGan(AdversarialModel):
    """A structure from noise, and an image from a structure and noise, in one run.

    The paper's structures are surface normals from depth cameras; these are what every image has
    (``augment.vision.structure``). Half of a batch is painted on structures of real images, half on
    drawn ones. A discriminator judges structures, another one images beside their structures; both
    are told the class. Images (N, 3·C, H, W) are here a structure, what was painted on it, and the
    structure that was drawn.
    """

    matched = True
    told = True
    follows_length = True
    discriminator: PairOfCritics

    def __init__(
        self, parts: Parts, *, noise: Count = 62, joint: Share = 0.5, structure: Amount = 1.0
    ):
        """``noise`` Gaussian inputs, of which ``train.generator.style`` are the painter's.

        From the share ``joint`` of the run on the drawing network also learns from how images on
        its structures are judged, the paper's joint learning. ``structure`` weighs the game of
        structures alone. Raises PartError for a generator that draws none.
        """
        self.joint, self.weight = joint, structure
        self.assemble(parts, noise=noise, conditions=parts.classes)
        self.network: Any = self.generator.network
        if self.generator.structure is None:
            raise PartError(
                "train.generator: train.model 'ssgan' needs one that draws a structure: 'ssgan'"
            )

    def critic(self, conditioning: nn.Module | None) -> Critic:
        """Both discriminators."""
        parts = self.parts
        alone = parts.discriminator_condition(parts.classes, parts.shape, 1)
        return PairOfCritics(parts, conditioning, alone)

    def generate(self, batch: Batch) -> Fakes:
        """As many images as ``batch`` has, in its classes, the first half on its structures."""
        noise, codes = latents(self.generator, len(batch.labels), batch.rng)
        numbers, vector = self.generator.inputs_of(
            noise.to(batch.real), batch.labels, codes.to(batch.real)
        )
        structures = self.network.drawing(numbers, vector)
        half = len(structures) // 2
        canvas = structures if batch.done >= self.joint else structures.detach()
        canvas = torch.cat([self.structures(batch.real[:half]).to(canvas), canvas[half:]])
        images = self.network.painting(numbers, vector, canvas)
        return Fakes(torch.cat([canvas, images, structures], 1), batch.labels, codes, batch.labels)

    def structures(self, images: Tensor) -> Tensor:
        """The structures (N, C, H, W) of real images."""
        return structure_of(images, self.network.structure)

    def show(self, images: Tensor, batch: Batch) -> Tensor:
        """Structures and the images on them (N, 2·C, H, W), changed together."""
        if images is batch.real:
            images = torch.cat([self.structures(images), images], 1)
        pairs = images[:, : 2 * self.parts.shape[0]]
        return super().show(pairs.contiguous(memory_format=torch.channels_last), batch)

    def show_structures(self, images: Tensor, batch: Batch) -> Tensor:
        """Structures alone as their discriminator sees them."""
        return super().show(images.contiguous(memory_format=torch.channels_last), batch)

    def discriminator_heads(self, real: Tensor, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """The game of real structures against drawn ones."""
        real, fake = self._structure_logits(fakes, batch)
        loss = self.parts.loss.discriminator(real=real, fake=fake)
        return {"structure": loss * self.weight}

    def generator_heads(self, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """The other half of that game."""
        real, fake = self._structure_logits(fakes, batch)
        loss = self.parts.loss.generator(fake=fake, real=real.detach())
        return {"structure": loss * self.weight}

    def _structure_logits(self, fakes: Fakes, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits (N,) of the structures of real images and of drawn ones."""
        labels, critic = self.packed(batch.labels), self.discriminator.structure
        structures = self.structures(batch.real), fakes.images[:, -self.parts.shape[0] :]
        real, fake = (critic(self.show_structures(part, batch), labels) for part in structures)
        return real, fake
