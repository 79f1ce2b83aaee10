"""The uplift protocol: statistics in closed form, every arm, policy and learner by its row."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from augment.classifiers.classifier import ClassifierError
from augment.data import files
from augment.data.arrays import Arrays
from augment.data.reports import UpliftReport
from augment.readers import builtin
from augment.registry import Spec
from augment.score.uplift import arms, choice, learners, policies, protocol, statistics
from augment.score.uplift.arms import ARMS, Outcome, Study, Training, perturbed
from augment.score.uplift.choice import Mix
from augment.score.uplift.learners import LEARNERS, Terms
from augment.score.uplift.policies import POLICIES
from augment.score.uplift.protocol import Plan, UpliftError
from augment.vision import augmentations
from augment.vision.lookalikes import pixel_gaps

CLASSES = ["a", "b"]


def digits() -> tuple[np.ndarray, np.ndarray]:
    pixels, labels = builtin.digits()
    return pixels[:, None], labels


def grey(labels: list[int], first: int = 0) -> Arrays:
    """Images of one grey level each, from ``first`` up, so that each can be told."""
    levels = np.arange(first, first + len(labels), dtype=np.uint8)
    pixels = np.tile(levels[:, None, None, None], (1, 1, 8, 8))
    return Arrays(pixels, np.array(labels, np.int64), [str(level) for level in levels], CLASSES)


def unasked(training: Training, seed: int, title: str) -> Outcome:
    raise AssertionError(title)


def study(**changes: Any) -> Study:
    """Four real images, six synthetic, two adopted, three without a label."""
    parts: dict[str, Any] = {
        "train": grey([0, 0, 0, 1]),
        "valid": grey([0, 1, 0, 1], 50),
        "test": grey([0, 1, 0, 1], 60),
        "synthetic": grey([0, 1, 0, 1, 0, 1], 100),
        "adopted": grey([1, 1], 200),
        "unlabelled": grey([0, 0, 0], 150).pixels,
        "trained": unasked,
        "policy": "elastic",
    }
    return Study(**parts | changes)


def levels(training: Training) -> list[tuple[int, int]]:
    """Grey level and label of each image of a training set."""
    return list(zip(training.pixels[:, 0, 0, 0].tolist(), training.labels.tolist(), strict=True))


REAL = [(0, 0), (1, 0), (2, 0), (3, 1)]

# Statistics


def test_an_interval_of_equal_gains_is_that_gain() -> None:
    assert statistics.interval(np.full((3, 50), 0.25)) == pytest.approx((0.25, 0.25))
    assert statistics.interval(np.zeros((3, 50))) == (0, 0)


def test_an_interval_over_images_is_the_normal_one() -> None:
    gains = np.tile(np.repeat([1.0, 0.0, -1.0], [60, 320, 20]), (1, 1))
    half = 1.96 * gains.std() / math.sqrt(gains.size)
    low, high = statistics.interval(gains)
    assert (low, high) == pytest.approx((0.1 - half, 0.1 + half), abs=half / 10)
    assert statistics.interval(gains) == (low, high)


def test_images_and_seeds_both_count() -> None:
    """Ten seeds are no ten times as many images, and seeds that differ widen the interval."""
    row = np.repeat([1.0, 0.0, -1.0], [60, 320, 20])
    widths = [
        np.subtract(*statistics.interval(gains))
        for gains in (row[None], np.tile(row, (10, 1)), row + np.linspace(-0.3, 0.3, 10)[:, None])
    ]
    assert widths[1] == pytest.approx(widths[0], rel=0.1) and widths[2] < 1.5 * widths[1]
    subsets = np.zeros((4, 3, 400)) + np.array([0.0, 0.1, 0.2, 0.3])[:, None, None]
    low, high = statistics.interval(subsets)
    half = 1.96 * np.std([0.0, 0.1, 0.2, 0.3]) / 2
    assert (low, high) == pytest.approx((0.15 - half, 0.15 + half), abs=half / 4)


def test_an_interval_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    gains = np.random.default_rng(0).normal(0.1, 1, (3, 200))
    whole = statistics.interval(gains)
    monkeypatch.setattr(statistics, "ENTRIES", 200 * 64)
    assert statistics.interval(gains) == pytest.approx(whole, abs=0.02)
    assert all(map(math.isnan, statistics.interval(np.zeros((3, 0)))))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1e-9, 0.1, "helps"), (0.0, 0.1, "no difference"), (-0.1, 0.1, "no difference"),
        (-0.1, 0.0, "no difference"), (-0.1, -1e-9, "harms"), (0.0, 0.0, "no difference"),
        (math.nan, math.nan, None),
    ],
)  # fmt: skip
def test_verdict(low: float, high: float, expected: str | None) -> None:
    assert statistics.verdict(low, high) == expected


def test_a_standard_error_is_over_seeds_and_of_one_seed_over_images() -> None:
    gains = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])  # means ½ 0 1 ½
    assert statistics.standard_error(gains) == pytest.approx(math.sqrt(1 / 6) / 2)
    assert statistics.standard_error(gains[:1]) == pytest.approx(0.5)  # √½ / √2
    assert statistics.standard_error(np.full((3, 5), 0.2)) == pytest.approx(0)
    assert statistics.standard_error(gains[:1, :1]) == math.inf


@pytest.mark.parametrize(
    ("won", "lost", "expected"), [(0, 0, 1.0), (5, 0, 2 / 32), (0, 5, 2 / 32), (3, 1, 10 / 16)]
)
def test_mcnemar(won: int, lost: int, expected: float) -> None:
    before = np.array([False] * won + [True] * lost + [True, False] * 4)
    after = np.array([True] * won + [False] * lost + [True, False] * 4)
    assert statistics.mcnemar(before, after) == pytest.approx(expected)
    assert math.isnan(statistics.mcnemar(before[:0], after[:0]))


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [(0.5, 10), (0.7, 100), (0.8, 1000), (0.6, 10**1.5), (0.75, 10**2.5), (0.49, None),
     (0.81, None), (math.nan, None)],
)  # fmt: skip
def test_equal_images(accuracy: float, expected: float | None) -> None:
    curve = [(1000, 0.8), (10, 0.5), (100, 0.7), (300, 0.65)]  # a point that falls changes nothing
    images = statistics.equal_images(curve, accuracy)
    assert images == (expected if expected is None else pytest.approx(expected))


def test_equal_images_of_a_plateau_are_the_fewest() -> None:
    assert statistics.equal_images([(10, 0.5), (20, 0.7), (40, 0.7)], 0.7) == pytest.approx(20)
    assert statistics.equal_images([], 0.7) is None
    assert statistics.equal_images([(10, math.nan)], 0.7) is None


# Arms: one row for each, the grey levels and labels that it trains on


def pseudo_study() -> Study:
    sure = np.array([[0.95, 0.05], [0.1, 0.9], [0.02, 0.98]], np.float32)  # 0.9 is not above 0.9

    def trained(training: Training, seed: int, title: str) -> Outcome:
        assert levels(training) == REAL and training.policy == "elastic" and seed == 7
        return Outcome(sure[:0], sure[:0], sure)

    return study(trained=trained)


DOSED = [*REAL, (100, 0), (102, 0), (104, 0), (101, 1)]
ROWS: dict[str, tuple[Spec, list[tuple[int, int]]]] = {
    "real": ("real", REAL),
    "classic": ("classic", REAL),
    "oversampling": ("oversampling", [(0, 0), (1, 0), (2, 0), (3, 1), (3, 1), (3, 1)]),
    "oversampling+synthetic": (
        "oversampling+synthetic",  # of three images and one, as many synthetic ones
        [*REAL, *[(3, 1)] * 4, (100, 0), (101, 1), (102, 0), (104, 0)],
    ),
    "pseudo_labels": ("pseudo_labels", [*REAL, (150, 0), (152, 1)]),
    "adopted": ("adopted", [*REAL, (200, 1), (201, 1)]),
    "synthetic": ({"name": "synthetic", "dose": 0.7}, [*REAL, (100, 0), (102, 0)]),
    "adopted+synthetic": (
        {"name": "adopted+synthetic", "dose": 0.4},
        [*REAL, (200, 1), (201, 1), (100, 0)],
    ),
    "synthetic_only": (
        "synthetic_only",
        [(100, 0), (101, 1), (102, 0), (103, 1), (104, 0), (105, 1)],
    ),
    "shuffled": ("shuffled", []),
    "perturbed": ("perturbed", []),
}


def test_every_arm_has_a_row() -> None:
    assert sorted(ROWS) == ARMS.names()


@pytest.mark.parametrize("name", ARMS.names())
def test_arm(name: str) -> None:
    sample = pseudo_study() if name == "pseudo_labels" else study()
    spec, expected = ROWS[name]
    training = ARMS.build(spec)(sample, 7)
    assert training.policy == (None if name == "real" else "elastic")
    assert training.pixels.dtype == np.uint8 and training.labels.dtype == np.int64
    again = ARMS.build(spec)(sample, 7)
    assert np.array_equal(again.pixels, training.pixels) and np.array_equal(
        again.labels, training.labels
    )
    if expected:
        assert levels(training) == expected
    held = {*sample.valid.pixels[:, 0, 0, 0], *sample.test.pixels[:, 0, 0, 0]}
    assert not held & {level for level, _ in levels(training)}


def test_a_dose_takes_what_there_is() -> None:
    assert len(arms.dosed(study(), 100.0)) == 6 and not len(arms.dosed(study(), 0.0))
    assert sorted(levels(ARMS.build("synthetic")(study(), 0))) == sorted(DOSED)
    assert len(arms.dosed(study(), 1 / 3)) == 1  # 3 · ⅓ is one image, however it is rounded


def test_a_dose_for_each_class() -> None:
    by_class = arms.dosed(study(), np.array([0.4, 2.0]))  # of three real images, and of one
    assert by_class.pixels[:, 0, 0, 0].tolist() == [100, 101, 103]
    training = arms.written(study(), 0, with_adopted=True, doses=np.array([0.0, 1.0]))
    assert levels(training) == [*REAL, (200, 1), (201, 1), (101, 1)]
    assert training.policy == "elastic"
    assert levels(arms.written(study(), 0, with_adopted=False, doses=np.zeros(2))) == REAL


def test_shuffled_labels_are_one_anothers() -> None:
    large = study(synthetic=grey([0, 1] * 50, 100))
    first, other = (ARMS.build("shuffled")(large, seed) for seed in (0, 1))
    assert levels(first)[:4] == REAL and len(first.labels) == 104
    assert Counter(first.labels[4:].tolist()) == {0: 50, 1: 50}
    assert 0.3 < np.mean(first.labels[4:] == large.synthetic.labels) < 0.7
    assert not np.array_equal(first.labels, other.labels)


def test_perturbed_copies_are_near_and_none_is_the_same() -> None:
    pixels, _ = digits()
    pixels = pixels[:200]
    copied = perturbed(pixels, 0)
    assert copied.shape == pixels.shape and copied.dtype == np.uint8
    assert (copied != pixels).any((1, 2, 3)).all()
    gaps = pixel_gaps(copied, pixels)
    assert (gaps <= 1.5 * arms.NOISE).all()  # moved back by one pixel, it is the image again
    assert 0.3 < np.mean(gaps < 0.01) < 0.7
    assert not np.array_equal(copied, perturbed(pixels, 1))
    assert np.array_equal(copied, perturbed(pixels, 0))


# Policies


@pytest.mark.parametrize("profile", ["glyph", "natural"])
@pytest.mark.parametrize("name", POLICIES.names())
@pytest.mark.parametrize("channels", [1, 3])
def test_policy(name: str, profile: str, channels: int) -> None:
    images = torch.rand(6, channels, 8, 12, generator=torch.Generator().manual_seed(0)) * 2 - 1
    change = POLICIES.build(name, profile)
    first, again, other = (
        change(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first.shape == images.shape and first.dtype == images.dtype
    assert first.min() >= -1.001 and first.max() <= 1.001
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not torch.equal(first, images)


@pytest.mark.parametrize("name", POLICIES.names())
def test_policies_leave_a_glyph_what_it_is(name: str) -> None:
    """A uniform image stays as it is (no colours), and ink on one side stays there (no mirror)."""
    change = POLICIES.build(name, "glyph")
    draws = torch.Generator().manual_seed(0)
    flat = torch.linspace(-1, 1, 20)[:, None, None, None].expand(20, 1, 16, 16)
    assert (change(flat, draws) - flat).abs().max() < 0.01
    corner = torch.full((200, 1, 16, 16), -1.0)
    corner[:, :, 1:6, 1:6] = 1.0
    changed = change(corner, draws) + 1
    assert (changed[:, :, :8, :8].sum((1, 2, 3)) > changed[:, :, 8:, 8:].sum((1, 2, 3))).all()
    mass = changed.sum((1, 2, 3))
    quarter = changed[:, :, :8, :8].sum((1, 2, 3))
    assert (quarter >= 0.5 * mass).all()


@pytest.mark.parametrize("name", POLICIES.names())
def test_natural_images_are_mirrored(name: str) -> None:
    sides = torch.full((64, 1, 16, 16), -1.0)
    sides[..., :8] = 1.0
    changed = POLICIES.build(name, "natural")(sides, torch.Generator().manual_seed(0))
    mirrored = changed[..., :8].mean((1, 2, 3)) < changed[..., 8:].mean((1, 2, 3))
    assert 10 < mirrored.sum() < 54


def test_torchvision_reads_the_operations_that_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.transforms import v2

    for transform in (v2.RandAugment(), v2.TrivialAugmentWide(), v2.AugMix()):
        policies.only_geometric(transform)
        operations: list[tuple[str, float]] = []

        def note(image: Any, name: str, magnitude: float, *_: Any, **__: Any) -> Any:
            operations.append((name, magnitude))  # noqa: B023
            return image

        monkeypatch.setattr(transform, "_apply_image_or_video_transform", note)
        for _ in range(60):
            transform(torch.zeros(1, 12, 12, dtype=torch.uint8))
        assert {name for name, _ in operations} == set(transform._AUGMENTATION_SPACE)
        assert len(transform._AUGMENTATION_SPACE) == 5
        assert max(abs(m) for name, m in operations if name == "Rotate") <= 15
        assert max(abs(m) for name, m in operations if name.startswith("Translate")) <= 1


# Learners


def bars(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 2
    pixels = rng.integers(0, 100, (count, 1, 8, 8), dtype=np.uint8)
    pixels[labels == 0, :, :4] += 120
    pixels[labels == 1, :, :, :4] += 120
    return pixels, labels


@pytest.mark.parametrize("name", LEARNERS.names())
def test_learner(name: str) -> None:
    """Also with a class that the training set lacks."""
    terms = Terms(3, 15, 16, "cnn", "glyph", torch.device("cpu"))
    training = Training(*bars(40, 0), "affine")
    pixels, labels = bars(20, 1)
    predict = LEARNERS.build(name, training, terms, 0, "test")()
    probabilities = predict(pixels)
    assert probabilities.shape == (20, 3) and probabilities.dtype == np.float32
    assert (
        np.allclose(probabilities.sum(1), 1, atol=1e-5)
        and (probabilities.argmax(1) == labels).mean() >= 0.9
    )
    assert np.allclose(predict(pixels[::-1])[::-1], probabilities, atol=1e-6)
    assert predict(pixels[:0]).shape == (0, 3)


def test_the_judge_is_the_network_of_the_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(
        learners, "fit_classifier", lambda *_, **options: calls.append(options) or _Guess()
    )
    terms = Terms(3, 15, 16, "cnn", "glyph", torch.device("cpu"))
    for name, policy in (("judge", "affine"), ("judge", None), ("resnet18", "affine")):
        LEARNERS.build(name, Training(*bars(4, 0), policy), terms, 5, "test")()
    assert [call["network"] for call in calls] == ["cnn", "cnn", "resnet18"]
    assert {(call["steps"], call["batch"], call["seed"]) for call in calls} == {(15, 16, 5)}
    assert callable(calls[0]["augment"]) and calls[1]["augment"] == ()


class _Guess:
    predict = None


def test_svc_of_one_image_a_class_or_one_class() -> None:
    terms = Terms(2, 1, 1, "cnn", "glyph", torch.device("cpu"))
    pixels, labels = bars(20, 0)
    probabilities = LEARNERS.build("svc", Training(pixels[:2], labels[:2]), terms, 0, "")()(pixels)
    assert set(probabilities.ravel()) == {0, 1} and (probabilities.argmax(1) == labels).mean() > 0.9
    with pytest.raises(ClassifierError, match="svc needs images of 2 classes, found 1"):
        LEARNERS.build("svc", Training(pixels[:1], labels[:1]), terms, 0, "")()


# Protocol: a learner that is told how often each arm is right


def oracle(shares: dict[str, tuple[float, float]], count: int = 100) -> tuple[Study, list[str]]:
    """A study in which arms are right on that share of valid and of test images.

    Adopted images are there only where an arm has them.
    """
    held = grey([0, 1] * (count // 2), 0)
    titles: list[str] = []

    def guess(right: float) -> np.ndarray:
        wrong = np.arange(count) >= round(right * count)
        return np.eye(2, dtype=np.float32)[np.where(wrong, 1 - held.labels, held.labels)]

    def trained(training: Training, seed: int, title: str) -> Outcome:
        titles.append(f"{title} {seed}")
        valid, test = shares[title]
        return Outcome(guess(valid), guess(test), np.zeros((3, 2), np.float32))

    adopted = grey([1, 1] if any("adopted" in title for title in shares) else [], 200)
    return study(valid=held, test=held, adopted=adopted, trained=trained), titles


def plan(**changes: Any) -> Plan:
    options: dict[str, Any] = {
        "arms": ["classic", "synthetic"], "doses": [0.5, 1.0], "seeds": [0, 1, 2],
        "policies": ["elastic"],
    }  # fmt: skip
    return Plan(**options | changes)


def test_the_dose_is_chosen_on_valid_and_the_gain_measured_on_test() -> None:
    shares = {"classic": (0.8, 0.7), "synthetic@0.5": (0.9, 0.9), "synthetic@1": (0.85, 0.99)}
    sample, titles = oracle(shares)
    report = protocol.measure(sample, plan())
    assert report.dose == 0.5 and report.verdict == "helps"
    assert report.gain.mean == pytest.approx(0.2)
    assert 0.1 < report.low < 0.2 < report.high < 0.3
    assert report.gain.values == pytest.approx([0.2] * 3)
    assert report.written.mean == pytest.approx(0.9)
    assert not report.adopted and report.chosen_on == "valid"
    assert list(report.parts) == ["synthetic"] and report.parts["synthetic"].dose == 0.5
    assert report.parts["synthetic"] == report.samples
    assert report.samples.gain == pytest.approx(report.gain.mean)
    assert report.samples.low == report.low
    assert report.arms["synthetic@1"].valid == pytest.approx(0.85)
    assert report.arms["synthetic@1"].gain.gain == pytest.approx(0.29)
    assert report.mcnemar == pytest.approx(2 * 0.5**60)  # 20 images won, three seeds
    assert report.per_class["a"].dose == 0.5
    assert report.per_class["a"].gain == pytest.approx(0.2)
    assert report.arms["classic"].per_class == pytest.approx({"a": 0.7, "b": 0.7})
    assert report.confusion.classes == CLASSES
    assert report.confusion.before == [[105, 45], [45, 105]]
    assert report.confusion.after == [[135, 15], [15, 135]]
    assert titles == [f"{title} {seed}" for title in shares for seed in range(3)]


def test_the_report_keeps_its_format() -> None:
    """Keys, nesting and order of score.json are read by others: uplift.json holds them."""
    shares = {
        "policy affine": (0.7, 0.9), "policy elastic": (0.8, 0.5), "classic": (0.8, 0.7),
        "real": (0.6, 0.5), "adopted": (0.8, 0.65), "synthetic@0.5": (0.9, 0.65),
        "synthetic@1": (0.85, 0.8), "shuffled": (0.3, 0.3), "3 images": (0.0, 0.6),
    }  # fmt: skip
    every = plan(
        arms=["real", "adopted", "synthetic", "shuffled"], policies=["affine", "elastic"],
        curve=[0.5], steps=9,
    )  # fmt: skip
    report = files.finite(protocol.measure(oracle(shares)[0], every).as_dict())
    expected = json.loads((Path(__file__).parent / "uplift.json").read_text())

    def same(value: Any, other: Any) -> bool:
        assert type(value) is type(other)
        if isinstance(value, dict):
            return list(value) == list(other) and all(same(value[k], other[k]) for k in other)
        if isinstance(value, list):
            return len(value) == len(other) and all(map(same, value, other))
        return bool(value == pytest.approx(other))

    assert same(report, expected)


def test_no_dose_that_is_no_better_on_valid() -> None:
    shares = {"classic": (0.8, 0.7), "synthetic@0.5": (0.8, 0.99), "synthetic@1": (0.7, 0.5)}
    report = protocol.measure(oracle(shares)[0], plan())
    assert (report.dose, report.low, report.high) == (0, 0, 0)
    assert report.verdict == "no difference" and report.mcnemar is None
    assert report.written == report.classic
    assert {gain.dose for gain in report.per_class.values()} == {0}
    assert report.arms["synthetic@0.5"].gain.verdict == "helps"
    assert report.arms["synthetic@1"].gain.verdict == "harms"


def test_of_equal_doses_the_smaller() -> None:
    shares = {"classic": (0.8, 0.7), "synthetic@0.5": (0.9, 0.8), "synthetic@1": (0.9, 0.9)}
    assert protocol.measure(oracle(shares)[0], plan(doses=[1.0, 0.5])).dose == 0.5


def test_a_class_that_is_harmed_on_valid_gets_none() -> None:
    sample, _ = oracle({})

    def trained(training: Training, seed: int, title: str) -> Outcome:
        labels = sample.valid.labels
        wrong = np.arange(100) < (40 if title == "classic" else 30)
        wrong &= (labels == 0) if title == "classic" else (labels == 1)
        guesses = np.eye(2, dtype=np.float32)[np.where(wrong, 1 - labels, labels)]
        return Outcome(guesses, guesses, guesses[:3])

    report = protocol.measure(dataclasses.replace(sample, trained=trained), plan(doses=[1.0]))
    assert list(report.arms) == ["classic", "synthetic@1", "written"]
    assert report.dose == 1 and report.per_class["a"].dose == 1
    assert report.per_class["b"].dose == 0 and report.per_class["b"].verdict == "harms"
    assert report.per_class["a"].verdict == "helps"


def test_the_policy_is_chosen_on_valid() -> None:
    shares = {
        "policy affine": (0.7, 0.9), "policy elastic": (0.8, 0.5), "policy aug_mix": (0.8, 0.9),
        "classic": (0.8, 0.8), "real": (0.5, 0.5),
    }  # fmt: skip
    sample, titles = oracle(shares)
    report = protocol.measure(
        sample, plan(arms=["real"], policies=["affine", "elastic", "aug_mix"])
    )
    assert report.policy == "elastic" and list(report.arms) == ["classic", "real"]
    assert report.arms["real"].gain.verdict == "harms" and report.controls == {}
    nothing = dataclasses.replace(sample, valid=grey([], 0))
    del titles[:]
    first = protocol.measure(nothing, plan(arms=[], policies=["affine", "elastic"]))
    assert first.policy == "affine" and titles == ["classic 0", "classic 1", "classic 2"]


def test_arms_without_images_are_left_out_and_controls_told_apart() -> None:
    shares = {"classic": (0.8, 0.8), "perturbed": (0.8, 0.8), "shuffled": (0.3, 0.3)}
    sample, _ = oracle(shares)
    nothing = dataclasses.replace(sample, adopted=grey([]), unlabelled=sample.unlabelled[:0])
    every = ["adopted", "adopted+synthetic", "pseudo_labels", "shuffled", "perturbed"]
    report = protocol.measure(nothing, plan(arms=every))
    assert list(report.arms) == ["classic", "shuffled", "perturbed"] and report.parts == {}
    assert not report.adopted and report.samples is None
    assert report.controls["shuffled"].verdict == "harms"
    assert report.controls["perturbed"].verdict == "no difference"
    assert report.dose == 0 and report.gain.mean == 0


def test_an_arm_is_listed_once() -> None:
    with pytest.raises(UpliftError, match=r"score\.uplift\.arms: 'synthetic@0\.5' is listed twice"):
        protocol.measure(oracle({})[0], plan(arms=["synthetic", {"name": "synthetic"}]))


def told(**guesses: tuple[list[int], list[int]]) -> Study:
    """A study whose arms guess so for valid and test images; these are of classes 0 0 0 1."""
    held = grey([0, 0, 0, 1] * 20, 0)

    def trained(training: Training, seed: int, title: str) -> Outcome:
        valid, test = (np.eye(2, dtype=np.float32)[labels * 20] for labels in guesses[title])
        return Outcome(valid, test, valid[:0])

    return study(valid=held, test=held, adopted=grey([]), trained=trained)


def test_the_dose_of_a_class_is_chosen_on_valid_too() -> None:
    """Class a is harmed on test alone, class b on valid alone."""
    better, worse = ([0, 0, 0, 0], [1, 1, 0, 1])
    guesses = {"synthetic@1": (better, [1, 1, 1, 1]), "written": (better, [1, 1, 1, 1])}
    report = protocol.measure(told(classic=([1, 1, 1, 1], worse), **guesses), plan(doses=[1.0]))
    assert report.dose == 1 and report.per_class["a"].verdict == "harms"
    assert report.per_class["a"].dose == 1 and report.per_class["b"].dose == 0
    assert report.per_class["b"].verdict == "no difference"


def test_a_class_without_a_difference_keeps_the_dose() -> None:
    sample = told(classic=([0, 1, 1, 1],) * 2, **{"synthetic@1": ([0, 0, 0, 1],) * 2})
    gains = protocol.measure(sample, plan(doses=[1.0])).per_class
    assert gains["b"].verdict == "no difference" and gains["b"].dose == 1
    assert gains["a"].gain == pytest.approx(2 / 3)  # of its own images


def test_real_classes_are_rows_and_recall_is_of_them() -> None:
    sample = told(classic=([0, 0, 0, 0],) * 2, **{"synthetic@1": ([0, 0, 1, 1],) * 2})
    report = protocol.measure(sample, plan(doses=[1.0], seeds=[0]))
    assert report.confusion.before == [[60, 0], [20, 0]]
    recalls = report.arms["synthetic@1"].per_class
    assert recalls == pytest.approx({"a": 2 / 3, "b": 1.0})


# The written set: chosen on valid images, measured on test images


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ({(False, 0): [0.8] * 3}, (False, 0)),
        ({(False, 0): [0.8] * 3, (True, 0): [0.8] * 3}, (True, 0)),  # of equals with adopted
        ({(False, 0): [0.8] * 3, (False, 1): [0.8] * 3}, (False, 0)),  # then the smaller dose
        ({(False, 0): [0.8] * 3, (False, 0.5): [0.9] * 3, (False, 1): [0.9] * 3}, (False, 0.5)),
        ({(False, 0): [0.9] * 3, (True, 0): [0.8] * 3, (True, 1): [0.85] * 3}, (False, 0)),
        ({(False, 0): [0.8] * 3, (True, 0): [0.9] * 3, (True, 1): [0.95] * 3}, (True, 1)),
        # gains of 0.1, -0.1, 0.1: 0.033 in the mean, a standard error of 0.067
        ({(False, 0): [0.8] * 3, (False, 1): [0.9, 0.7, 0.9]}, (False, 0)),
        # 0.1, 0, 0.1: 0.067 against 0.033
        ({(False, 0): [0.8] * 3, (False, 1): [0.9, 0.8, 0.9]}, (False, 1)),
        # one seed of three gains: as much as its standard error, not more
        ({(False, 0): [0.8] * 3, (False, 1): [0.9, 0.8, 0.8]}, (False, 0)),
        # the best beats dose 0 by more than its standard error, but not dose ½
        (
            {(True, 0): [0.5] * 3, (True, 0.5): [0.8] * 3, (True, 1): [0.9, 0.7, 0.9]},
            (True, 0.5),
        ),
        ({(False, 0): [0.8], (False, 1): [0.83]}, (False, 0)),  # one seed: over its images
        ({(False, 0): [0.8], (False, 1): [0.9]}, (False, 1)),
    ],
)
def test_the_best_mix_beats_simpler_ones_by_more_than_chance(
    accuracies: dict[tuple[bool, float], list[float]], expected: tuple[bool, float]
) -> None:
    """Right answers about ten images a seed, the first ones; about 100 of a single seed."""

    def right(shares: list[float]) -> np.ndarray:
        count = 10 if len(shares) > 1 else 30
        return np.arange(count) < np.round(count * np.array(shares))[:, None]

    for order in (1, -1):
        mixes = {Mix(*mix): right(shares) for mix, shares in list(accuracies.items())[::order]}
        assert choice.best_mix(mixes) == expected


EVERY = ["pseudo_labels", "adopted", "synthetic", "adopted+synthetic"]
LABELS = {"labeller": (0.8, 0.7), "pseudo_labels": (0.8, 0.75)}


def test_the_written_set_has_adopted_images_and_samples_where_valid_gains_by_both() -> None:
    shares = {
        "classic": (0.7, 0.7), **LABELS, "adopted": (0.8, 0.8),
        "synthetic@0.5": (0.72, 0.68), "synthetic@1": (0.74, 0.66),
        "adopted+synthetic@0.5": (0.9, 0.84), "adopted+synthetic@1": (0.85, 0.99),
    }  # fmt: skip
    sample, titles = oracle(shares)
    report = protocol.measure(sample, plan(arms=EVERY, steps=7))
    assert (report.adopted, report.dose, report.chosen_on) == (True, 0.5, "valid")
    assert report.gain.mean == pytest.approx(0.14) and report.verdict == "helps"
    assert report.written.mean == pytest.approx(0.84)
    assert report.overall == report.arms["adopted+synthetic@0.5"].gain
    assert {name: (gain.gain, gain.dose) for name, gain in report.parts.items()} == {
        "adopted": (pytest.approx(0.1), None),
        "pseudo_labels": (pytest.approx(0.05), None),
        "synthetic": (pytest.approx(-0.02), 0.5),
        "adopted+synthetic": (pytest.approx(0.14), 0.5),
    }
    assert (report.samples.gain, report.samples.dose) == (pytest.approx(0.04), 0.5)
    assert report.samples.verdict == "helps"  # over adopted images alone, not over classic
    assert report.added == "adopted images and samples at dose 0.5"
    assert report.budget == "3 classifiers an arm, 7 steps each"
    assert "written 0" not in titles  # an arm has been that set
    assert UpliftReport.from_dict(json.loads(json.dumps(files.finite(report.as_dict())))) == report


def test_samples_that_are_not_written_are_measured_at_the_best_dose_on_valid() -> None:
    shares = {
        "classic": (0.7, 0.7), "adopted": (0.9, 0.8),
        "synthetic@0.5": (0.6, 0.72), "synthetic@1": (0.65, 0.74),
        "adopted+synthetic@0.5": (0.9, 0.7), "adopted+synthetic@1": (0.9, 0.6),
    }  # fmt: skip
    report = protocol.measure(oracle(shares)[0], plan(arms=EVERY[1:]))
    assert (report.adopted, report.dose, report.verdict) == (True, 0, "helps")
    assert report.gain.mean == pytest.approx(0.1)
    assert (report.parts["synthetic"].gain, report.parts["synthetic"].dose) == (
        pytest.approx(0.04), 1,
    )  # fmt: skip
    assert report.parts["adopted+synthetic"].dose == 0.5  # of equals the smaller
    assert (report.samples.gain, report.samples.verdict) == (pytest.approx(-0.1), "harms")


def test_adopted_images_that_are_worse_on_valid_stay_out_whatever_test_says() -> None:
    shares = {"classic": (0.8, 0.7), "adopted": (0.7, 0.9), "synthetic@1": (0.7, 0.95)}
    report = protocol.measure(oracle(shares)[0], plan(arms=["synthetic"], doses=[1.0]))
    assert list(report.arms) == ["classic", "synthetic@1", "adopted"]  # which always runs
    assert (report.adopted, report.dose, report.added) == (False, 0, "nothing")
    assert report.verdict == "no difference" and report.parts["adopted"].verdict == "helps"
    assert report.samples.gain == pytest.approx(0.25)  # over the labelled images


def test_without_valid_images_adopted_ones_are_written_and_no_samples() -> None:
    """Whatever the test images say of either: the gates judge that."""
    shares = {
        "classic": (0.0, 0.8), "adopted": (0.0, 0.7), "synthetic@0.5": (0.0, 0.9),
        "synthetic@1": (0.0, 0.95), "adopted+synthetic@0.5": (0.0, 0.85),
        "adopted+synthetic@1": (0.0, 0.99),
    }  # fmt: skip
    sample = dataclasses.replace(oracle(shares)[0], valid=grey([]))
    trained = sample.trained
    sample = dataclasses.replace(
        sample, trained=lambda *fitting: trained(*fitting)._replace(valid=np.zeros((0, 2)))
    )
    report = protocol.measure(sample, plan(arms=EVERY[1:]))
    assert (report.adopted, report.dose, report.chosen_on) == (True, 0, None)
    assert report.gain.mean == pytest.approx(-0.1) and report.verdict == "harms"
    assert report.parts["synthetic"].dose == 0.5  # the smallest
    assert report.samples.gain == pytest.approx(0.15)
    labels = "adopted ones at their calibrated labels"
    assert report.choice == f"no valid images, so {labels} and no samples"
    nothing = protocol.measure(dataclasses.replace(sample, adopted=grey([])), plan(arms=EVERY[1:]))
    assert (nothing.adopted, nothing.dose, nothing.verdict) == (False, 0, "no difference")
    assert nothing.choice == "no valid images, so no samples" and nothing.added == "nothing"


def test_a_set_that_no_arm_is_is_measured_as_it_is_written() -> None:
    """Class b is harmed on valid: the written set holds samples of class a alone."""
    right, classic = [0, 0, 0, 1], [1, 1, 1, 1]
    mixed = [0, 0, 0, 0]
    seen: list[list[tuple[int, int]]] = []
    sample = told(
        classic=(classic, classic), adopted=(classic, classic),
        **{"adopted+synthetic@1": (mixed, mixed), "written": (right, right)},
    )  # fmt: skip
    trained = sample.trained

    def noting(training: Training, seed: int, title: str) -> Outcome:
        seen.extend([levels(training)] if title == "written" else [])
        return trained(training, seed, title)

    sample = dataclasses.replace(sample, adopted=grey([1, 1], 200), trained=noting)
    report = protocol.measure(sample, plan(arms=["adopted+synthetic"], doses=[1.0]))
    assert [gain.dose for gain in report.per_class.values()] == [1, 0]
    assert seen == [[*REAL, (200, 1), (201, 1), (100, 0), (102, 0), (104, 0)]] * 3
    assert report.written.mean == 1 and report.arms["written"].gain == report.overall
    assert report.samples.gain == report.gain.mean == pytest.approx(0.75)
    assert report.added == "adopted images and samples at dose 1 (none in 1 of 2 classes)"
    assert report.confusion.after == [[180, 0], [0, 60]]


def test_every_pair_has_its_own_draws() -> None:
    """Arms of one seed share it, and neither labels nor subsets are drawn alike under another."""
    seen: dict[str, list[tuple[int, bytes]]] = {}

    def trained(training: Training, seed: int, title: str) -> Outcome:
        seen.setdefault(title, []).append(
            (seed, training.pixels.tobytes() + bytes(training.labels))
        )
        right = np.eye(2, dtype=np.float32)[np.array([0, 1, 0, 1])]
        right[: seed + 1] = right[: seed + 1, ::-1]
        return Outcome(right, right, right[:0])

    parts = {"synthetic": grey([0, 1] * 20, 100), "adopted": grey([])}
    sample = study(train=grey([0, 1] * 20), trained=trained, **parts)
    report = protocol.measure(sample, plan(arms=["shuffled"], curve=[0.5]))
    for title in ("shuffled", "20 images"):
        assert [seed for seed, _ in seen[title]] == [0, 1, 2]
        assert len({data for _, data in seen[title]}) == 3
    assert report.classic.values == [0.75, 0.5, 0.25]
    assert report.classic.std == pytest.approx(0.25)  # of a sample


def test_a_subset_has_an_image_of_every_class() -> None:
    assert protocol.subset(grey([0, 0, 0, 1]), 0.1, 0).labels.tolist() == [0, 1]


def test_the_learning_curve_and_the_data_multiplier() -> None:
    shares = {"classic": (0.8, 0.8), "synthetic@1": (0.9, 0.7), "3 images": (0.0, 0.6)}
    sample, _ = oracle(shares)
    report = protocol.measure(sample, plan(doses=[1.0], curve=[0.5]))
    points = [(point.images, point.accuracy) for point in report.learning_curve]
    assert points == [(3, pytest.approx(0.6)), (4, pytest.approx(0.8))]
    assert report.equal_images == pytest.approx(math.sqrt(3 * 4))
    assert report.data_multiplier == pytest.approx(math.sqrt(3 / 4))
    sample, _ = oracle(shares | {"synthetic@1": (0.9, 0.85)})  # better than all real images
    assert protocol.measure(sample, plan(doses=[1.0], curve=[0.5])).data_multiplier is None


def test_subsets_are_nested_and_balanced() -> None:
    train = grey([0] * 20 + [1] * 10)
    less, more, whole = (protocol.subset(train, share, 3) for share in (0.25, 0.5, 1.0))
    assert set(less.ids) < set(more.ids) < set(whole.ids) == set(train.ids)
    assert [Counter(part.labels.tolist()) for part in (less, more, whole)] == [
        {0: 5, 1: 2}, {0: 10, 1: 5}, {0: 20, 1: 10}
    ]  # fmt: skip
    assert set(protocol.subset(train, 0.25, 4).ids) != set(less.ids)


def test_real_digits_and_an_arm_that_is_known_to_help() -> None:
    """Ten real digits a class, and thirty more in the place of synthetic ones."""
    pixels, labels = digits()
    names = [str(digit) for digit in range(10)]
    rank = np.empty(len(labels), np.int64)
    for digit in range(10):
        rank[labels == digit] = np.arange(np.sum(labels == digit))

    def take(low: int, high: int) -> Arrays:
        rows = np.flatnonzero((rank >= low) & (rank < high))
        return Arrays(pixels[rows], labels[rows], [str(row) for row in rows], names)

    terms = Terms(10, 1, 1, "cnn", "glyph", torch.device("cpu"))
    valid, test = take(40, 70), take(70, 170)

    def trained(training: Training, seed: int, title: str) -> Outcome:
        predict = LEARNERS.build("svc", training, terms, seed, title)()
        return Outcome(predict(valid.pixels), predict(test.pixels), predict(valid.pixels[:0]))

    sample = Study(
        take(0, 10), valid, test, take(10, 40), take(0, 0), pixels[:0], trained,
    )  # fmt: skip
    options = plan(arms=["synthetic", "shuffled", "perturbed"], doses=[1.0, 3.0], curve=[0.5])
    report = protocol.measure(sample, options)
    assert report.verdict == "helps" and report.dose == 3 and report.low > 0.01
    assert report.controls["shuffled"].verdict == "harms"
    assert report.controls["perturbed"].gain < report.gain.mean / 2


@pytest.mark.parametrize("profile", ["glyph", "natural"])
def test_affine_policies_stay_within_what_the_profile_allows(profile: str) -> None:
    for name in ("affine", "elastic"):
        augmentations.safe([name], profile)
    assert POLICIES.resolve("affine")["degrees"] <= 30
