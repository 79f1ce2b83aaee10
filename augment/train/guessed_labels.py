"""What a model asks to know of its images: guessed labels, and ranks as codes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from augment.data.arrays import Arrays
from augment.models.base import MODELS
from augment.registry import PartError
from augment.runtime import seeding
from augment.train.settings import TrainSettings
from augment.vision.factors import FACTORS
from augment.vision.gradients import describe
from augment.vision.label_graph import clusters, graph, spread


def fill(settings: TrainSettings, pool: Arrays) -> Arrays:
    """``pool`` with what the model asks to know of its images: labels, and ranks as codes.

    Labels that are known stay. Where none is (``labels: none``) they are clusters, numbered in no
    meaningful order. Raises PartError where there are no more images than clusters.
    """
    model = MODELS.resolve(settings.model)
    if model.get("labels", "all") != "all" and model["pseudo_labels"] == "graph":
        pool = dataclasses.replace(pool, labels=_labels(settings, model, pool))
    if model.get("factors"):
        pool = dataclasses.replace(pool, codes=ranks(pool, model["factors"]))
    return pool


def ranks(data: Arrays, factors: Sequence[str]) -> NDArray[np.float32]:
    """How images rank by each factor among those of their label (N, F): evenly over -1 … 1.

    NaN where a factor cannot be measured.
    """
    found = np.full((len(data), len(factors)), np.nan, np.float32)
    for column, name in enumerate(factors):
        values = FACTORS.build(name)(data.pixels)
        for label in np.unique(data.labels):
            rows = np.flatnonzero((data.labels == label) & np.isfinite(values))
            if len(rows):
                found[rows, column] = (2 * rankdata(values[rows]) - 1) / len(rows) - 1
    return found


def _labels(settings: TrainSettings, model: dict[str, Any], pool: Arrays) -> NDArray[np.int64]:
    found = graph(describe(pool.pixels, upright=settings.profile == "glyph"))
    if model["labels"] == "none":
        kinds = model["categories"] or len(pool.classes)
        if kinds >= len(pool):
            raise PartError(f"train.model: {kinds} groups are asked of {len(pool)} images")
        return clusters(found, kinds, seeding.derive(settings.seed, "clusters"))
    guesses = spread(found, pool.labels, len(pool.classes)).argmax(1)
    return np.where(pool.labels < 0, guesses, pool.labels)
