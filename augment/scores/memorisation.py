"""Whether samples are copies of the images that the generator was trained on."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from augment.neighbours import nearest, pixel_gaps
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

    A near copy is as near to a train image as only the ``quantile`` of the train images are to
    their own nearest one, both to the judge (features) and to the eye (pixels, moved by up to one
    either way). Features alone would flag that share of honest images too. A sample is authentic
    if the judge finds it farther from its nearest train image than that image from its own.
    """
    train = measured.train
    partners, own = (found[:, 0] for found in nearest(train.features, train.features, same=True))
    few = len(train) < 2
    limit = np.nan if few else np.quantile(own, quantile)
    seen = (
        np.nan if few else np.quantile(pixel_gaps(train.pixels, train.pixels[partners]), quantile)
    )

    def compare(other: Side) -> Numbers:
        if few:
            return {"near_copy_fraction": float("nan"), "authenticity": float("nan")}
        places, gaps = (found[:, 0] for found in nearest(other.features, train.features))
        close = gaps <= limit
        close[close] = pixel_gaps(other.pixels[close], train.pixels[places[close]]) <= seen
        return {
            "near_copy_fraction": share(close),
            "authenticity": share(gaps > own[places]),
        }

    synthetic = measured.synthetic
    return {
        **compare(synthetic),
        "floor": compare(measured.held),
        "per_class": {
            name: compare(synthetic.of(index)) for index, name in enumerate(measured.classes)
        },
    }
