"""A generator at work on images in memory, at the size that a benchmark's options ask for."""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from augment.data.arrays import Arrays
from augment.data.images import Pixels
from augment.models.base import MODELS
from augment.models.class_head import Head
from augment.models.generator import Generator
from augment.models.networks import DISCRIMINATORS, GENERATORS
from augment.runtime import progress, seeding
from augment.train import guessed_labels, rules
from augment.train.feed import feed_of
from augment.train.recipes import RECIPES
from augment.train.settings import TrainSettings
from augment.train.step import Engine

SIDES = {"generator": GENERATORS, "discriminator": DISCRIMINATORS}
NETWORKS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {side: {"name": "dcgan"} for side in SIDES},  # batch norm on both sides
    "dcgan": {"generator": {"name": "dcgan"}, "discriminator": {"name": "dcgan", "norm": "none"}},
    "resnet": {side: {"name": "resnet"} for side in SIDES},
}
DEFAULT = "infogan"  # the default recipe
FROM_A_DOMAIN = ("pix2pix", "cyclegan", "cartoongan", "animegan")  # models
WITHIN = [  # the recipes that need no further domain
    name
    for name in RECIPES
    if MODELS.resolve(TrainSettings(recipe=name).model)["name"] not in FROM_A_DOMAIN
]
PAPER: dict[str, Any] = {  # the training of InfoGAN's paper, beside its networks
    "conditioning": {"generator": "concat"},
    "loss": "non_saturating",
    "penalties": [],
    "optimiser": {"name": "adam", "betas": [0.5, 0.999]},
    "rate": {"schedule": "linear"},  # as all stored rows have it
}


def settings(recipe: str, options: argparse.Namespace, seed: int, **changes: Any) -> TrainSettings:
    """A recipe at the size of ``options``, with ``changes``.

    Convolutional networks get ``options.width``; fully connected ones keep their width.
    """
    plain = TrainSettings(recipe=recipe)
    for side, registry in SIDES.items():
        networks = {**NETWORKS, "own": {side: getattr(plain, side)}}
        spec = registry.resolve(changes.get(side, networks[options.network][side]))
        changes[side] = spec if spec["name"] == "mlp" else {**spec, "width": options.width}
    size = {"steps": options.steps, "batch": options.batch}
    return TrainSettings(recipe=recipe, seed=seed, **size, **changes)


class Training:
    """A configuration at work on ``pool``, with the seconds that its steps took."""

    def __init__(
        self, settings: TrainSettings, pool: Arrays, device: torch.device,
        sources: Arrays | None = None,
    ):  # fmt: skip
        """Fresh weights. Labels that are -1 in ``pool`` are guessed where the model asks for it.

        A generator that starts from images takes those of ``sources`` (default: ``pool``). The
        attribute ``pool`` has the guesses.
        """
        settings = rules.decide(settings, len(pool), len(pool.classes), device)
        self.settings, self.device = settings, device
        self.engine = Engine(settings, pool.shape, len(pool.classes), device)
        self.model = self.engine.model
        upright = settings.profile == "glyph"
        pool = guessed_labels.fill(self.model.needs, pool, upright=upright, seed=settings.seed)
        self.pool = pool
        self.feed = feed_of(self.engine, pool, sources)
        self.step, self.seconds = 0, 0.0
        meta = {
            "classes": pool.classes, "shape": pool.shape,
            "conditions": self.model.conditions, "matched": self.model.matched,
            "source": self.model.needs.source,
        }  # fmt: skip
        self.generator = Generator(self.model.average, meta, "", {})
        self.generator.start_from(sources or pool)

    def run(self, until: int) -> None:
        """Go on to step ``until``."""
        start = time.perf_counter()
        steps = range(self.step, until)
        for step in progress.track(steps, self.settings.recipe, len(steps)):
            self.engine.step(step, self.feed.at)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.step = until
        self.seconds += time.perf_counter() - start

    def head(self) -> Head:
        """The class head of a model that has one."""
        critic = self.model.class_head()
        assert critic is not None
        return Head(critic, self.model.conditions, self.device)

    def samples(self, count: int) -> tuple[Pixels, NDArray[np.int64]]:
        """Unfiltered images of the averaged generator and their conditions, which take turns."""
        conditions = np.arange(count) % (self.model.conditions or 1)
        size = (count, self.model.average.codes)
        codes = seeding.rng(self.settings.seed, "benchmark").uniform(-1, 1, size)
        seed = self.settings.seed
        return self.generator.images(conditions, codes.astype(np.float32), seed=seed), conditions
