"""Characters laid alike, wherever they come from: light ink on black, of one size, centred."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from augment.data.images import Pixels
from augment.vision.factors import FAINT, ink_levels, ink_threshold, moments

LONGER = 20 / 28  # of the image: the longer side of the ink, as MNIST lays it


def laid(pixels: Pixels) -> Pixels:
    """The ink (N, 1, H, W) of uint8 images (N, C, H, W): so large that it fills LONGER of a side.

    Its centre of mass lies in the middle, and strokes are white inside. A blank image is black.
    Source: LeCun et al. 1998, Gradient-Based Learning Applied to Document Recognition.
    """
    levels = ink_levels(pixels)
    edge = ink_threshold(levels)  # where a stroke is half as dark as inside
    levels[levels.max((1, 2)) < FAINT] = 0
    count, height, width = levels.shape
    ink = np.clip(levels / np.maximum(edge, 1) - 0.5, 0, 1)
    measured = moments(pixels)
    inked: NDArray[np.bool_] = ink > 0.5
    columns, rows = inked.max(1), inked.max(2)
    extent = [_extent(columns) / width, _extent(rows) / height]
    scale = np.maximum(np.max(extent, axis=0), 1e-9) / LONGER
    none = np.zeros(count)
    across = np.nan_to_num(measured.x / (width / 2))
    down = -np.nan_to_num(measured.y / (height / 2))
    maps = [[scale, none, across], [none, scale, down]]
    move = torch.from_numpy(np.stack([np.stack(line, 1) for line in maps], 1)).float()
    places = functional.affine_grid(move, [count, 1, height, width], align_corners=False)
    grey = torch.from_numpy(ink).float()[:, None]
    moved = functional.grid_sample(grey, places, align_corners=False).numpy()
    white: Pixels = np.rint(moved * 255).clip(0, 255).astype(np.uint8)
    return white


def _extent(inked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many places lie from the first to the last that is true, for each row of (N, L)."""
    length = inked.shape[1]
    ends = length - inked.argmax(1) - inked[:, ::-1].argmax(1)
    return np.where(inked.any(1), ends, 0).astype(np.int64)
