"""Structures: lines, edges and colours of images whose structure is plain to see."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from augment.vision.structure import BLUR, structure_of

KINDS = ("skeleton", "edges", "layout")


def bar(dark: bool = True) -> Tensor:
    """A light bar, three pixels wide, on dark paper; or a dark one on light paper."""
    image = torch.full((1, 1, 16, 16), -1.0)
    image[..., 3:13, 6:9] = 1.0
    return image if dark else -image


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 20, 33), (1, 64, 64)], ids=str)
def test_they_are_images_of_the_same_shape(kind: str, shape: tuple[int, ...]) -> None:
    images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    made = structure_of(images.requires_grad_(), kind)  # type: ignore[arg-type]
    assert made.shape == images.shape and made.abs().max() <= 1 + 1e-5 and made.std() > 0
    assert not made.requires_grad
    plain = structure_of(torch.zeros(2, *shape), kind)  # type: ignore[arg-type]
    assert plain.isfinite().all() and plain.std() < 1e-6


@pytest.mark.parametrize("dark", [True, False])
def test_a_skeleton_is_the_middle_line_light_on_dark(dark: bool) -> None:
    lines = structure_of(bar(dark), "skeleton")[0, 0]
    assert (lines[5:11, 7] == 1).all()
    assert (lines[5:11, [5, 6, 8, 9]] == -1).all() and (lines[[0, 1, 14, 15]] == -1).all()
    again = structure_of(lines[None, None], "skeleton")[0, 0]
    assert torch.equal(again[5:11], lines[5:11])


def test_edges_are_where_an_image_is_steep() -> None:
    lines = structure_of(bar(), "edges")[0, 0, 8]
    assert lines[[5, 6, 8, 9]].tolist() == pytest.approx([1.0] * 4)  # either side of both borders
    assert lines[[0, 3, 7, 12]].tolist() == pytest.approx([-1.0] * 4)


def test_a_layout_keeps_colours_and_blurs_them() -> None:
    halves = torch.full((1, 3, 32, 32), 0.5)
    halves[..., 16:] = -0.5
    made = structure_of(halves, "layout")[0, 0, 16]
    assert made[[0, 31]].tolist() == pytest.approx([0.5, -0.5])
    assert made[15].item() == pytest.approx(-made[16].item()) and 0 < made[15] < 0.25
    assert 32 / BLUR == 2  # pixels
