"""Progressive growing: coarse images first, and one doubling after another mixed in."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from augment.models.adversarial import Fakes
from augment.models.base import MODELS, Batch, Parts
from augment.models.gan import ConditionalGan
from augment.models.networks.growing import Growing, as_grown
from augment.registry import Count

Share = Annotated[float, Field(ge=0, le=0.9)]  # of a run; the rest is for the full size


@MODELS.register(
    "progressive",
    paper="Karras et al. 2018, Progressive Growing of GANs for Improved Quality, Stability, and "
    "Variation (arXiv:1710.10196)",
)
class ProgressiveGan(ConditionalGan):
    """Both networks grow with the run; real images are as coarse as the generated ones."""

    generators = discriminators = Growing
    follows_length = True

    def __init__(self, parts: Parts, *, noise: Count = 62, packing: Count = 1, grown: Share = 0.5):
        """``noise`` Gaussian inputs; the discriminator sees ``packing`` images at a time.

        The networks have their full size after the share ``grown`` of the run. Each size before is
        held for as long as the next one takes to be mixed in.
        """
        super().__init__(parts, noise=noise, packing=packing)
        self.grown = grown
        self.networks: list[Any] = [self.generator.network, self.discriminator.network]

    def generate(self, batch: Batch) -> Fakes:
        """As many images as the batch has, as sharp as the share of the run that is over allows."""
        for network in self.networks:
            network.grow(growth(batch.done, len(network.sizes), self.grown))
        return super().generate(batch)

    def real_of(self, batch: Batch) -> Tensor:
        """The batch's images, no sharper than the generated ones."""
        network = self.networks[0]
        return as_grown(batch.real, network.sizes, float(network.growth))


def growth(done: float, count: int, grown: float) -> float:
    """How far networks of ``count`` sizes have grown when the share ``done`` of a run is over.

    0 is the smallest size alone, ``count`` - 1 the full one, reached at the share ``grown``. A size
    is held, then the next one is mixed in, for equally long.
    """
    if done >= grown:
        return count - 1.0
    periods = done / grown * 2 * (count - 1)
    size, period = divmod(int(periods), 2)
    return size + period * (periods - int(periods))
