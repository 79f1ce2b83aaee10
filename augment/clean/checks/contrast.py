"""Image checks of the levels of one image: is anything on it, and does it stand out."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from augment.clean.checks.base import BOTH_PROFILES, CHECKS, Outlier
from augment.data.images import Pixels

# levels: the greatest standard deviation that passes for paper and not for texture; chosen by hand
_GRAIN = 8.0


# threshold: a twentieth of the share ``enough``; tolerance and enough: all chosen by hand
@CHECKS.register("blank", kind="image", threshold=0.05, profiles=("glyph",))
def blank(
    image: Pixels,
    *,
    tolerance: Annotated[float, Field(ge=0)] = 8.0,
    enough: Annotated[float, Field(gt=0, le=1)] = 0.01,
) -> float:
    """Share of pixels that stand out from the paper, divided by ``enough``; at most 1.

    The paper is the median of each channel. A pixel stands out if a channel differs by more than
    ``tolerance`` levels and by more than six standard deviations of the paper's grain.
    """
    channels = image.reshape(*image.shape[:2], -1).astype(np.float32)
    paper = [_quantiles(channel, 0.5)[0] for channel in np.moveaxis(channels, 2, 0)]
    away = np.abs(channels - np.array(paper, np.float32)).max(axis=2)
    marked = float((away > max(tolerance, 6.0 * min(_grain(channels), _GRAIN))).mean())
    return min(1.0, marked / enough)


# share: chosen by hand
@CHECKS.register(
    "low_contrast", kind="image", threshold=Outlier(share=0.25), profiles=BOTH_PROFILES
)
def low_contrast(image: Pixels) -> float:
    """Levels between the darkest and the brightest pixels, as a share of 255.

    One pixel in two thousand is left out at either end; the channel with the widest range counts.
    """
    channels = image.reshape(image.shape[0] * image.shape[1], -1).T
    ends = (_quantiles(channel, 0.0005, 0.9995) for channel in channels)
    return max(bright - dark for dark, bright in ends) / 255.0


def _grain(channels: NDArray[np.float32]) -> float:
    """Standard deviation of the noise in levels, by the median step between neighbours in a row.

    The difference of two Gaussian values has √2 times their deviation, and its absolute value the
    median 0.6745 of that.
    """
    if channels.shape[1] < 2:
        return 0.0
    steps = np.abs(np.diff(channels, axis=1))
    return _quantiles(steps, 0.5)[0] / (0.6745 * math.sqrt(2))


def _quantiles(levels: NDArray[Any], *shares: float) -> list[float]:
    """The quantiles of whole numbers 0 … 255 like np.quantile, by counting: many times faster."""
    upto = np.bincount(levels.astype(np.uint8).ravel(), minlength=256).cumsum()
    quantiles = []
    for share in shares:
        place = share * (levels.size - 1)
        low, high = upto.searchsorted((math.floor(place), math.ceil(place)), side="right")
        quantiles.append(float(low + (high - low) * (place % 1)))
    return quantiles
