"""A watch over training: what the measured rows say is wrong, and what to change.

A row holds ``step``; the means since the row before of every loss, under the prefix of its phase
(``d_*`` and ``g_*`` of a GAN), and of the gradients' norms (``gradient_d``, ``gradient_g``); and
``variance``, that of a fixed batch's features relative to real images (1: as real). A GAN's row
holds ``accuracy`` (share of pairs in which D prefers the real image), and a row may hold
``variance_within`` (the same within a class, mean over the
classes), ``variance_within_least`` (of the least varied class), ``kid`` and ``kid_train`` (against
valid and train) and, as evidence, ``accuracy_real``, ``accuracy_fake`` and ``p`` (of ADA).

What it names, and the remedy with which ``on_trouble: rollback`` goes on from the best checkpoint:

- ``diverged``: a number is not finite (rate × 0.5)
- ``mode_collapse``: not a tenth of the real variance is left overall, within classes or within one
  of them (rate × 0.5, penalties × 2)
- ``discriminator_won``: D tells 99.5 % of pairs apart, and either KID no longer falls or no
  gradient reaches G (rate.discriminator × 0.5, penalties × 2)
- ``code_ignored``: Q reads a code no better than chance (rate.discriminator × 0.5)
- ``memorising``: KID on train falls while on valid it rises (the run ends, with its best step)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import linear_regression, median
from typing import Any

from augment.errors import AugmentError

Row = Mapping[str, float]

WON = 0.995  # share of pairs in which the discriminator prefers the real image
BETTER = 0.02  # of KID, by which it must fall over the windows to count as improving
VANISHED = 1e-3  # of the median gradient norm that the generator had before
COLLAPSED = 0.1  # of the real images' feature variance
SLOW = 1500  # steps that a generator may take until it varies and its codes can be read
WINDOWS = 3  # measurements in a row before a diagnosis, so that a bad moment is none
TREND = 4  # measurements after the best one that make a trend
RISE = 0.25  # of KID on valid since its best
FALL = 0.1  # of KID on train in the same time
CERTAIN = 4  # standard errors that a trend must exceed
SPREADS = {
    "variance": "a fixed batch varies",
    "variance_within": "samples of one class vary on average",
    "variance_within_least": "samples of the least varied class vary",
}


@dataclass(frozen=True)
class Diagnosis:
    """A named trouble: its evidence in words and in numbers, and what a user can change."""

    name: str
    evidence: str
    advice: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """All of it, for a report."""
        return asdict(self)


@dataclass(frozen=True)
class Remedy:
    """Factors on the settings under ``train`` with which a run goes on from its best checkpoint.

    ``rate`` is on the learning rate of ``phase``, or of every phase where that is None;
    ``penalties`` on the weight of each penalty.
    """

    rate: float
    phase: str | None = None
    penalties: float = 1.0

    def on(self, phases: Iterable[str]) -> dict[str, Any]:
        """The factors by phase, as a checkpoint and the report hold them."""
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
ENDING = "memorising"  # what follows the best step only copies more: a run ends with that one


class TrainingTrouble(AugmentError):
    """Training that will not recover by going on."""

    def __init__(self, step: int, diagnosis: Diagnosis):
        """Say at which step, what, by which evidence, and what to change."""
        self.diagnosis = diagnosis
        super().__init__(
            f"training stopped at step {step}: {diagnosis.name} ({diagnosis.evidence}); "
            f"{diagnosis.advice}"
        )


def remedy(diagnosis: Diagnosis) -> Remedy | None:
    """What the policy ``rollback`` changes; None where only stopping helps."""
    return REMEDIES.get(diagnosis.name)


def diverged(losses: Row) -> Diagnosis | None:
    """A loss or a gradient norm that is no finite number."""
    for name, value in losses.items():
        if not math.isfinite(value):
            advice = "lower train.rate or raise the weights in train.penalties"
            return Diagnosis("diverged", f"{name} is {value}", advice, {name: value})
    return None


def diagnose(rows: Sequence[Row], ignored: Callable[[Row], str | None]) -> Diagnosis | None:
    """What the measurements so far show; ``ignored`` is the model's word on its codes in one.

    The rows are those of one uninterrupted course: after a rollback, without the abandoned ones.
    """
    if len(rows) < WINDOWS:
        return None
    return _collapsed(rows) or _won(rows) or _unread(rows, ignored) or _memorising(rows)


def _collapsed(rows: Sequence[Row]) -> Diagnosis | None:
    for key, what in SPREADS.items():
        values = _last(rows, key)
        varied = any(row.get(key, 0.0) >= 2 * COLLAPSED for row in rows)
        begun = varied or rows[-WINDOWS]["step"] >= SLOW
        if begun and values and max(values) < COLLAPSED:
            return Diagnosis(
                "mode_collapse",
                f"{what} {values[-1]:.3f} times as much as real images",
                "raise the weights in train.penalties, lower train.rate or add train.augment",
                _numbers(rows[-1], *SPREADS),
            )
    return None


def _won(rows: Sequence[Row]) -> Diagnosis | None:
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
    """Change along the line of least squares, and its standard error; of three values or more."""
    count = len(values)
    slope, start = linear_regression(range(count), values)
    squares = sum((value - start - slope * x) ** 2 for x, value in enumerate(values))
    error = math.sqrt(squares / (count - 2) * 12 / (count * (count**2 - 1)))
    return slope * (count - 1), error * (count - 1)


def _last(rows: Sequence[Row], key: str) -> list[float]:
    """The last values of ``key``; none where a row lacks it."""
    found = [row[key] for row in rows[-WINDOWS:] if _has(row, key)]
    return found if len(found) == WINDOWS else []


def _has(row: Row, key: str) -> bool:
    return math.isfinite(row.get(key, math.nan))


def _numbers(row: Row, *keys: str) -> dict[str, float]:
    return {key: row[key] for key in keys if key in row}
