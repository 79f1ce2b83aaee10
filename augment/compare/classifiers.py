"""Classifiers of the labelled images with and without samples, judged on valid images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from augment.compare.workspace import Workspace, sampler
from augment.data.arrays import Arrays
from augment.score import run as score
from augment.score.run import ScoreImages
from augment.score.settings import ScoreSettings
from augment.score.uplift import arms, protocol, statistics
from augment.score.uplift.arms import Study
from augment.score.uplift.protocol import Arm, Plan
from augment.score.uplift.results import Result

Right = NDArray[np.bool_]
CLASSIC = "classic"


class Classifiers:
    """All learn the labelled train images under one augmentation, by the seeds of a plan."""

    def __init__(
        self, workspace: Workspace, settings: ScoreSettings, device: torch.device, plan: Plan
    ):
        """Nothing is fitted before it is asked for."""
        self.workspace, self.settings, self.device, self.plan = workspace, settings, device, plan

    @cached_property
    def train(self) -> Arrays:
        """The labelled train images, or a sample of so many as ``score.images`` says."""
        return sampler(self.settings).images("train", self.workspace.train)

    @cached_property
    def unlabelled(self) -> Arrays:
        """The train images without a label, or a sample of as many."""
        here = self.workspace
        return sampler(self.settings).images("unlabelled", here.every, here.unlabelled)

    @cached_property
    def shared(self) -> Study:
        """The study of valid images, without samples; its policy is the best one on them."""
        none = self.workspace.train.take(np.arange(0))
        data = self.images(none, self.workspace.valid, none)
        study = score.study_of(self.settings, self.device, data, self.workspace.home)
        return dataclasses.replace(study, policy=protocol.best_policy(study, self.plan))

    def on_test(self, synthetic: Arrays, test: Arrays) -> Study:
        """The study of ``test`` images, with samples, under the policy of ``shared``."""
        data = self.images(synthetic, self.workspace.valid.take(np.arange(0)), test)
        study = score.study_of(self.settings, self.device, data, self.workspace.home)
        return dataclasses.replace(study, policy=self.shared.policy)

    def answers(self, study: Study, arms_by_name: Mapping[str, Arm]) -> dict[str, Result]:
        """What the classifiers of each arm answer."""
        return protocol.answers(study, arms_by_name, self.plan.seeds)

    def right(self, synthetic: Arrays, arms_by_name: Mapping[str, Arm]) -> dict[str, Right]:
        """Which valid images (S, V) the classifiers of each arm read right, given samples."""
        study = dataclasses.replace(self.shared, synthetic=synthetic)
        truth = self.workspace.valid.labels
        ran = self.answers(study, arms_by_name)
        return {name: result.valid == truth for name, result in ran.items()}

    @cached_property
    def before(self) -> Right:
        """Which valid images (S, V) the classifiers without samples read right."""
        none = self.workspace.train.take(np.arange(0))
        return self.right(none, {CLASSIC: arms.classic})[CLASSIC]

    def gain(self, after: Right) -> tuple[float, float, float]:
        """The mean gain over ``before``, in pairs, and the ends of its 95 % interval."""
        gains = np.subtract(after, self.before, dtype=np.float64)
        return (float(gains.mean()), *statistics.interval(gains))

    def images(self, synthetic: Arrays, valid: Arrays, test: Arrays) -> ScoreImages:
        """These beside the labelled train images, as ``score`` takes them."""
        nothing = self.train.take(np.arange(0))
        return ScoreImages(self.train, valid, test, nothing.pixels, synthetic, nothing)
