"""The train stage: the labeller, then the loop, then the generator that served best."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from augment import (
    augmentations,
    checkpoint,
    classifiers,
    dataset,
    devices,
    images,
    seeding,
    table,
)
from augment.classifiers import Classifier
from augment.dataset import Arrays
from augment.errors import AugmentError
from augment.losses import LOSSES
from augment.models import MODELS
from augment.networks import DISCRIMINATORS, GENERATORS
from augment.params import CACHE, CLEAN, GENERATOR, REPORTS, Params, TrainSettings
from augment.penalties import PENALTIES
from augment.trainer import Trainer, open_log


class TrainError(AugmentError):
    """Data that nothing can be trained on."""


def run(params: Params, root: Path = Path(".")) -> dict[str, Any]:
    """Train on the train split of data/clean; write models/generator and reports/train.json."""
    settings = params.train
    resolved = resolve(settings)
    device = devices.resolve(settings.device)
    train, valid = _data(root / CLEAN)
    key = _digest({"settings": resolved, "data": table.digest(root / CLEAN)})
    home = root / CACHE / "train" / key[:16]
    labeller = _labeller(settings, train, home, device)
    with open_log(root / REPORTS / "dvclive") as log:
        trainer = Trainer(settings, train, valid, labeller, home, device, log)
        trainer.fit()
    return _publish(trainer, resolved, labeller, root)


def resolve(settings: TrainSettings) -> dict[str, Any]:
    """The settings with every part's options filled in. Raises PartError for a wrong one."""
    whole = settings.model_dump(mode="json", exclude={"device"})
    named = {
        "model": MODELS,
        "generator": GENERATORS,
        "discriminator": DISCRIMINATORS,
        "loss": LOSSES,
        "penalties": PENALTIES,
        "augment": augmentations.AUGMENTATIONS,
    }
    for key, registry in named.items():
        value = getattr(settings, key)
        whole[key] = (
            [registry.resolve(one) for one in value]
            if isinstance(value, list)
            else registry.resolve(value)
        )
    whole["labeller"]["network"] = classifiers.CLASSIFIERS.resolve(settings.labeller.network)
    return whole


def _data(folder: Path) -> tuple[Arrays, Arrays]:
    train = dataset.arrays(folder, split="train", origin="real")
    valid = dataset.arrays(
        folder, split="valid", origin="real", classes=train.classes, shape=train.shape
    )
    counts = np.bincount(train.labels, minlength=len(train.classes))
    if len(train.classes) < 2:
        raise TrainError(f"{folder}: at least two classes are needed, found {train.classes}")
    if not counts.all():
        empty = [name for name, count in zip(train.classes, counts, strict=True) if not count]
        raise TrainError(f"{folder}: no train image of class {', '.join(map(repr, empty))}")
    return train, valid


def _labeller(
    settings: TrainSettings, train: Arrays, home: Path, device: torch.device
) -> Classifier:
    """The classifier that synth filters with; fitted once for a run, on the train split only."""
    if (home / "labeller.safetensors").exists() and (home / "labeller.json").exists():
        return classifiers.load(home, "labeller", device)
    labeller = classifiers.fit(
        train.pixels,
        train.labels,
        classes=len(train.classes),
        network=settings.labeller.network,
        steps=settings.labeller.steps,
        batch=settings.labeller.batch,
        seed=seeding.derive(settings.seed, "labeller"),
        device=device,
        augment=classifiers.CLASSIC,
        title="labeller",
    )
    labeller.save(home, "labeller")
    return labeller


def _publish(
    trainer: Trainer, resolved: dict[str, Any], labeller: Classifier, root: Path
) -> dict[str, Any]:
    """Write models/generator, the pictures and the report."""
    history, train, valid = trainer.history, trainer.train, trainer.valid
    destination = root / GENERATOR
    temporary = table.temporary_beside(destination)
    meta = {
        "model": resolved["model"],
        "generator": resolved["generator"],
        "noise": trainer.best.noise,
        "codes": trainer.best.codes,
        "embedding": trainer.best.embed.embedding_dim,
        "shape": list(train.shape),
        "classes": train.classes,
        "step": history.best_step,
        "settings": resolved,
    }
    checkpoint.save_state(temporary, "generator", trainer.best.state_dict(), meta)
    labeller.save(temporary, "labeller")
    table.publish(temporary, destination)
    reports = root / REPORTS
    frames = trainer.frames()
    drawn = [images.pixels(path.read_bytes(), "RGB") for path in frames]
    progress_folder = table.temporary_beside(reports / "progress")
    for path in frames:
        shutil.copyfile(path, progress_folder / path.name)
    table.write_bytes(progress_folder / "training.gif", images.animation(drawn))
    table.publish(progress_folder, reports / "progress")
    labelled = labeller.predict(valid.pixels).argmax(1) == valid.labels
    report = {
        "generator": checkpoint.digest(destination, "generator"),
        "classes": train.classes,
        "shape": list(train.shape),
        "images": {"train": len(train), "valid": len(valid)},
        "steps": history.step,
        "best": {"step": history.best_step, "kid": history.best_kid},
        "labeller_accuracy": float(labelled.mean()) if len(valid) else None,
        "device": trainer.device.type,
        "settings": resolved,
        "history": history.rows,
    }
    table.write_json(reports / "train.json", report)
    return report


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
