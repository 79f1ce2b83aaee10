"""What one stage's report tells another: the numbers of score.json and the result of the uplift.

A report is JSON on disk. Here are its types: ``as_dict`` gives what the file holds, ``from_dict``
checks what was read. A number that could not be measured is NaN here and null in the file.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints

from augment.errors import AugmentError


class ReportShapeError(AugmentError, ValueError):
    """A report without a key that it must have, or with a value of the wrong kind under it."""


@dataclass(frozen=True)
class ScoreKey:
    """A number of score.json: which direction is better, its range, and its name in words."""

    better: Literal["higher", "lower", "one"]
    low: float
    high: float
    title: str = ""

    @property
    def hint(self) -> str:
        """How to read the number, in a few words."""
        if self.better == "one":
            return "about 1"
        if self.better == "higher":
            return "1 is best" if self.high == 1 else "higher is better"
        return "0 is best" if (self.low, self.high) == (0, 1) else "lower is better"


# Every score that reports and cards show, in their order; scores register these very keys.
SCORE_KEYS: Mapping[str, ScoreKey] = {
    "fid": ScoreKey("lower", 0.0, math.inf, "FID (domain features)"),
    "kid": ScoreKey("lower", -math.inf, math.inf, "KID (domain features)"),  # unbiased: may be < 0
    "precision": ScoreKey("higher", 0.0, 1.0, "precision"),
    "recall": ScoreKey("higher", 0.0, 1.0, "recall"),
    "density": ScoreKey("one", 0.0, math.inf, "density"),
    "coverage": ScoreKey("higher", 0.0, 1.0, "coverage"),
    "label_accuracy": ScoreKey("higher", 0.0, 1.0, "label accuracy by the judge"),
    "diversity": ScoreKey("one", 0.0, math.inf, "diversity within classes, relative to real"),
    "duplicate_fraction": ScoreKey("lower", 0.0, 1.0, "duplicates among synthetic"),
    "near_copy_fraction": ScoreKey("lower", 0.0, 1.0, "near copies of train images"),
    "authenticity": ScoreKey("higher", 0.0, 1.0, "authenticity (AuthPct)"),
}


class _Record:
    """A dataclass that JSON can hold, key by key in the order of its fields."""

    def as_dict(self) -> dict[str, Any]:
        """The fields as the report holds them."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, data: Any, where: str = "") -> Self:
        """What ``as_dict`` gave, read back; keys beyond the fields are not looked at.

        Raises ReportShapeError that names the key, below ``where``.
        """
        if not isinstance(data, Mapping):
            raise _wrong(where, "an object", data)
        hints = get_type_hints(cls)
        values = {}
        for name in (field.name for field in fields(cls)):  # type: ignore[arg-type]
            key = f"{where}.{name}" if where else name
            if name not in data:
                raise ReportShapeError(f"{key} is missing")
            values[name] = _read(hints[name], data[name], key)
        return cls(**values)


@dataclass(frozen=True)
class Spread(_Record):
    """Mean, standard deviation over seeds (NaN of one seed) and the value of each seed."""

    mean: float
    std: float
    values: Sequence[float]


@dataclass(frozen=True)
class Gain(_Record):
    """By how much accuracy on test images differs from the classic arm's, as shares of 1.

    ``low`` and ``high`` are the ends of its 95 % interval; ``verdict`` is helps, no difference or
    harms, None where there was no test image.
    """

    gain: float
    low: float
    high: float
    verdict: str | None


@dataclass(frozen=True)
class ClassGain(Gain):
    """The gain on the images of one class, and the dose of its samples in the written set."""

    dose: float


@dataclass(frozen=True)
class PartGain(Gain):
    """The gain of one ingredient, and the dose of its samples; None where it has none."""

    dose: float | None


@dataclass(frozen=True)
class ArmResult(Spread):
    """Accuracy of one arm: on test images by seed, its mean on valid, and the recall by class.

    ``gain`` is that over the classic arm; the classic arm itself has none.
    """

    valid: float
    per_class: Mapping[str, float]
    gain: Gain | None

    def as_dict(self) -> dict[str, Any]:
        """The fields as the report holds them: those of the gain beside the others."""
        plain = super().as_dict()
        gain = plain.pop("gain")
        return plain | (gain or {})

    @classmethod
    def from_dict(cls, data: Any, where: str = "") -> Self:
        """What ``as_dict`` gave, read back. Raises ReportShapeError."""
        if isinstance(data, Mapping):
            gain = {field.name: data[field.name] for field in fields(Gain) if field.name in data}
            data = {**data, "gain": gain or None}
        return super().from_dict(data, where)


@dataclass(frozen=True)
class CurvePoint(_Record):
    """Accuracy on test images of the classic arm with so many real train images."""

    images: int
    accuracy: float


@dataclass(frozen=True)
class Confusion(_Record):
    """Counts [actual, predicted] over all seeds, of the classic arm and of the written set."""

    classes: Sequence[str]
    before: Sequence[Sequence[int]]
    after: Sequence[Sequence[int]]


@dataclass(frozen=True)
class UpliftReport(_Record):
    """Whether a classifier gets better by the set that ``write`` writes: ``uplift`` in score.json.

    The *written* set holds the labelled images, the adopted ones where ``adopted`` is true, and of
    each class the synthetic ones at its dose in ``per_class``; ``dose`` is theirs, or 0 for none.
    What it holds was chosen on ``chosen_on``: "valid", or None where there were no valid images.
    ``gain`` to ``confusion`` compare it with the labelled images under classic augmentation.

    ``parts`` holds the gain of each ingredient beside these alone, ``samples`` that of the
    synthetic images over what the written set holds without them. ``seeds`` and ``steps`` are the
    budget: classifiers an arm, and the training steps of each (None of a learner without steps).
    ``mcnemar`` is a p-value. Labelled images alone would do as well as the written set if there
    were ``equal_images`` of them, ``data_multiplier`` times those there are; None where the
    learning curve does not tell.
    """

    classic: Spread
    written: Spread
    gain: Spread
    seeds: Sequence[int]
    steps: int | None
    arms: Mapping[str, ArmResult]
    policy: str
    adopted: bool
    dose: float
    chosen_on: str | None
    low: float
    high: float
    mcnemar: float | None
    verdict: str | None
    per_class: Mapping[str, ClassGain]
    parts: Mapping[str, PartGain]
    samples: PartGain | None
    learning_curve: Sequence[CurvePoint]
    equal_images: float | None
    data_multiplier: float | None
    controls: Mapping[str, Gain]
    confusion: Confusion

    @property
    def overall(self) -> Gain:
        """The mean gain of the written set, with its interval and verdict."""
        return Gain(self.gain.mean, self.low, self.high, self.verdict)

    @property
    def added(self) -> str:
        """What the written set holds beside the labelled images, in words."""
        added = ["adopted images"] if self.adopted else []
        if self.dose:
            without = sum(not of_class.dose for of_class in self.per_class.values())
            but = f" (none in {without} of {len(self.per_class)} classes)" if without else ""
            added.append(f"samples at dose {self.dose:g}{but}")
        return " and ".join(added) or "nothing"

    @property
    def choice(self) -> str:
        """How it was chosen what the written set holds, in words."""
        if self.chosen_on is not None:
            return f"chosen on {self.chosen_on} images"
        labels = "adopted ones at their calibrated labels and " if self.adopted else ""
        return f"no valid images, so {labels}no samples"

    @property
    def budget(self) -> str:
        """How much was spent on each arm, in words."""
        count = len(self.seeds)
        classifiers = f"{count} classifier{'s' if count > 1 else ''} an arm"
        return classifiers if self.steps is None else f"{classifiers}, {self.steps} steps each"

    @classmethod
    def of_scores(cls, scores: Mapping[str, Any]) -> UpliftReport | None:
        """The uplift in what score.json holds; None where it was not measured.

        Raises ReportShapeError for an ``uplift`` that is not as the stage score writes it.
        """
        return cls.from_dict(scores["uplift"], "uplift") if scores.get("uplift") else None


_KINDS: Mapping[Any, tuple[Any, str]] = {
    float: (int | float, "a number"),
    int: (int, "an integer"),
    str: (str, "text"),
    bool: (bool, "true or false"),
}


def _plain(value: Any) -> Any:
    if isinstance(value, _Record):
        return value.as_dict()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _read(hint: Any, value: Any, where: str) -> Any:
    """``value`` of parsed JSON as the type ``hint`` says, which a field here is annotated with."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):  # nothing but X | None
        return None if value is None else _read(inside[0], value, where)
    if is_dataclass(hint):
        return hint.from_dict(value, where)  # type: ignore[union-attr]
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise _wrong(where, "an object", value)
        return {key: _read(inside[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin is Sequence:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise _wrong(where, "a list", value)
        return [_read(inside[0], item, f"{where}.{place}") for place, item in enumerate(value)]
    if hint is float and value is None:
        return math.nan
    kind, name = _KINDS[hint]
    if (isinstance(value, bool) and hint is not bool) or not isinstance(value, kind):
        raise _wrong(where, name, value)
    return value


def _wrong(where: str, expected: str, value: Any) -> ReportShapeError:
    return ReportShapeError(f"{where or 'the report'}: expected {expected}, found {value!r:.60}")


def sample_in_words(score: Mapping[str, Any]) -> str:
    """What score.json says of the sample that it is about, as a sentence; "" where that is all."""
    parts = [
        f"{counts['images']:,} of {counts['of']:,} {kind} images"
        for kind, counts in score.get("sampled", {}).items()
    ]
    return f"Judged on a sample: {', '.join(parts)}." if parts else ""
