"""Image checks of photographs, with the names and bounds of cleanvision where these hold up.

A bound made for photographs never judges alone: an image is at fault only if it also lies well
under the median of its set, so that a set of night scenes or of pale drawings loses nothing.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from scipy.ndimage import uniform_filter1d

from augment.clean.checks.base import CHECKS, Outlier
from augment.data.images import Pixels
from augment.registry import Amount, Count, Fraction

# weights of red, green and blue in the brightness that the eye sees: Finley 2006, as in cleanvision
_WEIGHTS = (0.241, 0.691, 0.068)

# The bounds of dark, light and low_information, and the defaults of their options, are those of
# cleanvision. The bounds of blurry and grayscale, whose measures are our own, were chosen by hand.


def _unusual(most: float) -> Outlier:
    """A fault is a measure below ``most`` and below half (chosen by hand) of the set's median."""
    return Outlier(share=0.5, deviations=0.0, most=most)


@CHECKS.register("dark", kind="image", threshold=_unusual(0.32), profiles=("natural",))
def dark(image: Pixels, *, quantile: Fraction = 0.99) -> float:
    """Brightness of the brightest pixels, at the ``quantile`` of all: 1 is white, 0 black."""
    return float(np.quantile(_brightness(image), quantile))


@CHECKS.register("light", kind="image", threshold=_unusual(0.05), profiles=("natural",))
def light(image: Pixels, *, quantile: Fraction = 0.05) -> float:
    """Darkness of the darkest pixels, at the ``quantile`` of all: 1 is black, 0 white."""
    return 1.0 - float(np.quantile(_brightness(image), quantile))


@CHECKS.register(
    "low_information",
    kind="image",
    threshold=_unusual(0.3),
    profiles=("natural",),
    paper="Shannon 1948, A Mathematical Theory of Communication",
)
def low_information(image: Pixels, *, full: Count = 10) -> float:
    """Entropy of the levels of all channels together, in bits, as a share of ``full``.

    Eight bits are the most that a grey image can have, 9.58 with three channels.
    """
    channels = 1 if image.ndim == 2 else image.shape[2]
    levels = image.reshape(-1, channels).astype(np.int64) + 256 * np.arange(channels)
    shares = np.bincount(levels.ravel()) / levels.size
    shares = shares[shares > 0]
    return float(np.clip(-(shares * np.log2(shares)).sum() / full, 0.0, 1.0))


@CHECKS.register(
    "blurry",
    kind="image",
    threshold=_unusual(0.3),
    profiles=("natural",),
    paper="Crete et al. 2007, The Blur Effect (SPIE 6492)",
)
def blurry(image: Pixels, *, reach: Count = 5, side: Count = 128) -> float:
    """Share of the steps between neighbours that a mean over ``reach`` pixels takes away.

    A sharp image loses most of them and a blurred one few, whatever its brightness and contrast. Of
    rows and columns the direction that loses fewer counts. Larger images are reduced to ``side``
    pixels first: a blur that cannot be seen there is no fault.
    """
    grey = _grey(image, side)
    return min(_lost(grey, reach), _lost(grey.T, reach))


@CHECKS.register("grayscale", kind="image", threshold=_unusual(0.5), profiles=("natural",))
def grayscale(
    image: Pixels,
    *,
    tolerance: Amount = 8.0,
    enough: Annotated[float, Field(gt=0, le=1)] = 0.01,
) -> float:
    """Share of pixels whose channels are over ``tolerance`` levels apart; 1 from ``enough`` on.

    The colour that JPEG adds to a grey image stays below that. A grey image is at fault among
    coloured ones only: in a grey set the median is 0.
    """
    if image.ndim == 2:
        return 0.0
    coloured = float((image.max(axis=2) - image.min(axis=2) > tolerance).mean())
    return min(1.0, coloured / enough)


def _brightness(image: Pixels) -> NDArray[np.float32]:
    """The brightness that the eye sees (H, W), 0 … 1 (Finley 2006, the HSP colour model)."""
    if image.ndim == 2:
        return image.astype(np.float32) / np.float32(255)
    squares = np.square(image.astype(np.float32)) @ np.array(_WEIGHTS, np.float32)
    brightness: NDArray[np.float32] = np.sqrt(squares) / np.float32(255)
    return brightness


def _grey(image: Pixels, side: int) -> NDArray[np.float32]:
    picture = Image.fromarray(image).convert("L")
    picture.thumbnail((side, side), Image.Resampling.BICUBIC)
    return np.asarray(picture, np.float32)


def _lost(grey: NDArray[np.float32], reach: int) -> float:
    """Share of the steps down the columns that smoothing takes away; 1 where there are none."""
    steps = np.abs(np.diff(grey, axis=0))
    total = float(steps.sum())
    if not total:
        return 1.0
    left = np.abs(np.diff(uniform_filter1d(grey, reach, axis=0), axis=0))
    return float(np.maximum(steps - left, 0).sum()) / total
