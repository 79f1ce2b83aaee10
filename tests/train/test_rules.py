"""What is decided before a run, and how it is said."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from augment.train import assemble, rules
from augment.train.settings import TrainSettings
from augment.vision import augmentations

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("changes", "images", "steps", "augment"),
    [
        ({}, 2000, rules.STEPS["cpu"], []),
        ({}, 1999, rules.STEPS["cpu"], augmentations.DEFAULTS["glyph"]),
        ({"steps": 3750}, 2000, 3750, []),
        ({"steps": 3751}, 2000, 3751, augmentations.DEFAULTS["glyph"]),
        ({"steps": 3751, "augment": []}, 2000, 3751, []),
        ({"profile": "natural"}, 20, rules.STEPS["cpu"], augmentations.DEFAULTS["natural"]),
        ({"steps": 7, "augment": ["shift"]}, 20, 7, ["shift"]),
        ({"augment": []}, 20, rules.STEPS["cpu"], []),
    ],
)
def test_what_the_settings_leave_open_is_decided(
    changes: dict[str, Any], images: int, steps: int, augment: list[str]
) -> None:
    decided = rules.decide(TrainSettings(**changes), images, 10, CPU)
    assert (decided.length, decided.augment) == (steps, augment)
    assert rules.decide(decided, 5, 10, torch.device("cuda")) == decided


def test_a_gpu_takes_more_steps() -> None:
    assert rules.decide(TrainSettings(), 1000, 10, torch.device("cuda:1")).length == 8000


def test_steps_that_are_not_decided_are_no_length() -> None:
    with pytest.raises(ValueError, match=r"train\.steps"):
        _ = TrainSettings().length


def test_the_first_line_says_what_was_decided() -> None:
    settings = rules.decide(TrainSettings(recipe="dcgan", steps=1500), 4000, 10, CPU)
    assert rules.in_words(settings, 4000, 10, (1, 28, 20), CPU) == (
        "dcgan: 4,000 images of 10 classes, 20 × 28, on cpu: dcgan (width 32) against "
        "dcgan (width 32), augmentation none, 1,500 steps of 64 images"
    )


def test_the_first_line_warns_of_copies_where_images_are_few() -> None:
    settings = rules.decide(TrainSettings(), 99, 10, CPU)
    assert "; 9.9 images a class are so few" in rules.in_words(settings, 99, 10, (1, 8, 8), CPU)
    assert "so few" not in rules.in_words(settings, 100, 10, (1, 8, 8), CPU)


@pytest.mark.parametrize(
    ("steps", "seconds", "words"),
    [
        (1000, 0.02, "about 20 s on this machine, 1,000 steps of 20 ms"),
        (1400, 0.12, "about 3 minutes on this machine, 1,400 steps of 120 ms"),
        (
            2000,
            1.0,
            "about 34 minutes on this machine, 2,000 steps of 1000 ms; fewer train.steps, a "
            "smaller width or clean.size, or a GPU would be cheaper",
        ),
    ],
)
def test_the_cost_is_said(steps: int, seconds: float, words: str) -> None:
    assert rules.cost_in_words(TrainSettings(steps=steps), seconds) == words


@pytest.mark.parametrize(
    ("model", "images", "styles"),
    [
        ({}, 249, 1),
        ({}, 1000, 4),
        ({}, 100_000, 16),
        ({"styles": 3}, 1000, 3),
        ({"factors": ["slant"]}, 4000, 1),
        ({"factors": ["slant"], "styles": 3}, 4000, 3),
        ({"labels": "half"}, 1000, 4),
        ({"labels": "half", "pseudo_labels": "none"}, 1000, 1),
        ({"classifier": "d2d"}, 1000, 1),
    ],
)
def test_styles_follow_from_the_images_of_a_class(
    model: dict[str, Any], images: int, styles: int
) -> None:
    """Only where the discriminator is told the class; the first line says them."""
    settings = TrainSettings.model_validate({"model": {"name": "infogan", **model}})
    decided = rules.decide(settings, images, 10, CPU)
    assert isinstance(decided.model, dict) and decided.model["styles"] == styles
    needs = assemble.build(decided, (1, 8, 8), 10).needs
    assert needs.styles == styles
    words = rules.in_words(decided, images, 10, (1, 8, 8), CPU, needs.styles)
    assert (f", {styles} styles a class, " in words) == (styles > 1)
