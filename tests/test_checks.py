"""Image and table checks: their numbers from both sides, and what every check owes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from augment.checks import CHECKS, Outlier, thresholds
from augment.registry import PartError


def flat(height: int, width: int, level: int = 255) -> np.ndarray:
    return np.full((height, width), level, np.uint8)


def marked(count: int, level: int = 0, side: int = 20) -> np.ndarray:
    image = flat(side, side)
    image.reshape(-1)[:count] = level
    return image


def halves(low: int, high: int) -> np.ndarray:
    image = flat(10, 10, low)
    image[5:] = high
    return image


def table(*rows: tuple[str, str | None, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["pixels", "label", "split"])


# name -> (argument, options, measure): closed forms on both sides of the threshold
CASES = {
    "blank": [
        (flat(20, 20), {}, 0.0),
        (flat(20, 20, 0), {}, 0.0),
        (marked(2), {}, 0.5),
        (marked(4), {}, 1.0),
        (marked(100), {}, 1.0),
        (marked(5, side=100), {}, 0.05),
        (marked(4, side=100), {}, 0.04),
        (marked(4, level=247), {}, 0.0),
        (marked(4, level=246), {}, 1.0),
        (marked(4, level=100), {"tolerance": 155.0}, 0.0),
        (marked(4), {"enough": 0.1}, 0.1),
        (np.stack([marked(4), flat(20, 20), flat(20, 20)], axis=2), {}, 1.0),
    ],
    "low_contrast": [
        (flat(10, 10, 128), {}, 0.0),
        (halves(50, 101), {}, 0.2),
        (halves(0, 255), {}, 1.0),
        (np.stack([halves(50, 101), halves(0, 255), flat(10, 10)], axis=2), {}, 1.0),
    ],
    "too_small": [
        (flat(64, 32), {}, 0.25),
        (flat(1, 1), {}, 1 / 256),
        (flat(3, 256), {}, 1.0),
        (flat(300, 300), {}, 1.0),
        (flat(64, 32), {"full": 128}, 0.5),
    ],
    "extreme_aspect": [
        (flat(7, 7), {}, 1.0),
        (flat(10, 40), {}, 0.25),
        (flat(40, 10), {}, 0.25),
    ],
    "exact_duplicate": [
        (table(("p", "a", "train"), ("q", "a", "train"), ("p", "a", "train")), {}, [1, 1, 0]),
        (table(("p", "a", "train"), ("p", "a", "valid"), ("p", "a", "test")), {}, [0, 0, 1]),
        (table(("p", None, "train"), ("p", "a", "train"), ("p", None, "train")), {}, [0, 1, 0]),
        (table(("p", "a", "train"), ("p", "b", "train")), {}, [1, 0]),
    ],
    "label_conflict": [
        (table(("p", "a", "train"), ("p", "b", "test"), ("q", "b", "train")), {}, [0, 0, 1]),
        (table(("p", "a", "train"), ("p", "a", "train")), {}, [1, 1]),
        (table(("p", "a", "train"), ("p", None, "train")), {}, [1, 1]),
        (table(("p", None, "train"), ("p", "a", "train"), ("p", "b", "train")), {}, [1, 0, 0]),
    ],
    "split_leak": [
        (table(("p", "a", "train"), ("p", "a", "test"), ("q", "a", "train")), {}, [0, 1, 1]),
        (table(("p", "a", "train"), ("p", "a", "valid")), {}, [0, 1]),
        (table(("p", "a", "valid"), ("p", "a", "test")), {}, [0, 1]),
        (table(("p", "a", "train"), ("p", "a", "train")), {}, [1, 1]),
        (table(("p", None, "train"), ("p", "a", "test")), {}, [0, 1]),
    ],
}


NAMES = [name for name in CHECKS.names() if CHECKS.describe(name).facts["kind"] != "learned"]


def test_every_check_has_cases() -> None:
    assert sorted(CASES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_measures(name: str) -> None:
    for argument, options, expected in CASES[name]:
        before = argument.copy()
        found = CHECKS.build({"name": name, **options})(argument)
        assert np.asarray(found) == pytest.approx(np.asarray(expected, float), abs=1e-9)
        assert (np.asarray(argument) == np.asarray(before)).all() or argument.equals(before)


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str) -> None:
    part = CHECKS.describe(name)
    assert part.summary
    threshold = part.facts["threshold"]
    assert isinstance(threshold, Outlier) or 0 < threshold < 1
    check = CHECKS.build(name)
    if part.facts["kind"] == "table":
        measures = check(table(("p", "a", "train"), ("p", "b", "test"), ("q", None, "valid")))
        assert measures.index.tolist() == [0, 1, 2]
        assert measures.between(0, 1).all()
    else:
        assert part.facts["kind"] == "image"
        noise = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
        for image in (flat(1, 1), flat(1, 9), flat(9, 1), noise, noise[..., 0], noise * 0):
            assert isinstance(check(image), float)
            assert 0 <= check(image) <= 1
            assert check(image) == check(image)


@pytest.mark.parametrize("name", ["exact_duplicate", "split_leak"])
def test_one_copy_survives_both_checks(name: str) -> None:
    """Copies in all splits, labelled or not: together the checks leave exactly one."""
    splits = ("train", "valid", "test")
    rows = [("p", label, split) for label in (None, "a") for split in splits for _ in range(2)]
    copies = table(*rows)
    kept = CHECKS.build("exact_duplicate")(copies) * CHECKS.build("split_leak")(copies)
    assert copies[kept == 1].to_numpy().tolist() == [["p", "a", "test"]]
    assert CHECKS.build(name)(copies)[kept == 1].tolist() == [1.0]


def test_grainy_paper_is_blank_and_a_stroke_on_it_is_not() -> None:
    noise = np.random.default_rng(0).normal(200, 5, (64, 64))
    paper = np.clip(np.rint(noise), 0, 255).astype(np.uint8)
    stroke = paper.copy()
    stroke[30:32, 10:50] = 60
    assert CHECKS.build("blank")(paper) < CHECKS.describe("blank").facts["threshold"]
    assert CHECKS.build("blank")(stroke) == 1.0


@pytest.mark.parametrize("ink", [0.005, 0.2, 0.5, 0.8])
def test_near_binary_images_pass(ink: float) -> None:
    image = np.where(np.random.default_rng(1).random((48, 48)) < ink, 3, 250).astype(np.uint8)
    assert CHECKS.build("blank")(image) >= CHECKS.describe("blank").facts["threshold"]
    assert CHECKS.build("low_contrast")(image) > 0.9


def test_digits_pass() -> None:
    images = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
    names = [name for name in CHECKS.names() if CHECKS.describe(name).facts["kind"] == "image"]
    measures = pd.DataFrame(
        {name: [CHECKS.build(name)(image) for image in images] for name in names}
    )
    limits = thresholds(measures, {})
    assert (measures >= pd.Series(limits)).all(axis=None)


@pytest.mark.parametrize(
    ("measures", "share", "expected"),
    [
        ([1.0, 1.0, 1.0, 0.5], 0.25, 0.25),  # no spread: the share decides
        ([0.8, 0.85, 0.9, 0.95, 1.0], 0.9, 0.9 - 3 * 1.4826 * 0.05),  # the deviations decide
        ([0.2, 0.4, 0.6, 0.8, 1.0], 0.5, 0.0),  # so wide that nothing is an outlier
        ([0.0, 0.0], 0.5, 0.0),
    ],
)
def test_outlier_rule(measures: list[float], share: float, expected: float) -> None:
    assert Outlier(share=share)(np.array(measures)) == pytest.approx(expected)


def test_thresholds_come_from_rule_constant_or_setting() -> None:
    measures = pd.DataFrame({"blank": [1.0, 1.0], "low_contrast": [0.8, math.nan]})
    assert thresholds(measures, {}) == {"blank": 0.05, "low_contrast": pytest.approx(0.2)}
    assert thresholds(measures, {"low_contrast": 0.7})["low_contrast"] == 0.7


def test_unknown_option_is_named() -> None:
    with pytest.raises(PartError, match="tolerence"):
        CHECKS.build({"name": "blank", "tolerence": 3})
    with pytest.raises(PartError, match="enough"):
        CHECKS.build({"name": "blank", "enough": 0})
