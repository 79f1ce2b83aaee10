"""The train stage: the labeller, then the loop, then the generator that served best."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from augment import (
    augmentations,
    checkpoint,
    classifiers,
    dataset,
    devices,
    engine,
    heads,
    images,
    pseudolabels,
    seeding,
    table,
)
from augment.classifiers import Classifier
from augment.conditioning import DISCRIMINATOR_CONDITIONS, GENERATOR_CONDITIONS
from augment.dataset import Arrays
from augment.errors import AugmentError
from augment.losses import LOSSES
from augment.models import MODELS
from augment.models.infogan import InfoGan
from augment.networks import DISCRIMINATORS, GENERATORS
from augment.optimisers import OPTIMISERS, SCHEDULES
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
    engine.check(settings)
    train, valid = _data(root / CLEAN)
    engine.build(settings, train.shape, len(train.classes))  # what does not fit is said now
    pool = _pool(resolved["model"], train, root / CLEAN)
    key = _digest({"settings": resolved, "data": table.digest(root / CLEAN)})
    home = root / CACHE / "train" / key[:16]
    labeller = _labeller(settings, train, home, device)
    with open_log(root / REPORTS / "dvclive") as log:
        filled = pseudolabels.fill(settings, pool)
        trainer = Trainer(settings, train, valid, labeller, home, device, log, filled)
        trainer.fit()
    return _publish(trainer, resolved, labeller, pool, root)


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
        "optimiser": OPTIMISERS,
    }
    decided = {
        "augment": engine.augment_of(settings),
        "discriminator": engine.discriminator_of(settings),
    }
    settings = settings.model_copy(update=decided)
    for key, registry in named.items():
        value = getattr(settings, key)
        whole[key] = (
            [registry.resolve(one) for one in value]
            if isinstance(value, list)
            else registry.resolve(value)
        )
    sides = settings.conditioning
    whole["conditioning"] = {
        "generator": GENERATOR_CONDITIONS.resolve(sides.generator),
        "discriminator": DISCRIMINATOR_CONDITIONS.resolve(sides.discriminator),
    }
    whole["rate"]["schedule"] = SCHEDULES.resolve(settings.rate.schedule)
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


def _pool(model: dict[str, Any], train: Arrays, folder: Path) -> Arrays:
    """What the model learns from: with ``labels: half`` or ``none`` images without a label too.

    Their labels are -1; without any label that of all images is.
    """
    use = model.get("labels", "all")
    if use == "all":
        return train
    pool = dataset.arrays(
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
        even=True,
        title="labeller",
    )
    labeller.save(home, "labeller")
    return labeller


def _publish(
    trainer: Trainer, resolved: dict[str, Any], labeller: Classifier, pool: Arrays, root: Path
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
        "conditions": trainer.model.conditions,
        "matched": trainer.model.matched,
        "conditioning": resolved["conditioning"]["generator"],
        "shape": list(train.shape),
        "classes": train.classes,
        "step": history.best_step,
        "settings": resolved,
    }
    checkpoint.save_state(temporary, "generator", trainer.best.state_dict(), meta)
    labeller.save(temporary, "labeller")
    inferred = _save_head(trainer, meta, pool, temporary)
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
        "images": {"train": len(train), "valid": len(valid), "unlabelled": len(pool) - len(train)},
        "steps": history.step,
        "best": {"step": history.best_step, "kid": history.best_kid},
        "rollbacks": history.rollbacks,
        "ended": history.ended,
        **inferred,
        "labeller_accuracy": float(labelled.mean()) if len(valid) else None,
        "device": trainer.device.type,
        "settings": resolved,
        "history": history.rows,
    }
    table.write_json(reports / "train.json", report)
    return report


def _save_head(
    trainer: Trainer, meta: dict[str, Any], pool: Arrays, folder: Path
) -> dict[str, Any]:
    """The class head, and where it knows classes its word on each unlabelled image."""
    model = trainer.model
    if not isinstance(model, InfoGan):
        return {}
    own = meta["settings"]["labeller"]["network"] if model.head.recogniser else None
    facts = {"discriminator": meta["settings"]["discriminator"], "members": model.packing}
    heads.save(folder, model.head, {**meta, **facts, "recogniser": own})
    if not model.matched:
        return {}
    head = heads.Head(model.head, model.conditions, trainer.device)
    right = head.predict(trainer.valid.pixels).argmax(1) == trainer.valid.labels
    accuracy = {"head_accuracy": float(right.mean()) if len(right) else None}
    if model.labels == "all":
        return accuracy
    unknown = pool.labels < 0
    ids = [one for one, open_ in zip(pool.ids, unknown, strict=True) if open_]
    probabilities = head.predict(pool.pixels[unknown])
    frame = pd.DataFrame(
        {
            "id": pd.Series(ids, dtype=str),
            "label": pd.Series(np.array(meta["classes"])[probabilities.argmax(1)], dtype=str),
            "probability": probabilities.max(1, initial=0.0),
        }
    )
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    table.write_bytes(folder / "inferred.parquet", buffer.getvalue())
    return accuracy


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
