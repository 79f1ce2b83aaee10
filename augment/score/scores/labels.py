"""Whether samples show the class that they are labelled with."""

from __future__ import annotations

from augment.score.scores.base import (
    SCORES,
    Measured,
    Numbers,
    Side,
    by_class,
    keys_of,
    share,
    with_floor,
)


@SCORES.register(
    "labels",
    paper="Ravuri & Vinyals 2019, Classification Accuracy Score (arXiv:1905.10887)",
    keys=keys_of("label_accuracy"),
)
def labels(measured: Measured) -> Numbers:
    """Share of the samples whose label is the judge's first choice, overall and by class."""
    return {**with_floor(measured, agreement), **by_class(measured, agreement)}


def agreement(_: Side, other: Side) -> Numbers:
    """Label accuracy of ``other`` by the judge."""
    return {"label_accuracy": share(other.probabilities.argmax(1) == other.labels)}
