"""Penalties keep a discriminator smooth: by a term in its loss, or by a change after its step.

A penalty receives the discriminator's forward pass (``ForwardPass``), so that a penalty on real or
fake logits needs no pass of its own.

Registered facts: ``double_backward`` says that the term differentiates a gradient, which needs
full precision and runs uncompiled; ``per_image`` says that it does so for each image by itself.
Such a term has no meaning for a discriminator that mixes images (batch norm).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from augment.registry import Amount, Count, Fraction, Registry

PENALTIES = Registry("penalty")

_MESCHEDER = (
    "Mescheder et al. 2018, Which Training Methods for GANs do actually Converge? "
    "(arXiv:1801.04406)"
)


def _unchanged(images: Tensor, generator: torch.Generator) -> Tensor:
    return images


@dataclass(frozen=True)
class ForwardPass:
    """A forward pass of the discriminator: images (N, C, H, W) and their logits (N,).

    A discriminator of patches gives each image several logits; an image's is their mean.
    The images track gradients where a penalty with ``double_backward`` is due. ``augment`` is the
    run's label-safe augmentation; both it and the penalty draw from ``generator``.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    real: Tensor
    fake: Tensor
    labels: Tensor
    real_logits: Tensor
    fake_logits: Tensor
    generator: torch.Generator
    augment: Callable[[Tensor, torch.Generator], Tensor] = _unchanged


class Penalty(nn.Module):
    """Base: every ``interval`` steps ``term`` × ``weight`` × ``interval`` joins the loss.

    A penalty is a module, so that its state lies in buffers and is saved with the run.
    """

    double_backward = False  # whether the term differentiates a gradient

    def __init__(self, *, weight: float = 1.0, interval: int = 1):
        """Keep weight and interval."""
        super().__init__()
        self.weight = weight
        self.interval = interval

    def due(self, step: int) -> bool:
        """Whether the term counts at this step."""
        return step % self.interval == 0

    def term(self, forward: ForwardPass) -> Tensor:
        """The unweighted scalar."""
        raise NotImplementedError

    def after_step(self, weights: Iterable[nn.Parameter]) -> None:
        """Change the ``weights`` of the logit after the optimiser's step; most penalties do not."""


def terms(penalties: Iterable[Penalty], forward: ForwardPass, step: int) -> dict[str, Tensor]:
    """The weighted terms, by name, of those of ``penalties`` that are due at ``step``."""
    return {
        type(penalty).__name__.lower(): penalty.term(forward) * (penalty.weight * penalty.interval)
        for penalty in penalties
        if penalty.due(step)
    }


class GradientPenalty(Penalty):
    """Base of the penalties that differentiate a gradient."""

    double_backward = True


@PENALTIES.register("r1", paper=_MESCHEDER, double_backward=True, per_image=True)
class R1(GradientPenalty):
    """Half the squared gradient norm on real images."""

    def __init__(self, *, weight: Amount = 1.0, interval: Count = 1):
        """``weight`` is the paper's gamma."""
        super().__init__(weight=weight, interval=interval)

    def term(self, forward: ForwardPass) -> Tensor:
        """½ E ‖∇D(x)‖²."""
        return _squared_norms(forward.real_logits, forward.real).mean() / 2


@PENALTIES.register("r2", paper=_MESCHEDER, double_backward=True, per_image=True)
class R2(GradientPenalty):
    """Half the squared gradient norm on generated images."""

    def __init__(self, *, weight: Amount = 1.0, interval: Count = 1):
        """``weight`` is the paper's gamma."""
        super().__init__(weight=weight, interval=interval)

    def term(self, forward: ForwardPass) -> Tensor:
        """½ E ‖∇D(G(z))‖²."""
        return _squared_norms(forward.fake_logits, forward.fake).mean() / 2


@PENALTIES.register(
    "gradient",
    paper="Gulrajani et al. 2017, Improved Training of Wasserstein GANs (arXiv:1704.00028)",
    double_backward=True,
    per_image=True,
)
class Gradient(GradientPenalty):
    """WGAN-GP: unit gradient norm between real and fake, interpolated per sample."""

    def __init__(self, *, weight: Amount = 10.0, interval: Count = 1):
        """``weight`` is the paper's lambda."""
        super().__init__(weight=weight, interval=interval)

    def term(self, forward: ForwardPass) -> Tensor:
        """E (‖∇D(x̂)‖ - 1)²."""
        share = _uniform(forward, (len(forward.real), 1, 1, 1))
        between = torch.lerp(forward.real.detach(), forward.fake.detach(), share)
        return (_norms(forward, between) - 1).square().mean()


@PENALTIES.register(
    "dragan",
    paper="Kodali et al. 2017, On Convergence and Stability of GANs (arXiv:1705.07215)",
    double_backward=True,
    per_image=True,
)
class Dragan(GradientPenalty):
    """A gradient norm of ``k`` around the real images, and nowhere else."""

    def __init__(self, *, weight: Amount = 10.0, k: Amount = 1.0, interval: Count = 1):
        """``weight`` is the paper's lambda."""
        super().__init__(weight=weight, interval=interval)
        self.k = k

    def term(self, forward: ForwardPass) -> Tensor:
        """E (‖∇D(x + ½ s u)‖ - k)², u uniform on [0, 1), s the batch's standard deviation."""
        real = forward.real.detach()
        deviation = real.std(correction=0)
        near = real + deviation / 2 * _uniform(forward, real.shape)
        return (_norms(forward, near) - self.k).square().mean()


@PENALTIES.register(
    "lecam",
    paper="Tseng et al. 2021, Regularizing GANs under Limited Data (arXiv:2104.03310)",
    double_backward=False,
)
class LeCam(Penalty):
    """Holds the logits of each kind near the average logit of the other: for few images."""

    anchors: Tensor
    started: Tensor

    def __init__(self, *, weight: Amount = 0.3, decay: Fraction = 0.99, interval: Count = 1):
        """``decay`` of the exponential averages, which move at each step that is due."""
        super().__init__(weight=weight, interval=interval)
        self.decay = decay
        self.register_buffer("anchors", torch.zeros(2))  # mean logits of real and of fake
        self.register_buffer("started", torch.tensor(False))

    def term(self, forward: ForwardPass) -> Tensor:
        """E (D(x) - α_F)² + E (D(G(z)) - α_R)², α the averages with this pass in them."""
        real = forward.real_logits.to(self.anchors)  # in half precision an average stands still
        fake = forward.fake_logits.to(self.anchors)
        means = torch.stack([real.mean(), fake.mean()]).detach()
        moved = self.anchors.lerp(means, 1 - self.decay)
        self.anchors.copy_(torch.where(self.started, moved, means))
        self.started.fill_(True)
        real_anchor, fake_anchor = self.anchors.unbind()
        return (real - fake_anchor).square().mean() + (fake - real_anchor).square().mean()


@PENALTIES.register(
    "consistency",
    paper="Zhang et al. 2020, Consistency Regularization for GANs (arXiv:1910.12027); "
    "Zhao et al. 2020, Improved Consistency Regularization (arXiv:2002.04724)",
    double_backward=False,
)
class Consistency(Penalty):
    """Holds an image's logit where it was before the run's augmentation changed the image."""

    def __init__(self, *, weight: Amount = 10.0, fake: bool = False, interval: Count = 1):
        """``fake`` adds the same of generated images (bCR); ``weight`` is the paper's lambda."""
        super().__init__(weight=weight, interval=interval)
        self.fake = fake

    def term(self, forward: ForwardPass) -> Tensor:
        """E (D(T(x)) - D(x))², and the same of fakes; 0 where no augmentation is set."""
        term = self._change(forward, forward.real, forward.real_logits)
        if self.fake:
            term = term + self._change(forward, forward.fake, forward.fake_logits)
        return term

    def _change(self, forward: ForwardPass, images: Tensor, logits: Tensor) -> Tensor:
        changed = forward.augment(images.detach(), forward.generator)
        return (forward.discriminator(changed, forward.labels) - logits).square().mean()


@PENALTIES.register(
    "clip",
    paper="Arjovsky et al. 2017, Wasserstein GAN (arXiv:1701.07875)",
    double_backward=False,
)
class Clip(Penalty):
    """Clamp every weight that the logit depends on to [-limit, limit] after the step."""

    def __init__(self, *, limit: Amount = 0.01):
        """Keep ``limit``."""
        super().__init__(weight=0.0)
        self.limit = limit

    def due(self, step: int) -> bool:
        """Never: there is no term."""
        return False

    @torch.no_grad()
    def after_step(self, weights: Iterable[nn.Parameter]) -> None:
        """Clamp in place."""
        for parameter in weights:
            parameter.clamp_(-self.limit, self.limit)


def _uniform(forward: ForwardPass, shape: tuple[int, ...]) -> Tensor:
    """Uniform numbers in [0, 1) from the pass's generator, on the device of its images."""
    rng = forward.generator
    return torch.rand(shape, generator=rng, device=rng.device).to(forward.real)


def _norms(forward: ForwardPass, images: Tensor) -> Tensor:
    """‖∇D‖ at ``images``; the root has no derivative at zero, hence the offset."""
    images.requires_grad_(True)
    squares = _squared_norms(forward.discriminator(images, forward.labels), images)
    return (squares + 1e-12).sqrt()


def _squared_norms(logits: Tensor, images: Tensor) -> Tensor:
    total = logits.sum() * (len(images) / len(logits))  # of patches their mean, as in the losses
    (gradient,) = torch.autograd.grad(total, images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3))
