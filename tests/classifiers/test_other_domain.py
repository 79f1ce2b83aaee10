"""Images read by another domain: seeds, how they spread, when nothing is to be believed."""

from __future__ import annotations

import numpy as np
import pytest

from augment.classifiers import other_domain
from augment.classifiers.other_domain import Reading, read_by, surest
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

    class Guesser:
        def predict(self, pixels: np.ndarray) -> np.ndarray:
            kinds = np.random.default_rng(0).integers(3, size=len(pixels))
            return np.eye(3, dtype=np.float32)[kinds]

    monkeypatch.setattr(other_domain, "fit_classifier", lambda *_, **__: Guesser())
    reading = read(shapes(30, wide=4, seed=2), shapes(120, wide=2, seed=1))
    assert reading.agreed < 0.6 and "read as different classes" in reading.silent


def test_the_surest_of_each_class() -> None:
    chances = np.array([[0.9, 0.1], [0.95, 0.05], [0.7, 0.3], [0.1, 0.9]] * 2, np.float32)
    assert surest(chances).tolist() == [-1, 0, -1, 1, -1, -1, -1, -1]  # one of four on average
    many = np.repeat(np.array([[0.9, 0.1], [0.3, 0.7]], np.float32), 500, axis=0)
    assert np.flatnonzero(surest(many) == 0).tolist() == list(range(other_domain.SEEDS))
    assert (surest(many) != 1).all()  # 0.7 is not sure
