"""What keeps a discriminator smooth: terms added to its loss, or changes after its step.

A penalty is given the pass that was made already (``Judged``), so that those on real or fake
logits cost one backward pass and no forward pass of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from augment.registry import Amount, Count, Registry

PENALTIES = Registry("penalty")


@dataclass(frozen=True)
class Judged:
    """One pass of the discriminator: images (N, C, H, W) that track gradients, logits (N,)."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    real: Tensor
    fake: Tensor
    labels: Tensor
    real_logits: Tensor
    fake_logits: Tensor
    generator: torch.Generator


class Penalty:
    """Base: ``term`` joins the loss every ``interval`` steps, times ``weight`` × ``interval``."""

    def __init__(self, *, weight: float = 1.0, interval: int = 1):
        """Keep weight and interval."""
        self.weight = weight
        self.interval = interval

    def due(self, step: int) -> bool:
        """Whether the term counts at this step."""
        return step % self.interval == 0

    def term(self, judged: Judged) -> Tensor:
        """The unweighted scalar."""
        raise NotImplementedError

    def after_step(self, discriminator: nn.Module) -> None:
        """Change the discriminator after the optimiser's step; most penalties do not."""


@PENALTIES.register(
    "r1", paper="Mescheder et al. 2018, Which Training Methods for GANs do actually Converge?"
)
class R1(Penalty):
    """Half the squared gradient norm on real images."""

    def __init__(self, *, weight: Amount = 1.0, interval: Count = 1):
        """``weight`` is the paper's gamma."""
        super().__init__(weight=weight, interval=interval)

    def term(self, judged: Judged) -> Tensor:
        """½ E ‖∇D(x)‖²."""
        return _squared_norms(judged.real_logits, judged.real).mean() / 2


@PENALTIES.register(
    "r2", paper="Mescheder et al. 2018, Which Training Methods for GANs do actually Converge?"
)
class R2(Penalty):
    """Half the squared gradient norm on generated images."""

    def __init__(self, *, weight: Amount = 1.0, interval: Count = 1):
        """``weight`` is the paper's gamma."""
        super().__init__(weight=weight, interval=interval)

    def term(self, judged: Judged) -> Tensor:
        """½ E ‖∇D(G(z))‖²."""
        return _squared_norms(judged.fake_logits, judged.fake).mean() / 2


@PENALTIES.register(
    "gradient", paper="Gulrajani et al. 2017, Improved Training of Wasserstein GANs"
)
class Gradient(Penalty):
    """WGAN-GP: unit gradient norm between real and fake, interpolated per sample."""

    def __init__(self, *, weight: Amount = 10.0, interval: Count = 1):
        """``weight`` is the paper's lambda."""
        super().__init__(weight=weight, interval=interval)

    def term(self, judged: Judged) -> Tensor:
        """E (‖∇D(x̂)‖ - 1)²."""
        rng = judged.generator
        share = torch.rand(len(judged.real), 1, 1, 1, generator=rng, device=rng.device)
        between = torch.lerp(judged.real.detach(), judged.fake.detach(), share.to(judged.real))
        between.requires_grad_(True)
        squares = _squared_norms(judged.discriminator(between, judged.labels), between)
        return ((squares + 1e-12).sqrt() - 1).square().mean()


@PENALTIES.register("clip", paper="Arjovsky et al. 2017, Wasserstein GAN (arXiv:1701.07875)")
class Clip(Penalty):
    """Clamp every weight to [-limit, limit] after the step."""

    def __init__(self, *, limit: Amount = 0.01):
        """Keep ``limit``."""
        super().__init__(weight=0.0)
        self.limit = limit

    def due(self, step: int) -> bool:
        """Never: there is no term."""
        return False

    @torch.no_grad()
    def after_step(self, discriminator: nn.Module) -> None:
        """Clamp in place."""
        for parameter in discriminator.parameters():
            parameter.clamp_(-self.limit, self.limit)


def _squared_norms(logits: Tensor, images: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3))
