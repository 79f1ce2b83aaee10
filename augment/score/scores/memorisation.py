"""Whether samples are copies of the images that the generator was trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import Field

from augment.score.scores.base import SCORES, Measured, Numbers, Side, evenly_spaced, keys_of, share
from augment.vision.lookalikes import Lookalikes


@SCORES.register(
    "memorisation",
    paper="Alaa et al. 2022, How Faithful is your Synthetic Data? (arXiv:2102.08921)",
    keys=keys_of("near_copy_fraction", "authenticity"),
)
def memorisation(
    measured: Measured,
    *,
    quantile: Annotated[float, Field(ge=0, le=1)] = 0.005,
    most: Annotated[int, Field(ge=1)] = 1000,
) -> Numbers:
    """Share of near copies of train images, and share of authentic samples.

    Train images are all that a generator may have learned from, those without a label too.
    Pixels are compared directly, and with the image moved by up to one pixel each way. A near copy
    is nearer to a train image than all but the share ``quantile`` of the train images are to their
    own nearest one; at most ``most`` images of either kind are looked at. A sample is authentic if
    in the judge's features it is farther from its nearest train image than that image is from its
    own nearest one.
    """
    train = measured.learned
    lookalikes = Lookalikes(train.pixels)
    rows = evenly_spaced(np.arange(len(train)), most)
    few = len(train) < 2
    limit = (
        np.nan
        if few
        else np.quantile(lookalikes.gaps(train.pixels[rows], self_places=rows), quantile)
    )

    def compare(other: Side) -> Callable[[int | None], Numbers]:
        """The numbers of ``other``, as a function of the class; None stands for all classes."""
        places, gaps = (column[:, 0] for column in train.neighbours.nearest(other.features))
        authentic = gaps > train.apart[places]
        sampled = evenly_spaced(np.arange(len(other)), most)
        copies = lookalikes.gaps(other.pixels[sampled]) <= limit

        def of(label: int | None) -> Numbers:
            every = np.full(len(other), True) if label is None else other.labels == label
            return {
                "near_copy_fraction": float("nan") if few else share(copies[every[sampled]]),
                "authenticity": float("nan") if few else share(authentic[every]),
            }

        return of

    synthetic = compare(measured.synthetic)
    return {
        **synthetic(None),
        "floor": compare(measured.held)(None),
        "per_class": {name: synthetic(index) for index, name in enumerate(measured.classes)},
    }
