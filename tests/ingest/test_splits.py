"""Splits: shares, stability, groups, what classes are due, what a source has given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment.ingest.splits import OPEN, TEST, TRAIN, VALID, Groups, SplitError, by_hash, settle
from augment.runtime import seeding


def settled(
    keys: Any, classes: Any, splits: Any = None, *, valid: float = 0.1, test: float = 0.2
) -> list[int]:
    keys = np.asarray(keys, np.float64)
    source_splits = np.full(len(keys), OPEN) if splits is None else np.asarray(splits)
    final = settle(
        keys, np.asarray(classes, np.int32), source_splits.astype(np.int8), valid=valid, test=test
    )
    return list(map(int, final))


@pytest.mark.parametrize(
    ("key", "split"),
    [(0.0, TEST), (0.1999, TEST), (0.2, VALID), (0.2999, VALID), (0.3001, TRAIN), (0.9999, TRAIN)],
)
def test_places_on_the_line(key: float, split: int) -> None:
    assert by_hash(key, 0.1, 0.2) == split


def test_shares_are_kept_within_each_class() -> None:
    keys = [seeding.unit(0, "split", n) for n in range(6000)]
    classes = np.arange(6000) % 3
    split = np.array(settled(keys, classes))
    for number in range(3):
        shares = np.bincount(split[classes == number], minlength=3) / 2000
        np.testing.assert_allclose(shares[[TRAIN, VALID, TEST]], [0.7, 0.1, 0.2], atol=0.03)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1, exclude_max=True)), min_size=1),
    st.floats(0, 0.4),
    st.floats(0, 0.4),
)
def test_what_always_holds(rows: list[tuple[int, float]], valid: float, test: float) -> None:
    classes, keys = map(np.array, zip(*rows, strict=True))
    split = np.array(settled(keys, classes, valid=valid, test=test))
    for key in np.unique(keys):
        assert len(set(split[keys == key])) == 1
    for number in np.unique(classes):
        assert (split[classes == number] == TRAIN).any() or len(np.unique(keys)) < len(rows)
    if len(np.unique(keys)) == len(rows):  # keys of one image each: nothing stands in the way
        for number in np.unique(classes):
            mine = split[classes == number]
            assert (mine == TRAIN).any()
            if len(mine) >= 3:
                assert valid == 0 or (mine == VALID).any()
                assert test == 0 or (mine == TEST).any()


class TestWhatClassesAreDue:
    def test_the_only_image_is_train(self) -> None:
        assert settled([0.0], [0]) == [TRAIN]
        assert settled([0.25], [0]) == [TRAIN]

    def test_of_two_test_images_the_one_nearer_to_train_moves(self) -> None:
        assert settled([0.05, 0.15], [0, 0]) == [TEST, TRAIN]

    def test_two_train_images_stay(self) -> None:
        assert settled([0.5, 0.9], [0, 0]) == [TRAIN, TRAIN]

    def test_three_train_images_give_the_nearest_to_each(self) -> None:
        assert settled([0.9, 0.4, 0.5], [0, 0, 0]) == [TRAIN, VALID, TEST]

    def test_a_share_of_nothing_is_not_due(self) -> None:
        assert settled([0.9, 0.4, 0.5], [0, 0, 0], valid=0.0, test=0.0) == [TRAIN] * 3
        assert settled([0.9, 0.4, 0.5], [0, 0, 0], valid=0.0) == [TRAIN, TEST, TRAIN]

    def test_other_classes_do_not_move(self) -> None:
        others = [0.1, 0.25, 0.8, 0.9]
        assert settled([*others, 0.05], [0, 0, 0, 0, 1]) == [TEST, VALID, TRAIN, TRAIN, TRAIN]

    def test_a_group_moves_as_one_and_takes_no_other_class_train_away(self) -> None:
        # Two writers: one holds all of class 1; moving it would leave class 1 without train.
        keys = [0.4, 0.4, 0.6, 0.8]
        assert settled(keys, [0, 1, 0, 0]) == [TRAIN, TRAIN, VALID, TEST]

    def test_a_group_brings_its_other_classes_along(self) -> None:
        keys, classes = [0.35, 0.35, 0.6, 0.6, 0.9, 0.9], [0, 1, 0, 1, 0, 1]
        assert settled(keys, classes) == [VALID, VALID, TEST, TEST, TRAIN, TRAIN]


class TestGiven:
    def test_is_kept_against_every_hash(self) -> None:
        source_splits = [TEST, TRAIN, VALID, TEST]
        assert settled([0.9, 0.0, 0.5, 0.8], [0, 0, 1, 1], source_splits) == source_splits

    def test_rows_of_the_same_key_follow(self) -> None:
        assert settled([0.9, 0.9, 0.5], [0, 0, 0], [OPEN, TEST, OPEN])[:2] == [TEST, TEST]

    def test_a_class_in_test_only_gets_what_can_move(self) -> None:
        assert settled([0.1, 0.15], [0, 0], [TEST, OPEN]) == [TEST, TRAIN]


class TestWithoutClass:
    def test_is_train(self) -> None:
        assert settled([0.0, 0.25], [OPEN, OPEN]) == [TRAIN, TRAIN]

    def test_stays_with_labelled_rows_of_its_key(self) -> None:
        keys, classes = [0.1, 0.1, 0.5, 0.9, 0.25], [0, OPEN, 0, 0, 0]
        assert settled(keys, classes) == [TEST, TEST, TRAIN, TRAIN, VALID]

    def test_does_not_count_as_an_image_of_a_class(self) -> None:
        assert settled([0.1, 0.5], [0, OPEN]) == [TRAIN, TRAIN]


class TestGroups:
    def test_one_split_or_none_is_fine(self) -> None:
        groups = Groups()
        for split in (None, "train", "train", None):
            groups.note("w", split)
        assert groups.splits == {"w": "train"}

    def test_two_splits_are_not(self) -> None:
        groups = Groups()
        groups.note("w", "train")
        with pytest.raises(SplitError, match="group 'w' stands in train and in test"):
            groups.note("w", "test")
