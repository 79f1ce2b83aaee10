"""Opinions on what images without a label are: each gives every image a probability per class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from augment.classifiers.fit import CLASSIC, fit_classifier
from augment.data.images import Pixels
from augment.models import class_head
from augment.registry import Fraction, Registry
from augment.runtime import seeding
from augment.settings import PartSpec
from augment.vision import label_graph
from augment.vision.gradients import describe

OPINIONS = Registry("opinion")

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """The images that are asked about together, and what it may cost.

    ``pixels`` are uint8 (N, C, H, W), ``upright`` whether they are glyphs, ``home`` the folder of
    the generator; each classifier is fitted for ``steps`` batches, ``rounds`` times in a row.
    """

    pixels: Pixels
    classes: list[str]
    upright: bool
    home: Path
    device: torch.device
    steps: int
    rounds: int
    batch: int
    seed: int

    @cached_property
    def graph(self) -> sparse.csr_array:
        """Who is whose neighbour, whatever their labels are."""
        return label_graph.graph(describe(self.pixels, upright=self.upright))

    def spread(self, labels: Labels) -> Floats:
        """Probabilities (N, K) from ``labels`` (N,), -1 where unknown, along the graph."""
        return label_graph.propagate_labels(self.graph, labels, len(self.classes))


@OPINIONS.register(
    "graph", paper="Zhou et al. 2004, Learning with Local and Global Consistency", hides=True
)
def graph(pool: Pool, labels: Labels) -> Floats:
    """Labels that spread from neighbour to neighbour: images that look alike are alike."""
    return pool.spread(labels)


@OPINIONS.register(
    "head", paper="Chen et al. 2016, InfoGAN (arXiv:1606.03657)", hides=False
)  # it has learned from every label already
def head(pool: Pool, labels: Labels) -> Floats | None:
    """The class head of the generator's InfoGAN; no opinion where there is none, or no classes."""
    found = class_head.load(pool.home, pool.device)
    if found is None or found.classes != pool.classes:
        return None
    return found.predict(pool.pixels).astype(np.float64)


@OPINIONS.register(
    "self_training", paper="Lee 2013, Pseudo-Label; Xie et al. 2020, Noisy Student", hides=True
)
def self_training(
    pool: Pool,
    labels: Labels,
    *,
    network: PartSpec = "cnn",
    start: Literal["graph", "labels"] = "graph",
    sure: Fraction = 0.9,
) -> Floats:
    """A classifier taught by labels, then anew by them and whatever it is ``sure`` of.

    It first learns from the images that are labelled, or from the labels that the ``graph`` gives
    all; from classically augmented images every time.
    """
    known = labels >= 0
    targets = labels if start == "labels" else pool.spread(labels).argmax(1)
    targets = np.where(known, labels, targets)
    for number in range(pool.rounds):
        shown = targets >= 0
        taught = fit_classifier(
            pool.pixels[shown],
            targets[shown],
            classes=len(pool.classes),
            network=network,
            steps=pool.steps,
            batch=pool.batch,
            seed=seeding.derive(pool.seed, "self-training", number),
            device=pool.device,
            augment=CLASSIC,
            title=f"self-training, round {number + 1} of {pool.rounds}",
        )
        found = taught.predict(pool.pixels).astype(np.float64)
        targets = np.where(found.max(1) >= sure, found.argmax(1), -1)
        targets = np.where(known, labels, targets)
    return found
