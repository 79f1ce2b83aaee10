"""Probabilities that mean what they say: one temperature, fitted to images whose label is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

BINS = 15  # of equal width, for the expected calibration error
LEAST, MOST = 0.05, 20.0  # a temperature
FLOOR = 1e-7  # that no probability falls below, so that every one has a logarithm

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def temperature(probabilities: NDArray[Any], labels: Labels) -> float:
    """The temperature under which probabilities (N, K) best tell class indices (N,).

    Above 1 they were too sure, below 1 not sure enough; LEAST … MOST. Source: Guo et al. 2017, On
    Calibration of Modern Neural Networks. Targets are softened as in Platt 1999, or a few images
    that are all right would make every probability 1.
    """
    found = minimize_scalar(
        lambda log: log_loss(tempered(probabilities, np.exp(log)), labels),
        bounds=(np.log(LEAST), np.log(MOST)),
        method="bounded",
    )
    return float(np.exp(found.x))


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
    """Mean cross-entropy in nats of probabilities (N, K) to class indices (N,), softened.

    The true class has the target (N + 1) / (N + 2) and the others share the rest, so that few
    images prove little.
    """
    count, classes = probabilities.shape
    rest = 1 / (count + 2)
    targets = np.full((count, classes), rest / (classes - 1))
    targets[np.arange(count), labels] = 1 - rest
    return float(-(targets * logarithms(probabilities)).sum(1).mean())


def calibration_error(probabilities: NDArray[Any], labels: Labels) -> float:
    """Expected calibration error of probabilities (N, K) for class indices (N,): 0 best … 1.

    The mean gap between confidence and accuracy, over BINS bins of confidence. Source: Naeini et
    al. 2015, Obtaining Well Calibrated Probabilities Using Bayesian Binning. NaN for no images.
    """
    if not len(labels):
        return float("nan")
    confidence = probabilities.max(1)
    surplus = confidence - (probabilities.argmax(1) == labels)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(bins, surplus, BINS)).sum() / len(labels))
