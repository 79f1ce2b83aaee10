"""Whether a classifier gets better by the set that is written: what it is for."""

from __future__ import annotations

import math

from augment.data.reports import ScoreKey
from augment.score.scores.base import SCORES, Measured, Numbers

_SPREAD = ScoreKey("lower", 0.0, math.inf)
_ACCURACY = ScoreKey("higher", 0.0, 1.0)
_GAIN = ScoreKey("higher", -1.0, 1.0)


@SCORES.register(
    "uplift",
    paper="Ravuri & Vinyals 2019, Classification Accuracy Score (arXiv:1905.10887)",
    keys={
        "uplift.classic.mean": _ACCURACY,
        "uplift.classic.std": _SPREAD,
        "uplift.written.mean": _ACCURACY,
        "uplift.written.std": _SPREAD,
        "uplift.gain.mean": _GAIN,
        "uplift.gain.std": _SPREAD,
        "uplift.low": _GAIN,
        "uplift.high": _GAIN,
    },
)
def uplift(measured: Measured) -> Numbers:
    """Accuracy on real test images of the labelled images and of the written set, and its gain.

    What is compared, and how, is set in ``score.uplift``; see augment.score.uplift.protocol.
    """
    return {"uplift": measured.uplift()}
