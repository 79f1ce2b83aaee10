"""How near images are to the eye: pixel by pixel, moved by up to one either way."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from augment.vision.neighbours import nearest

SIDE = 14  # pixels; larger images are looked up at about this size
CANDIDATES = 8  # that are looked up by size and then compared pixel by pixel
_BLOCK = 128  # images compared at once

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
        small = max(others.shape[2:]) <= SIDE  # then a pixel counts, and every place is looked up
        looked = [
            nearest(_small(_moved(others, *at)), self._small, 2 if any(at) else CANDIDATES)
            for at in (_PLACES if small else _PLACES[:1])
        ]
        places, far = (np.hstack(part) for part in zip(*looked, strict=True))
        barred = np.isinf(far)  # there are fewer images than that
        if own is not None:
            barred |= places == own[:, None]
        least = np.full(len(others), np.inf)
        for start in range(0, len(others), _BLOCK):
            rows = slice(start, start + _BLOCK)
            found = _gaps(others[rows], self.pixels[places[rows]])
            least[rows] = np.where(barred[rows], np.inf, found).min(1)
        return least


_PLACES = sorted(
    ((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)), key=lambda at: at != (0, 0)
)


def pixel_gaps(these: Pixels, those: Pixels) -> Floats:
    """Root mean squared difference of images (N, C, H, W) pair by pair, the best of nine places.

    Exact to a tenth of a level, and up to 1,024 values an image to float64's precision.
    """
    return _gaps(these, those[:, None])[:, 0]


def _gaps(these: Pixels, those: Pixels) -> Floats:
    """As ``pixel_gaps``, of each image (N, C, H, W) and its ``those`` (N, K, C, H, W): (N, K).

    A product with a moved image is the product of the image with what moves back, so that each of
    ``these`` is moved nine times and no other is. Around the middle grey sums stay small.
    """
    size = math.prod(these.shape[1:])
    many = np.subtract(those, np.float32(128)).reshape(*those.shape[:2], size)
    middle = np.subtract(these, np.float32(128))
    back = np.stack([_returned(middle, *at) for at in _PLACES]).reshape(len(_PLACES), -1, size)
    one = np.ones_like(middle[:1])
    weights = np.stack([_returned(one, *at) for at in _PLACES]).reshape(len(_PLACES), size)
    twice = 2 * (many @ back.transpose(1, 2, 0))
    squares = np.square(many) @ weights.T + np.square(middle).sum((1, 2, 3))[:, None, None]
    roots: Floats = np.sqrt(np.maximum((squares - twice).min(2), 0.0) / np.float64(size))
    return roots


def _returned(images: NDArray[np.float32], down: int, right: int) -> NDArray[np.float32]:
    """The transpose of moving: moved back, and what falls out is added to the edge."""
    for axis, step in ((2, down), (3, right)):
        if step:
            images = np.roll(images, -step, axis)
            lines = np.moveaxis(images, axis, 0)
            near, fallen = (0, -1) if step > 0 else (-1, 0)
            lines[near] += lines[fallen]
            lines[fallen] = 0
    return images


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
