"""Settings of the score stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from augment.registry import Count
from augment.settings import MOST, Kind, MostImages, PartSpec, Profile, Settings


class UpliftSettings(Settings):
    """Which arms are compared, and how long it may take: the default suits every run of score."""

    arms: Annotated[list[PartSpec], Kind("augment.score.uplift.arms", "ARMS")] = [
        "classic",
        "pseudo_labels",
        "adopted",
        "synthetic",
        "adopted+synthetic",
    ]
    """The sets of images that a classifier is trained on, those whose images are there; `classic`
    always runs, and `adopted` where there are adopted images. The set that `write` writes is chosen
    from `classic`, `adopted`, `synthetic` and `adopted+synthetic` on the valid split.
    """
    doses: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)] = [0.5, 1.0]
    """Synthetic images for each labelled train image of a class that are tried; above 0."""
    seeds: Count = 3
    """Classifiers in each arm; all arms have the same seeds."""
    learner: Annotated[PartSpec, Kind("augment.score.uplift.learners", "LEARNERS")] = "judge"
    """The classifier that is trained."""
    policies: Annotated[
        list[PartSpec], Field(min_length=1), Kind("augment.score.uplift.policies", "POLICIES")
    ] = ["elastic"]
    """Classic augmentations; the best of them on the valid split is used in every arm."""
    learning_curve: list[Annotated[float, Field(gt=0, lt=1)]] = []
    """Shares of the real train images, between 0 and 1, on which the classic arm is trained as
    well; the data multiplier is read from them. Empty: none.
    """
    steps: Count | None = None
    """Training steps of each classifier; null takes a third of `score.steps`."""


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
    "steps": 600,
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
    """The scores that are measured."""
    profile: Profile = "glyph"
    """The profile of the data, handed on from the top of params.yaml."""
    judge: Annotated[PartSpec, Kind("augment.classifiers.networks", "CLASSIFIERS")] = "residual"
    """The network of the judge, whose features and labels every score rests on; another one than
    the labeller's.
    """
    steps: Count = 600
    """Training steps of the judge at most: a set of n labelled train images gets 100 + 2 n."""
    batch: Count = 64
    """Images in a batch of the judge, and of the uplift's classifiers."""
    images: MostImages = MOST
    """Labelled train images at most that the judge and the uplift look at. Of more they get a
    seeded sample: the same share of every class, and never fewer than 10 of one. Of adopted and
    synthetic images they then get that share too. Of adopted ones, and of images without a label,
    they get as many at most; of synthetic ones as many times the largest dose, where that is
    above 1. Of valid and of test images too they get so many at most.
    """
    uplift: UpliftSettings = UpliftSettings()
    """Whether the samples help a classifier: which arms are compared, and for how long."""
    inception: str | None = None
    """A file with Inception-v3's weights as torch-fidelity publishes them; with it the score
    `inception` is measured too. null: not.
    """
    device: str = "auto"
    """Where networks run: `auto` (the first GPU, else the CPU), `cpu`, `cuda` or `cuda:1`."""
    seed: int = 1000
    """Seed of the judge; another one than the labeller's."""
