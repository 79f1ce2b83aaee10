"""Image checks of the levels of one image: is anything on it, and does it stand out."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from augment.clean.checks.base import BOTH_PROFILES, CHECKS, Outlier
from augment.clean.glyphs import raster
from augment.clean.glyphs.ink import counts_of
from augment.data.images import Pixels

# levels: the greatest standard deviation that passes for paper and not for texture; chosen by hand
_GRAIN = 8.0
_LEVELS = np.arange(256, dtype=np.float32)


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
    counts = counts_of(image)
    papers = [_quantiles(channel, 0.5)[0] for channel in counts]
    needed = enough * image.shape[0] * image.shape[1]

    def marked(limit: float) -> int:
        """How many pixels stand out by more than so many levels."""
        away = [np.abs(_LEVELS - np.float32(paper)) > np.float32(limit) for paper in papers]
        if len(counts) == 1:
            return int(np.sum(counts[0, away[0]]))
        channels = np.moveaxis(np.asarray(image), 2, 0)
        marks = [table[channel] for table, channel in zip(away, channels, strict=True)]
        return raster.count(np.any(marks, axis=0))

    if marked(max(tolerance, 6.0 * _GRAIN)) >= needed:  # whatever the grain, it is not blank
        return 1.0
    grain = _grain(np.asarray(image))
    return float(min(1.0, marked(max(tolerance, 6.0 * min(grain, _GRAIN))) / needed))


# share: chosen by hand
@CHECKS.register(
    "low_contrast", kind="image", threshold=Outlier(share=0.25), profiles=BOTH_PROFILES
)
def low_contrast(image: Pixels) -> float:
    """Levels between the darkest and the brightest pixels, as a share of 255.

    One pixel in two thousand is left out at either end; the channel with the widest range counts.
    """
    ends = (_quantiles(channel, 0.0005, 0.9995) for channel in counts_of(image))
    return max(bright - dark for dark, bright in ends) / 255.0


def _grain(image: Pixels) -> float:
    """Standard deviation of the noise in levels, by the median step between neighbours in a row.

    The difference of two Gaussian values has √2 times their deviation, and its absolute value the
    median 0.6745 of that.
    """
    if image.shape[1] < 2:
        return 0.0
    return _quantiles(raster.histogram(raster.steps(image)), 0.5)[0] / (0.6745 * math.sqrt(2))


def _quantiles(counts: NDArray[np.int64], *shares: float) -> list[float]:
    """The quantiles, like np.quantile, of levels of which each (256,) occurs so many times."""
    upto = counts.cumsum()
    quantiles = []
    for share in shares:
        place = share * (int(upto[-1]) - 1)
        low, high = upto.searchsorted((math.floor(place), math.ceil(place)), side="right")
        quantiles.append(float(low + (high - low) * (place % 1)))
    return quantiles
