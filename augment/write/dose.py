"""Dose: how many synthetic samples of each class go in for each real one, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from augment.errors import AugmentError
from augment.write.gates import number

Wanted = str | float | Mapping[str, float] | None


class DoseError(AugmentError, ValueError):
    """A dose for a class that is not there."""


class Dose(NamedTuple):
    """At most so many synthetic samples for each labelled train image; None takes all."""

    most: float | None
    why: str


def doses(wanted: Wanted, classes: Sequence[str], uplift: Mapping[str, Any]) -> dict[str, Dose]:
    """The dose of each class.

    ``wanted`` is a number, a number for each class (none for the others), None for all, or "auto":
    what ``uplift``, of score.json, found on valid for each class; nothing where synthetic samples
    do not help overall; all where that was not measured. Raises DoseError for an unknown class.
    """
    if isinstance(wanted, Mapping):
        unknown = sorted(wanted.keys() - set(classes))
        if unknown:
            known = ", ".join(classes)
            raise DoseError(f"write.dose: unknown class {unknown[0]!r}; known: {known}")
        return {label: Dose(wanted.get(label, 0.0), "set") for label in classes}
    if not isinstance(wanted, str):
        return dict.fromkeys(classes, Dose(wanted, "set"))
    verdict, measured = uplift.get("verdict"), uplift.get("per_class")
    if verdict is None and not measured:
        return dict.fromkeys(classes, Dose(None, "not measured"))
    if verdict != "helps":
        return dict.fromkeys(classes, Dose(0.0, f"overall: {verdict or 'not measured'}"))
    found = measured if isinstance(measured, Mapping) else {}
    return {label: _measured(found.get(label)) for label in classes}


def taken(
    synthetic: pd.DataFrame, real: pd.Series, chosen: Mapping[str, Dose]
) -> NDArray[np.bool_]:
    """Which synthetic samples go in: of each class the first by index, rounded down.

    ``real`` holds the label of each labelled train image; images with an inferred label are not
    counted, because the dose was measured without them.
    """
    rank = synthetic.sort_values("index", kind="stable").groupby("label").cumcount()
    count = real.value_counts()
    most = {
        label: math.inf if dose.most is None else math.floor(dose.most * count.get(label, 0) + 1e-9)
        for label, dose in chosen.items()
    }
    wanted = synthetic["label"].map(most).astype(float)
    return (rank.reindex(synthetic.index) < wanted).to_numpy(dtype=bool)


def _measured(part: Any) -> Dose:
    most = number(part.get("dose")) if isinstance(part, Mapping) else None
    return Dose(0.0, "not measured") if most is None else Dose(most, str(part.get("verdict")))
