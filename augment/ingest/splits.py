"""Splits: a split that the source gives is kept, the others follow from a hash.

The hash, of an image's group or else of its bytes, is a number in [0, 1). Numbers below the share
``test`` mean test, the next ones up to ``test + valid`` mean valid, the others train. So an image
keeps its split when others are added, equal bytes and the images of a group stay together, and
every class is cut in nearly the same shares.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from augment.data.table import SPLITS
from augment.errors import AugmentError

TRAIN, VALID, TEST = (SPLITS.index(name) for name in ("train", "valid", "test"))
OPEN = -1  # among splits: the source gives none; among classes: no label
_ENOUGH = 3  # keys a class must have before it is due an image in each of the three splits


class SplitError(AugmentError, ValueError):
    """The source itself puts a group into two splits."""


class Groups:
    """The split that a source gives to each group."""

    def __init__(self) -> None:
        """No group is known yet."""
        self.splits: dict[str, str | None] = {}

    def note(self, group: str, split: str | None) -> None:
        """Remember the split of a group; None where the source gives none.

        Raises SplitError when the group had another split before.
        """
        earlier = self.splits.setdefault(group, split)
        if earlier is None:
            self.splits[group] = split
        elif split is not None and split != earlier:
            raise SplitError(
                f"group {group!r} stands in {earlier} and in {split}: mend the source's splits, "
                f"or the groups"
            )


def by_hash(key: float, valid: float, test: float) -> int:
    """The split, as an index into SPLITS, of a hash ``key`` in [0, 1)."""
    return TEST if key < test else VALID if key < test + valid else TRAIN


def lacks_valid(classes: NDArray[np.int32], source_splits: NDArray[np.int8]) -> bool:
    """Whether a source gives all its labelled rows to train and test, and some to each."""
    return set(map(int, np.unique(source_splits[classes != OPEN]))) == {TRAIN, TEST}


def cut_valid(
    keys: NDArray[np.float64],
    classes: NDArray[np.int32],
    source_splits: NDArray[np.int8],
    *,
    valid: float,
) -> NDArray[np.int8]:
    """The split of each row, as ``settle`` gives it, where valid is cut from the source's train.

    The hash decides which train rows move. Test stays as it is; a train row whose key stands in
    test as well stays in train.
    """
    train = source_splits == TRAIN
    open_splits = np.where(train, OPEN, source_splits).astype(np.int8)
    final = settle(keys, classes, open_splits, valid=valid, test=0.0)
    return np.where(train & (final == TEST), TRAIN, final).astype(np.int8)


def settle(
    keys: NDArray[np.float64],
    classes: NDArray[np.int32],
    source_splits: NDArray[np.int8],
    *,
    valid: float,
    test: float,
) -> NDArray[np.int8]:
    """The split of each row, as an index into SPLITS.

    ``keys`` (N,) are hashes of group or content, ``classes`` (N,) class numbers or OPEN, and
    ``source_splits`` (N,) the splits that the source gives, or OPEN. Rows of one key follow the
    first source split among them; a key without any follows its hash. A class may then lack train,
    or, if it has at least three keys, valid or test. The key with the nearest hash moves there,
    unless a class would lose its last key in another split (train is filled even then). Only these
    moves can change when images are added. Rows without a class are train, or stay with labelled
    rows of the same key.
    """
    unique, place = np.unique(keys, return_inverse=True)
    fixed = np.full(len(unique), OPEN, dtype=np.int8)
    fixing_rows = np.flatnonzero(source_splits != OPEN)[::-1]  # backwards: the first row wins
    fixed[place[fixing_rows]] = source_splits[fixing_rows]
    hashed = np.select([unique < test, unique < test + valid], [TEST, VALID], TRAIN)
    split = np.where(fixed == OPEN, hashed, fixed).astype(np.int8)
    labelled = classes != OPEN
    _fill(split, unique, fixed == OPEN, classes[labelled], place[labelled], valid, test)
    followed = fixed != OPEN
    followed[place[labelled]] = True
    alone = np.where(followed[place], split[place], TRAIN)
    return np.where(source_splits == OPEN, alone, source_splits).astype(np.int8)


def _fill(
    split: NDArray[np.int8],
    hashes: NDArray[np.float64],
    movable: NDArray[np.bool_],
    classes: NDArray[np.int32],
    keys: NDArray[np.intp],
    valid: float,
    test: float,
) -> None:
    """Move keys into splits that a class lacks; changes ``split`` (K,), the split of each key."""
    if not len(classes):
        return
    codes = np.unique(classes.astype(np.int64) * len(hashes) + keys)
    pairs = np.stack(np.divmod(codes, len(hashes)), axis=1)
    counts = np.zeros((classes.max() + 1, len(SPLITS)), dtype=np.int64)
    np.add.at(counts, (pairs[:, 0], split[pairs[:, 1]]), 1)
    by_key = pairs[np.argsort(pairs[:, 1], kind="stable")]
    spans = {TEST: (0.0, test), VALID: (test, test + valid), TRAIN: (test + valid, 1.0)}

    def classes_of(key: int) -> NDArray[np.intp]:
        return by_key[slice(*np.searchsorted(by_key[:, 1], [key, key + 1])), 0]

    def leaves_some(key: int) -> bool:
        return bool((counts[classes_of(key), split[key]] > 1).all())

    def distance(key: int, target: int) -> float:
        low, high = spans[target]
        return max(low - float(hashes[key]), float(hashes[key]) - high)

    due = np.array([True, valid > 0, test > 0])
    enough = counts.sum(axis=1, keepdims=True) >= _ENOUGH
    lacking = (counts == 0) & due & (enough | (np.arange(len(SPLITS)) == TRAIN))
    for number in np.flatnonzero(lacking.any(axis=1)):
        class_keys = pairs[slice(*np.searchsorted(pairs[:, 0], [number, number + 1])), 1]
        for target in map(int, np.flatnonzero(lacking[number])):
            if counts[number, target]:  # a key that moved for another class brought it
                continue
            free = [key for key in class_keys if movable[key]]
            spare = [key for key in free if leaves_some(key)] or (free if target == TRAIN else [])
            if spare:
                key = min(spare, key=lambda candidate: distance(candidate, target))
                counts[classes_of(key), split[key]] -= 1
                split[key] = target
                counts[classes_of(key), target] += 1
