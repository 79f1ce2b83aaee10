"""Numbers and verdicts in words."""

from __future__ import annotations

import math

from augment.data.reports import Gain
from augment.report.elements import Cell
from augment.report.terminal import number

TONES = {"helps": "good", "no difference": "even", "harms": "bad"}

_ARMS = {
    "real": "real alone",
    "classic": "real + classic augmentation",
    "oversampling": "classic, rare classes oversampled",
    "oversampling+synthetic": "classic, rare classes oversampled, + synthetic",
    "pseudo_labels": "classic + pseudo-labels",
    "adopted": "classic + adopted",
    "adopted+synthetic": "classic + adopted + synthetic",
    "synthetic": "classic + synthetic",
    "synthetic_only": "synthetic alone",
    "written": "the written set",
    "shuffled": "control: shuffled labels",
    "perturbed": "control: perturbed copies",
}


def shown(value: Cell) -> str:
    """A cell of a table in few characters; a dash where nothing was measured."""
    if value is None or value == "":
        return "–"
    return f"{value:,}" if isinstance(value, int) else number(value)


def percent(share: float) -> str:
    """A share of 1 as ``98.31 %``."""
    return f"{100 * share:.2f} %"


def points(gain: float) -> str:
    """A difference of two shares of 1 in percentage points, with its sign."""
    return f"{100 * gain:+.2f}".replace("-", "−")


def span(low: float, high: float) -> str:
    """The ends of an interval of shares of 1, in percentage points."""
    return f"{points(low)} to {points(high)}"


def counted(amount: int, singular: str, plural: str = "") -> str:
    """``1 image``, ``2,000 images``."""
    return f"{amount:,} {singular if amount == 1 else plural or singular + 's'}"


def arm(name: str) -> str:
    """The training set of an arm of the uplift, in words."""
    base, _, dose = name.partition("@")
    title = _ARMS.get(base, base)
    return f"{title}, dose {dose}" if dose else title


def dose_of(name: str) -> float | None:
    """The dose of an arm that differs from classic augmentation by nothing else."""
    base, _, dose = name.partition("@")
    return float(dose) if base == "synthetic" and dose else None


def verdict_in_words(gain: Gain) -> str:
    """Verdict, gain and interval of one comparison in a few words."""
    if gain.verdict is None:
        return "not measured"
    return f"{gain.verdict}: {points(gain.gain)} points ({span(gain.low, gain.high)})"


def measured(number: float) -> float | None:
    """``number``, or None for NaN, as cells of tables have it."""
    return None if math.isnan(number) else number
