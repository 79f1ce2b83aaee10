"""Edges: slopes of ramps, and a blur that touches edges and nothing else."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from augment.vision.colours import yuv
from augment.vision.edges import AROUND, STEEP, blurred, slopes, smooth_edges


def step_edge(contrast: float, channels: int = 1) -> Tensor:
    """Dark on the left, light on the right, on a noise far below any edge."""
    noise = torch.rand(2, channels, 12, 20, generator=torch.Generator().manual_seed(0))
    images = (noise - 0.5) * STEEP / 4
    images[..., :10] -= contrast / 2
    images[..., 10:] += contrast / 2
    return images


def test_slopes_of_ramps() -> None:
    ramp = torch.arange(6.0).expand(1, 1, 5, 6) / 10
    inside = slopes(ramp)[0, :, 1:-1, 1:-1]
    assert torch.allclose(inside[0], torch.tensor(0.1)) and inside[1].abs().max() < 1e-6
    downwards = slopes(ramp.mT)[0, :, 1:-1, 1:-1]
    assert torch.allclose(downwards[1], torch.tensor(0.1)) and downwards[0].abs().max() < 1e-6


def test_blur_of_a_point_is_a_bell_and_of_a_plain_image_nothing() -> None:
    point = torch.zeros(1, 2, 11, 11)
    point[0, 1, 5, 5] = 1
    bell = blurred(point, 1.5)[0]
    assert bell[1].sum().item() == pytest.approx(1) and not bell[0].any()
    assert (bell[1, 5, 7] / bell[1, 5, 5]).item() == pytest.approx(math.exp(-0.5 * (2 / 1.5) ** 2))
    assert torch.allclose(blurred(torch.full((1, 1, 8, 8), 0.3), 2.0), torch.tensor(0.3))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_edges_are_blurred_and_flat_areas_bit_identical(channels: int) -> None:
    images = step_edge(1.0, channels)
    smooth = smooth_edges(images)
    near = 1 + AROUND  # Sobel sees an edge from either side
    assert torch.equal(smooth[..., : 10 - near], images[..., : 10 - near])
    assert torch.equal(smooth[..., 10 + near :], images[..., 10 + near :])
    before, after = (slopes(yuv(it)[:, :1])[:, 0].abs().amax((1, 2)) for it in (images, smooth))
    assert (after < 0.8 * before).all()


def test_without_an_edge_nothing_is_touched() -> None:
    images = step_edge(STEEP)  # half as steep, on either side
    assert torch.equal(smooth_edges(images), images)
