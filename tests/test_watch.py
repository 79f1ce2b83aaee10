"""The watch: each trouble from both sides of its threshold, and nothing on a bad moment."""

from __future__ import annotations

import math
from typing import Any

import pytest

from augment import watch
from augment.errors import AugmentError

SOUND = {"step": 2000.0, "accuracy": 0.7, "variance": 0.8, "kid": 0.1}


def rows(count: int = watch.WINDOWS, **facts: Any) -> list[dict[str, float]]:
    """Measurements; a tuple gives one value to each."""
    return [
        SOUND
        | {key: value[n] if isinstance(value, tuple) else value for key, value in facts.items()}
        for n in range(count)
    ]


def name(found: watch.Diagnosis | None) -> str | None:
    return found and found.name


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_diverged(value: float) -> None:
    found = watch.diverged({"d_adversarial": 0.5, "g_adversarial": value})
    assert found is not None and found.name == "diverged"
    assert found.evidence == f"g_adversarial is {value}"
    assert "train.rate" in found.advice
    assert watch.diverged({"d_adversarial": 1e30, "g_adversarial": -5.0}) is None


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, None),
        ({"variance": 0.099}, "mode_collapse"),
        ({"variance": 0.101}, None),
        ({"variance": (0.0, 0.0, 0.2)}, None),
        ({"variance": (0.2, 0.0, 0.0)}, None),
        ({"accuracy": 0.995}, "discriminator_won"),
        ({"accuracy": 0.994}, None),
        ({"accuracy": (1.0, 0.99, 1.0)}, None),
        ({"accuracy": 1.0, "kid": (0.1, 0.2, 0.0979)}, None),  # it still gets better
        ({"accuracy": 1.0, "kid": (0.1, 0.2, 0.0981)}, "discriminator_won"),
        ({"accuracy": 1.0, "kid": (0.1, 0.05, 0.1)}, "discriminator_won"),
        ({"accuracy": 1.0, "variance": 0.01}, "mode_collapse"),
    ],
)
def test_diagnoses(facts: dict[str, Any], expected: str | None) -> None:
    assert name(watch.diagnose(rows(**facts), lambda row: None)) == expected


@pytest.mark.parametrize(
    ("before", "step", "expected"),
    [
        (0.05, 1499.0, None),  # it has not begun to vary
        (0.05, 1500.0, "mode_collapse"),
        (0.19, 1000.0, None),
        (0.2, 1000.0, "mode_collapse"),
    ],
)
def test_a_slow_start_is_no_collapse(before: float, step: float, expected: str | None) -> None:
    earlier = rows(1, step=250.0, variance=before)
    found = watch.diagnose(earlier + rows(step=step, variance=0.05), lambda row: None)
    assert name(found) == expected


def test_without_a_valid_split_there_is_no_kid() -> None:
    last = [{key: row[key] for key in row if key != "kid"} for row in rows(accuracy=1.0)]
    assert name(watch.diagnose(last, lambda row: None)) == "discriminator_won"


@pytest.mark.parametrize("facts", [{"variance": 0.0}, {"accuracy": 1.0}])
def test_only_the_last_windows_count(facts: dict[str, float]) -> None:
    assert watch.diagnose(rows(2, **facts), lambda row: "ignored") is None
    assert watch.diagnose(rows(9, **facts) + rows(1), lambda row: None) is None
    assert watch.diagnose(rows(9) + rows(3, **facts), lambda row: None) is not None


@pytest.mark.parametrize(
    ("first", "words", "expected"),
    [
        (1500.0, ("a", "b", "c"), "code_ignored"),
        (1499.0, ("a", "b", "c"), None),
        (1500.0, ("a", None, "c"), None),
    ],
)
def test_ignored_codes(first: float, words: tuple[str | None, ...], expected: str | None) -> None:
    said = dict(zip((first, 2000.0, 2500.0), words, strict=True))
    last = rows(step=tuple(said))
    found = watch.diagnose(last, lambda row: said[row["step"]])
    assert name(found) == expected
    if found:
        assert found.evidence == "c" and "code_weight" in found.advice


def test_a_trouble_says_where_what_why_and_what_to_change() -> None:
    trouble = watch.TrainingTrouble(250, watch.Diagnosis("diverged", "d is nan", "lower the rate"))
    text = "training stopped at step 250: diverged (d is nan); lower the rate"
    assert str(trouble) == text and isinstance(trouble, AugmentError)
    assert trouble.diagnosis.name == "diverged"
