"""Whether samples are copies of the images that the generator was trained on."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from augment.neighbours import nearest
from augment.scores import SCORES, Key, Measured, Numbers, Side, share


@SCORES.register(
    "memorisation",
    paper="Alaa et al. 2022, How Faithful is your Synthetic Data? (arXiv:2102.08921)",
    keys={
        "near_copy_fraction": Key("lower", 0.0, 1.0),
        "authenticity": Key("higher", 0.0, 1.0),
    },
)
def memorisation(
    measured: Measured, *, quantile: Annotated[float, Field(ge=0, le=1)] = 0.01
) -> Numbers:
    """Share of near copies of train images, and share of authentic samples.

    A near copy is at most as far from a train image as the ``quantile`` of the train images' own
    nearest distances. A sample is authentic if it is farther from its nearest train image than
    that image is from its own nearest.
    """
    real = measured.train.features
    own = nearest(real, real, same=True)[1][:, 0]
    threshold = np.quantile(own, quantile) if len(own) > 1 else np.nan

    def compare(other: Side) -> Numbers:
        if np.isnan(threshold):
            return {"near_copy_fraction": float("nan"), "authenticity": float("nan")}
        places, gaps = nearest(other.features, real)
        return {
            "near_copy_fraction": share(gaps[:, 0] <= threshold),
            "authenticity": share(gaps[:, 0] > own[places[:, 0]]),
        }

    synthetic = measured.synthetic
    return {
        **compare(synthetic),
        "floor": compare(measured.held),
        "per_class": {
            name: compare(synthetic.of(index)) for index, name in enumerate(measured.classes)
        },
    }
