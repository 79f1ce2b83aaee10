"""Learned checks: closed forms on evidence made by hand, planted faults in real digits."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from augment.clean.checks.base import CHECKS
from augment.clean.checks.evidence import Evidence
from augment.clean.checks.learned import MissingPackageError
from augment.clean.checks.near_copies import rests
from augment.readers import builtin
from augment.vision.gradients import gradients

FEATURES = 16  # of clouds: in fewer, distances say little
NAMES = [name for name in CHECKS.names() if CHECKS.describe(name).facts["kind"] == "learned"]


def evidence(labels: list[str | None], **arrays: Any) -> Evidence:
    """Evidence of images that are all alike but for their labels and the given ``arrays``."""
    count = len(labels)
    classes = tuple(sorted({label for label in labels if label is not None}))
    frame = pd.DataFrame(
        {
            "id": [f"{place:03d}" for place in range(count)],
            "label": pd.Series(labels, dtype=object),
            "split": arrays.pop("split", ["train"] * count),
            "group": None,
            "width": arrays.pop("width", 8),
            "height": 8,
        }
    )
    even = np.full((count, len(classes)), 1 / max(1, len(classes)), np.float32)
    upright = np.zeros((count, len(classes), 4), np.float32)
    defaults: dict[str, Any] = {
        "pixels": np.zeros((count, 1, 8, 8), np.uint8),
        "probabilities": even,
        "turns": upright,
        "features": np.zeros((count, 2), np.float32),
    }
    return Evidence(frame, classes=classes, **(defaults | arrays))


def measures(name: str, readings: Evidence, **options: Any) -> np.ndarray:
    table = CHECKS.build({"name": name, **options})(readings)
    assert table.index.equals(readings.frame.index)
    assert table["measure"].dropna().between(0, 1).all()
    return table["measure"].to_numpy()


def sure(labels: str, names: str = "ab", share: float = 0.9) -> np.ndarray:
    """Probabilities with ``share`` on the class of each letter and the rest on all others."""
    rest = (1 - share) / (len(names) - 1)
    rows = [[share if name == label else rest for name in names] for label in labels]
    return np.array(rows, np.float32)


def pictures(count: int, side: int = 28, seed: int = 0) -> np.ndarray:
    """Smooth blots (N, 1, S, S), no two alike, with a margin of paper."""
    noise = np.random.default_rng(seed).normal(size=(count, side - 10, side - 10))
    blots = ndimage.gaussian_filter(noise, (0, 1.5, 1.5)) > 0.05
    smooth = ndimage.gaussian_filter(np.pad(blots * 200.0, ((0, 0), (5, 5), (5, 5))), (0, 0.6, 0.6))
    return np.rint(smooth).astype(np.uint8)[:, None]


def scaled(image: np.ndarray, factor: float) -> np.ndarray:
    middle = (np.array(image.shape) - 1) / 2
    return ndimage.affine_transform(image, np.eye(2) / factor, middle - middle / factor, order=1)


CHANGES = {
    "move": lambda image: np.roll(image, (2, -1), (0, 1)),
    "larger": lambda image: scaled(image, 1.05),
    "smaller": lambda image: scaled(image, 0.95),
    "pale": lambda image: (image * 0.6 + 40).astype(np.uint8),
    "negative contrast": lambda image: (image // 2 + 3).astype(np.uint8),
}


def test_these_checks_are_tested_here() -> None:
    assert NAMES == ["near_duplicate", "outlier", "turned", "wrong_label"]


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str) -> None:
    facts = CHECKS.describe(name).facts
    assert facts["threshold"] == 0.5 and facts["certain"] is False
    assert set(facts["profiles"]) == ({"glyph"} if name == "turned" else {"glyph", "natural"})
    for labels in ([], [None], ["a"], [None] * 9, ["a"] * 9, ["a", "b"]):
        measured = measures(name, evidence(labels))
        assert not (measured < 0.5).any()


class TestNearDuplicate:
    @pytest.mark.parametrize("change", CHANGES)
    def test_rest_of_a_copy_and_of_another(self, change: str) -> None:
        pixels = pictures(2)
        copy = CHANGES[change](pixels[0, 0]).astype(np.uint8)
        trio = np.stack([pixels[0, 0], copy, pixels[1, 0]])[:, None]
        copied, other, back = rests(trio, np.array([[0, 1], [0, 2], [2, 0]]), 2)
        assert copied < 0.02 < 0.3 < other
        assert back == pytest.approx(other, rel=1e-3)

    def test_rest_of_equal_of_flat_and_of_colour(self) -> None:
        pixels = np.repeat(pictures(1), 2, 0)
        assert rests(pixels, np.array([[0, 1]]), 1) == pytest.approx(0, abs=1e-3)
        assert rests(pixels * 0, np.array([[0, 1]]), 1) == pytest.approx(1)
        colours = np.concatenate([np.tile(pixels, (1, 3, 1, 1)), np.tile(pixels, (1, 3, 1, 1))])
        colours[1, 0] = 0
        assert rests(colours, np.array([[0, 1], [0, 2]]), 1)[0] > 0.1

    def planted(self, **arrays: Any) -> Evidence:
        """Thirty blots; the last is the first, moved."""
        pixels = pictures(30)
        pixels[29, 0] = np.roll(pixels[0, 0], (1, 1), (0, 1))
        features = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
        features[29] = features[0] + 1e-3
        labels = arrays.pop("labels", ["a"] * 30)
        return evidence(labels, pixels=pixels, features=features, **arrays)

    @pytest.mark.parametrize(
        ("arrays", "dropped"),
        [
            ({}, 29),
            ({"split": ["train"] * 29 + ["test"]}, 0),
            ({"split": ["valid"] + ["train"] * 29}, 29),
            ({"split": ["test"] * 30}, None),  # nothing says what is near: none may decide
            ({"labels": [None] + ["a"] * 29}, 0),
            ({"labels": ["a"] * 29 + [None], "split": ["train"] * 29 + ["test"]}, 29),
            ({"labels": ["a"] * 29 + ["b"]}, 29),
            ({"width": [8] * 29 + [9]}, 0),
        ],
    )
    def test_the_better_one_stays(self, arrays: dict[str, Any], dropped: int | None) -> None:
        readings = self.planted(**arrays)
        table = CHECKS.build("near_duplicate")(readings)
        expected = [] if dropped is None else [dropped]
        assert np.flatnonzero(table["measure"] < 0.5).tolist() == expected
        if expected:
            assert table["cluster"].dropna().to_dict() == {0: 0.0, 29: 0.0}
            assert table["measure"][29 - dropped] == 1.0

    def test_a_set_without_copies_keeps_all(self) -> None:
        pixels = pictures(60)
        features = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
        readings = evidence(["a", "b"] * 30, pixels=pixels, features=features)
        assert measures("near_duplicate", readings).min() >= 0.5

    def test_a_few_plain_strokes_are_no_copies_but_one_that_was_moved_is(self) -> None:
        """5 strokes that lean a little more each, among 20 blots: too few to say what is alike."""
        y, x = np.indices((28, 28)) - 13.5
        lean = np.linspace(-0.2, 0.2, 5)[:, None, None]
        strokes = 200 * np.exp(-((np.abs(x - lean * y) / 2) ** 3)) * (np.abs(y) < 10)
        pixels = np.concatenate([pictures(20), np.rint(strokes).astype(np.uint8)[:, None]])
        pixels = np.concatenate([pixels, np.roll(pixels[24:] // 2, (1, 1), (2, 3))])
        labels = [*"a" * 10, *"b" * 10, *"1" * 6]
        shapes = gradients(pixels, upright=True)
        out = np.flatnonzero(
            measures("near_duplicate", evidence(labels, pixels=pixels, features=shapes)) < 0.5
        )
        assert out.tolist() in ([24], [25])

    def test_honest_digits_stay_and_paler_copies_do_not(self) -> None:
        images, digits = builtin.digits()
        pixels = images[:400, None]
        pixels = np.concatenate([pixels, (pixels[:12] * 0.7 + 30).astype(np.uint8)])
        rows = pixels.reshape(412, -1).astype(np.float32)
        rows -= rows.mean(1, keepdims=True)
        features = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        labels = [str(label) for label in [*digits[:400], *digits[:12]]]
        measured = measures("near_duplicate", evidence(labels, pixels=pixels, features=features))
        pairs = np.minimum(measured[:12], measured[400:])
        assert (pairs < 0.5).all() and ((measured < 0.5).sum() - 12) <= 3

    @pytest.mark.parametrize("labelled", [False, True])
    def test_plain_shapes_are_no_copies_of_one_another(self, labelled: bool) -> None:
        """300 strokes that lean differently among 300 blots; one of each was copied and moved."""
        rng = np.random.default_rng(0)
        y, x = np.indices((28, 28)) - 13.5
        lean, right, width = rng.normal(0, [[0.12], [0.7], [0.3]], (3, 300))[..., None, None]
        strokes = 200 * np.exp(-((np.abs(x - right - lean * y) / (1.9 + width / 2)) ** 3))
        pixels = np.concatenate([pictures(300), (strokes * (np.abs(y) < 10))[:, None]])
        pixels = pixels + rng.normal(20, 5, pixels.shape).clip(0, 40)
        copies = np.roll(pixels[[5, 305]], (1, 1), (2, 3)) * 0.9
        pixels = np.rint(np.concatenate([pixels, copies])).astype(np.uint8)
        shapes = gradients(pixels, upright=True)
        labels: list[str | None] = [*"a" * 10, *[None] * 592]
        if labelled:
            labels = [*"a" * 300, *"b" * 300, "a", "b"]
        table = CHECKS.build("near_duplicate")(evidence(labels, pixels=pixels, features=shapes))
        out = set(np.flatnonzero(table["measure"] < 0.5))
        assert len(out & {5, 600}) == 1 and len(out & {305, 601}) == 1
        assert len(out) <= 2 + 3

    def test_twenty_copies_of_one_image_are_found(self) -> None:
        """More than the candidates, fewer than half of those that are alike."""
        images, digits = builtin.digits()
        rng = np.random.default_rng(0)
        gains = rng.uniform(0.7, 0.95, (20, 1, 1, 1))
        pixels = np.concatenate([images[:400, None], (images[:1, None] * gains).astype(np.uint8)])
        features = (
            pixels.reshape(420, -1) / np.linalg.norm(pixels.reshape(420, -1), axis=1)[:, None]
        )
        labels: list[str | None] = [None] * 420
        readings = evidence(labels, pixels=pixels, features=features.astype(np.float32))
        out = np.flatnonzero(measures("near_duplicate", readings) < 0.5)
        assert len({0, *range(400, 420)} & set(out)) == 20 and len(out) <= 20 + 3


class TestWrongLabel:
    def test_quality_suggestion_and_probability(self) -> None:
        """One b among ten that is surely an a; normalised margins of 0.96 and 0.04."""
        labels = "a" * 10 + "b" * 10
        readings = evidence(list(labels), probabilities=sure("a" * 11 + "b" * 9, share=0.96))
        table = CHECKS.build("wrong_label")(readings)
        expected = np.full(20, 0.98)  # (1 + 0.96) / 2
        expected[10] = 0.02  # 0.04 / 2
        assert table["measure"].to_numpy() == pytest.approx(expected, abs=1e-4)
        assert table["suggested_label"].dropna().to_dict() == {10: "a"}
        assert table["probability"].dropna().to_dict() == {10: pytest.approx(0.96)}

    def test_a_doubt_is_no_fault(self) -> None:
        probabilities = sure("a" * 10 + "b" * 10)
        probabilities[10] = [0.55, 0.45]
        readings = evidence(list("a" * 10 + "b" * 10), probabilities=probabilities)
        assert measures("wrong_label", readings).min() == pytest.approx((1 + 0.45) / 2, abs=1e-4)

    @pytest.mark.parametrize(("share", "wrong"), [(0.94, False), (0.96, True)])
    def test_the_other_class_must_lead(self, share: float, wrong: bool) -> None:
        """By 0.88 and by 0.92, where ``margin`` is 0.9."""
        readings = evidence(
            list("a" * 10 + "b" * 10), probabilities=sure("a" * 11 + "b" * 9, share=share)
        )
        assert (measures("wrong_label", readings)[10] < 0.5) == wrong

    def test_models_that_cannot_read_blame_nobody(self) -> None:
        """Right in 12 of 20 is guessing; in 20 of 30 of a class that is half wrong, too few."""
        labels = list("a" * 10 + "b" * 10)
        readings = evidence(labels, probabilities=sure("aaaaaabbbb" + "bbbbbbaaaa", share=0.99))
        assert np.isnan(measures("wrong_label", readings)).all()
        labels = [*"a" * 40, *"b" * 40, *"c" * 10]
        read = "a" * 40 + "b" * 40 + "c" * 4 + "a" * 6
        readings = evidence(labels, probabilities=sure(read, "abc", 0.99))
        measured = measures("wrong_label", readings)
        assert np.isnan(measured[80:]).all() and (measured[:80] > 0.5).all()
        lenient = measures("wrong_label", readings, half=0.4)
        assert np.isfinite(lenient).all()

    def test_unlabelled_and_rare_images_are_not_judged(self) -> None:
        """Both images of class c look like an a, as they must to models that saw only one."""
        labels = [*"a" * 8, *"b" * 8, "c", "c", None]
        probabilities = sure("a" * 8 + "b" * 8 + "aaa", "abc")
        measured = measures("wrong_label", evidence(labels, probabilities=probabilities))
        assert np.isnan(measured).tolist() == [False] * 16 + [True] * 3
        assert (measured[:16] > 0.5).all()
        measured = measures(
            "wrong_label", evidence(labels, probabilities=probabilities), few=2, half=0.0
        )
        assert not np.isnan(measured[:18]).any()

    def test_a_test_image_is_judged_and_decides_nothing(self) -> None:
        labels, seen = "a" * 10 + "b" * 10, "a" * 10 + "b" * 10
        train = evidence(list(labels), probabilities=sure(seen, share=0.92))
        probabilities = np.concatenate([sure(seen, share=0.92), sure("bbbaa", share=0.96)])
        split = ["train"] * 20 + ["test"] * 5
        both = evidence([*labels, *"aaaab"], probabilities=probabilities, split=split)
        measured = measures("wrong_label", both)
        assert measured[:20].tolist() == measures("wrong_label", train).tolist()
        assert (measured[20:] < 0.5).tolist() == [True, True, True, False, True]

    @pytest.mark.parametrize(
        "spec", ["wrong_label", {"name": "outlier", "score": "cleanlab"}], ids=str
    )
    def test_without_cleanlab(self, spec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in ("filter", "rank", "count", "outlier"):
            monkeypatch.setitem(sys.modules, f"cleanlab.{module}", None)
        labels = list("a" * 10 + "b" * 10)
        with pytest.raises(MissingPackageError, match=r"clean.checks.*augment\[clean\]"):
            CHECKS.build(spec)(evidence(labels, probabilities=sure("a" * 10 + "b" * 10)))


class TestTurned:
    def turns(self, *rows: dict[tuple[int, int], float], classes: int = 2) -> np.ndarray:
        shown = np.zeros((len(rows), classes, 4), np.float32)
        for place, row in enumerate(rows):
            for (label, turn), share in row.items():
                shown[place, label, turn] = share
        return shown

    @pytest.mark.parametrize(
        ("image", "measure"),
        [
            ({(0, 0): 0.9}, 1.0),
            ({(0, 0): 0.1, (0, 1): 0.8}, 0.5),  # eight times as likely: the odds
            ({(0, 0): 0.1, (0, 3): 0.81}, 8 / (8 + 8.1)),
            ({(0, 0): 0.1, (0, 2): 0.79}, 8 / (8 + 7.9)),
            ({(0, 0): 0.2, (0, 1): 0.1, (0, 2): 0.2}, 8 / 9),
        ],
    )
    def test_odds(self, image: dict[tuple[int, int], float], measure: float) -> None:
        rows = [image, *[{(0, 0): 0.9}] * 400, *[{(1, 0): 0.9, (1, 1): 1e-4}] * 5]
        readings = evidence(["a"] * 401 + ["b"] * 5, turns=self.turns(*rows))
        measured = measures("turned", readings)
        assert measured[0] == pytest.approx(measure, abs=1e-3)
        assert measured[1:] == pytest.approx(1, abs=1e-4)

    def test_nobody_is_blamed_for_what_looks_the_same(self) -> None:
        """A 0 is as likely turned, and a 6 upside down is what a 9 is."""
        zero = {(0, turn): 0.25 for turn in range(4)}
        six, nine = {(1, 0): 0.5, (2, 2): 0.5}, {(2, 0): 0.5, (1, 2): 0.5}
        rows = [zero] * 10 + [six] * 10 + [nine] * 10 + [nine]
        labels = [*"0" * 10, *"6" * 10, *"9" * 10, "6"]
        measured = measures("turned", evidence(labels, turns=self.turns(*rows, classes=3)))
        assert measured.min() > 0.8

    def test_turned_images_that_look_like_nothing_are_found(self) -> None:
        rows = [{(0, 0): 0.9}] * 30 + [{(1, 0): 0.9}] * 30
        rows += [{(0, 1): 0.7, (1, 0): 0.2}] + [{(0, 1): 0.7, (1, 0): 0.2}]
        labels = [*"a" * 30, *"b" * 30, "a", None]
        measured = measures("turned", evidence(labels, turns=self.turns(*rows)))
        assert measured[60] < 0.5 and np.isnan(measured[61]) and (measured[:60] > 0.9).all()

    def test_shape_has_a_say(self) -> None:
        """The network is in two minds; turned back by 180° the image is three times as near."""
        rows = [{(0, 0): 0.9}] * 30 + [{(1, 0): 0.9}] * 30 + [{(0, 0): 0.2, (0, 2): 0.8}] * 2
        labels = [*"a" * 30, *"b" * 30, "a", "b"]
        features = np.zeros((62, 2), np.float32)
        features[30:60, 0] = 50
        features[60] = 0, 3
        back = np.repeat(features[None], 3, 0)
        back[1, 60] = 0, 1
        turns = self.turns(*rows)
        readings = evidence(labels, turns=turns, features=features, turned_back=back)
        measured = measures("turned", readings)
        assert measured[60] == pytest.approx(8 / (8 + 4 * 3**3), abs=1e-3)
        assert (measured[:60] > 0.9).all()
        assert measures("turned", readings, shape=0)[60] == pytest.approx(8 / 12, abs=1e-3)
        small = measures("turned", readings, few=40)  # classes of 30 and 31 are too small
        assert small[60] == pytest.approx(8 / 12, abs=1e-3)

    def test_where_nothing_was_turned(self) -> None:
        readings = evidence(["a", "b"], turns=self.turns({(0, 0): 0.5}, {(0, 0): 0.9}))
        assert np.isnan(measures("turned", readings)).all()


class TestOutlier:
    def clouds(self, *odd: tuple[float, float], each: int = 60, **arrays: Any) -> Evidence:
        """Two round classes far apart and, labelled a, what is ``odd`` (in two features)."""
        near = np.random.default_rng(0).normal(size=(2 * each, FEATURES))
        near[each:, :2] += 30
        labels = arrays.pop("labels", [*"a" * each, *"b" * each, *"a" * len(odd)])
        far = np.pad(np.array(odd).reshape(-1, 2), ((0, 0), (0, FEATURES - 2)))
        features = np.concatenate([near, far]).astype(np.float32)
        seen = ["a"] * each + ["b"] * each
        probabilities = np.concatenate([sure("".join(seen)), np.full((len(odd), 2), 0.5)])
        return evidence(
            labels, features=features, probabilities=probabilities.astype(np.float32), **arrays
        )

    def test_far_from_all_classes(self) -> None:
        measured = measures("outlier", self.clouds((15, 15), (-40, 30)))
        assert (measured[-2:] < 0.4).all() and (measured[:-2] < 0.5).mean() <= 0.01

    def test_without_a_fault_nothing_is_lost(self) -> None:
        assert (measures("outlier", self.clouds(each=200)) < 0.5).mean() <= 0.005

    def test_one_in_ten_that_keep_each_other_company(self) -> None:
        """Six of sixty stand together, and are more than ``share`` lets vouch for each other."""
        odd = [(15 + place / 10, 15) for place in range(6)]
        measured = measures("outlier", self.clouds(*odd), share=0.15)
        assert (measured[-6:] < 0.5).all() and (measured[:-6] < 0.5).mean() <= 0.01

    def test_a_class_of_two_is_not_judged_and_an_unlabelled_image_is(self) -> None:
        labels = [*"a" * 60, *"b" * 60, "c", "c", None]
        odd = ((15, 15), (15.5, 15), (16, 14))
        base = self.clouds(*odd)
        made = evidence(
            labels,
            features=base.features,
            probabilities=np.pad(base.probabilities, ((0, 0), (0, 1))),
        )
        measured = measures("outlier", made)
        assert np.isnan(measured[120:122]).all() and measured[122] < 0.5
        assert np.isfinite(measured[:120]).all()

    def test_a_test_image_moves_no_threshold(self) -> None:
        odd = [(15.0, 15.0)] * 30
        base = self.clouds(*odd, split=["train"] * 120 + ["test"] * 30)
        alone = self.clouds()
        assert measures("outlier", base)[:120].tolist() == measures("outlier", alone).tolist()
        assert (measures("outlier", base)[120:] < 0.4).all()

    def test_what_a_network_takes_for_foreign(self) -> None:
        """In shape they are like their classes, and of these classes the network sees the right."""
        probabilities = self.clouds().probabilities
        turns = np.zeros((120, 2, 4), np.float32)
        turns[..., 0] = probabilities * np.random.default_rng(3).uniform(0.9, 1, (120, 1))
        foreign = np.zeros(120, np.float32)
        foreign[[0, 70]] = 0.999
        measured = measures("outlier", self.clouds(turns=turns, foreign=foreign))
        assert (measured[[0, 70]] < 0.5).all() and (measured < 0.5).sum() == 2

    def test_without_labels_the_set_is_one_class(self) -> None:
        features = np.random.default_rng(1).normal(size=(100, FEATURES)).astype(np.float32)
        features[0] = 25
        measured = measures("outlier", evidence([None] * 100, features=features))
        assert measured[0] < 0.4 and (measured[1:] < 0.5).sum() <= 2
