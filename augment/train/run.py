"""The train stage: the labeller, then the loop, then the generator that served best."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from augment.classifiers.classifier import Classifier, load_classifier
from augment.classifiers.fit import CLASSIC, fit_classifier
from augment.data import files
from augment.data.arrays import Arrays, load_arrays
from augment.data.places import CACHE, CLEAN, REPORTS
from augment.errors import AugmentError
from augment.params import Params
from augment.runtime import devices, seeding
from augment.train import assemble, guessed_labels
from augment.train.assemble import resolve
from augment.train.log import open_log
from augment.train.loop import Trainer
from augment.train.publish import publish_generator
from augment.train.settings import TrainSettings


class TrainError(AugmentError):
    """Data that nothing can be trained on."""


def run(params: Params, root: Path = Path(".")) -> dict[str, Any]:
    """Train on the train split of data/clean; write models/generator and reports/train.json."""
    settings = params.train
    resolved = resolve(settings)
    device = devices.choose_device(settings.device)
    assemble.check(settings)
    train, valid = _data(root / CLEAN)
    assemble.build(settings, train.shape, len(train.classes))  # what does not fit is said now
    pool = _pool(resolved["model"], train, root / CLEAN)
    key = _digest({"settings": resolved, "data": files.digest_of_folder(root / CLEAN)})
    home = root / CACHE / "train" / key[:16]
    labeller = _labeller(settings, train, home, device)
    with open_log(root / REPORTS / "dvclive") as log:
        filled = guessed_labels.fill(settings, pool)
        trainer = Trainer(settings, train, valid, labeller, home, device, log, filled)
        trainer.fit()
    return publish_generator(trainer, resolved, labeller, pool, root)


def _data(folder: Path) -> tuple[Arrays, Arrays]:
    train = load_arrays(folder, split="train", origin="real")
    valid = load_arrays(
        folder, split="valid", origin="real", classes=train.classes, shape=train.shape
    )
    counts = np.bincount(train.labels, minlength=len(train.classes))
    if len(train.classes) < 2:
        raise TrainError(f"{folder}: at least two classes are needed, found {train.classes}")
    if not counts.all():
        empty = [name for name, count in zip(train.classes, counts, strict=True) if not count]
        raise TrainError(f"{folder}: no train image of class {', '.join(map(repr, empty))}")
    return train, valid


def _pool(model: dict[str, Any], train: Arrays, folder: Path) -> Arrays:
    """What the model learns from: with ``labels: half`` or ``none`` images without a label too.

    Their labels are -1; without any label that of all images is.
    """
    use = model.get("labels", "all")
    if use == "all":
        return train
    pool = load_arrays(
        folder, split="train", origin="real", classes=train.classes, shape=train.shape,
        unlabelled=True,
    )  # fmt: skip
    if use == "none":
        return dataclasses.replace(pool, labels=np.full_like(pool.labels, -1))
    return pool


def _labeller(
    settings: TrainSettings, train: Arrays, home: Path, device: torch.device
) -> Classifier:
    """The classifier that synth filters with; fitted once for a run, on the train split only."""
    if (home / "labeller.safetensors").exists() and (home / "labeller.json").exists():
        return load_classifier(home, "labeller", device)
    labeller = fit_classifier(
        train.pixels,
        train.labels,
        classes=len(train.classes),
        network=settings.labeller.network,
        steps=settings.labeller.steps,
        batch=settings.labeller.batch,
        seed=seeding.derive(settings.seed, "labeller"),
        device=device,
        augment=CLASSIC,
        even=True,
        title="labeller",
    )
    labeller.save(home, "labeller")
    return labeller


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
