"""The conditional variational autoencoder: the rival that most people try before a GAN."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from augment.models.base import MODELS, Batch, Losses, Model, Parts, Phase
from augment.models.latents import LatentGenerator
from augment.registry import Amount, Count

EDGE = 1e-4  # least probability of a pixel value, so that no logarithm is infinite


class Encoder(nn.Module):
    """The discriminator's network, told the class, with the mean and variance of q(z | x, c)."""

    def __init__(self, parts: Parts, latent: int):
        """Build the network for single images; ``latent`` numbers describe one."""
        super().__init__()
        self.classes = parts.classes
        self.network = parts.discriminator(parts.shape)
        width = int(self.network.width)  # type: ignore[arg-type]
        self.moments = nn.Linear(width + parts.classes, 2 * latent)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances (N, latent) of images (N, C, H, W) with class indices (N,)."""
        classes = functional.one_hot(labels, self.classes).to(images.dtype)
        features = torch.cat([self.network(images), classes], 1)
        mean, log_variance = self.moments(features).chunk(2, 1)
        return mean, log_variance


@MODELS.register(
    "vae",
    paper="Kingma & Welling 2014, Auto-Encoding Variational Bayes (arXiv:1312.6114); "
    "Sohn et al. 2015, Learning Structured Output Representation (conditional); "
    "Higgins et al. 2017, beta-VAE",
)
class ConditionalVae(Model):
    """An image and its class are coded into a normal distribution from which it is drawn again."""

    phase_names = ("autoencoder",)
    matched = True

    def __init__(
        self,
        parts: Parts,
        *,
        latent: Count = 16,
        likelihood: Literal["gaussian", "bernoulli"] = "gaussian",
        deviation: Annotated[float, Field(gt=0)] = 0.3,
        beta: Amount = 1.0,
    ):
        """``latent`` numbers code an image; ``beta`` weighs the KL term (1: the bound itself).

        ``gaussian`` takes a normal distribution of ``deviation`` around each pixel value (from -1
        to 1): the smaller it is, the more an image may tell in its code. 0.3 was chosen on
        scikit-learn's digits, where samples then vary within a class as real images do (0.2 goes
        beyond, and its KID is worse). ``bernoulli`` reads a pixel as a probability from 0 to 1; on
        grey images it leaves so little to the code that some classes come out all alike.
        """
        self.parts, self.beta = parts, beta
        self.likelihood, self.deviation = likelihood, deviation
        self.conditions, self.facts = parts.classes, {}
        conditioning = parts.generator_condition(parts.classes)
        self.encoder = Encoder(parts, latent)
        self.generator = LatentGenerator(
            parts.generator, parts.shape, conditioning, noise=latent, codes=0
        )
        self.average = copy.deepcopy(self.generator).requires_grad_(False)

    def phases(self) -> Sequence[Phase]:
        """One: both networks minimise the negative bound."""
        return (Phase("autoencoder", "a", (self.encoder, self.generator), self.losses),)

    def modules(self) -> dict[str, nn.Module]:
        """All that a checkpoint holds, by name."""
        return {"encoder": self.encoder, "generator": self.generator, "average": self.average}

    def losses(self, batch: Batch) -> Losses:
        """The two terms of the negative evidence lower bound, in nats per pixel value."""
        shown = self.parts.augment(batch.real, batch.rng)
        mean, log_variance = (part.float() for part in self.encoder(shown, batch.labels))
        noise = torch.randn(mean.shape, generator=batch.rng, device=batch.rng.device).to(mean)
        latent = mean + noise * (log_variance / 2).exp()
        made = self.generator(latent, batch.labels, latent.new_zeros(len(latent), 0))
        values = math.prod(self.parts.shape)
        surprise = negative_log_likelihood(made.float(), shown, self.likelihood, self.deviation)
        return {
            "reconstruction": surprise.mean() / values,
            "kl": divergence(mean, log_variance).mean() * (self.beta / values),
        }


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL (N,) in nats of normal distributions (N, L) from the standard one, 0 … ∞.

    Kingma & Welling 2014, appendix B: ½ Σ (μ² + σ² − 1 − log σ²).
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2


def negative_log_likelihood(
    made: Tensor, real: Tensor, likelihood: str, deviation: float
) -> Tensor:
    """Surprise (N,) in nats at ``real`` images, given ``made`` ones; both (N, C, H, W) in [-1, 1].

    Bernoulli: the cross-entropy of the pixels as probabilities. Gaussian: the density's, with its
    constant, so that it may lie below 0.
    """
    if likelihood == "gaussian":
        constant = math.log(deviation * math.sqrt(2 * math.pi))
        return (((real - made) / deviation).square() / 2 + constant).flatten(1).sum(1)
    share = ((made + 1) / 2).clamp(EDGE, 1 - EDGE)
    ink = (real + 1) / 2
    return -(ink * share.log() + (1 - ink) * (1 - share).log()).flatten(1).sum(1)
