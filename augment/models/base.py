"""Models: what is trained, behind one contract, and what a step of training is given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from augment.registry import Registry

MODELS = Registry("model")
Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """Real images (N, C, H, W) in [-1, 1], class indices (N,), -1 where unknown; the step.

    ``known`` are images and labels of as many labelled ones, where not all are; ``done`` the share
    of the run that is over; ``rng`` all randomness of the step; ``codes`` (N, F) what the first
    continuous codes should be for the images, NaN where unknown.
    """

    real: Tensor
    labels: Tensor
    step: int
    rng: torch.Generator
    done: float = 0.0
    known: tuple[Tensor, Tensor] | None = None
    codes: Tensor | None = None
