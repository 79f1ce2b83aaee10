"""What keeps a discriminator smooth: terms added to its loss, or changes after its step.

A penalty is given the pass that was made already (``Judged``), so that those on real or fake
logits cost no forward pass of their own.

Registered facts: ``double_backward`` says that the term differentiates a gradient, which needs
full precision and runs uncompiled; ``per_image`` that it does so for each image by itself, which
a discriminator that mixes images (batch norm) makes meaningless.
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
class Judged:
    """One pass of the discriminator: images (N, C, H, W) and their logits (N,).

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
    """Base: ``term`` joins the loss every ``interval`` steps, times ``weight`` × ``interval``.

    A module, so that what a penalty remembers lies in buffers and is saved with the run.
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

    def term(self, judged: Judged) -> Tensor:
        """The unweighted scalar."""
        raise NotImplementedError

    def after_step(self, weights: Iterable[nn.Parameter]) -> None:
        """Change what the logit depends on after the optimiser's step; most penalties do not."""


class GradientPenalty(Penalty):
    """Base of those that differentiate a gradient."""

    double_backward = True


@PENALTIES.register("r1", paper=_MESCHEDER, double_backward=True, per_image=True)
class R1(GradientPenalty):
    """Half the squared gradient norm on real images."""

    def __init__(self, *, weight: Amount = 1.0, interval: Count = 1):
        """``weight`` is the paper's gamma."""
        super().__init__(weight=weight, interval=interval)

    def term(self, judged: Judged) -> Tensor:
        """½ E ‖∇D(x)‖²."""
        return _squared_norms(judged.real_logits, judged.real).mean() / 2


@PENALTIES.register("r2", paper=_MESCHEDER, double_backward=True, per_image=True)
class R2(GradientPenalty):
    """Half the squared gradient norm on generated images."""

    def __init__(self, *, weight: Amount = 1.0, interval: Count = 1):
        """``weight`` is the paper's gamma."""
        super().__init__(weight=weight, interval=interval)

    def term(self, judged: Judged) -> Tensor:
        """½ E ‖∇D(G(z))‖²."""
        return _squared_norms(judged.fake_logits, judged.fake).mean() / 2


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

    def term(self, judged: Judged) -> Tensor:
        """E (‖∇D(x̂)‖ - 1)²."""
        share = _uniform(judged, (len(judged.real), 1, 1, 1))
        between = torch.lerp(judged.real.detach(), judged.fake.detach(), share)
        return (_norms(judged, between) - 1).square().mean()


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

    def term(self, judged: Judged) -> Tensor:
        """E (‖∇D(x + ½ s u)‖ - k)², u uniform on [0, 1), s the batch's standard deviation."""
        real = judged.real.detach()
        spread = real.std(correction=0)
        near = real + spread / 2 * _uniform(judged, real.shape)
        return (_norms(judged, near) - self.k).square().mean()


@PENALTIES.register(
    "lecam",
    paper="Tseng et al. 2021, Regularizing GANs under Limited Data (arXiv:2104.03310)",
    double_backward=False,
)
class LeCam(Penalty):
    """Holds the logits of each kind near what those of the other have been: for few images."""

    anchors: Tensor
    started: Tensor

    def __init__(self, *, weight: Amount = 0.3, decay: Fraction = 0.99, interval: Count = 1):
        """``decay`` of the exponential averages, which move at each step that is due."""
        super().__init__(weight=weight, interval=interval)
        self.decay = decay
        self.register_buffer("anchors", torch.zeros(2))  # mean logits of real and of fake
        self.register_buffer("started", torch.tensor(False))

    def term(self, judged: Judged) -> Tensor:
        """E (D(x) - α_F)² + E (D(G(z)) - α_R)², α the averages with this pass in them."""
        real = judged.real_logits.to(self.anchors)  # in half precision an average stands still
        fake = judged.fake_logits.to(self.anchors)
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
    """The run's augmentation must not change what the discriminator says of an image."""

    def __init__(self, *, weight: Amount = 10.0, fake: bool = False, interval: Count = 1):
        """``fake`` asks it of generated images as well (bCR); ``weight`` is the paper's lambda."""
        super().__init__(weight=weight, interval=interval)
        self.fake = fake

    def term(self, judged: Judged) -> Tensor:
        """E (D(T(x)) - D(x))², and the same of fakes; 0 where no augmentation is set."""
        term = self._change(judged, judged.real, judged.real_logits)
        if self.fake:
            term = term + self._change(judged, judged.fake, judged.fake_logits)
        return term

    def _change(self, judged: Judged, images: Tensor, logits: Tensor) -> Tensor:
        changed = judged.augment(images.detach(), judged.generator)
        return (judged.discriminator(changed, judged.labels) - logits).square().mean()


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


def _uniform(judged: Judged, shape: tuple[int, ...]) -> Tensor:
    """Numbers in [0, 1) from the pass's generator, where its images are."""
    rng = judged.generator
    return torch.rand(shape, generator=rng, device=rng.device).to(judged.real)


def _norms(judged: Judged, images: Tensor) -> Tensor:
    """‖∇D‖ at ``images``; the root has no derivative at zero, hence the offset."""
    images.requires_grad_(True)
    squares = _squared_norms(judged.discriminator(images, judged.labels), images)
    return (squares + 1e-12).sqrt()


def _squared_norms(logits: Tensor, images: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3))
