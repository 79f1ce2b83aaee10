"""Whether a classifier gets better by the synthetic samples: what they are for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from augment.scores import SCORES, Key, Measured, Numbers

_SPREAD = Key("lower", 0.0, math.inf)
_ACCURACY = Key("higher", 0.0, 1.0)


@SCORES.register(
    "uplift",
    paper="Ravuri & Vinyals 2019, Classification Accuracy Score (arXiv:1905.10887)",
    keys={
        "uplift.classic.mean": _ACCURACY,
        "uplift.classic.std": _SPREAD,
        "uplift.synthetic.mean": _ACCURACY,
        "uplift.synthetic.std": _SPREAD,
        "uplift.gain.mean": Key("higher", -1.0, 1.0),
        "uplift.gain.std": _SPREAD,
    },
)
def uplift(
    measured: Measured, *, seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0, 1, 2)
) -> Numbers:
    """Accuracy on real test images with and without synthetic ones in training, and its gain.

    Both arms have the judge's architecture, the same classic augmentation and the same number of
    steps; each seed trains one of both, and the gain is the difference within the pairs.
    """
    arms = {
        arm: np.array([measured.accuracy(arm, seed) for seed in seeds])
        for arm in ("classic", "synthetic")
    }
    arms["gain"] = arms["synthetic"] - arms["classic"]
    return {
        "uplift": {
            **{arm: _summary(values.tolist()) for arm, values in arms.items()},
            "seeds": list(seeds),
        }
    }


def _summary(values: Sequence[float]) -> dict[str, Any]:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return {"mean": float(np.mean(values)), "std": spread, "values": list(values)}
