"""Image, table and set checks: their numbers from both sides, and what every check owes."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from augment.clean.checks.base import CHECKS, Outlier, defaults, survey, thresholds
from augment.readers import builtin
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


def sized(*rows: tuple[int, int, str | None, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["width", "height", "label", "split"])


def grouped(*rows: tuple[str | None, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["group", "split"])


def counted(**classes: int) -> pd.DataFrame:
    return table(*[("p", name, "train") for name, count in classes.items() for _ in range(count)])


def tinted(share: float, by: int) -> np.ndarray:
    """Grey of 10 × 10 pixels, of which a share has one channel raised."""
    image = flat(10, 10, 100)
    return np.stack([image, image, image + (marked(100 - round(100 * share), side=10) > 0) * by], 2)


LOG3 = math.log2(3)
SAME = [(20, 20, None, "train")] * 18
STEP = np.repeat([[0, 0, 0, 0, 0, 100, 100, 100, 100, 100]], 17, axis=0)
RAMP = np.repeat(np.arange(17)[:, None], 10, axis=1)


SMALL = pd.DataFrame(
    [
        ("p", "a", "train", "w", 9, 7),
        ("p", "b", "test", None, 9, 7),
        ("q", None, "valid", "w", 7, 9),
    ],
    columns=["pixels", "label", "split", "group", "width", "height"],
)

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
    "dark": [
        (flat(5, 5, 51), {}, 0.2),
        (np.stack([flat(5, 5, 255), flat(5, 5, 0), flat(5, 5, 0)], 2), {}, math.sqrt(0.241)),
        (np.stack([flat(5, 5, 0), flat(5, 5, 51), flat(5, 5, 0)], 2), {}, math.sqrt(0.691) / 5),
        (marked(395), {}, 1.0),
        (marked(396), {}, 0.01),
        (marked(200), {"quantile": 0.25}, 0.0),
    ],
    "light": [
        (flat(5, 5, 204), {}, 0.2),
        (np.stack([flat(5, 5, 0), flat(5, 5, 0), flat(5, 5, 255)], 2), {}, 1 - math.sqrt(0.068)),
        (marked(20), {}, 0.05),
        (marked(21), {}, 1.0),
        (marked(19), {}, 0.0),
        (marked(200), {"quantile": 0.75}, 0.0),
    ],
    "low_information": [
        (flat(9, 9, 128), {}, 0.0),
        (halves(0, 255), {}, 0.1),
        (halves(0, 255), {"full": 2}, 0.5),
        (np.arange(256, dtype=np.uint8).reshape(16, 16), {}, 0.8),
        (np.arange(256, dtype=np.uint8).reshape(16, 16), {"full": 4}, 1.0),
        (np.stack([halves(0, 255), flat(10, 10), flat(10, 10)], 2), {}, (1 / 3 + LOG3) / 10),
    ],
    "blurry": [
        (STEP.astype(np.uint8), {}, 0.8),
        (STEP.T.astype(np.uint8), {}, 0.8),
        (STEP.astype(np.uint8), {"reach": 4}, 0.75),
        (RAMP.astype(np.uint8), {}, 0.1),
        ((STEP + RAMP).astype(np.uint8), {}, 0.1),
        ((STEP + RAMP).T.astype(np.uint8), {}, 0.1),
        (flat(9, 9, 128), {}, 1.0),
    ],
    "grayscale": [
        (flat(9, 9, 128), {}, 0.0),
        (tinted(0.0, 0), {}, 0.0),
        (tinted(1.0, 8), {}, 0.0),
        (tinted(0.01, 9), {}, 1.0),
        (tinted(0.01, 9), {"enough": 0.1}, 0.1),
        (tinted(0.01, 9), {"tolerance": 9}, 0.0),
    ],
    "odd_size": [
        (sized(*SAME, (10, 10, None, "train"), (40, 40, None, "train")), {}, [1] * 18 + [0.5] * 2),
        (sized(*SAME, (5, 20, None, "train"), (20, 80, None, "test")), {}, [1] * 18 + [0.5] * 2),
        (sized(*SAME, *[(5, 5, None, "train")] * 3), {}, [1] * 21),  # no tail, another source
        (sized(*SAME, *[(5, 5, None, "test")] * 3), {}, [1] * 18 + [0.25] * 3),
        (sized(*SAME, *[(5, 5, None, "train")] * 3), {"tails": 0.2}, [1] * 18 + [0.25] * 3),
        (sized(*SAME, *[(5, 5, "a", "train")] * 2), {}, [1] * 20),  # all of its class are small
        (sized((20, 20, None, "test")), {}, [math.nan]),
    ],
    "odd_aspect_ratio": [
        (sized(*SAME, (10, 40, None, "train"), (40, 10, None, "train")), {}, [1] * 18 + [0.25] * 2),
        (sized(*SAME, (10, 20, "i", "train"), (10, 40, "i", "train")), {}, [1] * 19 + [2 / 3]),
        (sized(*SAME, (90, 90, "i", "train"), (5, 10, "i", "test")), {}, [1] * 19 + [0.5]),
    ],
    "imbalance": [
        (counted(a=20, b=2), {}, []),
        (counted(a=21, b=2), {}, [{"largest": 21, "classes": {"b": 2}}]),
        (counted(a=21, b=2, c=1), {"ratio": 21}, []),
        (counted(a=22, b=2, c=1), {"ratio": 21}, [{"largest": 22, "classes": {"c": 1}}]),
        (table(*[("p", "a", "test")] * 30, ("p", "b", "train")), {}, []),
        (table(("p", None, "train")), {}, []),
    ],
    "absent_class": [
        (table(("p", "a", "train"), ("p", "a", "test"), ("p", None, "valid")), {}, []),
        (
            table(("p", "a", "train"), ("p", "b", "test"), ("p", "a", "test")),
            {},
            [{"split": "train", "classes": ["b"]}],
        ),
        (
            table(("p", "a", "train"), ("p", "b", "train"), ("p", "a", "test")),
            {},
            [{"split": "test", "classes": ["b"]}],
        ),
    ],
    "similar_labels": [
        (table(("p", "a", "train"), ("p", "b", "train"), ("p", None, "train")), {}, []),
        (table(("p", "a", "train"), ("p", "A", "test")), {}, [{"classes": ["A", "a"]}]),
        (table(("p", "7", "train"), ("p", "７", "train")), {}, [{"classes": ["7", "７"]}]),
        (table(("p", "x y", "train"), ("p", " x  y", "test")), {}, [{"classes": [" x  y", "x y"]}]),
        (table(("p", "ß", "train"), ("p", "SS", "train")), {}, [{"classes": ["SS", "ß"]}]),
    ],
    "shared_image": [
        (table(("p", "a", "train"), ("p", "a", "train"), ("q", "a", "test")), {}, []),
        (
            table(("p", "a", "train"), ("p", "b", "test"), ("p", "a", "train"), ("q", "a", "test")),
            {},
            [{"count": 1, "images": {"train": 2, "valid": 0, "test": 1}}],
        ),
    ],
    "shared_group": [
        (grouped(("w", "train"), ("w", "train"), (None, "train"), (None, "test")), {}, []),
        (
            grouped(("w", "train"), ("w", "valid"), ("v", "test"), ("v", "train")),
            {},
            [{"count": 2, "images": {"train": 2, "valid": 1, "test": 1}}],
        ),
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


NAMES = [
    name
    for name in CHECKS.names()
    if CHECKS.describe(name).facts["kind"] != "learned"
    and not CHECKS.describe(name).target.__module__.endswith(".glyph")  # have a file of their own
]


def test_every_check_has_cases() -> None:
    assert sorted(CASES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_measures(name: str) -> None:
    for argument, options, expected in CASES[name]:
        before = argument.copy()
        answer = CHECKS.build({"name": name, **options})(argument)
        if CHECKS.describe(name).facts["kind"] == "set":
            assert all(finding.pop("warning") for finding in answer) and answer == expected
            continue
        assert np.asarray(answer) == pytest.approx(
            np.asarray(expected, float), abs=1e-6, nan_ok=True
        )
        assert (np.asarray(argument) == np.asarray(before)).all() or argument.equals(before)


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str) -> None:
    part = CHECKS.describe(name)
    kind, check = part.facts["kind"], CHECKS.build(name)
    assert part.summary and part.facts["profiles"]
    assert set(part.facts["profiles"]) <= {"glyph", "natural"}
    if kind == "set":
        assert check(SMALL.iloc[:0]) == []
        assert json.loads(json.dumps(check(SMALL))) == check(SMALL)
        return
    threshold = part.facts["threshold"]
    assert isinstance(threshold, Outlier) or 0 < threshold < 1
    if kind == "table":
        measures = check(SMALL)
        assert measures.index.tolist() == [0, 1, 2]
        assert measures.between(0, 1).all()
        assert check(SMALL.iloc[:0]).empty
    else:
        assert kind == "image"
        noise = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
        for image in (flat(1, 1), flat(1, 9), flat(9, 1), noise, noise[..., 0], noise * 0):
            assert isinstance(check(image), float)
            assert 0 <= check(image) <= 1
            assert check(image) == check(image)


def test_defaults_of_the_profiles() -> None:
    glyph, natural = defaults("glyph"), defaults("natural")
    assert set(glyph) | set(natural) == set(CHECKS.names())
    both = {"low_contrast", "exact_duplicate", "odd_size", "odd_aspect_ratio", "imbalance"}
    assert both <= set(glyph) & set(natural)
    assert {"dark", "light", "blurry", "low_information", "grayscale"} <= set(natural) - set(glyph)
    assert "blank" in set(glyph) - set(natural)
    for names in (glyph, natural):
        assert names == [name for name in CHECKS if name in names] != sorted(names)


def test_certain_is_what_is_no_opinion() -> None:
    certain = {name for name in CHECKS if CHECKS.describe(name).facts.get("certain")}
    assert certain == {"exact_duplicate", "label_conflict", "split_leak"}


def test_a_survey_is_of_set_checks_only() -> None:
    specs = [CHECKS.resolve(name) for name in ("blank", "absent_class", "imbalance")]
    assert survey(SMALL, specs) == {
        "absent_class": [
            {"warning": "train lacks 1 of 2 classes: 'b'", "split": "train", "classes": ["b"]},
            {"warning": "test lacks 1 of 2 classes: 'a'", "split": "test", "classes": ["a"]},
        ],
        "imbalance": [],
    }


def test_what_a_warning_says() -> None:
    said = survey(counted(a=60, **{f"c{n}": n for n in range(1, 8)}), [CHECKS.resolve("imbalance")])
    assert said["imbalance"][0]["warning"] == (
        "5 of 8 classes have less than 1/10 of the 60 train images of the largest one: "
        "'c1', 'c2', 'c3', 'c4', 'c5'"
    )
    labels = table(*[("p", " " * space + "x", "train") for space in range(7)])
    assert CHECKS.build("similar_labels")(labels)[0]["warning"].endswith(" and 2 more")


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
    images = builtin.digits()[0]
    names = [name for name in CHECKS.names() if CHECKS.describe(name).facts["kind"] == "image"]
    measures = pd.DataFrame(
        {name: [CHECKS.build(name)(image) for image in images] for name in names}
    )
    lost = (measures < pd.Series(thresholds(measures, {}))).sum()
    assert lost.pop("secondary_content") <= 2 and not lost.any()  # two have a speck beside them


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


def test_a_bound_is_the_most_that_an_outlier_rule_comes_to() -> None:
    rule = Outlier(share=0.5, deviations=0.0, most=0.3)
    assert rule(np.array([0.1, 0.8, 0.9])) == 0.3
    assert rule(np.array([0.1, 0.5, 0.9])) == 0.25


def test_thresholds_come_from_rule_constant_or_setting() -> None:
    measures = pd.DataFrame({"blank": [1.0, 1.0], "low_contrast": [0.8, math.nan]})
    assert thresholds(measures, {}) == {"blank": 0.05, "low_contrast": pytest.approx(0.2)}
    assert thresholds(measures, {"low_contrast": 0.7})["low_contrast"] == 0.7


def test_unknown_option_is_named() -> None:
    with pytest.raises(PartError, match="tolerence"):
        CHECKS.build({"name": "blank", "tolerence": 3})
    with pytest.raises(PartError, match="enough"):
        CHECKS.build({"name": "blank", "enough": 0})
