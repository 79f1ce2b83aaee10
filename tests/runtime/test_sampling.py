"""A sample keeps the classes, their shares and the order, and is said."""

from __future__ import annotations

import numpy as np
import pytest

from augment.data.arrays import Arrays
from augment.data.types import Labels
from augment.runtime.sampling import LEAST, Sampler

COUNTS = [600, 300, 0, 100, 12, 3]
TOLD = "judged on {count} {kind} images"


@pytest.fixture
def every() -> Arrays:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(COUNTS)), COUNTS))
    pixels = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    ids = [f"{place:04}" for place in range(len(labels))]
    return Arrays(pixels, labels, ids, list("abcdef"))


def sampled(every: Arrays, most: int, seed: int, rows: Labels | None = None) -> Arrays:
    return Sampler(most, seed, TOLD).images("train", every, rows)


def counts(part: Arrays) -> list[int]:
    return np.bincount(part.labels, minlength=len(COUNTS)).tolist()


def test_classes_keep_their_share_and_rare_ones_a_handful(
    every: Arrays, capsys: pytest.CaptureFixture[str]
) -> None:
    part = sampled(every, 213, 0)
    assert counts(part) == [120, 60, 0, 20, LEAST, 3]
    assert part.ids == sorted(part.ids)
    places = [int(name) for name in part.ids]
    assert np.array_equal(part.pixels, every.pixels[places])
    assert np.array_equal(part.labels, every.labels[places])
    assert capsys.readouterr().err == "judged on 213 of 1,015 train images\n"


def test_a_handful_of_each_class_stays_whatever_the_number(every: Arrays) -> None:
    assert counts(sampled(every, 1, 0)) == [LEAST, LEAST, 0, LEAST, LEAST, 3]


def test_it_follows_from_its_seed(every: Arrays) -> None:
    part = sampled(every, 213, 0)
    assert sampled(every, 213, 0).ids == part.ids
    other = sampled(every, 213, 1)
    assert other.ids != part.ids and counts(other) == counts(part)
    assert set(sampled(every, 100, 0).ids) < set(part.ids)


def test_rows_are_sampled_like_a_set_of_their_own(every: Arrays) -> None:
    rows = np.flatnonzero(every.labels < 2)
    part = sampled(every, 90, 0, rows)
    assert counts(part) == [60, 30, 0, 0, 0, 0]
    assert part.ids == sampled(every.take(rows), 90, 0).ids


def test_no_more_than_the_number_stay_as_they_are(
    every: Arrays, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sampled(every, len(every), 0) is every
    rows = np.flatnonzero(every.labels == 3)
    assert sampled(every, 100, 0, rows).ids == every.take(rows).ids
    assert not capsys.readouterr().err


def test_counts_tell_of_samples_alone(every: Arrays, capsys: pytest.CaptureFixture[str]) -> None:
    sampler = Sampler(213, 0, TOLD)
    few = every.take(np.arange(20))
    assert sampler.images("valid", few) is few and sampler.facts == {}
    sampler.images("train", every)
    assert sampler.images("synthetic", every, most=2000) is every
    sampler.images("test", every.take(np.arange(900)), most=100)
    rare = every.take(np.flatnonzero(every.labels == 5))  # a handful of each class stays
    assert len(sampler.images("rare", rare, most=1)) == len(rare)
    assert sampler.facts == {
        "sampled": {"train": {"images": 213, "of": 1015}, "test": {"images": 100, "of": 900}}
    }
    told = ["judged on 213 of 1,015 train images", "judged on 100 of 900 test images"]
    assert capsys.readouterr().err.splitlines() == told
