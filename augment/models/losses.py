"""Adversarial losses: both halves side by side, on logits, keyword-only.

``discriminator(*, real, fake)`` and ``generator(*, fake, real=None)`` take logits (N,) and give the
scalar to minimise. Logits of a pair (real[i], fake[i]) belong to the same label.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from augment.registry import Fraction, Registry

LOSSES = Registry("loss")


class Loss:
    """What every loss offers; ``paired`` ones need the logits of real images in both halves."""

    paired = False

    def discriminator(self, *, real: Tensor, fake: Tensor) -> Tensor:
        """What the discriminator minimises."""
        raise NotImplementedError

    def generator(self, *, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """What the generator minimises."""
        raise NotImplementedError


@LOSSES.register("vanilla", paper="Goodfellow et al. 2014 (arXiv:1406.2661), equation 1")
class Vanilla(Loss):
    """The minimax game of 2014; its generator learns little while the discriminator is sure."""

    def __init__(self, *, smoothing: Fraction = 0.0):
        """Real images have the target 1 - ``smoothing`` (Salimans et al. 2016, one-sided)."""
        self.smoothing = smoothing

    def discriminator(self, *, real: Tensor, fake: Tensor) -> Tensor:
        """Cross-entropy of real against fake; 2 ln 2 at logits of zero."""
        # log(1 - σ(f)) = log σ(f) - f, so the smoothed target adds no second logarithm
        return (softplus(-real) + self.smoothing * real).mean() + softplus(fake).mean()

    def generator(self, *, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """log(1 - D(G(z))); -ln 2 at logits of zero."""
        return -softplus(fake).mean()


@LOSSES.register("non_saturating", paper="Goodfellow et al. 2014 (arXiv:1406.2661), section 3")
class NonSaturating(Vanilla):
    """-log D(x) - log(1 - D(G(z))) against -log D(G(z)): the form that is used in practice."""

    def generator(self, *, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """-log D(G(z)); ln 2 at logits of zero."""
        return softplus(-fake).mean()


@LOSSES.register("lsgan", paper="Mao et al. 2017, Least Squares GANs (arXiv:1611.04076)")
class LeastSquares(Loss):
    """Half the squared distance of each logit to a target, so that no logit runs away."""

    def __init__(self, *, a: float = 0.0, b: float = 1.0, c: float = 1.0):
        """The discriminator wants ``a`` for fakes and ``b`` for reals, the generator ``c``."""
        self.a, self.b, self.c = a, b, c

    def discriminator(self, *, real: Tensor, fake: Tensor) -> Tensor:
        """½ E (D(x) - b)² + ½ E (D(G(z)) - a)²."""
        return ((real - self.b).square().mean() + (fake - self.a).square().mean()) / 2

    def generator(self, *, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """½ E (D(G(z)) - c)²."""
        return (fake - self.c).square().mean() / 2


Divergence = Literal["kl", "reverse_kl", "pearson", "squared_hellinger", "jensen_shannon", "gan"]


class _Form(NamedTuple):
    """An f-divergence on logits v: g_f(v), and f*(g_f(v)) simplified; both rise with v."""

    activation: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]


_FORMS: dict[Divergence, _Form] = {
    "kl": _Form(lambda v: v, lambda v: (v - 1).exp()),
    "reverse_kl": _Form(lambda v: -(-v).exp(), lambda v: v - 1),
    "pearson": _Form(lambda v: v, lambda v: v.square() / 4 + v),
    "squared_hellinger": _Form(lambda v: -torch.expm1(-v), torch.expm1),
    "jensen_shannon": _Form(
        lambda v: math.log(2) - softplus(-v), lambda v: softplus(v) - math.log(2)
    ),
    "gan": _Form(lambda v: -softplus(-v), softplus),
}


@LOSSES.register("fgan", paper="Nowozin et al. 2016, f-GAN (arXiv:1606.00709)")
class FGan(Loss):
    """A lower bound of an f-divergence, which the discriminator makes tight.

    D_f(P‖Q) = ∫ q f(p/q) of real P and generated Q, f as in the paper's tables: ``jensen_shannon``
    is twice the usual one, ``gan`` is that less ln 4. ``kl``, ``reverse_kl`` and
    ``squared_hellinger`` grow as e^|v|: past logits of 88 they are infinite.
    """

    def __init__(self, *, divergence: Divergence = "jensen_shannon", saturating: bool = False):
        """The generator minimises the bound if ``saturating``, else as in section 3.2."""
        self.form = _FORMS[divergence]
        self.saturating = saturating

    def discriminator(self, *, real: Tensor, fake: Tensor) -> Tensor:
        """Minus the bound: E f*(g_f(D(G(z)))) - E g_f(D(x))."""
        return self.form.conjugate(fake).mean() - self.form.activation(real).mean()

    def generator(self, *, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """-E g_f(D(G(z))), or -E f*(g_f(D(G(z)))) if saturating."""
        term = self.form.conjugate if self.saturating else self.form.activation
        return -term(fake).mean()


@LOSSES.register("wasserstein", paper="Arjovsky et al. 2017, Wasserstein GAN (arXiv:1701.07875)")
class Wasserstein(Loss):
    """The difference of mean scores; needs a penalty (``clip`` or ``gradient``)."""

    def discriminator(self, *, real: Tensor, fake: Tensor) -> Tensor:
        """Minus the estimated distance."""
        return fake.mean() - real.mean()

    def generator(self, *, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Minus the mean score of fakes."""
        return -fake.mean()


@LOSSES.register("hinge", paper="Lim & Ye 2017, Geometric GAN (arXiv:1705.02894)")
class Hinge(Loss):
    """Margins of one on either side, as in SNGAN and BigGAN."""

    def discriminator(self, *, real: Tensor, fake: Tensor) -> Tensor:
        """Sum of both hinges; 2 at logits of zero, 0 beyond the margins."""
        return relu(1 - real).mean() + relu(1 + fake).mean()

    def generator(self, *, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Minus the mean score of fakes."""
        return -fake.mean()


@LOSSES.register(
    "relativistic",
    paper="Jolicoeur-Martineau 2018 (arXiv:1807.00734); "
    "Huang et al. 2024, R3GAN (arXiv:2501.05441)",
)
class Relativistic(Loss):
    """Each fake against the real image it is paired with, so no mode can be left alone."""

    paired = True

    def discriminator(self, *, real: Tensor, fake: Tensor) -> Tensor:
        """-log σ(real - fake); ln 2 at equal logits."""
        return softplus(fake - real).mean()

    def generator(self, *, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """-log σ(fake - real); ln 2 at equal logits. Raises ValueError without ``real``."""
        if real is None:
            raise ValueError("the relativistic loss needs the logits of real images as well")
        return softplus(real - fake).mean()
