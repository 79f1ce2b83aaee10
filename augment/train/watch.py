"""A watch over training finds trouble in the measured rows and names a remedy.

Every row holds

- ``step``
- the mean of each loss since the row before, under the prefix of its phase (``d_*`` and ``g_*`` of
  a GAN), and of the gradient norms (``gradient_d``, ``gradient_g``)
- ``variance``: of the features of a fixed batch, relative to real images (1: as real)

A row may also hold

- ``variance_within`` and ``variance_within_least``: the same within a class, the mean over classes
  and the least of them
- ``kid`` and ``kid_train``: the kernel inception distance from valid and from train images
- ``label_accuracy``: the share of samples that the labeller reads as the class they were made for
- ``accuracy``: the share of pairs in which D prefers the real image
- as evidence ``accuracy_real``, ``accuracy_fake`` and ``p`` (of ADA)

The watch knows these troubles. With ``on_trouble: rollback`` a run goes on from its best checkpoint
with the remedy in brackets:

- ``diverged``: a number is not finite (rate × 0.5)
- ``mode_collapse``: less than a tenth of the real variance is left overall, within classes or
  within the least varied class (rate × 0.5, penalties × 2)
- ``discriminator_won``: D tells 99.5 % of pairs apart, and either KID no longer falls or no
  gradient reaches G (rate.discriminator × 0.5, penalties × 2)
- ``code_ignored``: Q reads a code no better than chance (rate.discriminator × 0.5)
- ``memorising``: KID falls on train and rises on valid (the run ends with its best step)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import linear_regression, median
from typing import Any

from augment.errors import AugmentError

Row = Mapping[str, float]

# Chosen by hand.
WON = 0.995  # share of pairs: D has won when it prefers the real image in at least so many
BETTER = 0.02  # share of KID: samples improve when KID falls by more than this over WINDOWS
VANISHED = 1e-3  # share of the median gradient norm before: up to it no gradient reaches G
COLLAPSED = 0.1  # share of the real images' feature variance: below it samples are collapsed
SLOW = 1500  # steps after which samples must vary and codes be read
WINDOWS = 3  # measurements in a row that a diagnosis needs
TREND = 4  # measurements after the best one that a trend needs
RISE = 0.25  # share of the best KID by which KID on valid has risen, at least
FALL = 0.1  # share of KID on train then by which KID on train has fallen, at least
CERTAIN = 4  # standard errors that a trend must exceed
VARIANCES = {
    "variance": "a fixed batch varies",
    "variance_within": "samples of one class vary on average",
    "variance_within_least": "samples of the least varied class vary",
}


@dataclass(frozen=True)
class Diagnosis:
    """A named trouble, its evidence in words and in numbers, and advice to the user."""

    name: str
    evidence: str
    advice: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, for a report."""
        return asdict(self)


@dataclass(frozen=True)
class Remedy:
    """Factors by which settings change before a run goes on from its best checkpoint.

    ``rate`` multiplies the learning rate of ``phase``, or of every phase where that is None;
    ``penalties`` multiplies the weight of each penalty.
    """

    rate: float
    phase: str | None = None
    penalties: float = 1.0

    def on(self, phases: Iterable[str]) -> dict[str, Any]:
        """The rate factors by phase and the penalties' factor, as JSON holds them."""
        rates = {name: self.rate for name in phases if self.phase in (None, name)}
        return {"rates": rates, "penalties": self.penalties}

    def __str__(self) -> str:
        """The settings that change: ``rate.discriminator × 0.5, penalties × 2``."""
        changes = {"rate" if self.phase is None else f"rate.{self.phase}": self.rate}
        changes["penalties"] = self.penalties
        return ", ".join(f"{name} × {factor:g}" for name, factor in changes.items() if factor != 1)


REMEDIES = {
    "diverged": Remedy(0.5),  # shorter steps do not overshoot
    "mode_collapse": Remedy(0.5, penalties=2),  # a smoother D pulls samples apart again
    "discriminator_won": Remedy(0.5, "discriminator", penalties=2),  # hold D back; G learns
    "code_ignored": Remedy(0.5, "discriminator"),  # a slower D leaves G more to Q's terms
}
ENDING = "memorising"  # later steps would only copy more, so the run ends with its best step


class TrainingTrouble(AugmentError):
    """Training that cannot recover."""

    def __init__(self, step: int, diagnosis: Diagnosis):
        """Say the step, the trouble, its evidence and the advice."""
        self.diagnosis = diagnosis
        super().__init__(
            f"training stopped at step {step}: {diagnosis.name} ({diagnosis.evidence}); "
            f"{diagnosis.advice}"
        )


def remedy(diagnosis: Diagnosis) -> Remedy | None:
    """The remedy under ``on_trouble: rollback``; None where the run has to stop."""
    return REMEDIES.get(diagnosis.name)


def diverged(losses: Row) -> Diagnosis | None:
    """The diagnosis of the first loss or gradient norm that is not finite, or None."""
    for name, value in losses.items():
        if not math.isfinite(value):
            advice = "lower train.rate or raise the weights in train.penalties"
            return Diagnosis("diverged", f"{name} is {value}", advice, {name: value})
    return None


def diagnose(rows: Sequence[Row], ignored: Callable[[Row], str | None]) -> Diagnosis | None:
    """The first trouble that the measurements so far show, or None.

    ``rows`` belong to a single course: after a rollback they lack the abandoned rows. ``ignored``
    is the model's method that says why a row shows an ignored code.
    """
    if len(rows) < WINDOWS:
        return None
    return _collapsed(rows) or _won(rows) or _unread(rows, ignored) or _memorising(rows)


def _collapsed(rows: Sequence[Row]) -> Diagnosis | None:
    """Whether samples vary too little in each of the last WINDOWS rows.

    Before step SLOW this counts only where they have varied at least twice as much.
    """
    for key, what in VARIANCES.items():
        values = _last(rows, key)
        varied = any(row.get(key, 0.0) >= 2 * COLLAPSED for row in rows)
        begun = varied or rows[-WINDOWS]["step"] >= SLOW
        if begun and values and max(values) < COLLAPSED:
            return Diagnosis(
                "mode_collapse",
                f"{what} {values[-1]:.3f} times as much as real images",
                "raise the weights in train.penalties, lower train.rate or add train.augment",
                _numbers(rows[-1], *VARIANCES),
            )
    return None


def _won(rows: Sequence[Row]) -> Diagnosis | None:
    """Whether D tells nearly all pairs apart and G no longer learns from it."""
    accuracies, kids, norms = (_last(rows, key) for key in ("accuracy", "kid", "gradient_g"))
    if not accuracies or min(accuracies) < WON:
        return None
    # An unbiased KID can lie below 0, on few images far below, so no ratio can be taken.
    better = bool(kids) and kids[0] - kids[-1] > BETTER * abs(kids[0])
    before = [row["gradient_g"] for row in rows[:-WINDOWS] if _has(row, "gradient_g")]
    usual = median(before) if before else 0.0
    vanished = bool(norms) and usual > 0 and max(norms) <= VANISHED * usual
    if better and not vanished:
        return None
    symptom = "samples no longer improve"
    if vanished:
        symptom = f"the generator's gradient fell from {usual:.2g} to {norms[-1]:.2g}"
    told = ("accuracy", "accuracy_real", "accuracy_fake", "gradient_d", "gradient_g", "p", "kid")
    return Diagnosis(
        "discriminator_won",
        f"it tells {accuracies[-1]:.1%} of pairs apart and {symptom}",
        "raise the weights in train.penalties, add train.augment or lower train.rate.discriminator",
        _numbers(rows[-1], *told) | ({"gradient_g_before": usual} if vanished else {}),
    )


def _unread(rows: Sequence[Row], ignored: Callable[[Row], str | None]) -> Diagnosis | None:
    """Whether Q has read a code no better than chance in each of the last WINDOWS rows."""
    last = rows[-WINDOWS:]
    reasons = [ignored(row) for row in last]
    if last[0]["step"] < SLOW or not all(reasons):
        return None
    return Diagnosis(
        "code_ignored",
        str(reasons[-1]),
        "raise class_weight and code_weight of train.model or lower train.rate.discriminator",
        _numbers(last[-1], *(key for key in last[-1] if key.startswith("g_"))),
    )


def _memorising(rows: Sequence[Row]) -> Diagnosis | None:
    """Whether since the best KID on valid that KID has risen and KID on train has fallen."""
    both = [row for row in rows if _has(row, "kid") and _has(row, "kid_train")]
    best = min(range(len(both)), key=lambda place: both[place]["kid"], default=0)
    since = both[best:]
    if len(since) <= TREND:
        return None
    first, last = since[0], since[-1]
    rise, doubt = _trend([row["kid"] for row in since])
    fall, vague = _trend([-row["kid_train"] for row in since])
    shown = rise >= RISE * abs(first["kid"]) and fall >= FALL * abs(first["kid_train"])
    if not shown or rise <= CERTAIN * doubt or fall <= CERTAIN * vague:
        return None
    return Diagnosis(
        ENDING,
        f"since step {first['step']:.0f}, KID rose by {rise:.3g} from {first['kid']:.3g} on valid "
        f"and fell by {fall:.3g} from {first['kid_train']:.3g} on train",
        "add train.augment or real images for a run that can go on",
        {f"best_{key}": first[key] for key in ("step", "kid", "kid_train")}
        | {"kid": last["kid"], "kid_train": last["kid_train"]},
    )


def _trend(values: Sequence[float]) -> tuple[float, float]:
    """The change along the line of least squares through at least 3 values; its standard error."""
    count = len(values)
    slope, start = linear_regression(range(count), values)
    squares = sum((value - start - slope * x) ** 2 for x, value in enumerate(values))
    error = math.sqrt(squares / (count - 2) * 12 / (count * (count**2 - 1)))
    return slope * (count - 1), error * (count - 1)


def _last(rows: Sequence[Row], key: str) -> list[float]:
    """The values of ``key`` in the last WINDOWS rows; empty where a row lacks it."""
    values = [row[key] for row in rows[-WINDOWS:] if _has(row, key)]
    return values if len(values) == WINDOWS else []


def _has(row: Row, key: str) -> bool:
    return math.isfinite(row.get(key, math.nan))


def _numbers(row: Row, *keys: str) -> dict[str, float]:
    return {key: row[key] for key in keys if key in row}
