"""Glow: steps of a norm, a mix of the channels and a coupling, at every size."""

from __future__ import annotations

from augment.models.networks import GENERATORS, Shape
from augment.models.networks.invertible import (
    ActNorm,
    Adviser,
    Bijection,
    Coupling,
    Flow,
    Mix,
    Preparation,
    checkerboard,
    halves,
    pyramid,
    told_of,
)
from augment.registry import Count, Number


@GENERATORS.register("glow", paper="Kingma & Dhariwal 2018, Glow (arXiv:1807.03039)")
class Generator(Flow):
    """Half of the channels move and stretch the other half, after a learned mix of all of them.

    A grey image of an odd side, which has one channel and cannot be halved, is divided as a
    checkerboard.
    """

    def __init__(
        self, latent: int, shape: Shape, condition: int = 0, *,
        width: Count = 64, steps: Count = 8, halvings: Number = 3,
        preparation: Preparation = "logit",
    ):  # fmt: skip
        """``steps`` at each size, with networks of ``width`` channels; the paper has 32 and 512.

        An image is halved ``halvings`` times, less often where a side becomes odd or below eight.
        ``preparation`` is how values come to the flow: their ``logit``, or moved by a half as in
        the paper; glyphs cost more bits then (6.1 against 5.3 after 200 steps on 8 × 8 digits).
        """
        told = told_of(latent, shape, condition)

        def at(shape: Shape, halved: bool, last: bool) -> list[Bijection]:
            channels = shape[0]
            maps: list[Bijection] = []
            for place in range(steps if halved or last else 0):
                maps.append(ActNorm(channels))
                if channels > 1:
                    maps.append(Mix(channels))
                mask = halves(shape, 0) if channels > 1 else checkerboard(shape, place)
                maps.append(Coupling(mask, Adviser(channels, 2 * channels, told, width)))
            return maps

        super().__init__(latent, shape, condition, pyramid(shape, halvings, at), preparation)
