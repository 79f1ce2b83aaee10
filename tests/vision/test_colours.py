"""Brightness and colour apart: primary colours by the standard's numbers, and greys that stay."""

from __future__ import annotations

import pytest
import torch

from augment.vision.colours import rgb, without_colour, yuv

PRIMARIES = {  # Y, U and V of ITU-R BT.601 for colours of 0 … 1
    (1, 0, 0): (0.299, -0.14713, 0.615),
    (0, 1, 0): (0.587, -0.28886, -0.51499),
    (0, 0, 1): (0.114, 0.436, -0.10001),
    (1, 1, 1): (1, 0, 0),
    (0, 0, 0): (0, 0, 0),
}


def pixel(*channels: float) -> torch.Tensor:
    return torch.tensor(channels)[None, :, None, None].expand(2, -1, 3, 4)


@pytest.mark.parametrize(("colour", "expected"), PRIMARIES.items(), ids=str)
def test_primary_colours(colour: tuple[int, ...], expected: tuple[float, ...]) -> None:
    brightness, *colours = yuv(pixel(*(2.0 * channel - 1 for channel in colour)))[0, :, 0, 0]
    assert (brightness.item() + 1) / 2 == pytest.approx(expected[0], abs=1e-5)
    assert [value.item() / 2 for value in colours] == pytest.approx(expected[1:], abs=1e-5)


def test_one_channel_is_brightness_alone_and_alpha_stays() -> None:
    grey = torch.rand(2, 1, 3, 4)
    assert yuv(grey) is grey and without_colour(grey) is grey
    assert yuv(pixel(0.5, 0.5, 0.5, 0.25))[0, :, 0, 0].tolist() == pytest.approx([0.5, 0, 0, 0.25])


def test_without_colour_all_channels_are_the_brightness() -> None:
    red = without_colour(pixel(1, -1, -1, 0.25))[0, :, 0, 0]
    assert red.tolist() == pytest.approx([2 * 0.299 - 1] * 3 + [0.25])


def test_rgb_of_grey_colour_and_alpha() -> None:
    assert rgb(pixel(0.5))[1, :, 2, 3].tolist() == [0.5] * 3
    colour = pixel(1, 0, -1)
    assert rgb(colour) is colour
    assert torch.equal(rgb(pixel(1, 0, -1, 1)), colour)
    assert rgb(pixel(1, 0, -1, 0))[0, :, 0, 0].tolist() == pytest.approx([1, 0.5, 0])
    assert (rgb(pixel(1, 0, -1, -1)) == 1).all()  # what nothing covers is white
