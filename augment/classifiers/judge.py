"""The judge, a classifier that measures samples, and its features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from augment.classifiers import classifier, fit, networks
from augment.classifiers.classifier import Classifier, load_classifier
from augment.classifiers.fit import CLASSIC, fit_classifier
from augment.classifiers.networks import CLASSIFIERS
from augment.data import images
from augment.data.arrays import Arrays
from augment.data.types import Floats
from augment.registry import Spec
from augment.runtime import precision
from augment.runtime.cache import Values, cached, code_digest, digest_of_arrays, name_of
from augment.runtime.checkpoint import CheckpointError
from augment.vision import augmentations

CODE = (augmentations, classifier, fit, networks)  # a classifier's answers follow from these


@dataclass(frozen=True)
class JudgeRecipe:
    """How the judge is fitted to images."""

    network: Spec
    steps: int
    batch: int
    device: torch.device

    def fit(self, data: Arrays, seed: int, title: str) -> Classifier:
        """A classifier of ``data``, fitted under classic augmentation with all classes even."""
        return fit_classifier(
            data.pixels,
            data.labels,
            classes=len(data.classes),
            network=self.network,
            steps=self.steps,
            batch=self.batch,
            seed=seed,
            device=self.device,
            augment=CLASSIC,
            even=True,
            title=title,
        )

    def key(self, data: Arrays, seed: int) -> dict[str, Any]:
        """The key of the result of ``fit``: data, settings and code."""
        return {
            "network": CLASSIFIERS.resolve(self.network),
            "steps": self.steps,
            "batch": self.batch,
            "device": self.device.type,
            "precision": precision.decided(self.device.type),
            "seed": seed,
            "data": digest_of_arrays(data.pixels, data.labels),
            "classes": len(data.classes),
            "code": code_digest(*CODE),
        }


def fit_judge(folder: Path, recipe: JudgeRecipe, train: Arrays, seed: int) -> Classifier:
    """The judge, fitted to ``train`` (real train images) or read from ``folder`` if it is there."""
    name = f"judge-{name_of(recipe.key(train, seed))}"
    try:
        return load_classifier(folder, name, recipe.device)
    except CheckpointError:  # not there, or damaged
        fitted = recipe.fit(train, seed, "judge")
        fitted.save(folder, name)
        return fitted


def extract(folder: Path, classifier: Classifier, pixels: images.Pixels) -> tuple[Floats, Floats]:
    """Features (N, F) and probabilities (N, K) of uint8 images (N, C, H, W), kept in ``folder``."""

    def compute() -> Values:
        features, probabilities = classifier.both(pixels)
        return {"features": features, "probabilities": probabilities}

    key = {
        "classifier": classifier.digest,
        "device": classifier.device.type,
        "precision": precision.decided(classifier.device.type),
        "pixels": digest_of_arrays(pixels),
        "code": code_digest(*CODE),
    }
    arrays = cached(folder, "features", key, compute)
    return arrays["features"], arrays["probabilities"]
