"""models/generator, the pictures and the report of a finished run."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from augment.classifiers.classifier import Classifier
from augment.data import files, images, table
from augment.data.arrays import Arrays
from augment.data.places import CLEAN, GENERATOR, REPORTS
from augment.models import class_head
from augment.models.generator import BACK
from augment.models.sources import FOREIGN
from augment.runtime import checkpoint
from augment.runtime.sampling import Sampler
from augment.train.loop import Trainer


def publish_generator(
    trainer: Trainer, resolved: dict[str, Any], labeller: Classifier, pool: Arrays, root: Path,
    helpers: int, sampler: Sampler,
) -> dict[str, Any]:  # fmt: skip
    """Write models/generator, reports/progress and reports/train.json; the report.

    ``helpers`` counts images of other classes, which the model learned from beside ``pool``;
    ``sampler`` says which images were a sample, and of how many.
    """
    needs = trainer.model.needs
    history, train, valid = trainer.history, trainer.train, trainer.valid
    destination = root / GENERATOR
    temporary = files.temporary_beside(destination)
    meta = {
        "model": resolved["model"],
        "generator": resolved["generator"],
        "noise": trainer.best.noise,
        "codes": trainer.best.codes,
        "styles": trainer.best.styles,
        "components": trainer.best.components,
        "judge": trainer.best.judge and resolved["discriminator"],
        "tries": trainer.best.tries,
        "temperature": trainer.best.temperature,
        "conditions": trainer.model.conditions,
        "matched": trainer.model.matched,
        "source": needs.source,
        "key": needs.key,
        "domains": table.domains(root / CLEAN) if needs.source in FOREIGN else [],
        "conditioning": trainer.best.conditioning and resolved["conditioning"]["generator"],
        "shape": list(train.shape),
        "classes": train.classes,
        "step": history.best_step,
        "settings": resolved,
    }
    checkpoint.save_state(temporary, "generator", trainer.best.state_dict(), meta)
    if trainer.best_back is not None:
        checkpoint.save_state(temporary, BACK, trainer.best_back.state_dict(), meta)
    labeller.save(temporary, "labeller")
    inferred = _save_head(trainer, meta, pool, temporary)
    files.publish(temporary, destination)
    reports = root / REPORTS
    frames = trainer.frames()
    pictures = [images.pixels(path.read_bytes(), "RGB") for path in frames]
    progress_folder = files.temporary_beside(reports / "progress")
    for path in frames:
        shutil.copyfile(path, progress_folder / path.name)
    files.write_bytes(progress_folder / "training.gif", images.animation(pictures))
    files.publish(progress_folder, reports / "progress")
    facts = table.frame(root / CLEAN, ["label"], split="train", origin="real")
    seen = {
        "train": len(train),
        "valid": len(valid),
        "unlabelled": len(pool) - len(train),
        "helpers": helpers,
        "by_domain": len(train) - int(facts["label"].notna().sum()),  # whose label a domain gave
    }
    labelled = labeller.predict(valid.pixels).argmax(1) == valid.labels
    report = {
        "generator": checkpoint.digest_of_checkpoint(destination, "generator"),
        "classes": train.classes,
        "shape": list(train.shape),
        "images": seen,
        **sampler.facts,
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
    files.write_json(reports / "train.json", report)
    return report


def _save_head(
    trainer: Trainer, meta: dict[str, Any], pool: Arrays, folder: Path
) -> dict[str, Any]:
    """Save the class head and, where it knows classes, its guess for each unlabelled image.

    Returns the accuracy of the head on valid, for the report.
    """
    model, critic = trainer.model, trainer.model.class_head()
    if critic is None:
        return {}
    recogniser = meta["settings"]["labeller"]["network"] if critic.recogniser else None
    facts = {"discriminator": meta["settings"]["discriminator"], "members": critic.members}
    class_head.save(folder, critic, {**meta, **facts, "recogniser": recogniser})
    if not model.matched:
        return {}
    head = class_head.Head(critic, model.conditions, trainer.device)
    right = head.predict(trainer.valid.pixels).argmax(1) == trainer.valid.labels
    accuracy = {"head_accuracy": float(right.mean()) if len(right) else None}
    if model.needs.labels == "all":
        return accuracy
    unknown = pool.labels < 0
    ids = [name for name, missing in zip(pool.ids, unknown, strict=True) if missing]
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
    files.write_bytes(folder / "inferred.parquet", buffer.getvalue())
    return accuracy
