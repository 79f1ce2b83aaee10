"""Dose: how many synthetic samples of each class go in for each real one, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from augment.data.reports import UpliftReport
from augment.errors import AugmentError

DoseSetting = str | float | Mapping[str, float] | None


ROUNDING = 1e-9  # samples: makes 3 · ⅓ a whole one, however floats round; chosen by hand


class DoseError(AugmentError, ValueError):
    """A dose for a class that is not there."""


class Dose(NamedTuple):
    """At most so many synthetic samples for each labelled train image; None takes all."""

    most: float | None
    why: str


def doses(
    setting: DoseSetting, classes: Sequence[str], uplift: UpliftReport | None
) -> dict[str, Dose]:
    """The dose of each class.

    ``setting`` is a number, a number for each class (none for the others), None for all, or "auto":
    that of the set that ``uplift`` chose and measured; all where the uplift was not measured.
    Raises DoseError for an unknown class.
    """
    if isinstance(setting, Mapping):
        unknown = sorted(setting.keys() - set(classes))
        if unknown:
            names = ", ".join(classes)
            raise DoseError(f"write.dose: unknown class {unknown[0]!r}; known: {names}")
        return {label: Dose(setting.get(label, 0.0), "set") for label in classes}
    if not isinstance(setting, str):
        return dict.fromkeys(classes, Dose(setting, "set"))
    if uplift is None:
        return dict.fromkeys(classes, Dose(None, "not measured"))
    return {label: _chosen(uplift, label) for label in classes}


def taken(synthetic: pd.DataFrame, real: pd.Series, doses: Mapping[str, Dose]) -> NDArray[np.bool_]:
    """Which synthetic samples go in: of each class the first by index, rounded down.

    ``real`` holds the label of each labelled train image; images with an inferred label are not
    counted, because the dose was measured without them.
    """
    rank = synthetic.sort_values("index", kind="stable").groupby("label").cumcount()
    count = real.value_counts()
    most = {
        label: math.inf
        if dose.most is None
        else math.floor(dose.most * count.get(label, 0) + ROUNDING)
        for label, dose in doses.items()
    }
    limits = synthetic["label"].map(most).astype(float)
    return (rank.reindex(synthetic.index) < limits).to_numpy(dtype=bool)


def _chosen(uplift: UpliftReport, label: str) -> Dose:
    """The dose of the class in the set that was measured."""
    of_class = uplift.per_class.get(label)
    if of_class is None:
        return Dose(0.0, "not measured")
    if uplift.chosen_on is None:
        return Dose(of_class.dose, "no valid images")
    if not uplift.dose:
        return Dose(of_class.dose, f"no gain on {uplift.chosen_on}")
    why = "chosen" if of_class.dose else "harms"
    return Dose(of_class.dose, f"{why} on {uplift.chosen_on}")
