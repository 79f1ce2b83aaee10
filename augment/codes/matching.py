"""Which class each category of a generator draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from augment.models.code_names import CodesError


def contingency(
    probabilities: NDArray[Any], labels: NDArray[np.int64], classes: int
) -> NDArray[np.float64]:
    """Mean probability (classes, categories), 0 … 1, of each category over a class's images.

    From the head's ``probabilities`` (N, categories) and class indices ``labels`` (N,). Every class
    counts the same, however many images it has; the row of a class without images is 0.
    """
    members = np.eye(classes)[labels]
    counts = np.maximum(members.sum(0), 1)
    mean: NDArray[np.float64] = members.T @ probabilities / counts[:, None]
    return mean


def match(
    probabilities: NDArray[Any], labels: NDArray[np.int64], classes: Sequence[str]
) -> dict[str, list[int]]:
    """The categories of each class, the most probable first.

    From the head's ``probabilities`` (N, categories) for labelled images and their class indices
    ``labels`` (N,); one image a class is enough. Each class gets the category that makes the sum of
    the mean probabilities greatest (Kuhn 1955, The Hungarian Method). Each category left over goes
    to the class where its mean probability is greatest. Raises CodesError for fewer categories than
    classes or for a class without an image.
    """
    categories = probabilities.shape[1]
    if categories < len(classes):
        raise CodesError(
            f"{categories} categories cannot be matched to {len(classes)} classes; set categories "
            "of train.model to as many at least"
        )
    without = set(range(len(classes))) - set(labels.tolist())
    if without:
        empty = ", ".join(repr(classes[index]) for index in sorted(without))
        raise CodesError(f"no labelled train image of class {empty} to match categories by")
    means = contingency(probabilities, labels, len(classes))
    owner = means.argmax(0)
    rows, columns = linear_sum_assignment(means, maximize=True)
    owner[columns] = rows
    return {
        name: sorted(
            np.flatnonzero(owner == row).tolist(), key=means[row].__getitem__, reverse=True
        )
        for row, name in enumerate(classes)
    }


def accuracy(
    probabilities: NDArray[Any], labels: NDArray[np.int64], owned: Mapping[str, Sequence[int]]
) -> float:
    """Share of images, 0 … 1, whose own class is the most probable; NaN for no images.

    The probability of a class is the sum over its categories, which ``owned`` holds as ``match``
    gives them.
    """
    sums = np.stack([probabilities[:, categories].sum(1) for categories in owned.values()], axis=1)
    return float((sums.argmax(1) == labels).mean()) if len(labels) else float("nan")
