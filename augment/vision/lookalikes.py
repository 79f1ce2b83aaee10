"""How near images look: differences pixel by pixel, under moves by up to one pixel."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from augment.data.images import Pixels
from augment.data.types import Doubles, Floats
from augment.vision.neighbours import Neighbours

SIDE = 14  # pixels; larger images are looked up at about this size
CANDIDATES = 8  # images a query that are compared pixel by pixel; chosen by hand
_BLOCK = 128  # images compared at once


class Lookalikes:
    """Images (M, C, H, W) with which others are compared."""

    def __init__(self, pixels: Pixels):
        """Keep ``pixels`` and make the small images by which the nearest are looked up."""
        self.pixels = pixels
        self._small = Neighbours(_small(pixels))

    def gaps(self, others: Pixels, *, self_places: NDArray[np.int64] | None = None) -> Doubles:
        """Root mean squared difference of each of ``others`` (N, C, H, W) to the nearest image.

        In levels, 0 to 255: the least over the nine moves by up to one pixel, infinite where there
        is no image to compare with. ``self_places`` (N,) gives the place of each of ``others``
        among the images, for no image is its own neighbour. Only the images that are nearest in
        small are compared pixel by pixel.
        """
        small = max(others.shape[2:]) <= SIDE  # then a pixel counts, and every place is looked up
        looked = [
            self._small.nearest(_small(_moved(others, *at)), 2 if any(at) else CANDIDATES)
            for at in (_PLACES if small else _PLACES[:1])
        ]
        places, far = (np.hstack(part) for part in zip(*looked, strict=True))
        barred = np.isinf(far)  # there are fewer images than that
        if self_places is not None:
            barred |= places == self_places[:, None]
        least = np.full(len(others), np.inf)
        for start in range(0, len(others), _BLOCK):
            rows = slice(start, start + _BLOCK)
            distances = _gaps(others[rows], self.pixels[places[rows]])
            least[rows] = np.where(barred[rows], np.inf, distances).min(1)
        return least


_PLACES = sorted(
    ((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)), key=lambda at: at != (0, 0)
)


def pixel_gaps(left: Pixels, right: Pixels) -> Doubles:
    """Root mean squared difference (N,) of images (N, C, H, W) pair by pair, in levels 0 to 255.

    The least over the nine moves by up to one pixel. Exact to a tenth of a level; for images of up
    to 1,024 values exact to float64's precision.
    """
    return _gaps(left, right[:, None])[:, 0]


def _gaps(images: Pixels, candidates: Pixels) -> Doubles:
    """``pixel_gaps`` (N, K) of images (N, C, H, W) and their ``candidates`` (N, K, C, H, W).

    The product of an image with a moved candidate equals the product of the image, moved back, with
    the candidate. So only ``images`` are moved, nine times. Levels are taken from the middle grey,
    which keeps the sums small.
    """
    size = math.prod(images.shape[1:])
    centred = np.subtract(candidates, np.float32(128)).reshape(*candidates.shape[:2], size)
    middle = np.subtract(images, np.float32(128))
    back = np.stack([_returned(middle, *at) for at in _PLACES])
    back = back.reshape(len(_PLACES), len(images), size)
    ones = np.ones((1, *images.shape[1:]), np.float32)
    weights = np.stack([_returned(ones, *at) for at in _PLACES]).reshape(len(_PLACES), size)
    twice = 2 * (centred @ back.transpose(1, 2, 0))
    squares = np.square(centred) @ weights.T + np.square(middle).sum((1, 2, 3))[:, None, None]
    roots: Doubles = np.sqrt(np.maximum((squares - twice).min(2), 0.0) / np.float64(size))
    return roots


def _returned(images: Floats, down: int, right: int) -> Floats:
    """The transpose of ``_moved``: images move back, and lines that fall out add to the edge."""
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


def _small(pixels: Pixels) -> Floats:
    """Means over squares, one row an image; images larger than ``SIDE`` are blurred first."""
    factor = -(-max(pixels.shape[2:]) // SIDE)
    small = pixels.astype(np.float32)
    if factor > 1:
        small = uniform_filter(small, (1, 1, 3, 3), mode="nearest")
        spare = [(0, 0), (0, 0), *((0, -side % factor) for side in small.shape[2:])]
        small = np.pad(small, spare, mode="edge")
        count, channels, height, width = small.shape
        squares = (count, channels, height // factor, factor, width // factor, factor)
        small = small.reshape(squares).mean((3, 5))
    return small.reshape(len(pixels), math.prod(small.shape[1:]))
