"""Settings of the score stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from augment.registry import Count
from augment.settings import Kind, PartSpec, Profile, Settings


class UpliftSettings(Settings):
    """Which arms are compared, and how long it may take: the default suits every run of score."""

    arms: Annotated[list[PartSpec], Kind("augment.score.uplift.arms", "ARMS")] = [
        "classic",
        "synthetic",
        "adopted",
    ]
    doses: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)] = [0.5, 1.0]
    seeds: Count = 3  # of the classifiers
    learner: Annotated[PartSpec, Kind("augment.score.uplift.learners", "LEARNERS")] = "judge"
    policies: Annotated[
        list[PartSpec], Field(min_length=1), Kind("augment.score.uplift.policies", "POLICIES")
    ] = ["elastic"]  # the best on valid
    learning_curve: list[Annotated[float, Field(gt=0, lt=1)]] = []  # shares of the real images
    steps: Count | None = None  # of each arm; null: a third of score.steps


LONG_UPLIFT: Mapping[str, Any] = {  # of `augment uplift`, where nothing else is asked for
    "arms": [
        "real",
        "classic",
        "oversampling",
        "pseudo_labels",
        "adopted",
        "synthetic",
        "adopted+synthetic",
        "synthetic_only",
        "shuffled",
        "perturbed",
    ],
    "doses": [0.25, 0.5, 1.0, 2.0],
    "seeds": 5,
    "policies": ["affine", "elastic", "rand_augment", "trivial_augment", "aug_mix"],
    "learning_curve": [0.25, 0.5],
}


class ScoreSettings(Settings):
    """What is measured, and the budget of the judge and of the uplift."""

    scores: Annotated[list[PartSpec], Kind("augment.score.scores.base", "SCORES")] = [
        "fidelity",
        "diversity",
        "labels",
        "memorisation",
        "uplift",
    ]
    profile: Profile = "glyph"  # which augmentations change no label
    judge: Annotated[PartSpec, Kind("augment.classifiers.networks", "CLASSIFIERS")] = "residual"
    steps: Count = 600
    batch: Count = 64
    uplift: UpliftSettings = UpliftSettings()
    inception: str | None = None  # a file of Inception weights, for the standard FID as well
    device: str = "auto"
    seed: int = 1000
