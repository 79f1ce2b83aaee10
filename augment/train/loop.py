"""The one training loop and its state; no algorithm is in it.

A step's randomness is a function of (seed, step), so a run that was killed and taken up again from
its last checkpoint ends with the same bits as one that was never killed (on the CPU).
"""

from __future__ import annotations

import copy
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from augment.classifiers.classifier import Classifier, Floats
from augment.data import contact_sheets, files, images
from augment.data.arrays import Arrays
from augment.runtime import checkpoint, progress, seeding
from augment.train import watch
from augment.train.feed import Feed
from augment.train.log import Log
from augment.train.settings import TrainSettings
from augment.train.step import Engine
from augment.vision.kernel_distance import kid

MEASURED = 1000  # most images that a measurement looks at
FRAME_COLUMNS = 8  # fixed samples of each class in a picture


@dataclass
class History:
    """What is known after some steps; all of it travels in a checkpoint."""

    step: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)
    best_step: int = 0
    best_kid: float | None = None
    rollbacks: list[dict[str, Any]] = field(default_factory=list)
    ended: dict[str, Any] | None = None  # why before the last step, if so


class Trainer:
    """The loop and what it measures; no algorithm is in it."""

    def __init__(
        self,
        settings: TrainSettings,
        train: Arrays,
        valid: Arrays,
        labeller: Classifier,
        home: Path,
        device: torch.device,
        log: Log,
        pool: Arrays | None = None,
    ):
        """Build model and optimisers, and take up the newest checkpoint in ``home``.

        ``pool`` is what the model learns from, where that is not ``train``.
        """
        self.settings, self.train, self.valid = settings, train, valid
        self.labeller, self.home, self.device, self.log = labeller, home, device, log
        self.engine = Engine(settings, train.shape, len(train.classes), device)
        batches = settings.steps * self.engine.batches
        self.feed = Feed(
            pool or train, settings.batch, batches, settings.seed, device, settings.balance
        )
        self.model = self.engine.model
        self.history = History()
        self.best = copy.deepcopy(self.model.average)
        self.names = (
            train.classes
            if self.model.matched or not self.model.conditions
            else [f"code {number}" for number in range(self.model.conditions)]
        )
        self.real = labeller.features(train.pixels[:MEASURED])
        self.held = labeller.features(valid.pixels[:MEASURED])
        self._resume()

    def fit(self) -> None:
        """Train to the last step, measuring every ``every`` steps."""
        settings = self.settings
        pulse = max(1, min(25, settings.every))
        totals: dict[str, Tensor] = {}
        with progress.bar() as display:
            task = display.add_task("train", total=settings.steps, note="")
            while self.history.step < settings.steps and not self.history.ended:
                found = self.engine.step(self.history.step, self.feed.at)
                for name, value in found.items():
                    totals[name] = totals.get(name, 0) + value  # no wait for the GPU
                self.history.step += 1
                step = self.history.step
                display.update(task, completed=step)
                due = step % settings.every == 0 or step == settings.steps
                trouble = None
                if step % pulse == 0 or due:
                    now = {name: float(value) for name, value in found.items()}
                    prefixes = tuple(f"{phase.prefix}_" for phase in self.engine.phases.values())
                    losses = [
                        f"{name} {now[name]:.3f}" for name in now if name.startswith(prefixes)
                    ]
                    display.update(task, note="  ".join(losses)[:100])
                    trouble = watch.diverged(now)
                if due and not trouble:
                    steps = step - (self.history.rows[-1]["step"] if self.history.rows else 0)
                    row = {name: float(total) / steps for name, total in totals.items()}
                    trouble = watch.diverged(row) or self._measure(row)
                    totals = {}
                if trouble:
                    self._respond(trouble)
                    totals = {}

    def _measure(self, row: dict[str, float]) -> watch.Diagnosis | None:
        """Note the means of a window with what samples are worth, keep the best, draw, save."""
        history, count = self.history, len(self.names)
        row = {"step": float(history.step), **row}
        fakes = self._fixed(min(MEASURED, max(count * FRAME_COLUMNS, len(self.valid))))
        features = self.labeller.features(fakes)
        row |= self._variances(features)
        if len(self.valid) >= 2:
            row["kid"] = kid(self.held, features)
            row["kid_train"] = kid(self.real, features)
            better = history.best_kid is None or row["kid"] < history.best_kid
        else:
            better = True
        history.rows.append(row)
        trouble = self._diagnose()
        better = better and not trouble
        if better:
            history.best_kid, history.best_step = row.get("kid"), history.step
            self.best = copy.deepcopy(self.model.average)
        self._draw(fakes)
        if better and self.settings.on_trouble == "rollback":
            self._save("best")
        self._save("steps")  # last: what a killed run is taken up from knows of nothing newer
        self.log.row(row)
        return trouble

    def _variances(self, features: Floats) -> dict[str, float]:
        """Spread of a fixed batch relative to real images, of all and within classes."""
        found = {"variance": spread(features) / (spread(self.real) or 1.0)}
        if self.model.matched:
            count = len(self.names)
            known = self.train.labels[:MEASURED]
            real = [spread(self.real[known == index]) for index in range(count)]
            fake = [spread(features[index::count]) for index in range(count)]
            ratios = [one / own for one, own in zip(fake, real, strict=True) if own > 0]
            if ratios:
                found["variance_within"] = float(np.mean(ratios))
                found["variance_within_least"] = min(ratios)
        return found

    def _diagnose(self) -> watch.Diagnosis | None:
        """What the rows show, once a remedy has had time to do something about it."""
        history = self.history
        since = history.rollbacks[-1]["restored"] if history.rollbacks else 0
        if sum(row["step"] > since for row in history.rows) < watch.WINDOWS:
            return None
        return watch.diagnose(history.rows, self.model.ignored)

    def _respond(self, trouble: watch.Diagnosis) -> None:
        """Go back to the best checkpoint with a remedy, end with it, or stop with the reason."""
        history = self.history
        if trouble.name == watch.ENDING:
            history.ended = {"step": history.step, **trouble.as_dict()}
            self._save("steps")
            return
        remedy = watch.remedy(trouble) if self.settings.on_trouble == "rollback" else None
        best = checkpoint.latest(self.home / "best")
        if remedy is None or best is None or len(history.rollbacks) >= self.settings.rollbacks:
            raise watch.TrainingTrouble(history.step, trouble)
        steps = {"step": history.step, "restored": best[1]["step"]}
        self._restore(
            best, [*history.rollbacks, steps | trouble.as_dict() | remedy.on(self.engine.phases)]
        )
        restored = files.temporary_beside(self.home / "steps")
        self._save(restored.name)
        files.publish(restored, self.home / "steps")

    def _restore(self, found: tuple[dict[str, Tensor], Any], rollbacks: list[Any]) -> None:
        tensors, meta = found
        self.engine.load(tensors)
        self.best.load_state_dict(checkpoint.part_of(tensors, "best"))
        self.history = History(**{**meta, "rollbacks": rollbacks})
        self.engine.adjust(rollbacks)
        self.log.restart(self.history.rows)

    def _fixed(self, count: int) -> images.Pixels:
        """The same codes at every measurement, the conditions taking turns."""
        conditions = torch.arange(count, device=self.device) % len(self.names)
        rng = seeding.generator(self.settings.seed, "fixed", device=self.device)
        drawn = self.model.sample(conditions, generator=rng)
        return images.to_uint8(drawn.float().cpu().numpy())

    def _draw(self, fakes: images.Pixels) -> None:
        names = self.names
        shown = fakes[: len(names) * FRAME_COLUMNS]
        fake = {name: shown[index :: len(names)] for index, name in enumerate(names)}
        real = {
            name: self.train.pixels[self.train.labels == index][:FRAME_COLUMNS]
            for index, name in enumerate(self.train.classes)
        }
        titles = ("real", f"generated, step {self.history.step}")
        picture = contact_sheets.beside(real, fake, FRAME_COLUMNS, titles)
        path = self.home / "frames" / f"step-{self.history.step:08d}.png"
        files.write_bytes(path, images.encode(picture))

    def frames(self) -> list[Path]:
        """The pictures of this run so far, oldest first."""
        found = sorted((self.home / "frames").glob("step-*.png"))
        return [path for path in found if int(path.stem[5:]) <= self.history.step]

    def _save(self, where: str) -> None:
        tensors = self.engine.state() | checkpoint.flatten("best", self.best.state_dict())
        checkpoint.write_step(self.home / where, self.history.step, tensors, vars(self.history))

    def _resume(self) -> None:
        found = checkpoint.latest(self.home / "steps")
        reason = None if found is None else self._off_course(found[1]["step"])
        if reason:
            progress.say(f"train: {reason}: begun anew")
            shutil.rmtree(self.home / "steps")
            found = None
        if found is None:  # then a best one is of a course that is begun anew
            shutil.rmtree(self.home / "best", ignore_errors=True)
            return
        if found[1]["step"] < self.settings.steps:
            progress.say(f"train: goes on from step {found[1]['step']}")
        self._restore(found, found[1]["rollbacks"])
        trouble = self._diagnose()
        if trouble:  # what stopped a run stops it again
            self._respond(trouble)

    def _off_course(self, step: int) -> str | None:
        """Why a run of these settings never stood at ``step``, a checkpoint's; None where it did.

        A shorter run measures at its last step, where a longer one may not.
        """
        steps, every = self.settings.steps, self.settings.every
        if step > steps:
            return f"settings changed (train.steps {step} -> {steps})"
        if step < steps and step % every:
            return (
                f"train.steps {step} -> {steps}, but {step} is no multiple of train.every {every}"
            )
        return None


def spread(features: Floats) -> float:
    """Sum of the variances of features (N, F); 0 of less than two."""
    return float(features.var(0).sum()) if len(features) > 1 else 0.0
