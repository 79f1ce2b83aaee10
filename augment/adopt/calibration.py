"""Calibrated probabilities: one temperature, fitted to images whose label is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

BINS = 15  # bins of confidence, as in Guo et al. 2017
LEAST, MOST = 0.05, 20.0  # bounds of a temperature (no unit); chosen by hand
FLOOR = 1e-7  # least probability, so that every logarithm is finite; chosen by hand

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Combination:
    """What the report says of how opinions were combined; None where nothing was measured.

    ``method`` names the combination that was taken, ``temperature`` the one that calibrated it, on
    the ``held_out`` images that ``calibrated_on`` describes. The calibration errors, after and
    before, are expected calibration errors on those images, 0 … 1. ``valid`` counts the images of
    the valid split and ``accuracy_valid``, 0 … 1, is the accuracy on them. ``opinions`` holds the
    temperature of each opinion alone, and its accuracy on the held images.
    """

    method: str | None = None
    temperature: float | None = None
    calibrated_on: str | None = None
    held_out: int | None = None
    calibration_error: float | None = None
    calibration_error_before: float | None = None
    valid: int | None = None
    accuracy_valid: float | None = None
    opinions: Mapping[str, Mapping[str, float]] | None = None


def temperature(probabilities: NDArray[Any], labels: Labels) -> float:
    """The temperature, LEAST … MOST, with the least ``log_loss`` for class indices (N,).

    Above 1 the probabilities (N, K) were too sure, below 1 not sure enough. Source: Guo et al.
    2017, On Calibration of Modern Neural Networks.
    """
    minimum = minimize_scalar(
        lambda log: log_loss(tempered(probabilities, np.exp(log)), labels),
        bounds=(np.log(LEAST), np.log(MOST)),
        method="bounded",
    )
    return float(np.exp(minimum.x))


def tempered(probabilities: NDArray[Any], heat: float) -> Floats:
    """Probabilities (N, K) whose logits are divided by the temperature ``heat``."""
    return normalised(logarithms(probabilities) / heat)


def logarithms(probabilities: NDArray[Any]) -> Floats:
    """Natural logarithms of probabilities (N, K), finite."""
    logs: Floats = np.log(np.maximum(probabilities, FLOOR, dtype=np.float64))
    return logs


def normalised(logits: Floats) -> Floats:
    """Probabilities (N, K) of logits: their softmax."""
    mass = np.exp(logits - logits.max(1, keepdims=True, initial=-np.inf))
    shares: Floats = mass / mass.sum(1, keepdims=True)
    return shares


def log_loss(probabilities: NDArray[Any], labels: Labels) -> float:
    """Mean cross-entropy, in nats, of probabilities (N, K) and softened class indices (N,).

    The target of the true class is (N + 1) / (N + 2), and the other classes share the rest:
    otherwise a few images that are all right would make every probability 1. Source: Platt 1999,
    Probabilistic Outputs for Support Vector Machines.
    """
    count, classes = probabilities.shape
    rest = 1 / (count + 2)
    targets = np.full((count, classes), rest / (classes - 1))
    targets[np.arange(count), labels] = 1 - rest
    return float(-(targets * logarithms(probabilities)).sum(1).mean())


def calibration_error(probabilities: NDArray[Any], labels: Labels) -> float:
    """Expected calibration error of probabilities (N, K) for class indices (N,): 0 (best) … 1.

    The error is the gap between mean confidence and accuracy in each of BINS bins of confidence,
    averaged over the images; NaN for no images. Source: Naeini et al. 2015, Obtaining Well
    Calibrated Probabilities Using Bayesian Binning.
    """
    if not len(labels):
        return float("nan")
    confidence = probabilities.max(1)
    gap = confidence - (probabilities.argmax(1) == labels)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(bins, gap, BINS)).sum() / len(labels))
