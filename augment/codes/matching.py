"""Categories of a generator matched to classes."""

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
    """Mean probability of each category over the images of each class: (classes, categories).

    From the head's probabilities (N, categories) and class indices (N,); every class counts the
    same, however many images it has. The row of a class without images is 0.
    """
    members = np.eye(classes)[labels]
    counts = np.maximum(members.sum(0), 1)
    mean: NDArray[np.float64] = members.T @ probabilities / counts[:, None]
    return mean


def match(
    probabilities: NDArray[Any], labels: NDArray[np.int64], classes: Sequence[str]
) -> dict[str, list[int]]:
    """The categories of each class, the best first.

    From the head's probabilities (N, categories) for labelled images and their class indices (N,);
    one image a class is enough. Each class gets one category so that the classes' mean
    probabilities sum to the most (Kuhn 1955, The Hungarian Method); a category that is left goes to
    the class in which it is likeliest. Raises CodesError for fewer categories than classes or a
    class without an image.
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
    rows, chosen = linear_sum_assignment(means, maximize=True)
    owner[chosen] = rows
    return {
        name: sorted(np.flatnonzero(owner == row).tolist(), key=lambda one: -means[row, one])
        for row, name in enumerate(classes)
    }


def accuracy(
    probabilities: NDArray[Any], labels: NDArray[np.int64], owned: Mapping[str, Sequence[int]]
) -> float:
    """Share of images whose class has the largest probability, the sum over its categories.

    ``owned`` is what match gave. NaN for no images.
    """
    sums = np.stack([probabilities[:, categories].sum(1) for categories in owned.values()], axis=1)
    return float((sums.argmax(1) == labels).mean()) if len(labels) else float("nan")
