"""LAPGAN: a game for each size of a Laplacian pyramid, given the next smaller image."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from augment.models.adversarial import AdversarialModel
from augment.models.base import MODELS, Batch, Losses, Parts
from augment.models.critic import Critic
from augment.models.latents import latents
from augment.models.networks.pyramid import Generator, blurred, scaled
from augment.models.penalties import Penalty
from augment.registry import Count


class PyramidCritic(nn.Module):
    """A critic for each size; but for the smallest it sees an image beside its blurred self."""

    def __init__(self, parts: Parts, sizes: Sequence[tuple[int, int]]):
        """For ``sizes``, the smallest first."""
        super().__init__()
        self.levels = nn.ModuleList()
        channels = parts.shape[0]
        for number, size in enumerate(sizes):
            shape = (channels * (2 if number else 1), *size)
            told = parts.discriminator_condition(parts.classes, shape, 1)
            self.levels.append(Critic(parts.discriminator, shape, told, 1))

    def __iter__(self) -> Iterator[Critic]:
        """The critics, the smallest size's first."""
        return iter(self.levels)  # type: ignore[arg-type]


@MODELS.register(
    "lapgan",
    paper="Denton et al. 2015, Deep Generative Image Models using a Laplacian Pyramid of "
    "Adversarial Networks (arXiv:1506.05751)",
)
class PyramidGan(AdversarialModel):
    """Each size is a conditional GAN of its own: details, given the class and the smaller image.

    In training that is the real one, in a sample the one just made.
    """

    matched = True
    generators = Generator
    network: Generator
    discriminator: PyramidCritic  # type: ignore[assignment]

    def __init__(self, parts: Parts, *, noise: Count = 32):
        """``noise`` Gaussian inputs of each size."""
        self.assemble(parts, noise=noise, conditions=parts.classes)
        self.pairs: tuple[Batch, list[tuple[Tensor, Tensor]]] | None = None

    def critic(self, conditioning: nn.Module | None) -> PyramidCritic:  # type: ignore[override]
        """A critic for each size, with penalties of its own."""
        self.network = self.generator.network  # type: ignore[assignment]
        self.names = ["x".join(map(str, size)) for size in self.network.sizes]
        self.level_penalties = [copy.deepcopy(list(self.parts.penalties)) for _ in self.names]
        return PyramidCritic(self.parts, self.network.sizes)

    @property
    def penalties(self) -> Sequence[Penalty]:
        """Those of all critics; each has averages of its own."""
        return [penalty for penalties in self.level_penalties for penalty in penalties]

    def modules(self) -> dict[str, nn.Module]:
        """The modules that a checkpoint holds, by name."""
        return super().modules() | {"penalties": nn.ModuleList(self.penalties)}

    def discriminator_losses(self, batch: Batch) -> Losses:
        """Weighted terms that the critics minimise, by size."""
        pairs = self.pairs_of(batch)
        self.pairs = batch, pairs
        losses: Losses = {}
        logits: list[tuple[Tensor, Tensor]] = []
        for name, critic, penalties, (real, fake) in zip(
            self.names, self.discriminator, self.level_penalties, pairs, strict=True
        ):
            forward = self._pass(critic, real, fake.detach(), batch)
            half = self._half(forward, penalties, batch)
            losses |= {f"{key}_{name}": term for key, term in half.items()}
            logits.append((forward.real_logits, forward.fake_logits))
        real, fake = (torch.cat(part) for part in zip(*logits, strict=True))
        self.note(real, fake, batch)
        return losses

    def generator_losses(self, batch: Batch) -> Losses:
        """Weighted terms that the generators minimise, by size."""
        last, self.pairs = self.pairs, None
        pairs = last[1] if last and last[0] is batch else self.pairs_of(batch)
        return {
            f"adversarial_{name}": self._fooled(critic, fake, real, batch)
            for name, critic, (real, fake) in zip(
                self.names, self.discriminator, pairs, strict=True
            )
        }

    def pairs_of(self, batch: Batch) -> list[tuple[Tensor, Tensor]]:
        """What each critic sees of the batch and of images made by its size's generator."""
        noise, codes = latents(self.generator, len(batch.labels), batch.rng)
        inputs, vector = self.generator.inputs_of(
            noise.to(batch.real), batch.labels, codes.to(batch.real)
        )
        real = scaled(batch.real, self.network.sizes)
        made = self.network.each(inputs, vector, real)
        pairs = [(real[0], made[0])]
        for size, smaller, *images in zip(
            self.network.sizes[1:], real[:-1], real[1:], made[1:], strict=True
        ):
            under = blurred(smaller, size)
            first, second = (torch.cat([image, under.to(image)], 1) for image in images)
            pairs.append((first, second))
        return pairs

    def after_discriminator_step(self) -> None:
        """Let each critic's penalties change its weights."""
        for critic, penalties in zip(self.discriminator, self.level_penalties, strict=True):
            for penalty in penalties:
                penalty.after_step(critic.logit_parameters())
