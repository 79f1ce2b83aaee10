"""What the parts of tuning hand to one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from augment.errors import AugmentError

Value = str | int | float
Changes = dict[str, Any]  # values of params.yaml by dotted key


class TuneError(AugmentError, ValueError):
    """What cannot be tuned, and why."""


class Hopeless(AugmentError):
    """A trial that is given up while it trains."""


class Suggests(Protocol):
    """What a knob asks of a trial of Optuna's."""

    def suggest_categorical(self, name: str, choices: Sequence[str], /) -> str:
        """One of ``choices``."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """A whole number between the ends."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """A number between the ends."""


@dataclass(frozen=True)
class Knob:
    """One thing that is tuned.

    Either ``choices`` by name, or numbers from ``low`` to ``high``: whole ones in steps of ``step``
    where that is not 0, on a logarithmic scale with ``log``. ``changes`` gives the keys of
    params.yaml that a value, or a choice's name, stands for. ``now`` is what the settings have;
    None where that is outside of what is tried.
    """

    name: str
    changes: Callable[[Any], Changes]
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: int = 0
    log: bool = False
    now: Value | None = field(default=None, compare=False)

    def suggest(self, trial: Suggests) -> Value:
        """The value that ``trial`` takes; a float is rounded to three digits, as it is written."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        if self.step:
            ends = int(self.low), int(self.high)
            return trial.suggest_int(self.name, *ends, step=self.step, log=False)
        return self.written(trial.suggest_float(self.name, self.low, self.high, log=self.log))

    def written(self, value: Value) -> Value:
        """``value`` as a trial takes it and params.yaml gets it: a float has three digits."""
        return float(f"{value:.3g}") if isinstance(value, float) else value

    @property
    def described(self) -> str:
        """What is tried, in words: ``16 to 64``, ``none, adaptive``."""
        if self.choices:
            return ", ".join(self.choices)
        return f"{self.low:.3g} to {self.high:.3g}"


@dataclass(frozen=True)
class Measure:
    """Of samples while a generator trains.

    ``kid`` is the kernel distance from valid images, ``label_accuracy`` the share of samples that
    the labeller reads as the class that they were made for, 0 … 1; NaN where classes are unmatched.
    """

    kid: float
    label_accuracy: float


@dataclass(frozen=True)
class TrialOutcome:
    """What a trial came to.

    ``gain`` is the difference of accuracy on valid images, as a share of 1, between classifiers
    with the samples and without, both under the classic augmentation that is best without;
    ``low`` and ``high`` are the ends of its 95 % interval. ``before`` and ``after`` are the two
    accuracies, ``steps`` those that the generator took in its time, ``samples`` all that were
    accepted. ``settings`` are the further keys of params.yaml that follow from the trial.
    """

    gain: float
    low: float
    high: float
    before: float
    after: float
    steps: int
    samples: int
    settings: Mapping[str, Any]


Watch = Callable[[float, Measure], None]  # share of the training, above 0 to 1; raises Hopeless
