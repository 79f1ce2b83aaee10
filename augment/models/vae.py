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

from augment.models.base import MODELS, Batch, Losses, Parts, Phase
from augment.models.density import bits_a_dimension, dequantised, standard
from augment.models.latents import LatentGenerator
from augment.models.rivals import Labels, Rival
from augment.registry import Amount, Count

DEVIATION = 0.3  # of a pixel value, from -1 to 1, in images of 64 values
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
    "Higgins et al. 2017, beta-VAE; Tomczak & Welling 2018, VAE with a VampPrior (learned prior)",
)
class ConditionalVae(Rival):
    """An image and its class are coded into a normal distribution from which it is drawn again."""

    phase_names = ("autoencoder",)

    def __init__(
        self,
        parts: Parts,
        *,
        latent: Count = 16,
        likelihood: Literal["gaussian", "bernoulli"] = "gaussian",
        deviation: Annotated[float, Field(gt=0)] | None = None,
        beta: Amount = 1.0,
        prior: Literal["normal", "mixture"] = "normal",
        components: Count = 4,
        labels: Labels = "all",
    ):
        """``latent`` numbers code an image; ``beta`` weighs the KL term (1: the bound itself).

        ``gaussian`` takes a normal distribution of ``deviation`` around each pixel value (from -1
        to 1): the smaller it is, the more an image may tell in its code. Null is 0.3 for 64 values
        an image and grows with their fourth root. 0.3 was chosen on scikit-learn's digits, where
        samples then vary within a class as real images do (0.2 goes beyond, and its KID is worse);
        at 28 × 28 pixels 0.6 draws the right class more often. ``bernoulli`` reads a pixel as a
        probability from 0 to 1; on grey images it leaves so little to the code that some classes
        come out all alike.

        A ``mixture`` as prior is learned with the networks: for each class as many ``components``,
        normal distributions of codes; ``normal`` is the standard one for all. With ``labels: half``
        images without a label are learned too, with the label that a neighbour graph of all images
        guesses.
        """
        self.parts, self.beta, self.labels = parts, beta, labels
        usual = DEVIATION * (math.prod(parts.shape) / 64) ** 0.25
        self.likelihood, self.deviation = likelihood, deviation or usual
        self.conditions, self.facts = parts.classes, {}
        conditioning = parts.generator_condition(parts.classes)
        self.encoder = Encoder(parts, latent)
        self.generator = LatentGenerator(
            parts.generator, parts.shape, conditioning, noise=latent, codes=0,
            conditions=parts.classes, components=components if prior == "mixture" else 0,
        )  # fmt: skip
        self.average = copy.deepcopy(self.generator).requires_grad_(False)

    def phases(self) -> Sequence[Phase]:
        """One: both networks minimise the negative bound."""
        return (Phase("autoencoder", "a", (self.encoder, self.generator), self.losses),)

    def modules(self) -> dict[str, nn.Module]:
        """All that a checkpoint holds, by name."""
        return {"encoder": self.encoder, **super().modules()}

    def losses(self, batch: Batch) -> Losses:
        """The two terms of the negative evidence lower bound, in nats per pixel value."""
        shown = self.parts.augment(batch.real, batch.rng)
        surprise, kl = self.bound(self.generator, shown, batch.labels, batch.rng)
        values = math.prod(self.parts.shape)
        return {
            "reconstruction": surprise.mean() / values,
            "kl": kl.mean() * (self.beta / values),
        }

    def bound(
        self, generator: LatentGenerator, images: Tensor, labels: Tensor, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Surprise at images given a code, and that code's divergence from the prior; (N,) nats.

        Their sum bounds the surprise at the images from above, for a code at random on average.
        Under a learned prior the divergence is that of this code, which may lie below 0.
        """
        mean, log_variance = (part.float() for part in self.encoder(images, labels))
        noise = torch.randn(mean.shape, generator=rng, device=rng.device).to(mean)
        latent = mean + noise * (log_variance / 2).exp()
        if generator.prior is None:
            kl = divergence(mean, log_variance)
        else:
            coded = standard(noise) - log_variance.sum(1) / 2
            kl = coded - generator.prior.log_density(latent, labels)
        made = generator.decode(latent, labels, latent.new_zeros(len(latent), 0))
        return negative_log_likelihood(made.float(), images, self.likelihood, self.deviation), kl

    @torch.no_grad()
    def bits(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor | None:
        """The bound, whatever ``beta`` is; None for ``bernoulli``, which is no density of images.

        With a fixed ``deviation`` it says more about that number than about the samples.
        """
        if self.likelihood != "gaussian":
            return None
        self.encoder.eval()
        self.average.eval()
        shown = dequantised(images, rng)
        surprise, kl = self.bound(self.average, shown, labels, rng)
        self.encoder.train()
        return bits_a_dimension(surprise + kl, math.prod(self.parts.shape))


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
