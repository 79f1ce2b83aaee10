"""Continuous codes: drawn between bounds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from augment.models.latents import LatentGenerator, Ranges, latents


def codes(ranges: Ranges) -> Tensor:
    """A thousand draws of two codes, the same uniform ones for all ``ranges``."""
    generator = LatentGenerator(lambda *_: nn.Identity(), (1, 8, 8), None, noise=1, codes=2)
    return latents(generator, 1000, torch.Generator().manual_seed(0), ranges=ranges)[1]


def test_ranges_are_uniform_between_their_ends_and_leave_the_rest() -> None:
    uniform = codes({})
    assert torch.allclose(codes({1: (-1.0, 1.0)}), uniform, atol=1e-6)
    assert (codes({1: (0.25, 0.25)})[:, 1] == 0.25).all()
    upper = codes({1: (0.0, 1.0)})
    assert torch.allclose(upper[:, 1], (uniform[:, 1] + 1) / 2)
    assert torch.equal(upper[:, 0], uniform[:, 0])
