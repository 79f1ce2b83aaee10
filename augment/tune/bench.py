"""A trial on the bench: trained for its minutes, sampled, and judged on valid images."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from augment import pipeline
from augment.compare.bench import picture
from augment.compare.samples import draw
from augment.compare.workspace import Workspace
from augment.data import files, images
from augment.data.arrays import Arrays
from augment.data.places import CACHE, GENERATOR
from augment.params import Params
from augment.params_file import flow
from augment.registry import Spec
from augment.runtime import devices
from augment.score import run as score
from augment.score.run import ScoreImages
from augment.score.uplift import arms, protocol, statistics
from augment.score.uplift.arms import Study
from augment.score.uplift.protocol import Arm
from augment.train import run as train
from augment.tune.base import Changes, Knob, Measure, TrialOutcome, TuneError, Value, Watch
from augment.tune.knobs import changes_of

PICTURE = "samples.png"
# Chosen by hand.
LONGEST = 0.5  # of the minutes of training: what samples may take
FAR = 10**9  # steps between two measurements of a trial: as few as its length allows
POLICIES: tuple[Spec, ...] = ("affine", "elastic", {"name": "elastic", "amplitude": 0.16})


class TrialBench:
    """The set, the terms on which trials are judged, and the classifiers without samples.

    These learn under the best of the settings' policies, or of POLICIES where there is but one:
    samples that only make up for weak augmentation gain nothing.
    """

    def __init__(
        self, workspace: Workspace, settings: Params, knobs: Sequence[Knob], minutes: float,
        overrides: Sequence[str] = (), root: Path = Path("."),
    ):  # fmt: skip
        """A bench for the project in ``root``, on which each trial trains for ``minutes``."""
        self.workspace, self.settings, self.knobs = workspace, settings, knobs
        self.minutes, self.overrides, self.root = minutes, list(overrides), root
        self.device = devices.choose_device(settings.score.device)
        plan = score.plan_of(settings.score)
        policies = plan.policies if len(plan.policies) > 1 else POLICIES
        self.plan = dataclasses.replace(plan, policies=policies)

    def judge(self, folder: Path, values: Mapping[str, Value], watch: Watch) -> TrialOutcome:
        """Train, sample and judge in ``folder``; see study.Judge.

        Raises AugmentError: trouble in training, samples none of which is accepted, Hopeless.
        """
        settings = self.settings_of(changes_of(self.knobs, values))
        room = self.workspace.room(str(folder.relative_to(self.workspace.home)))
        dose = max(settings.score.uplift.doses)
        report = train.run(
            settings.train.model_copy(update={"every": FAR}), room, minutes=self.minutes,
            watch=lambda share, row: watch(share, _measure(row)),
        )  # fmt: skip
        seconds = LONGEST * 60 * self.minutes
        samples = draw(settings.synth, settings.codes, room, self.workspace.train, dose, seconds)
        files.write_bytes(folder / PICTURE, images.encode(picture(samples.samples)))
        if not samples.accepted.any():
            raise TuneError(f"synth would accept none of its {len(samples.samples):,} samples")
        outcome = self._outcome(samples.kept, dose, report["steps"])
        self.clear(folder)
        return outcome

    @property
    def changes(self) -> Changes:
        """The values that the overrides give, by their keys."""
        pairs = (override.partition("=") for override in self.overrides)
        return {key: yaml.safe_load(value) for key, _, value in pairs}

    def settings_of(self, changes: Changes) -> Params:
        """The project's settings with ``changes``. Raises ParamsError for wrong ones."""
        lines = [f"{key}={flow(value)}" for key, value in changes.items()]
        return pipeline.load([*self.overrides, *lines], self.root)

    @staticmethod
    def clear(folder: Path) -> None:
        """Remove what a trial that is over needs no longer: checkpoints, weights and images."""
        for name in (CACHE, "data", Path(GENERATOR).parts[0]):
            shutil.rmtree(folder / name, ignore_errors=True)

    @cached_property
    def shared(self) -> Study:
        """The study of all trials, without samples; its policy is the best on valid images."""
        here = self.workspace
        none = here.train.take(np.arange(0))
        data = ScoreImages(here.train, here.valid, none, none.pixels, none, none)
        study = score.study_of(self.settings.score, self.device, data, here.home)
        return dataclasses.replace(study, policy=protocol.best_policy(study, self.plan))

    @cached_property
    def _before(self) -> Any:
        """Which valid images the classifiers without samples read right (S, V)."""
        return self._right(self.shared, arms.classic)

    def _outcome(self, kept: Arrays, dose: float, steps: int) -> TrialOutcome:
        """What the ``kept`` samples gain at ``dose``, and the keys that make as many again."""
        study = dataclasses.replace(self.shared, synthetic=kept)
        after = self._right(study, partial(arms.synthetic, dose=dose))
        gains = np.subtract(after, self._before, dtype=np.float64)
        low, high = statistics.interval(gains)
        largest = int(np.bincount(self.workspace.train.labels).max())
        settings: Changes = {"train.steps": steps}
        quota = self.settings.synth.per_class
        needed = math.ceil(dose * largest)
        if isinstance(quota, int) and quota < needed:
            settings["synth.per_class"] = needed
        return TrialOutcome(
            float(gains.mean()), low, high, float(self._before.mean()), float(after.mean()),
            steps, len(kept), settings,
        )  # fmt: skip

    def _right(self, study: Study, arm: Arm) -> Any:
        answers = protocol.answers(study, {"tune": arm}, self.plan.seeds)["tune"]
        return answers.valid == study.valid.labels


def _measure(row: Mapping[str, float]) -> Measure:
    return Measure(row.get("kid", math.nan), row.get("label_accuracy", math.nan))
