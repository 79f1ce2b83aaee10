"""How near images are to the eye: pixel by pixel, moved by up to one either way."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from augment.neighbours import nearest

SIDE = 14  # pixels; larger images are looked up at about this size
CANDIDATES = 8  # that are looked up by size and then compared pixel by pixel
_BLOCK = 512  # images compared at once

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


class Lookalikes:
    """Images (M, C, H, W) that others are compared with."""

    def __init__(self, pixels: Pixels):
        """Make small ones to look up by."""
        self.pixels = pixels
        self._small = _small(pixels)

    def gaps(self, others: Pixels, *, own: NDArray[np.int64] | None = None) -> Floats:
        """Root mean squared difference of each of ``others`` (N, C, H, W) to the nearest image.

        In levels, 0 to 255, the best of the nine places up to one pixel away; infinite where there
        is none to compare with. ``own`` (N,) says which images they are themselves, so that none
        is its own neighbour. The nearest is sought among those that are so in small.
        """
        least = np.full(len(others), np.inf)
        few = CANDIDATES
        small = max(others.shape[2:]) <= SIDE  # then a pixel counts, and every place is looked up
        for down, right in _PLACES if small else _PLACES[:1]:
            places, far = nearest(_small(_moved(others, down, right)), self._small, few)
            for start in range(0, len(others), _BLOCK):
                rows = slice(start, start + _BLOCK)
                for column, distances in zip(places[rows].T, far[rows].T, strict=True):
                    found = pixel_gaps(others[rows], self.pixels[column])
                    found[np.isinf(distances)] = np.inf  # there are fewer images than that
                    if own is not None:
                        found[column == own[rows]] = np.inf
                    least[rows] = np.minimum(least[rows], found)
            few = 2
        return least


_PLACES = sorted(
    ((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)), key=lambda at: at != (0, 0)
)


def pixel_gaps(these: Pixels, those: Pixels) -> Floats:
    """Root mean squared difference of images (N, C, H, W) pair by pair, the best of nine places."""
    best = np.full(len(these), np.inf)
    for down, right in _PLACES:
        squares = np.square(np.subtract(these, _moved(those, down, right), dtype=np.float32))
        best = np.minimum(best, squares.mean((1, 2, 3), dtype=np.float64))
    roots: Floats = np.sqrt(best)
    return roots


def _moved(pixels: Pixels, down: int, right: int) -> Pixels:
    """Images moved by up to one pixel; their edges are repeated."""
    height, width = pixels.shape[2:]
    around = np.pad(pixels, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    moved: Pixels = around[:, :, 1 - down : 1 - down + height, 1 - right : 1 - right + width]
    return moved


def _small(pixels: Pixels) -> NDArray[np.float32]:
    """Means over squares, of images that are larger than ``SIDE`` blurred first; one row each."""
    factor = -(-max(pixels.shape[2:]) // SIDE)
    found = pixels.astype(np.float32)
    if factor > 1:
        found = uniform_filter(found, (1, 1, 3, 3), mode="nearest")
        spare = [(0, 0), (0, 0), *((0, -side % factor) for side in found.shape[2:])]
        found = np.pad(found, spare, mode="edge")
        count, channels, height, width = found.shape
        squares = (count, channels, height // factor, factor, width // factor, factor)
        found = found.reshape(squares).mean((3, 5))
    return found.reshape(len(pixels), math.prod(found.shape[1:]))
