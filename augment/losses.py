"""Adversarial losses: both halves side by side, on logits, keyword-only.

``discriminator(*, real, fake)`` and ``generator(*, fake, real=None)`` take logits (N,) and give the
scalar to minimise. Logits of a pair (real[i], fake[i]) belong to the same label.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor
from torch.nn.functional import relu, softplus

from augment.registry import Registry

LOSSES = Registry("loss")


class Loss(Protocol):
    """What every loss offers."""

    def discriminator(self, *, real: Tensor, fake: Tensor) -> Tensor:
        """What the discriminator minimises."""

    def generator(self, *, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """What the generator minimises."""


@LOSSES.register("non_saturating", paper="Goodfellow et al. 2014 (arXiv:1406.2661), section 3")
class NonSaturating:
    """-log D(x) - log(1 - D(G(z))) against -log D(G(z)): the form that is used in practice."""

    def discriminator(self, *, real: Tensor, fake: Tensor) -> Tensor:
        """Cross-entropy of real against fake; 2 ln 2 at logits of zero."""
        return softplus(-real).mean() + softplus(fake).mean()

    def generator(self, *, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """-log D(G(z)); ln 2 at logits of zero."""
        return softplus(-fake).mean()


@LOSSES.register("wasserstein", paper="Arjovsky et al. 2017, Wasserstein GAN (arXiv:1701.07875)")
class Wasserstein:
    """The difference of mean scores; needs a penalty (``clip`` or ``gradient``)."""

    def discriminator(self, *, real: Tensor, fake: Tensor) -> Tensor:
        """Minus the estimated distance."""
        return fake.mean() - real.mean()

    def generator(self, *, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Minus the mean score of fakes."""
        return -fake.mean()


@LOSSES.register("hinge", paper="Lim & Ye 2017, Geometric GAN (arXiv:1705.02894)")
class Hinge:
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
class Relativistic:
    """Each fake against the real image it is paired with, so no mode can be left alone."""

    def discriminator(self, *, real: Tensor, fake: Tensor) -> Tensor:
        """-log σ(real - fake); ln 2 at equal logits."""
        return softplus(fake - real).mean()

    def generator(self, *, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """-log σ(fake - real); ln 2 at equal logits. Raises ValueError without ``real``."""
        if real is None:
            raise ValueError("the relativistic loss needs the logits of real images as well")
        return softplus(real - fake).mean()
