"""Images to features, by a judge that is fitted once; what was computed before is kept on disk.

The cache is a folder of safetensors whose names are digests of everything that the content follows
from: data, settings, code. It may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from augment import augmentations, classifiers, images, table
from augment.checkpoint import CheckpointError
from augment.classifiers import Classifier, Floats
from augment.dataset import Arrays
from augment.registry import Spec
from augment.uplift import learners, policies
from augment.uplift.arms import Training
from augment.uplift.learners import LEARNERS, Terms
from augment.uplift.policies import POLICIES

_CHECKSUM = "sha256"
Values = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Recipe:
    """How the judge is made from images."""

    network: Spec
    steps: int
    batch: int
    device: torch.device

    def fit(self, data: Arrays, seed: int, title: str) -> Classifier:
        """A classifier of ``data`` under the classic augmentation, to which no class is rare."""
        return classifiers.fit(
            data.pixels,
            data.labels,
            classes=len(data.classes),
            network=self.network,
            steps=self.steps,
            batch=self.batch,
            seed=seed,
            device=self.device,
            augment=classifiers.CLASSIC,
            even=True,
            title=title,
        )

    def key(self, data: Arrays, seed: int) -> dict[str, Any]:
        """Everything that ``fit``'s result follows from."""
        return {
            "network": classifiers.CLASSIFIERS.resolve(self.network),
            "steps": self.steps,
            "batch": self.batch,
            "device": self.device.type,
            "seed": seed,
            "data": digest(data.pixels, data.labels),
            "classes": len(data.classes),
            "code": _code(),
        }


def judge(folder: Path, recipe: Recipe, train: Arrays, seed: int) -> Classifier:
    """The classifier that measures, fitted to the real train images or read from ``folder``."""
    name = f"judge-{_name(recipe.key(train, seed))}"
    try:
        return classifiers.load(folder, name, recipe.device)
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
        "pixels": digest(pixels),
        "code": _code(),
    }
    found = cached(folder, "features", key, compute)
    return found["features"], found["probabilities"]


def answers(
    folder: Path, learner: Spec, terms: Terms, training: Training, seed: int,
    pixels: images.Pixels, title: str,
) -> Floats:  # fmt: skip
    """Class probabilities (N, K) of ``pixels`` by a learner fitted to ``training``.

    Kept in ``folder``; a learner that takes no steps, policies and seeds is fitted once for all.
    """
    spec = LEARNERS.resolve(learner)
    key: dict[str, Any] = {
        "learner": spec,
        "data": digest(training.pixels, training.labels),
        "classes": terms.classes,
        "pixels": digest(pixels),
        "code": _code(),
    }
    if LEARNERS.describe(spec["name"]).facts["trained"]:
        policy = training.policy
        key |= {
            "network": classifiers.CLASSIFIERS.resolve(terms.network),
            "policy": None if policy is None else POLICIES.resolve(policy),
            "profile": terms.profile,
            "steps": terms.steps,
            "batch": terms.batch,
            "device": terms.device.type,
            "seed": seed,
        }

    def compute() -> Values:
        predict = LEARNERS.build(learner, training, terms, seed, title)()
        return {"probabilities": predict(pixels)}

    return cached(folder, "answers", key, compute)["probabilities"]


def cached(
    folder: Path, kind: str, key: Mapping[str, Any], compute: Callable[[], Values]
) -> Values:
    """The arrays of ``compute``, read from ``folder`` where they were kept whole under ``key``."""
    path = folder / f"{kind}-{_name(key)}.safetensors"
    try:
        values = load(path.read_bytes())
        if bytes(values.pop(_CHECKSUM)).hex() == digest(*_sorted(values)):
            return values
    except (FileNotFoundError, SafetensorError, KeyError, ValueError):
        pass  # not there, or damaged
    values = {name: np.ascontiguousarray(value) for name, value in compute().items()}
    checksum = np.frombuffer(bytes.fromhex(digest(*_sorted(values))), np.uint8)
    table.write_bytes(path, save({**values, _CHECKSUM: checksum}))
    return values


def digest(*arrays: NDArray[Any]) -> str:
    """SHA-256 of arrays: types, shapes and contents."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def _sorted(values: Values) -> list[NDArray[Any]]:
    return [values[name] for name in sorted(values)]


def _name(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


def _code() -> str:
    """Digest of the code that makes classifiers, so that an older one's results are not taken."""
    total = hashlib.sha256(torch.__version__.encode())
    for module in (augmentations, classifiers, learners, policies):
        total.update(Path(str(module.__file__)).read_bytes())
    return total.hexdigest()
