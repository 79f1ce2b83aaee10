"""Operations on whole images, by OpenCV: several times as fast as SciPy's, with equal results."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from augment.data.images import Pixels
from augment.data.types import Floats

Mask = NDArray[np.bool_]

_EXACT = 1 << 24  # values that OpenCV counts in float32 without an error
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def histogram(levels: Pixels) -> NDArray[np.int64]:
    """How many of the values of an array, uint8, have each level (256,)."""
    counts = np.zeros(256, np.int64)
    flat = levels.reshape(-1)
    for start in range(0, len(flat), _EXACT):
        part = cv2.calcHist([flat[start : start + _EXACT]], [0], None, [256], [0, 256])
        counts += part.ravel().astype(np.int64)
    return counts


def count(mask: Mask) -> int:
    """How many pixels of ``mask`` (H, W) are true."""
    return int(np.count_nonzero(mask))


def steps(image: Pixels) -> Pixels:
    """By how many levels neighbours in a row differ: (H, W - 1), or with channels behind."""
    return np.asarray(cv2.absdiff(image[:, 1:], image[:, :-1]), np.uint8)


def bright(levels: Pixels) -> Mask:
    """Which of ``levels`` (H, W) are above the one that parts them best in two.

    Source: Otsu 1979, A Threshold Selection Method from Gray-Level Histograms.
    """
    above = cv2.threshold(levels, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1]
    return np.asarray(above).view(np.bool_)


def grown(mask: Mask, down: int, right: int | None = None) -> Mask:
    """All pixels (H, W) at most ``down`` rows and ``right`` columns (default: as many) from one."""
    size = (2 * down + 1, 2 * (down if right is None else right) + 1)
    return cv2.dilate(_bytes(mask), np.ones(size, np.uint8)).view(np.bool_)


def outline(mask: Mask) -> Mask:
    """The pixels of ``mask`` (H, W) with a neighbour above, below, left or right that is not."""
    inner = cv2.erode(_bytes(mask), _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    return mask ^ inner.view(np.bool_)


def connected(mask: Mask) -> tuple[int, NDArray[np.uint16]]:
    """The count of connected parts, and the part (H, W) of each pixel, 1 …; 0 outside.

    Pixels that touch at a corner are connected. ``mask`` has at most 65,535 parts.
    """
    count, parts = cv2.connectedComponents(_bytes(mask), connectivity=8, ltype=cv2.CV_16U)
    return count - 1, np.asarray(parts, np.uint16)


def box(mask: Mask) -> tuple[int, int, int, int]:
    """First row, first column, end row and end column of ``mask``; all 0 where it is empty."""
    left, top, width, height = cv2.boundingRect(_bytes(mask))
    return top, left, top + height, left + width


def distance(mask: Mask) -> Floats:
    """How many steps, level, upright or diagonal, each pixel (H, W) is away from ``mask``."""
    return np.asarray(cv2.distanceTransform(_bytes(~mask), cv2.DIST_C, 3), np.float32)


def _bytes(mask: Mask) -> Pixels:
    return np.ascontiguousarray(mask).view(np.uint8)
