"""The base of all GANs: two networks with their conditioning, and the losses of either half.

A generator sees noise, a *condition* (a class, or a categorical code) and continuous codes. A
discriminator scores packs of ``packing`` images (1: single ones); it is told their classes or not.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from augment.models.base import Batch, Losses, Model, Needs, Parts, Phase
from augment.models.critic import Critic
from augment.models.latents import LatentGenerator, latents
from augment.models.penalties import ForwardPass, Penalty, terms
from augment.vision.augmentations import Adaptive


class Fakes(NamedTuple):
    """Generated images (N, C, H, W), the conditions (N,) and codes (N, codes) they came from.

    ``styled`` (N,) are the conditions with their styles, which both networks are told.
    """

    images: Tensor
    conditions: Tensor
    codes: Tensor
    styled: Tensor


class AdversarialModel(Model):
    """The game of G against D; a model adds conditions, heads and their losses."""

    phase_names = ("discriminator", "generator")

    told = False  # whether the discriminator is given the class

    def assemble(
        self, parts: Parts, *, noise: int, codes: int = 0, conditions: int = 0, packing: int = 1,
        styles: int = 1,
    ) -> None:  # fmt: skip
        """Build both networks and the averaged generator, for ``styles`` of each condition."""
        self.parts = parts
        self.packing = packing
        self.conditions = conditions
        kinds = conditions * styles
        conditioning = parts.generator_condition(kinds) if conditions else None
        self.generator = LatentGenerator(
            parts.generator, parts.shape, conditioning, noise=noise, codes=codes,
            conditions=conditions, styles=styles,
        )  # fmt: skip
        told = parts.discriminator_condition(kinds, parts.shape, packing) if self.told else None
        self.discriminator = self.critic(told)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.facts: Losses = {}
        self.made: tuple[Batch, Fakes] | None = None  # by the discriminator's half of a step

    def critic(self, conditioning: nn.Module | None) -> Critic:
        """The discriminator; models with heads have their own."""
        return Critic(self.parts.discriminator, self.parts.shape, conditioning, self.packing)

    def modules(self) -> dict[str, nn.Module]:
        """The modules that a checkpoint holds, by name."""
        modules: dict[str, nn.Module] = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "average": self.average,
            "penalties": nn.ModuleList(self.parts.penalties),
        }
        if isinstance(self.parts.augment, nn.Module):
            modules["augment"] = self.parts.augment
        return modules

    def phases(self) -> Sequence[Phase]:
        """The discriminator's half, as often as the settings say, and then the generator's."""
        return (
            Phase(
                "discriminator",
                "d",
                (self.discriminator,),
                self.discriminator_losses,
                repeats=self.parts.discriminator_steps,
                second_order=self.second_order,
                after=self.after_discriminator_step,
            ),
            Phase("generator", "g", (self.generator,), self.generator_losses),
        )

    @property
    def needs(self) -> Needs:
        """A label for every image; as many images as fill packs."""
        return Needs(pack=self.packing)

    @property
    def penalties(self) -> Sequence[Penalty]:
        """The discriminator's penalties."""
        return self.parts.penalties

    def second_order(self, step: int) -> bool:
        """Whether a penalty's double backward pass, which needs full precision, is due."""
        return any(penalty.double_backward and penalty.due(step) for penalty in self.penalties)

    def discriminator_losses(self, batch: Batch) -> Losses:
        """Weighted terms that the discriminator minimises: adversarial, penalties, heads."""
        fakes = self.generate(batch)
        self.made = batch, fakes
        fakes = fakes._replace(images=fakes.images.detach())
        slopes = self.second_order(batch.step)
        real = self.show(self.real_of(batch), batch).requires_grad_(slopes)
        fake = self.show(fakes.images, batch).requires_grad_(slopes)
        labels = self.packed(fakes.styled)
        critic = self.discriminator
        real_features, fake_features = (critic.features(shown, labels) for shown in (real, fake))
        real_logits, fake_logits = (
            critic.logits_of(features, labels) for features in (real_features, fake_features)
        )
        losses = {
            "adversarial": self.parts.loss.discriminator(real=real_logits, fake=fake_logits),
            **self.discriminator_heads(real_features, fake_features, fakes, batch),
        }
        forward = ForwardPass(
            critic, real, fake, labels, real_logits, fake_logits, batch.rng, self.parts.augment
        )
        losses |= terms(self.penalties, forward, batch.step)
        self.note(real_logits, fake_logits, batch)
        return losses

    def generator_losses(self, batch: Batch) -> Losses:
        """Weighted terms that the generator minimises."""
        fakes = self.fakes_of(batch)
        labels = self.packed(fakes.styled)
        features = self.discriminator.features(self.show(fakes.images, batch), labels)
        fake = self.discriminator.logits_of(features, labels)
        real = None
        if self.parts.loss.paired:
            with torch.no_grad():
                real = self.discriminator(self.show(self.real_of(batch), batch), labels)
        return {
            "adversarial": self.parts.loss.generator(fake=fake, real=real),
            **self.generator_heads(features, fakes, batch),
        }

    def _pass(self, critic: Critic, real: Tensor, fake: Tensor, batch: Batch) -> ForwardPass:
        """``critic``'s pass over ``real`` and ``fake`` (N, C, H, W), which it is shown."""
        slopes = self.second_order(batch.step)
        real, fake = (self.show(images, batch).requires_grad_(slopes) for images in (real, fake))
        labels = self.packed(batch.labels)
        logits = (critic(real, labels), critic(fake, labels))
        return ForwardPass(critic, real, fake, labels, *logits, batch.rng, self.parts.augment)

    def _half(self, forward: ForwardPass, penalties: Sequence[Penalty], batch: Batch) -> Losses:
        """The terms of a discriminator whose pass is ``forward``."""
        loss = self.parts.loss.discriminator(real=forward.real_logits, fake=forward.fake_logits)
        return {"adversarial": loss, **terms(penalties, forward, batch.step)}

    def _fooled(self, critic: Critic, fake: Tensor, real: Tensor, batch: Batch) -> Tensor:
        """The adversarial term of the generator that made ``fake`` (N, C, H, W)."""
        labels = self.packed(batch.labels)
        logits = None
        if self.parts.loss.paired:
            with torch.no_grad():
                logits = critic(self.show(real, batch), labels)
        return self.parts.loss.generator(fake=critic(self.show(fake, batch), labels), real=logits)

    def fakes_of(self, batch: Batch) -> Fakes:
        """The fakes of the generator's half of a step, which holds ``batch``.

        They are those that the discriminator has just seen with it: the generator has not changed
        since, and half of its passes are saved.
        """
        made, self.made = self.made, None
        return made[1] if made and made[0] is batch else self.generate(batch)

    def discriminator_heads(self, real: Tensor, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """Further losses of the discriminator, from features (N, width) of real and fake packs."""
        return {}

    def generator_heads(self, fake: Tensor, fakes: Fakes, batch: Batch) -> Losses:
        """Further losses of the generator, from features (N, width) of fake packs."""
        return {}

    def draw_conditions(self, batch: Batch) -> Tensor:
        """The conditions (N,) of a step's fakes: the classes of the batch's real images."""
        return batch.labels

    def real_of(self, batch: Batch) -> Tensor:
        """The real images (N, C, H, W) that generated ones are told from."""
        return batch.real

    def after_discriminator_step(self) -> None:
        """Let the penalties change the discriminator's weights."""
        for penalty in self.penalties:
            penalty.after_step(self.discriminator.logit_parameters())

    def show(self, images: Tensor, batch: Batch) -> Tensor:
        """Images as the discriminator sees them: augmented, noisy, packed."""
        images = self.parts.augment(images, batch.rng)
        left = 1 - batch.done / self.parts.noise_until
        if self.parts.instance_noise and left > 0:
            rng = batch.rng
            noise = torch.randn(images.shape, generator=rng, device=rng.device).to(images)
            images = images + noise * (self.parts.instance_noise * left)
        if self.packing == 1:
            return images
        packs = images.reshape(-1, self.packing * images.shape[1], *images.shape[2:])
        return packs.contiguous(memory_format=torch.channels_last)

    def packed(self, labels: Tensor) -> Tensor:
        """Classes (N,) as those of packs (N / packing, packing)."""
        return labels.view(-1, self.packing)

    def note(self, real: Tensor, fake: Tensor, batch: Batch) -> None:
        """Keep how many logits (N,) of either kind are right.

        An adaptive augmentation follows how often they are sure (Karras et al. 2020).
        """
        self.facts = {
            "accuracy": (real > fake).float().mean().detach(),
            "accuracy_real": (real > 0).float().mean().detach(),
            "accuracy_fake": (fake < 0).float().mean().detach(),
        }
        if isinstance(self.parts.augment, Adaptive):
            certainty = real - fake if self.parts.loss.paired else real
            self.parts.augment.update(certainty.detach().sign().mean(), len(batch.real))
            self.facts["p"] = self.parts.augment.p.clone()

    def generate(self, batch: Batch) -> Fakes:
        """As many generated images as ``batch`` has real ones, drawn with its ``rng``.

        They have the styles of the real images.
        """
        noise, codes = latents(self.generator, len(batch.labels), batch.rng)
        noise, codes = noise.to(batch.real), codes.to(batch.real)
        conditions = styled = self.draw_conditions(batch)
        styles = batch.styles
        if styles is not None:
            self.generator.note(conditions, styles)
            styled = conditions * self.generator.styles + styles
        images = self.generator(noise, conditions, codes, source=batch.source, styles=styles)
        return Fakes(images, conditions, codes, styled)
