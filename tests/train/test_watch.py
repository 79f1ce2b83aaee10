"""The watch: each trouble from both sides of its threshold, and nothing on a healthy run."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest

from augment.errors import AugmentError
from augment.train import watch

SOUND = {"step": 2000.0, "accuracy": 0.7, "variance": 0.8, "kid": 0.1}
PLATEAU = [1.0, 0.5, 0.3]  # KID on the way to its best


def rows(count: int = watch.WINDOWS, **facts: Any) -> list[dict[str, float]]:
    """Measurements; a tuple gives one value to each."""
    return [
        SOUND
        | {key: value[n] if isinstance(value, tuple) else value for key, value in facts.items()}
        for n in range(count)
    ]


def courses(kid: list[float], train: list[float]) -> list[dict[str, float]]:
    return rows(len(kid), kid=tuple(kid), kid_train=tuple(train))


def diagnose(measured: list[dict[str, float]]) -> watch.Diagnosis | None:
    return watch.diagnose(measured, lambda row: None)


def name(diagnosis: watch.Diagnosis | None) -> str | None:
    return diagnosis and diagnosis.name


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("key", ["g_adversarial", "gradient_d"])
def test_diverged(key: str, value: float) -> None:
    diagnosis = watch.diverged({"d_adversarial": 0.5, key: value})
    assert diagnosis is not None and diagnosis.name == "diverged"
    assert diagnosis.evidence == f"{key} is {value}"
    assert "train.rate" in diagnosis.advice
    assert list(diagnosis.numbers) == [key] and diagnosis.numbers[key] is value
    assert watch.diverged({"d_adversarial": 1e30, key: -5.0}) is None


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, None),
        ({"variance": 0.099}, "mode_collapse"),
        ({"variance": 0.101}, None),
        ({"variance": (0.0, 0.0, 0.2)}, None),
        ({"variance": (0.2, 0.0, 0.0)}, None),
        ({"variance_within": 0.099}, "mode_collapse"),
        ({"variance_within": 0.101}, None),
        ({"variance_within_least": 0.099}, "mode_collapse"),
        ({"variance_within_least": 0.101}, None),
        ({"variance_within_least": (0.0, math.nan, 0.0)}, None),
        ({"accuracy": 0.995}, "discriminator_won"),
        ({"accuracy": 0.994}, None),
        ({"accuracy": (1.0, 0.99, 1.0)}, None),
        ({"accuracy": 1.0, "kid": (0.1, 0.2, 0.0979)}, None),  # it still gets better
        ({"accuracy": 1.0, "kid": (0.1, 0.2, 0.0981)}, "discriminator_won"),
        ({"accuracy": 1.0, "kid": (0.1, 0.05, 0.1)}, "discriminator_won"),
        ({"accuracy": 1.0, "kid": (-0.1, 0.0, -0.1021)}, None),  # KID is unbiased: below 0 too
        ({"accuracy": 1.0, "kid": (-0.1, 0.0, -0.1019)}, "discriminator_won"),
        ({"accuracy": 1.0, "kid": (-0.1, 0.0, -0.099)}, "discriminator_won"),
        ({"accuracy": 1.0, "variance": 0.01}, "mode_collapse"),
    ],
)
def test_diagnoses(facts: dict[str, Any], expected: str | None) -> None:
    assert name(diagnose(rows(**facts))) == expected


@pytest.mark.parametrize(
    ("before", "step", "expected"),
    [
        (0.05, 1499.0, None),  # it has not begun to vary
        (0.05, 1500.0, "mode_collapse"),
        (0.19, 1000.0, None),
        (0.2, 1000.0, "mode_collapse"),
    ],
)
@pytest.mark.parametrize("key", watch.VARIANCES)
def test_a_slow_start_is_no_collapse(
    key: str, before: float, step: float, expected: str | None
) -> None:
    earlier = rows(1, step=250.0, **{key: before})
    assert name(diagnose(earlier + rows(step=step, **{key: 0.05}))) == expected


def test_a_collapse_says_where() -> None:
    diagnosis = diagnose(rows(variance_within=0.5, variance_within_least=0.05))
    assert (
        diagnosis is not None and "of the least varied class vary 0.050 times" in diagnosis.evidence
    )
    assert diagnosis.numbers == {
        "variance": 0.8,
        "variance_within": 0.5,
        "variance_within_least": 0.05,
    }


def test_without_a_valid_split_there_is_no_kid() -> None:
    last = [{key: row[key] for key in row if key != "kid"} for row in rows(accuracy=1.0)]
    assert name(diagnose(last)) == "discriminator_won"


IMPROVING = {"accuracy": 0.995, "kid": (0.3, 0.2, 0.1)}


@pytest.mark.parametrize(
    ("before", "last", "facts", "expected"),
    [
        ((9.0, 2.0, 1.0), 0.002, IMPROVING, "discriminator_won"),
        ((9.0, 2.0, 1.0), 0.00201, IMPROVING, None),
        ((9.0, 2.0, 1.0), (0.0, 0.0021, 0.0), IMPROVING, None),
        ((9.0, 2.0, 1.0), 0.0, IMPROVING | {"accuracy": 0.994}, None),
        ((0.0, 0.0, 1.0), 0.0, IMPROVING, None),  # it never had any to lose
        ((), 0.0, IMPROVING, None),
    ],
)
def test_a_vanishing_gradient(
    before: tuple[float, ...], last: Any, facts: dict[str, Any], expected: str | None
) -> None:
    earlier = rows(len(before), gradient_g=before)
    diagnosis = diagnose(earlier + rows(gradient_g=last, accuracy_real=1.0, **facts))
    assert name(diagnosis) == expected
    if diagnosis:
        assert "gradient fell from 2 to 0.002" in diagnosis.evidence
        assert diagnosis.numbers == {
            "accuracy": 0.995,
            "accuracy_real": 1.0,
            "gradient_g": 0.002,
            "gradient_g_before": 2.0,
            "kid": 0.1,
        }


def test_a_gradient_that_stays_is_no_part_of_the_evidence() -> None:
    diagnosis = diagnose(rows(3, gradient_g=1.0) + rows(gradient_g=1.0, accuracy=1.0))
    assert diagnosis is not None and "no longer improve" in diagnosis.evidence
    assert "gradient_g_before" not in diagnosis.numbers


@pytest.mark.parametrize("facts", [{"variance": 0.0}, {"accuracy": 1.0}])
def test_only_the_last_windows_count(facts: dict[str, float]) -> None:
    assert watch.diagnose(rows(2, **facts), lambda row: "ignored") is None
    assert diagnose(rows(9, **facts) + rows(1)) is None
    assert diagnose(rows(9) + rows(3, **facts)) is not None


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
    last = rows(step=tuple(said), g_q_class=(1.0, 2.0, 2.3), d_q_class=0.5)
    diagnosis = watch.diagnose(last, lambda row: said[row["step"]])
    assert name(diagnosis) == expected
    if diagnosis:
        assert diagnosis.evidence == "c" and "code_weight" in diagnosis.advice
        assert diagnosis.numbers == {"g_q_class": 2.3}


def line(start: float, end: float, windows: int = watch.TREND) -> list[float]:
    return [start + (end - start) * n / windows for n in range(windows + 1)]


@pytest.mark.parametrize(
    ("best", "rise", "train", "fall", "windows", "expected"),
    [
        (0.1, 0.0251, 0.1, 0.0101, 4, "memorising"),
        (0.1, 0.0249, 0.1, 0.0101, 4, None),
        (0.1, 0.0251, 0.1, 0.0099, 4, None),
        (0.1, 0.0251, 0.1, -0.0101, 4, None),  # the generator itself became worse
        (0.1, 0.0251, 0.1, 0.0101, 3, None),
        (0.1, 0.0251, 0.1, 0.0101, 20, "memorising"),
        (-0.4, 0.101, -0.3, 0.031, 4, "memorising"),
        (-0.4, 0.099, -0.3, 0.031, 4, None),
        (-0.4, 0.101, -0.3, 0.029, 4, None),
    ],
)
def test_memorising(
    best: float, rise: float, train: float, fall: float, windows: int, expected: str | None
) -> None:
    valid = PLATEAU + line(best, best + rise, windows)
    diagnosis = diagnose(courses(valid, PLATEAU + line(train, train - fall, windows)))
    assert name(diagnosis) == expected
    if diagnosis:
        assert diagnosis.numbers == pytest.approx(
            {
                "best_step": 2000.0,
                "best_kid": best,
                "best_kid_train": train,
                "kid": best + rise,
                "kid_train": train - fall,
            }
        )
        assert f"rose by {rise:.3g} from {best:.3g} on valid" in diagnosis.evidence


@pytest.mark.parametrize("noisy", ["valid", "train"])
@pytest.mark.parametrize(("noise", "expected"), [(0.0208, "memorising"), (0.021, None)])
def test_a_trend_must_stand_out_of_its_noise(
    noisy: str, noise: float, expected: str | None
) -> None:
    """Four standard errors of this wave over five windows: 4 * 5 / √17.5 = 4.78 times itself."""
    wave = [0.0, noise, -noise, -noise, noise, 0.0]  # without a slope: the line stays
    valid, train = line(0.1, 0.2, 5), line(0.2, 0.1, 5)
    target = valid if noisy == "valid" else train
    target[:] = [a + b for a, b in zip(target, wave, strict=True)]
    measured = courses(PLATEAU + valid, PLATEAU + train)
    assert name(diagnose(measured)) == expected


def test_memorising_needs_both_numbers() -> None:
    measured = courses(line(0.1, 0.2), line(0.2, 0.1))
    assert name(diagnose(measured)) == "memorising"
    assert diagnose([row | {"kid_train": math.nan} for row in measured]) is None
    for row in measured:
        del row["kid_train"]
    assert diagnose(measured) is None


def test_a_run_that_only_wobbles_is_healthy() -> None:
    """KID falls to a plateau and wobbles there, by a third of itself, at each of 60 windows."""
    rng = random.Random(0)
    for _ in range(20):
        measured: list[dict[str, float]] = []
        for window in range(60):
            fallen, shared = math.exp(-window / 3), rng.gauss(0, 0.012)
            valid, train = (0.05 + fallen + shared + rng.gauss(0, 0.012) for _ in range(2))
            varied = rng.uniform(0.2, 1.1)
            measured += rows(1, kid=valid, kid_train=train, variance_within_least=varied)
            assert diagnose(measured) is None


def test_a_measured_healthy_run_stays_so() -> None:
    """Ten measurements of a run on scikit-learn's digits that ended well."""
    valid = [0.682, 0.207, 0.063, 0.058, 0.073, 0.001, 0.030, 0.055, 0.038, 0.029]
    train = [0.945, 0.299, 0.127, 0.019, 0.011, -0.032, -0.021, 0.001, -0.014, -0.029]
    least = (0.42, 0.36, 0.26, 0.22, 0.21, 0.25, 0.31, 0.28, 0.33, 0.38)
    for count in range(1, 11):
        measured = rows(
            count, kid=tuple(valid), kid_train=tuple(train), variance_within_least=least
        )
        assert diagnose(measured) is None


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        ("diverged", watch.Remedy(0.5)),
        ("mode_collapse", watch.Remedy(0.5, penalties=2.0)),
        ("discriminator_won", watch.Remedy(0.5, "discriminator", 2.0)),
        ("code_ignored", watch.Remedy(0.5, "discriminator")),
        ("memorising", None),
    ],
)
def test_each_trouble_has_the_remedy_that_is_documented(
    trouble: str, expected: watch.Remedy | None
) -> None:
    remedy = watch.remedy(watch.Diagnosis(trouble, "", ""))
    assert remedy == expected
    described = str(remedy) if remedy else "the run ends with its best step"
    (documented,) = [
        entry
        for entry in " ".join((watch.__doc__ or "").split()).split(" - ")
        if entry.startswith(f"``{trouble}``")
    ]
    assert documented.endswith(f"({described})")


def test_a_remedy_says_what_it_changes() -> None:
    remedy = watch.Remedy(0.5, "discriminator", penalties=2)
    assert str(remedy) == "rate.discriminator × 0.5, penalties × 2"
    assert remedy.on(["discriminator", "generator"]) == {
        "rates": {"discriminator": 0.5},
        "penalties": 2,
    }
    assert watch.Remedy(0.5).on(["autoencoder"])["rates"] == {"autoencoder": 0.5}


def test_a_diagnosis_goes_into_a_report() -> None:
    diagnosis = diagnose(rows(accuracy=1.0))
    assert diagnosis is not None
    assert json.loads(json.dumps(diagnosis.as_dict())) == {
        "name": "discriminator_won",
        "evidence": diagnosis.evidence,
        "advice": diagnosis.advice,
        "numbers": {"accuracy": 1.0, "kid": 0.1},
    }


def test_a_trouble_says_where_what_why_and_what_to_change() -> None:
    trouble = watch.TrainingTrouble(250, watch.Diagnosis("diverged", "d is nan", "lower the rate"))
    text = "training stopped at step 250: diverged (d is nan); lower the rate"
    assert str(trouble) == text and isinstance(trouble, AugmentError)
    assert trouble.diagnosis.name == "diverged"
