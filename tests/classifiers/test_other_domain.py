"""Images read by another domain: seeds, how they spread, when nothing is to be believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from augment.classifiers import other_domain
from augment.classifiers.other_domain import Reading, best, read_by, surest
from augment.data.arrays import Arrays
from augment.vision import label_graph
from augment.vision.gradients import describe

CLASSES = ["bar", "dash", "cross"]


def shapes(count: int, *, wide: int, seed: int, dark: bool = False) -> Arrays:
    """Bars, dashes and crosses on 20 × 20 pixels, ``wide`` pixels thick, each a little moved."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((count, 1, 20, 20), np.uint8)
    labels = np.arange(count) % 3
    for image, label in zip(pixels[:, 0], labels, strict=True):
        start, across, down = rng.integers(1, 4), *rng.integers(7, 11, 2)
        if label != 1:
            image[start : start + 15, across : across + wide] = rng.integers(180, 256)
        if label != 0:
            image[down : down + wide, start : start + 15] = rng.integers(180, 256)
    ids = [f"{seed}/{place}" for place in range(count)]
    return Arrays(255 - pixels if dark else pixels, labels, ids, CLASSES)


def read(domain: Arrays, data: Arrays) -> Reading:
    likeness = label_graph.graph(describe(data.pixels, upright=True))
    return read_by(domain, data.pixels, likeness, upright=True, seed=0, device="cpu")


@pytest.fixture(scope="module")
def thin() -> tuple[Arrays, Reading]:
    """Thin light shapes, read by thick dark ones."""
    data = shapes(120, wide=2, seed=1)
    return data, read(shapes(60, wide=4, seed=2, dark=True), data)


def test_seeds_are_right_and_so_is_what_they_spread(thin: tuple[Arrays, Reading]) -> None:
    data, reading = thin
    seeds = reading.seeds >= 0
    assert reading.silent == "" and reading.agreed >= 0.9
    assert np.bincount(reading.seeds[seeds]).tolist() == [20, 20, 20]  # half of forty
    assert (reading.seeds == data.labels)[seeds].all()
    assert (reading.spread.argmax(1) == data.labels).mean() >= 0.97
    assert reading.spread.sum(1) == pytest.approx(np.ones(120))


class Guesser:
    """In place of a network: right, but for a share of the images, of which it says anything."""

    fitted = 0

    def __init__(self, labels: np.ndarray, wrong: float) -> None:
        self.labels, self.wrong = labels, wrong

    def __call__(self, *_: object, **__: object) -> Guesser:
        self.fitted += 1
        return self

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(0)
        errs = rng.random(len(pixels)) < self.wrong
        guesses = np.where(errs, rng.integers(3, size=len(pixels)), self.labels)
        return (0.85 * np.eye(3) + 0.05)[guesses].astype(np.float32)


def test_guesses_are_mended_by_the_images_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that errs in a third of the images; nobody learns more, so one round settles it."""
    data = shapes(600, wide=2, seed=1)
    guesser = Guesser(data.labels, 0.5)
    monkeypatch.setattr(other_domain, "fit_classifier", guesser)
    monkeypatch.setattr(other_domain, "AGREED", 0.5)
    reading = read(shapes(30, wide=4, seed=2), data)
    assert reading.silent == "" and (reading.alone == data.labels).mean() < 0.75
    assert (reading.spread.argmax(1) == data.labels).mean() >= 0.97
    assert guesser.fitted == 2


def test_it_is_kept_in_a_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = shapes(120, wide=2, seed=1)
    guesser = Guesser(data.labels, 0.0)
    monkeypatch.setattr(other_domain, "fit_classifier", guesser)
    likeness = label_graph.graph(describe(data.pixels, upright=True))

    def kept(seed: int) -> Reading:
        domain = shapes(30, wide=4, seed=2)
        return read_by(
            domain, data.pixels, likeness, upright=True, seed=seed, device="cpu", room=tmp_path
        )

    first, again = kept(0), kept(0)
    assert guesser.fitted == 2
    assert (first.silent, first.agreed) == (again.silent, again.agreed) == ("", 1.0)
    for name in ("alone", "read", "seeds", "spread"):
        assert (getattr(first, name) == getattr(again, name)).all()
    kept(1)
    assert guesser.fitted == 4


def test_the_best_of_each_class() -> None:
    chances = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4], [0.3, 0.7], [0.1, 0.9]])
    assert best(chances, 0.5).tolist() == [0, -1, -1, -1, -1, 1]  # half of 3, and half of 2
    assert best(chances, 1.0).tolist() == [0, 0, 0, -1, 1, 1]  # 3 is what a class has on average
    assert best(chances[:2], 0.1).tolist() == [0, -1]


def test_known_labels_check_it(thin: tuple[Arrays, Reading]) -> None:
    data, reading = thin
    labels = np.where(np.arange(120) < 30, reading.spread.argmax(1), -1)
    report = reading.report(labels)
    assert (report["checked"], report["wrong"], report["silent"]) == (30, 0, None)
    labels[:4] = (labels[:4] + 1) % 3
    assert reading.report(labels)["wrong"] == 4
    assert reading.report(np.full(120, -1))["checked"] == 0
    assert report["seeds"] == 60 and report["seeds_agreed"] == reading.agreed


def test_it_is_silent_about_a_class_that_is_not_there() -> None:
    """A domain of three classes, and images of one."""
    data = shapes(120, wide=2, seed=1)
    bars = data.take(np.flatnonzero(data.labels == 0))
    reading = read(shapes(60, wide=4, seed=2), bars)
    assert "no image looks surely like class" in reading.silent or "agree" in reading.silent
    assert reading.report(bars.labels)["wrong"] is None


def test_it_is_silent_where_images_that_look_alike_are_read_differently(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A network that is sure of anything: its seeds are spread over all shapes alike."""

    data = shapes(120, wide=2, seed=1)
    monkeypatch.setattr(other_domain, "fit_classifier", Guesser(data.labels, 1.0))
    reading = read(shapes(30, wide=4, seed=2), data)
    assert reading.agreed < 0.6 and "read as different classes" in reading.silent


def test_the_surest_of_each_class() -> None:
    chances = np.array([[0.9, 0.1], [0.95, 0.05], [0.7, 0.3], [0.1, 0.9]] * 2, np.float32)
    assert surest(chances).tolist() == [-1, 0, -1, 1, -1, -1, -1, -1]  # one of four on average
    many = np.repeat(np.array([[0.9, 0.1], [0.3, 0.7]], np.float32), 500, axis=0)
    assert np.flatnonzero(surest(many) == 0).tolist() == list(range(other_domain.SEEDS))
    assert (surest(many) != 1).all()  # 0.7 is not sure
