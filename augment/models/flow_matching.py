"""Flow matching: a network learns the velocity of straight paths from noise to images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from augment.models.base import MODELS, Batch, Losses, Parts, Phase
from augment.models.flow import Transport
from augment.models.networks.velocity import Generator
from augment.registry import Fraction


@MODELS.register(
    "flow_matching",
    paper="Lipman et al. 2023, Flow Matching (arXiv:2210.02747); Liu et al. 2023, Rectified Flow "
    "(arXiv:2209.03003); Ho & Salimans 2022, Classifier-free guidance (arXiv:2207.12598)",
)
class FlowMatching(Transport):
    """Each image gets noise of its own; on the straight path between them the velocity is known.

    What the network learns is the mean of all paths through a place, by which noise flows to
    images in few steps.
    """

    phase_names = ("velocity",)
    network = Generator

    def __init__(self, parts: Parts, *, unlabelled: Fraction = 0.1):
        """The class is withheld from a share ``unlabelled`` of the images, for the guidance."""
        self.unlabelled = unlabelled
        self.assemble(parts, "flow_matching")

    def phases(self) -> Sequence[Phase]:
        """One."""
        return (Phase("velocity", "v", (self.generator,), self.losses),)

    def losses(self, batch: Batch) -> Losses:
        """The mean square by which expected images are wrong, at times that fill 0 to 1 evenly.

        That is the error of velocities times what is left of the time. Weighed alike at all times,
        the last steps, which remove specks and know the class by sight, would count for most.
        """
        real, rng = self.parts.augment(batch.real, batch.rng), batch.rng
        count, place = len(real), rng.device
        noise = torch.randn(real.shape, generator=rng, device=place).to(real)
        shares = torch.rand(2, count, generator=rng, device=place).to(real.device)
        time = (torch.arange(count, device=real.device) + shares[0]) / count
        told = self.generator.told(batch.labels) * (shares[1] >= self.unlabelled)[:, None]
        at = torch.lerp(noise, real, time[:, None, None, None])
        network: Generator = self.generator.network  # type: ignore[assignment]
        expected: Tensor = network.expected(at, time, told)
        return {"squares": (expected.float() - real).square().mean()}
