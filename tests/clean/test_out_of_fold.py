"""Evidence: nothing is learned from the image itself, its group, or the test split."""

from __future__ import annotations

import dataclasses
from typing import cast

import numpy as np
import pandas as pd
import pytest

from augment.classifiers.classifier import Classifier
from augment.clean.checks.base import CHECKS
from augment.clean.checks.evidence import Evidence
from augment.clean.out_of_fold import deal_folds, fitting_steps, gather, reading
from augment.readers import builtin


def digits(count: int) -> tuple[pd.DataFrame, np.ndarray]:
    pixels, labels = builtin.digits()
    frame = pd.DataFrame(
        {
            "label": pd.Series([str(label) for label in labels[:count]], dtype=object),
            "split": ["test" if place % 5 == 4 else "train" for place in range(count)],
            "group": pd.Series([None] * count, dtype=object),
            "width": 8,
            "height": 8,
        }
    )
    return frame, pixels[:count, None]


@pytest.fixture(scope="module")
def planted() -> tuple[Evidence, dict[str, np.ndarray]]:
    """Nine hundred digits, of which some are wrong, turned or noise, in train and in test."""
    frame, pixels = digits(900)
    rng = np.random.default_rng(0)
    rows = rng.permutation(np.flatnonzero(frame["label"].isin(["3", "4", "7"])))
    others = rng.permutation(np.flatnonzero(~frame["label"].isin(["3", "4", "7"])))
    faults = {"wrong": rows[:20], "turned": rows[20:40], "noise": others[:20]}
    wrong = frame["label"][faults["wrong"]].map({"3": "4", "4": "7", "7": "3"})
    frame.loc[faults["wrong"], "label"] = wrong
    pixels[faults["turned"]] = np.rot90(pixels[faults["turned"]], 1, (2, 3))
    pixels[faults["noise"]] = rng.integers(0, 256, (20, 1, 8, 8))
    frame.loc[880:, "label"] = None
    return gather(frame, pixels, seed=1), faults


def test_faults_in_real_digits(planted: tuple[Evidence, dict[str, np.ndarray]]) -> None:
    evidence, faults = planted
    clean = np.ones(len(evidence.frame), bool)
    clean[np.concatenate(list(faults.values()))] = False
    names = {"wrong": "wrong_label", "turned": "turned", "noise": "outlier"}
    flagged = {name: CHECKS.build(name)(evidence)["measure"] < 0.5 for name in names.values()}
    for fault, name in names.items():
        rows = faults[fault][faults[fault] < 880]
        assert flagged[name][rows].mean() >= (0.75 if fault == "wrong" else 0.85), name
        assert flagged[name][clean].mean() <= 0.015, name


class Corner:
    """Reads where the bright corner lies: class 0, turned; a dark image is of no class."""

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        answer = np.zeros((len(pixels), 9), np.float32)
        for row, image in enumerate(pixels[:, 0]):
            corners = [image[0, 0], image[-1, 0], image[-1, -1], image[0, -1]]
            answer[row, int(np.argmax(corners)) if max(corners) > 60 else 8] = 1
        return answer


def test_a_network_reads_an_image_in_all_turns() -> None:
    """What it sees is told of the image as it is, whichever way it was shown."""
    pixels = np.zeros((5, 1, 32, 32), np.uint8)
    pixels[0, 0, :16, :16] = 255
    for turn in range(1, 4):
        pixels[turn] = np.rot90(pixels[0], turn, (1, 2))
    reader = cast(Classifier, Corner())
    answer = reading(reader, pixels, 2, 4)
    assert answer.shape == (5, 2, 4)
    assert answer[:4, 0].tolist() == np.eye(4).tolist()
    assert not answer[:, 1].any() and not answer[4].any()


def test_photographs_are_read_once_and_as_they_are() -> None:
    seen: list[np.ndarray] = []

    class Reader:
        def predict(self, pixels: np.ndarray) -> np.ndarray:
            seen.append(pixels)
            return np.full((len(pixels), 2), 0.5, np.float32)

    pixels = digits(3)[1]
    answer = reading(cast(Classifier, Reader()), pixels, 2, 1)
    assert answer.tolist() == [[[0.5], [0.5]]] * 3
    assert len(seen) == 1 and (seen[0] == pixels).all()


def test_a_turned_image_turned_back_is_as_it_was() -> None:
    """The first quarter of the set, and the same once more turned by 90°, 180° and 270°."""
    frame, pixels = digits(60)
    plain = pixels[:15].copy()
    for turn in (1, 2, 3):
        pixels[15 * turn : 15 * (turn + 1)] = np.rot90(plain, turn, (2, 3))
    evidence = gather(frame, pixels, steps=2)
    assert evidence.turned_back is not None
    for turn in (1, 2, 3):
        turned_back = evidence.turned_back[turn - 1, 15 * turn : 15 * (turn + 1)]
        assert np.allclose(turned_back, evidence.features[:15], atol=1e-4)
    assert gather(frame, pixels, steps=2, glyph=False).turned_back is None


def test_shapes_and_sums(planted: tuple[Evidence, dict[str, np.ndarray]]) -> None:
    evidence = planted[0]
    assert evidence.classes == tuple("0123456789")
    assert np.allclose(evidence.probabilities.sum(1), 1, atol=1e-4)
    assert np.allclose(evidence.turns.sum((1, 2)), 1, atol=1e-4)
    foreign = np.asarray(evidence.foreign)
    assert foreign.shape == (900,) and foreign.min() >= 0 and foreign.max() <= 1
    back = evidence.turned_back
    assert back is not None and back.shape == (3, *evidence.features.shape)
    assert np.isfinite(evidence.features).all() and evidence.features.dtype == np.float32
    assert (evidence.labels[880:] == -1).all() and evidence.open.sum() == 720


def test_the_same_again_and_no_test_image_teaches() -> None:
    frame, pixels = digits(120)
    first = gather(frame, pixels, steps=4)
    again = gather(frame, pixels, steps=4)
    assert first.probabilities.tobytes() == again.probabilities.tobytes()
    assert first.turns.tobytes() == again.turns.tobytes()
    held = (frame["split"] == "test").to_numpy()
    frame.loc[held, "label"] = "0"
    pixels[held] = 255 - pixels[held]
    other = gather(frame, pixels, steps=4)
    for before, after in ((first.probabilities, other.probabilities), (first.turns, other.turns)):
        assert before[~held].tobytes() == after[~held].tobytes()
        assert before[held].tobytes() != after[held].tobytes()


def test_photographs_are_not_turned() -> None:
    frame, pixels = digits(60)
    evidence = gather(frame, np.repeat(pixels, 3, 1), steps=2, glyph=False)
    assert not evidence.turns[..., 1:].any() and not np.any(evidence.foreign > 1e-5)
    assert np.allclose(evidence.turns.sum((1, 2)), 1, atol=1e-4)


@pytest.mark.parametrize("labels", [[None] * 12, ["a"] * 12, ["a"] * 11 + ["b"]])
def test_little_to_learn_from(labels: list[str | None]) -> None:
    """No class, one, and one that has a single image."""
    frame, pixels = digits(12)
    frame["label"], frame["split"] = pd.Series(labels, dtype=object), "train"
    evidence = gather(frame, pixels, steps=2)
    assert evidence.probabilities.shape == (12, len(evidence.classes))
    for name in ("near_duplicate", "wrong_label", "turned", "outlier"):
        assert not (CHECKS.build(name)(evidence)["measure"] < 0.5).any()


def test_models_abstain_below_twenty_images_a_class_and_say_so() -> None:
    """240 of 300 digits teach: 24 a class, or 18 where every fifth has no label."""
    frame, pixels = digits(300)
    assert gather(frame, pixels, steps=2).abstained == ""
    frame.loc[frame.index % 5 == 0, "label"] = None
    evidence = gather(frame, pixels)
    assert evidence.abstained.startswith("18.0 labelled train and valid images a class")
    assert np.allclose(evidence.probabilities, 0.1) and not evidence.turns[..., 1:].any()
    for name in ("wrong_label", "turned"):
        assert np.isnan(CHECKS.build(name)(evidence)["measure"]).all()
    for name in ("near_duplicate", "outlier"):
        assert np.isfinite(CHECKS.build(name)(evidence)["measure"]).all()


@pytest.mark.parametrize(
    ("images", "classes", "steps"),
    [(60, 2, 30), (200, 10, 120), (400, 10, 200), (1198, 10, 350), (10_000, 100, 1250)],
)
def test_steps_follow_the_size_of_the_set(images: int, classes: int, steps: int) -> None:
    assert fitting_steps(images, classes) == steps


def test_what_an_image_resembles() -> None:
    """The nearest labelled image that is not held out; its own label for a labelled one."""
    frame = digits(5)[0].assign(label=["a", "b", None, None, "c"])
    features = np.array([[0], [10], [2], [9], [2]], np.float32)
    nothing = np.zeros((5, 3), np.float32)
    pixels = np.zeros((5, 1, 8, 8), np.uint8)
    evidence = Evidence(frame, pixels, ("a", "b", "c"), nothing, nothing, features)
    assert evidence.resembled.tolist() == [0, 1, 0, 1, 2]
    unknown = dataclasses.replace(evidence, frame=frame.assign(label=None))
    assert unknown.resembled.tolist() == [-1] * 5


def test_folds_keep_groups_and_deal_classes_evenly() -> None:
    groups = pd.Series([None] * 60 + [f"g{place // 4}" for place in range(40)])
    labels = np.arange(100) % 4
    teaches = np.arange(100) % 10 != 9
    fold = deal_folds(groups, labels, teaches, 3, 0)
    assert (fold[~teaches] == -1).all() and set(fold[teaches]) == {0, 1, 2}
    folds = pd.Series(fold[60:])[teaches[60:]].groupby(groups[60:].to_numpy()[teaches[60:]])
    assert (folds.nunique() == 1).all()
    dealt = deal_folds(pd.Series([None] * 100), labels, teaches, 3, 0)
    for label in range(4):
        shares = np.bincount(dealt[teaches & (labels == label)])
        assert shares.max() - shares.min() <= 1
    assert (fold == deal_folds(groups, labels, teaches, 3, 0)).all()
    assert (fold != deal_folds(groups, labels, teaches, 3, 1)).any()


def test_networks_read_small_images_in_their_size() -> None:
    """Eight pixels that were made thirty-two are read as the eight that they were."""
    frame, pixels = digits(60)
    larger = pixels.repeat(4, 2).repeat(4, 3)
    native, made_larger = (gather(frame, shown, steps=2) for shown in (pixels, larger))
    assert np.array_equal(made_larger.foreign, native.foreign)
    large = gather(frame.assign(width=17), larger, steps=2)  # one of them has more to show
    assert not np.array_equal(large.foreign, native.foreign)
