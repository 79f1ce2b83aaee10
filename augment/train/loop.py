"""The training loop of every model and its state.

The randomness of a step is a function of (seed, step). So on the CPU a run that was killed and
resumed from its last checkpoint ends with the same bits as an unbroken run.
"""

from __future__ import annotations

import copy
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from augment.classifiers.classifier import Classifier, Floats
from augment.data import contact_sheets, files, images
from augment.data.arrays import Arrays
from augment.models.sources import source_places
from augment.runtime import checkpoint, progress, seeding
from augment.runtime.process_group import ProcessGroup
from augment.train import rules, watch
from augment.train.feed import samples_at
from augment.train.follow import engine_of
from augment.train.log import Log
from augment.train.settings import TrainSettings
from augment.vision.kernel_distance import kid

# Chosen by hand.
MEASURED = 1000  # images that a measurement looks at, at most
CODED = 256  # valid images whose bits a dimension a measurement takes, at most
FRAME_COLUMNS = 8  # samples of each class in a picture
TIMED = 10  # first steps, from which a run says what it will cost
PULSE = 25  # steps between two looks at the losses, at most


@dataclass
class History:
    """The course of a run so far; a checkpoint holds all of it."""

    step: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)
    best_step: int = 0
    best_kid: float | None = None
    rollbacks: list[dict[str, Any]] = field(default_factory=list)
    ended: dict[str, Any] | None = None  # the trouble that ended it before the last step


class Trainer:
    """The loop and its measurements."""

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
        sources: Arrays | None = None,
        group: ProcessGroup | None = None,
    ):
        """Build model and optimisers, and resume from the newest checkpoint in ``home``.

        The model learns from ``pool`` (default: ``train``) and, where it starts from images, from
        ``sources`` (the same). The processes of ``group`` share its steps.

        Raises TrainingTrouble where the checkpoint is of a run that trouble stopped.
        """
        self.settings, self.train, self.valid = settings, train, valid
        self.labeller, self.home, self.device, self.log = labeller, home, device, log
        classes = len(train.classes)
        self.engine, self.feed = engine_of(settings, pool or train, sources, classes, device, group)
        self.model = self.engine.model
        self.sources = sources or train
        self.history = History()
        self.best = copy.deepcopy(self.model.average)
        self.best_back = copy.deepcopy(self.model.back_average)
        self.names = (
            train.classes
            if self.model.matched or not self.model.conditions
            else [f"code {number}" for number in range(self.model.conditions)]
        )
        self.real = labeller.features(train.pixels[:MEASURED])
        self.held = labeller.features(valid.pixels[:MEASURED])
        self._resume()

    def fit(self) -> None:
        """Train to the last step and measure every ``every`` steps. Raises TrainingTrouble."""
        settings = self.settings
        pulse = max(1, min(PULSE, settings.every))
        totals: dict[str, Tensor] = {}
        start, first = time.perf_counter(), self.history.step
        with progress.bar() as display:
            task = display.add_task("train", total=settings.length, note="")
            while self.history.step < settings.length and not self.history.ended:
                terms = self.engine.step(self.history.step, self.feed.at)
                for name, value in terms.items():
                    totals[name] = totals.get(name, 0) + value  # no wait for the GPU
                self.history.step += 1
                step = self.history.step
                if step == first + TIMED:
                    seconds = (time.perf_counter() - start) / TIMED
                    progress.say(f"train: {rules.cost_in_words(settings, seconds)}")
                display.update(task, completed=step)
                due = step % settings.every == 0 or step == settings.length
                trouble = None
                if step % pulse == 0 or due:
                    numbers = {name: float(value) for name, value in terms.items()}
                    prefixes = tuple(f"{phase.prefix}_" for phase in self.engine.phases.values())
                    losses = [
                        f"{name} {value:.3f}"
                        for name, value in numbers.items()
                        if name.startswith(prefixes)
                    ]
                    losses += [f"bits {row['bits']:.3f}" for row in self.history.rows[-1:]
                               if "bits" in row]  # fmt: skip
                    display.update(task, note="  ".join(losses)[:100])
                    trouble = watch.diverged(numbers)
                if due and not trouble:
                    steps = step - (self.history.rows[-1]["step"] if self.history.rows else 0)
                    row = {name: float(total) / steps for name, total in totals.items()}
                    trouble = watch.diverged(row) or self._measure(row)
                    totals = {}
                if trouble:
                    self.respond(trouble)
                    totals = {}

    def _measure(self, row: dict[str, float]) -> watch.Diagnosis | None:
        """Add measures of samples to the means of a window; note the row, draw and save.

        Returns the trouble that the rows show.
        """
        history, count = self.history, len(self.names)
        row = {"step": float(history.step), **row}
        fakes = self._fixed(min(MEASURED, max(count * FRAME_COLUMNS, len(self.valid))))
        features, guesses = self.labeller.both(fakes)
        row |= self._variances(features)
        row |= self._bits()
        if self.model.matched:
            labels = np.arange(len(fakes)) % count
            row["label_accuracy"] = float((guesses.argmax(1) == labels).mean())
        if len(self.valid) >= 2:
            row["kid"] = kid(self.held, features)
            row["kid_train"] = kid(self.real, features)
            larger = self.model.average.grown > self.best.grown  # than what was best before
            better = larger or history.best_kid is None or row["kid"] < history.best_kid
        else:
            better = True
        history.rows.append(row)
        trouble = self._diagnose()
        better = better and not trouble
        if better:
            history.best_kid, history.best_step = row.get("kid"), history.step
            self.best = copy.deepcopy(self.model.average)
            self.best_back = copy.deepcopy(self.model.back_average)
        self._draw(fakes)
        if better and self.settings.on_trouble == "rollback":
            self._save("best")
        self._save("steps")  # last: a killed run resumes from it, so nothing newer may exist
        self.log.row(row)
        return trouble

    def _variances(self, features: Floats) -> dict[str, float]:
        """Variances of a fixed batch's features relative to real images, of all and by class."""
        measures = {"variance": total_variance(features) / (total_variance(self.real) or 1.0)}
        if self.model.matched:
            count = len(self.names)
            labels = self.train.labels[:MEASURED]
            real = [total_variance(self.real[labels == index]) for index in range(count)]
            fake = [total_variance(features[index::count]) for index in range(count)]
            ratios = [ours / true for ours, true in zip(fake, real, strict=True) if true > 0]
            if ratios:
                measures["variance_within"] = float(np.mean(ratios))
                measures["variance_within_least"] = min(ratios)
        return measures

    def _bits(self) -> dict[str, float]:
        """Mean bits a dimension of valid images, where the model has a density of images.

        They are the same ones with the same noise each time.
        """
        rng = seeding.generator(self.settings.seed, "bits", device=self.device)
        count = min(CODED, len(self.valid))
        places = np.linspace(0, len(self.valid) - 1, count).astype(np.int64)
        pixels, labels = map(torch.from_numpy, (self.valid.pixels, self.valid.labels))
        total = 0.0
        for start in range(0, count, self.settings.batch):
            batch = places[start : start + self.settings.batch]
            bits = self.model.bits(*samples_at(pixels, labels, batch, self.device), rng)
            if bits is None:
                return {}
            total += float(bits.double().sum())
        return {"bits": total / count} if count else {}

    def _diagnose(self) -> watch.Diagnosis | None:
        """The trouble that the rows show; none until WINDOWS measurements after a remedy."""
        history = self.history
        since = history.rollbacks[-1]["restored"] if history.rollbacks else 0
        if sum(row["step"] > since for row in history.rows) < watch.WINDOWS:
            return None
        return watch.diagnose(history.rows, self.model.ignored)

    def respond(self, trouble: watch.Diagnosis) -> None:
        """Go back to the best checkpoint with a remedy, or end the run with its best state.

        Raises TrainingTrouble where neither is possible or the settings ask for a stop.
        """
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

    def _restore(self, saved: tuple[dict[str, Tensor], Any], rollbacks: list[Any]) -> None:
        tensors, meta = saved
        self.engine.load(tensors)
        self.best.load_state_dict(checkpoint.part_of(tensors, "best"))
        if self.best_back is not None:
            self.best_back.load_state_dict(checkpoint.part_of(tensors, "best_back"))
        self.history = History(**{**meta, "rollbacks": rollbacks})
        self.engine.adjust(rollbacks)
        self.log.restart(self.history.rows)

    def _fixed(self, count: int) -> images.Pixels:
        """``count`` samples, of the same noise and codes each time; the conditions take turns."""
        conditions = torch.arange(count, device=self.device) % len(self.names)
        rng = seeding.generator(self.settings.seed, "fixed", device=self.device)
        source = None
        rule = self.model.needs.source
        if rule:
            labels, seed = conditions.cpu().numpy(), self.settings.seed
            places = source_places(self.sources, labels, seed, rule=rule)
            source = images.to_signed(torch.from_numpy(self.sources.pixels[places]).float())
            source = source.to(self.device)
        samples = self.model.sample(conditions, generator=rng, source=source)
        return images.to_uint8(samples.float().cpu().numpy())

    def _draw(self, fakes: images.Pixels) -> None:
        """Write a picture of real images and of ``fakes``, class by class, to the run's frames."""
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
        paths = sorted((self.home / "frames").glob("step-*.png"))
        return [path for path in paths if int(path.stem[5:]) <= self.history.step]

    def _save(self, where: str) -> None:
        tensors = self.engine.state() | checkpoint.flatten("best", self.best.state_dict())
        if self.best_back is not None:
            tensors |= checkpoint.flatten("best_back", self.best_back.state_dict())
        checkpoint.write_step(self.home / where, self.history.step, tensors, vars(self.history))

    def _resume(self) -> None:
        """Go on from the latest checkpoint, or begin anew where none is of this course."""
        saved = checkpoint.latest(self.home / "steps")
        reason = None if saved is None else self._off_course(saved[1]["step"])
        if reason:
            progress.say(f"train: {reason}: begun anew")
            shutil.rmtree(self.home / "steps")
            self.log.restart([])
            saved = None
        if saved is None:  # a best checkpoint would be of another course
            shutil.rmtree(self.home / "best", ignore_errors=True)
            return
        if saved[1]["step"] < self.settings.length:
            progress.say(f"train: goes on from step {saved[1]['step']}")
        self._restore(saved, saved[1]["rollbacks"])
        trouble = self._diagnose()
        if trouble:  # a trouble that stopped the run stops it again
            self.respond(trouble)

    def _off_course(self, step: int) -> str | None:
        """Why a run of these settings never stood at ``step``, a checkpoint's; None where it did.

        A shorter run measures at its last step, where a longer one may not.
        """
        steps, every = self.settings.length, self.settings.every
        if step > steps:
            return f"settings changed (train.steps {step} -> {steps})"
        if step < steps and step % every:
            return (
                f"train.steps {step} -> {steps}, but {step} is no multiple of train.every {every}"
            )
        return None


def total_variance(features: Floats) -> float:
    """The sum of the variances of features (N, F); 0 where N is below 2."""
    return float(features.var(0).sum()) if len(features) > 1 else 0.0
