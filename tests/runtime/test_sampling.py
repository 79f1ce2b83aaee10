"""A sample keeps the classes, their shares and the order, and is said."""

from __future__ import annotations

import numpy as np
import pytest

from augment.data.arrays import Arrays
from augment.runtime.sampling import LEAST, sampled

COUNTS = [600, 300, 0, 100, 12, 3]
TOLD = "judged on {} images"


@pytest.fixture
def every() -> Arrays:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(COUNTS)), COUNTS))
    pixels = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    ids = [f"{place:04}" for place in range(len(labels))]
    return Arrays(pixels, labels, ids, list("abcdef"))


def counts(part: Arrays) -> list[int]:
    return np.bincount(part.labels, minlength=len(COUNTS)).tolist()


def test_classes_keep_their_share_and_rare_ones_a_handful(
    every: Arrays, capsys: pytest.CaptureFixture[str]
) -> None:
    part = sampled(every, 213, 0, TOLD)
    assert counts(part) == [120, 60, 0, 20, LEAST, 3]
    assert part.ids == sorted(part.ids)
    places = [int(name) for name in part.ids]
    assert np.array_equal(part.pixels, every.pixels[places])
    assert np.array_equal(part.labels, every.labels[places])
    assert capsys.readouterr().err == "judged on 213 of 1,015 images\n"


def test_a_handful_of_each_class_stays_whatever_the_number(every: Arrays) -> None:
    assert counts(sampled(every, 1, 0, TOLD)) == [LEAST, LEAST, 0, LEAST, LEAST, 3]


def test_it_follows_from_its_seed(every: Arrays) -> None:
    part = sampled(every, 213, 0, TOLD)
    assert sampled(every, 213, 0, TOLD).ids == part.ids
    other = sampled(every, 213, 1, TOLD)
    assert other.ids != part.ids and counts(other) == counts(part)
    assert set(sampled(every, 100, 0, TOLD).ids) < set(part.ids)


def test_rows_are_sampled_like_a_set_of_their_own(every: Arrays) -> None:
    rows = np.flatnonzero(every.labels < 2)
    part = sampled(every, 90, 0, TOLD, rows)
    assert counts(part) == [60, 30, 0, 0, 0, 0]
    assert part.ids == sampled(every.take(rows), 90, 0, TOLD).ids


def test_no_more_than_the_number_stay_as_they_are(
    every: Arrays, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sampled(every, len(every), 0, TOLD) is every
    rows = np.flatnonzero(every.labels == 3)
    assert sampled(every, 100, 0, TOLD, rows).ids == every.take(rows).ids
    assert not capsys.readouterr().err
