"""A watch over training: what the measurements say is wrong, and what to change."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from augment.errors import AugmentError

Row = Mapping[str, float]

WON = 0.995  # share of pairs in which the discriminator prefers the real image
COLLAPSED = 0.1  # of the real images' feature variance
SLOW = 1500  # steps that a generator may take until it varies and its codes can be read
WINDOWS = 3  # measurements in a row before a diagnosis, so that a bad moment is none


class Diagnosis(NamedTuple):
    """A named trouble with its evidence and a remedy."""

    name: str
    evidence: str
    advice: str


class TrainingTrouble(AugmentError):
    """Training that will not recover by going on."""

    def __init__(self, step: int, diagnosis: Diagnosis):
        """Say at which step, what, by which evidence, and what to change."""
        self.diagnosis = diagnosis
        super().__init__(
            f"training stopped at step {step}: {diagnosis.name} ({diagnosis.evidence}); "
            f"{diagnosis.advice}"
        )


def diverged(losses: Row) -> Diagnosis | None:
    """A loss that is no finite number."""
    for name, value in losses.items():
        if not math.isfinite(value):
            advice = "lower train.rate or raise the weights in train.penalties"
            return Diagnosis("diverged", f"{name} is {value}", advice)
    return None


def diagnose(rows: Sequence[Row], ignored: Callable[[Row], str | None]) -> Diagnosis | None:
    """What the last measurements show; ``ignored`` is the model's word on its codes in one.

    A row holds ``step``, ``accuracy`` (share of pairs that D orders rightly), ``variance``
    (features of a fixed batch relative to real, 1 = as real) and, where there is a valid split,
    ``kid``.
    """
    if len(rows) < WINDOWS:
        return None
    last = rows[-WINDOWS:]
    varied = max(row["variance"] for row in rows) >= 2 * COLLAPSED
    if all(row["variance"] < COLLAPSED for row in last) and (varied or last[0]["step"] >= SLOW):
        return Diagnosis(
            "mode_collapse",
            f"a fixed batch varies {last[-1]['variance']:.3f} times as much as real images",
            "raise the weights in train.penalties, lower train.rate or add train.augment",
        )
    accuracies = [row["accuracy"] for row in last]
    better = last[-1].get("kid", math.inf) < 0.98 * last[0].get("kid", math.inf)
    if min(accuracies) >= WON and not better:
        return Diagnosis(
            "discriminator_won",
            f"it tells {accuracies[-1]:.1%} of pairs apart and samples no longer improve",
            "raise the weights in train.penalties, add train.augment or lower "
            "train.rate.discriminator",
        )
    reasons = [ignored(row) for row in last]
    if all(reasons) and last[0]["step"] >= SLOW:
        return Diagnosis(
            "code_ignored",
            str(reasons[-1]),
            "raise class_weight and code_weight of train.model or lower train.rate.discriminator",
        )
    return None
