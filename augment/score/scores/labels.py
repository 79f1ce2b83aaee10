"""Whether samples show the class that they are labelled with."""

from __future__ import annotations

from augment.score.scores.base import (
    SCORES,
    Key,
    Measured,
    Numbers,
    Side,
    by_class,
    share,
    with_floor,
)


@SCORES.register(
    "labels",
    paper="Ravuri & Vinyals 2019, Classification Accuracy Score (arXiv:1905.10887)",
    keys={"label_accuracy": Key("higher", 0.0, 1.0)},
)
def labels(measured: Measured) -> Numbers:
    """Share of the samples whose label is the judge's first choice, overall and by class."""
    return {**with_floor(measured, agreement), **by_class(measured, agreement)}


def agreement(_: Side, other: Side) -> Numbers:
    """Label accuracy of ``other`` by the judge."""
    return {"label_accuracy": share(other.probabilities.argmax(1) == other.labels)}
