"""Conditional GAN and InfoGAN.

The generator sees noise, an embedding of the class and continuous codes. The discriminator scores
an image for its class by projection (Miyato & Koyama 2018); InfoGAN's Q shares its trunk, and with
it its optimiser.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from augment.augmentations import Augmentation
from augment.losses import Loss
from augment.models import MODELS
from augment.networks import Shape
from augment.penalties import Judged, Penalty
from augment.registry import Amount, Count

Losses = dict[str, Tensor]
Ranges = Mapping[int, tuple[float, float]]  # of a continuous code, by its number


@dataclass(frozen=True)
class Parts:
    """What a model is put together from."""

    shape: Shape
    classes: int
    generator: Callable[[int, Shape], nn.Module]
    discriminator: Callable[[Shape], nn.Module]
    loss: Loss
    penalties: Sequence[Penalty]
    augment: Augmentation


@dataclass(frozen=True)
class Batch:
    """Real images (N, C, H, W) in [-1, 1], class indices (N,), the step and its randomness."""

    real: Tensor
    labels: Tensor
    step: int
    rng: torch.Generator


class ConditionalGenerator(nn.Module):
    """A generator network fed with noise, a class embedding and codes."""

    def __init__(
        self, network: Callable[[int, Shape], nn.Module], shape: Shape, *,
        classes: int, noise: int, embedding: int, codes: int,
    ):  # fmt: skip
        """Build ``network`` for inputs of ``noise + embedding + codes`` numbers."""
        super().__init__()
        self.noise = noise
        self.codes = codes
        self.embed = nn.Embedding(classes, embedding)
        self.network = network(noise + embedding + codes, shape)

    def forward(self, noise: Tensor, labels: Tensor, codes: Tensor) -> Tensor:
        """(N, noise), (N,), (N, codes) to images (N, C, H, W) in [-1, 1]."""
        images: Tensor = self.network(torch.cat([noise, self.embed(labels), codes], 1))
        return images


class Critic(nn.Module):
    """A discriminator network with a logit that depends on the class by projection."""

    def __init__(self, network: nn.Module, classes: int):
        """``network`` gives features (N, network.width)."""
        super().__init__()
        self.network = network
        width: int = network.width  # type: ignore[assignment]
        self.logit = nn.Linear(width, 1)
        self.embed = nn.Embedding(classes, width)
        nn.init.normal_(self.embed.weight, std=width**-0.5)

    def judge(self, features: Tensor, labels: Tensor) -> Tensor:
        """Features (N, width) and classes (N,) to logits (N,)."""
        projected = (self.embed(labels) * features).sum(1)
        logits: Tensor = self.logit(features)[:, 0] + projected
        return logits

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Images (N, C, H, W) and classes (N,) to logits (N,)."""
        return self.judge(self.network(images), labels)


@MODELS.register("cgan", paper="Mirza & Osindero 2014 (arXiv:1411.1784)")
class ConditionalGan:
    """A class label in, images of that class out."""

    def __init__(self, parts: Parts, *, noise: Count = 62, embedding: Count = 32):
        """``noise`` Gaussian inputs and a class embedding of ``embedding`` numbers."""
        self._build(parts, noise, embedding, codes=0)

    def _build(self, parts: Parts, noise: int, embedding: int, codes: int) -> None:
        self.parts = parts
        self.generator = ConditionalGenerator(
            parts.generator, parts.shape,
            classes=parts.classes, noise=noise, embedding=embedding, codes=codes,
        )  # fmt: skip
        self.discriminator = Critic(parts.discriminator(parts.shape), parts.classes)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)

    def penalised(self, step: int) -> bool:
        """Whether a penalty's double backward pass, which needs full precision, is due."""
        return any(penalty.due(step) for penalty in self.parts.penalties)

    def discriminator_losses(self, batch: Batch) -> Losses:
        """Weighted terms that the discriminator minimises: adversarial, penalties, codes."""
        due = [penalty for penalty in self.parts.penalties if penalty.due(batch.step)]
        with torch.no_grad():
            fake, codes = self._generate(batch)
        real = self.parts.augment(batch.real, batch.rng).requires_grad_(bool(due))
        fake = self.parts.augment(fake, batch.rng).requires_grad_(bool(due))
        real_features = self.discriminator.network(real)
        fake_features = self.discriminator.network(fake)
        real_logits = self.discriminator.judge(real_features, batch.labels)
        fake_logits = self.discriminator.judge(fake_features, batch.labels)
        losses = {
            "adversarial": self.parts.loss.discriminator(real=real_logits, fake=fake_logits),
            **self._code_losses(fake_features, batch.labels, codes),
            **self._label_losses(real_features, batch.labels),
        }
        judged = Judged(
            self.discriminator, real, fake, batch.labels, real_logits, fake_logits, batch.rng
        )
        for penalty in due:
            name = type(penalty).__name__.lower()
            losses[name] = penalty.term(judged) * (penalty.weight * penalty.interval)
        self.accuracy = (real_logits > fake_logits).float().mean().detach()
        return losses

    def generator_losses(self, batch: Batch) -> Losses:
        """Weighted terms that the generator minimises."""
        fake, codes = self._generate(batch)
        features = self.discriminator.network(self.parts.augment(fake, batch.rng))
        fake_logits = self.discriminator.judge(features, batch.labels)
        with torch.no_grad():
            real = self.parts.augment(batch.real, batch.rng)
            real_logits = self.discriminator(real, batch.labels)
        return {
            "adversarial": self.parts.loss.generator(fake=fake_logits, real=real_logits),
            **self._code_losses(features, batch.labels, codes),
        }

    def after_discriminator_step(self) -> None:
        """What penalties do to the weights themselves."""
        for penalty in self.parts.penalties:
            penalty.after_step(self.discriminator)

    @torch.no_grad()
    def on_step(self, step: int, decay: float) -> None:
        """Move the averaged generator; the average warms up so that it forgets the start."""
        share = 1 - min(decay, (1 + step) / (10 + step))
        pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
        averages, currents = map(list, zip(*pairs, strict=True))
        torch._foreach_lerp_(averages, currents, share)
        for mean, now in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            mean.copy_(now)

    @torch.no_grad()
    def sample(
        self,
        labels: Tensor,
        *,
        generator: torch.Generator,
        codes: Tensor | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] of the averaged generator; ``codes`` (N, codes)."""
        noise, drawn = latents(self.average, len(labels), generator, truncation=truncation)
        codes = drawn if codes is None else codes
        self.average.eval()
        images: Tensor = self.average(noise.to(labels.device), labels, codes.to(labels.device))
        return images

    def ignored(self, row: Mapping[str, float]) -> str | None:
        """Why the mean losses of a measurement say that a code is ignored, or None."""
        return None

    def _generate(self, batch: Batch) -> tuple[Tensor, Tensor]:
        noise, codes = latents(self.generator, len(batch.labels), batch.rng)
        noise, codes = noise.to(batch.real), codes.to(batch.real)
        return self.generator(noise, batch.labels, codes), codes

    def _code_losses(self, features: Tensor, labels: Tensor, codes: Tensor) -> Losses:
        return {}

    def _label_losses(self, features: Tensor, labels: Tensor) -> Losses:
        return {}


class InfoCritic(Critic):
    """A critic whose trunk also tells class and codes of a generated image."""

    def __init__(self, network: nn.Module, classes: int, codes: int):
        """Heads for ``classes`` logits and ``codes`` numbers."""
        super().__init__(network, classes)
        width: int = network.width  # type: ignore[assignment]
        self.hidden = nn.Sequential(nn.Linear(width, 128), nn.LeakyReLU(0.2))
        self.category = nn.Linear(128, classes)
        self.codes = nn.Linear(128, codes)

    def infer(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features to class logits (N, classes) and codes (N, codes)."""
        hidden = self.hidden(features)
        return self.category(hidden), self.codes(hidden)


@MODELS.register("infogan", paper="Chen et al. 2016, InfoGAN (arXiv:1606.03657)")
class InfoGan(ConditionalGan):
    """A conditional GAN whose class and continuous codes must be readable from its images."""

    def __init__(
        self,
        parts: Parts,
        *,
        noise: Count = 62,
        embedding: Count = 32,
        continuous: Annotated[int, Field(ge=0)] = 2,
        class_weight: Amount = 0.2,
        code_weight: Amount = 0.1,
    ):
        """``continuous`` codes are uniform on [-1, 1]; weights are those of Q's two losses."""
        self._build(parts, noise, embedding, codes=continuous)
        network = self.discriminator.network
        self.discriminator: InfoCritic = InfoCritic(network, parts.classes, continuous)
        self.class_weight = class_weight
        self.code_weight = code_weight

    def _code_losses(self, features: Tensor, labels: Tensor, codes: Tensor) -> Losses:
        categories, guesses = self.discriminator.infer(features)
        losses = {"q_class": functional.cross_entropy(categories, labels) * self.class_weight}
        if codes.shape[1]:  # three times the squared error: 1 for a guess of zero
            error = functional.mse_loss(guesses, codes) * 3
            losses["q_codes"] = error * self.code_weight
        return losses

    def _label_losses(self, features: Tensor, labels: Tensor) -> Losses:
        categories, _ = self.discriminator.infer(features)
        return {"class": functional.cross_entropy(categories, labels) * self.class_weight}

    def ignored(self, row: Mapping[str, float]) -> str | None:
        """Q no better than chance: cross-entropy of ln K, squared error of the prior."""
        chance = math.log(self.parts.classes)
        found = row["g_q_class"] / self.class_weight if self.class_weight else 0.0
        if found >= chance:
            return f"class loss {found:.3f} against ln K = {chance:.3f}"
        found = row.get("g_q_codes", 0.0) / (self.code_weight or 1.0)
        return f"code loss {found:.3f} against 1 for a blind guess" if found >= 0.995 else None


def latents(
    generator: ConditionalGenerator,
    count: int,
    rng: torch.Generator,
    *,
    ranges: Ranges = MappingProxyType({}),
    truncation: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Noise (count, noise), normal, and codes (count, codes), uniform on [-1, 1].

    ``ranges`` narrows or widens single codes to [low, high]; ``truncation`` bounds the noise
    (Brock et al. 2019, BigGAN). Neither changes what the rest of the draw is.
    """
    noise = torch.randn(count, generator.noise, generator=rng, device=rng.device)
    codes = torch.rand(count, generator.codes, generator=rng, device=rng.device) * 2 - 1
    for index, (low, high) in ranges.items():
        codes[:, index] = low + (codes[:, index] + 1) / 2 * (high - low)
    return (noise if truncation is None else truncate(noise, truncation)), codes


def truncate(noise: Tensor, limit: float) -> Tensor:
    """Normal numbers to normal numbers that lie within ±``limit``, in the same order."""
    root = math.sqrt(2)
    share = torch.erf(noise.double() / root) * math.erf(limit / root)  # a float32 soon rounds to 1
    return (root * torch.erfinv(share)).to(noise).clamp(-limit, limit)


def state(model: ConditionalGan) -> dict[str, Any]:
    """The model's modules by name, for checkpoints."""
    return {
        "generator": model.generator,
        "discriminator": model.discriminator,
        "average": model.average,
    }
