"""Densities: of the codes of a class, from which models sample, and of images in bits."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

FLOOR = 0.05  # least standard deviation of a component: fewer images than numbers leave it no width
APART = 0.5  # standard deviation of the components' means at the start
QUICK = 10.0  # times as far as a network's weights do all numbers of a density move in a step
LEVEL = 1 / 127.5  # a grey value, in units of [-1, 1]


class ClassMixture(nn.Module):
    """For each class a mixture of normal distributions of codes, whose numbers may correlate.

    Learned by gradient. As the prior of a variational autoencoder: Tomczak & Welling 2018, VAE with
    a VampPrior (arXiv:1705.07120), which compares it; fitted to the codes of a plain one: Ghosh et
    al. 2020, From Variational to Deterministic Autoencoders (arXiv:1903.12436).
    """

    def __init__(self, classes: int, components: int, size: int):
        """``components`` of each class, for codes of ``size`` numbers."""
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(classes, components))
        self.means = nn.Parameter(torch.randn(classes, components, size) * (APART / QUICK))
        self.roots = nn.Parameter(torch.zeros(classes, components, size, size))

    @property
    def components(self) -> int:
        """Components of each class."""
        return self.weights.shape[1]

    def logits(self) -> Tensor:
        """The logits (classes, components) of the components' weights."""
        return self.weights * QUICK

    def factors(self, roots: Tensor) -> Tensor:
        """The factors L of covariances L Lᵀ, of the same shape (…, S, S) as ``roots``."""
        roots = roots * QUICK
        diagonal = FLOOR + roots.diagonal(dim1=-2, dim2=-1).exp() * (1 - FLOOR)
        return roots.tril(-1) + torch.diag_embed(diagonal)

    def forward(self, normal: Tensor, classes: Tensor) -> Tensor:
        """Codes (N, size) of classes (N,) for normal numbers (N, size + 1).

        The last number picks the component, the others its point.
        """
        places = picked(normal[:, -1], self.logits().softmax(1)[classes])
        factors = self.factors(self.roots[classes, places])
        around = (factors @ normal[:, :-1, None])[..., 0]
        codes: Tensor = self.means[classes, places] * QUICK + around
        return codes

    def log_density(self, codes: Tensor, classes: Tensor) -> Tensor:
        """The logarithm (N,) of the density of codes (N, size) of classes (N,)."""
        factors = self.factors(self.roots[classes])
        away = (codes[:, None] - self.means[classes] * QUICK)[..., None]
        normal = torch.linalg.solve_triangular(factors, away, upper=False)[..., 0]
        volume = factors.diagonal(dim1=-2, dim2=-1).log().sum(2)
        logs = self.logits()[classes].log_softmax(1) - volume + standard(normal)
        return logs.logsumexp(1)


def standard(normal: Tensor) -> Tensor:
    """The logarithm (…) of the standard normal density at points (…, S)."""
    return -(normal.square() + math.log(2 * math.pi)).sum(-1) / 2


def picked(normal: Tensor, weights: Tensor) -> Tensor:
    """Places (N,) for normal numbers (N,), each as often as its weight in (N, K) says."""
    ends = weights.double().cumsum(1)
    places = torch.special.ndtr(normal.double()) * ends[:, -1]
    kinds: Tensor = (places[:, None] >= ends[:, :-1]).sum(1)
    return kinds


def dequantised(images: Tensor, rng: torch.Generator) -> Tensor:
    """Images of grey values in [-1, 1] with uniform noise as wide as one of them.

    A density of such images bounds the probability of the grey values (Theis et al. 2016).
    """
    noise = torch.rand(images.shape, generator=rng, device=rng.device).to(images)
    return images + (noise - 0.5) * LEVEL


def bits_a_dimension(surprise: Tensor, values: int) -> Tensor:
    """Bits a dimension from nats (N,): minus the log density of ``values`` values in [-1, 1]."""
    return surprise / (values * math.log(2)) - math.log2(LEVEL)
