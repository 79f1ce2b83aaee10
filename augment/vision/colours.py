"""Brightness and colour of images apart. Channels: 1 (grey), 3 (RGB) or 4 (RGB and alpha)."""

from __future__ import annotations

import torch
from torch import Tensor

RED, GREEN, BLUE = 0.299, 0.587, 0.114  # of brightness: ITU-R BT.601
BLUENESS, REDNESS = 0.436 / (1 - BLUE), 0.615 / (1 - RED)  # of U and V, by the same


def yuv(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] as brightness Y, in [-1, 1], and colours U and V.

    U lies within ±0.872 and V within ±1.23, twice the standard's numbers as the images span 2; both
    are 0 where there is no colour. An alpha channel stays what it is, and so does a grey image, in
    which there is Y alone.
    """
    if images.shape[1] < 3:
        return images
    red, green, blue = images[:, :1], images[:, 1:2], images[:, 2:3]
    brightness = RED * red + GREEN * green + BLUE * blue
    colours = BLUENESS * (blue - brightness), REDNESS * (red - brightness)
    return torch.cat([brightness, *colours, images[:, 3:]], 1)


def rgb(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] as RGB (N, 3, H, W): grey three times, alpha on white."""
    if images.shape[1] < 3:
        return images[:, :1].expand(-1, 3, -1, -1)
    if images.shape[1] == 3:
        return images
    covering = (images[:, 3:4] + 1) / 2
    return images[:, :3] * covering + 1 - covering


def without_colour(images: Tensor) -> Tensor:
    """Images (N, C, H, W) with all three colours at their brightness; grey ones as they are."""
    if images.shape[1] < 3:
        return images
    brightness = yuv(images)[:, :1]
    return torch.cat([brightness.expand(-1, 3, -1, -1), images[:, 3:]], 1)
