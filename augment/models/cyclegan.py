"""CycleGAN: two domains without pairs, and a generator each way that must lead back."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.models.adversarial import AdversarialModel
from augment.models.base import MODELS, Batch, Losses, Needs, Parts, Phase
from augment.models.latents import LatentGenerator, latents
from augment.models.penalties import Penalty
from augment.registry import Amount, Number

DISTANCES = {"l1": functional.l1_loss, "l2": functional.mse_loss}


class Buffer(nn.Module):
    """The last fakes: half of the new ones are swapped for older ones, and wait in their place.

    So the discriminator does not forget what the generator did before. Source: Shrivastava et al.
    2017 (arXiv:1612.07828), as in CycleGAN.
    """

    images: Tensor
    filled: Tensor

    def __init__(self, size: int, shape: Sequence[int]):
        """Room for ``size`` images of ``shape`` (C, H, W)."""
        super().__init__()
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("filled", torch.tensor(0))

    def forward(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """As many images as ``images`` (N, C, H, W): new ones until all room is taken."""
        size = len(self.images)
        if not size:
            return images
        return torch.cat([self._swap(part, rng) for part in torch.split(images, size)])

    def _swap(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """The same for no more images than there is room for."""
        filled = int(self.filled)
        first, later = images.to(self.images).tensor_split([len(self.images) - filled])
        self.images[filled : filled + len(first)] = first
        self.filled += len(first)
        places = torch.randperm(len(self.images), generator=rng, device=rng.device)
        places = places[: len(later)].to(images.device)
        swapped = torch.rand(len(later), generator=rng, device=rng.device) < 0.5
        swapped = swapped.to(images.device)[:, None, None, None]
        older = self.images[places]
        self.images[places] = torch.where(swapped, later, older)
        return torch.cat([first, torch.where(swapped, older, later)])


class Translated(NamedTuple):
    """Images (N, C, H, W) that the generators made: ``there`` of sources, ``back`` of real ones."""

    there: Tensor
    back: Tensor


@MODELS.register(
    "cyclegan",
    paper="Zhu et al. 2017, Unpaired Image-to-Image Translation (arXiv:1703.10593); "
    "Yi et al. 2017, DualGAN (arXiv:1704.02510); Kim et al. 2017, DiscoGAN (arXiv:1703.05192)",
)
class CycleGan(AdversarialModel):
    """A generator from a further domain to the set and one back; there and back is where it began.

    A discriminator in each domain judges what is made there. No network is told a class: an image
    keeps the class of its source as far as the way back needs it.
    """

    matched = True  # a sample is of the class of its source
    patches = True
    back_average: LatentGenerator

    def __init__(
        self,
        parts: Parts,
        *,
        latent: Number = 8,
        cycle: Amount = 5.0,
        identity: Amount = 0.5,
        distance: Literal["l1", "l2"] = "l1",
        buffer: Number = 50,
    ):
        """``latent`` Gaussian inputs of each generator, so that a source may have several images.

        The papers have none (0), and a cycle leaves them little to say. ``cycle`` weighs the
        ``distance`` of an image from where it comes out after both generators: CycleGAN's 10,
        beside a loss ``lsgan`` half as large as its. ``identity`` times as much weighs that of an
        image of a generator's target from what the generator makes of it. DualGAN and DiscoGAN have
        none (0), and where fonts became digits classes then changed places. ``buffer`` fakes of
        each domain are kept for the discriminators (0: none).
        """
        self.cycle, self.identity = cycle, identity
        self.distance = DISTANCES[distance]
        self.assemble(parts, noise=latent)
        self.conditions = parts.classes
        self.back = LatentGenerator(parts.generator, parts.shape, None, noise=latent, codes=0)
        self.back_average = copy.deepcopy(self.back).requires_grad_(False)
        self.back_discriminator = self.critic(None)
        self.back_penalties = copy.deepcopy(list(parts.penalties))
        self.buffers = nn.ModuleList(Buffer(buffer, parts.shape) for _ in range(2))
        self.translated: tuple[Batch, Translated] | None = None

    @property
    def needs(self) -> Needs:
        """Images of a further domain, and no label."""
        return Needs(source="domain", labels="none")

    @property
    def penalties(self) -> Sequence[Penalty]:
        """Those of both discriminators; each has averages of its own."""
        return [*self.parts.penalties, *self.back_penalties]

    def modules(self) -> dict[str, nn.Module]:
        """The modules that a checkpoint holds, by name."""
        return super().modules() | {
            "back": self.back,
            "back_average": self.back_average,
            "back_discriminator": self.back_discriminator,
            "back_penalties": nn.ModuleList(self.back_penalties),
            "buffers": self.buffers,
        }

    def averaged(self) -> list[tuple[nn.Module, nn.Module]]:
        """The generators of both ways."""
        return [*super().averaged(), (self.back_average, self.back)]

    def phases(self) -> Sequence[Phase]:
        """Both discriminators, and then both generators."""
        first, second = super().phases()
        return (
            replace(first, modules=(self.discriminator, self.back_discriminator)),
            replace(second, modules=(self.generator, self.back)),
        )

    def discriminator_losses(self, batch: Batch) -> Losses:
        """Weighted terms that the discriminators minimise: adversarial and penalties, twice."""
        assert batch.source is not None
        made = self.translate(batch)
        self.translated = batch, made
        there, back = (
            buffer(images.detach(), batch.rng)
            for buffer, images in zip(self.buffers, made, strict=True)
        )
        forth = self._pass(self.discriminator, batch.real, there, batch)
        home = self._pass(self.back_discriminator, batch.source, back, batch)
        losses = self._half(forth, self.parts.penalties, batch)
        back_losses = self._half(home, self.back_penalties, batch)
        real = torch.cat([forth.real_logits, home.real_logits])
        fake = torch.cat([forth.fake_logits, home.fake_logits])
        self.note(real, fake, batch)
        return losses | {f"back_{name}": term for name, term in back_losses.items()}

    def generator_losses(self, batch: Batch) -> Losses:
        """Weighted terms that the generators minimise: adversarial, twice, cycle and identity."""
        assert batch.source is not None
        made, self.translated = self.translated, None
        there, back = made[1] if made and made[0] is batch else self.translate(batch)
        losses = {
            "adversarial": self._fooled(self.discriminator, there, batch.real, batch),
            "back_adversarial": self._fooled(self.back_discriminator, back, batch.source, batch),
        }
        if self.cycle:
            losses["cycle"] = self.cycle * self._apart(
                (self._run(self.back, there, batch), batch.source),
                (self._run(self.generator, back, batch), batch.real),
            )
        if self.cycle * self.identity:
            losses["identity"] = (
                self.cycle
                * self.identity
                * self._apart(
                    (self._run(self.generator, batch.real, batch), batch.real),
                    (self._run(self.back, batch.source, batch), batch.source),
                )
            )
        return losses

    def translate(self, batch: Batch) -> Translated:
        """What the generators make of the batch's sources and of its real images."""
        assert batch.source is not None
        there = self._run(self.generator, batch.source, batch)
        return Translated(there, self._run(self.back, batch.real, batch))

    def _run(self, generator: LatentGenerator, images: Tensor, batch: Batch) -> Tensor:
        """What ``generator`` makes of ``images`` (N, C, H, W) and noise."""
        noise, codes = latents(generator, len(images), batch.rng)
        translated: Tensor = generator(noise.to(images), batch.labels, codes.to(images), images)
        return translated

    def _apart(self, *pairs: tuple[Tensor, Tensor]) -> Tensor:
        """The sum of the mean distances of the pairs' images."""
        return torch.stack([self.distance(made.float(), real) for made, real in pairs]).sum()

    def after_discriminator_step(self) -> None:
        """Let each discriminator's penalties change its weights."""
        super().after_discriminator_step()
        for penalty in self.back_penalties:
            penalty.after_step(self.back_discriminator.logit_parameters())
