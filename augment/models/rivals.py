"""Bases of the GAN's rivals: models with one generator and nobody who judges it."""

from __future__ import annotations

import copy
import math
from typing import Literal

from torch import nn

from augment.models.base import Model, Needs, Parts
from augment.models.latents import LatentGenerator

Labels = Literal["all", "half"]


class Rival(Model):
    """Base of them all. With ``labels: half`` images without a label are learned too.

    Theirs is the label that a neighbour graph of all images guesses.
    """

    matched = True
    labels: Labels = "all"

    @property
    def needs(self) -> Needs:
        """A label for every image, which a graph may guess."""
        return Needs(self.labels, guessed=self.labels == "half")

    def modules(self) -> dict[str, nn.Module]:
        """All that a checkpoint holds, by name."""
        return {"generator": self.generator, "average": self.average}


class Transport(Rival):
    """Base of those whose noise has a number for each value of an image."""

    discriminates = False

    def assemble(self, parts: Parts, labels: Labels) -> None:
        """Build the generator and its average."""
        self.parts, self.labels = parts, labels
        self.conditions, self.facts = parts.classes, {}
        self.generator = LatentGenerator(
            parts.generator, parts.shape, parts.generator_condition(parts.classes),
            noise=math.prod(parts.shape), codes=0,
        )  # fmt: skip
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
