"""Opinions: labellers that give each image of a pool a probability for every class.

An opinion is ``opinion(pool, labels, *, options) -> probabilities (N, K)``, 0 … 1 with sum 1;
``labels`` (N,) are class indices, -1 where the label is unknown. It returns None where it cannot
say anything. The registered fact ``hides`` is True for an opinion that learns from ``labels``
alone: a label can be hidden from it. ``fits`` is True for one that fits networks to them.

What needs torch is imported where it is used: the stage's report names all options of the
labellers, also where every image has a label and nothing is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from augment.data.arrays import Arrays
from augment.data.images import Pixels
from augment.registry import Fraction, Registry
from augment.settings import PartSpec

if TYPE_CHECKING:
    import torch

    from augment.classifiers.other_domain import Reading

OPINIONS = Registry("opinion")

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """The images that are labelled together, and the effort for it.

    ``pixels`` (N, C, H, W) are uint8. ``upright`` is for glyphs: slant and place are taken out
    before images are compared. ``home`` is the folder of the generator. Self-training fits
    ``rounds`` classifiers, each for ``steps`` batches of ``batch`` images. ``domain`` are the
    labelled images of another domain, None where there is none; what they say is kept in the folder
    ``room``, if there is one.
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
    domain: Arrays | None = None
    room: Path | None = None

    @cached_property
    def graph(self) -> sparse.csr_array:
        """Similarity (N, N) of each image and its nearest ones; labels play no part."""
        from augment.vision import label_graph
        from augment.vision.gradients import describe

        return label_graph.graph(describe(self.pixels, upright=self.upright))

    @cached_property
    def reading(self) -> Reading | None:
        """What the other domain says of the images; labels of this one play no part."""
        from augment.classifiers.other_domain import read_by

        if self.domain is None:
            return None
        return read_by(
            self.domain, self.pixels, self.graph, upright=self.upright, seed=self.seed,
            device=self.device, room=self.room,
        )  # fmt: skip

    def started(self, labels: Labels) -> Labels:
        """``labels`` (N,), -1 where unknown; with the domain's seeds where some class has none."""
        reading, every = self.reading, set(range(len(self.classes)))
        if reading is None or reading.silent or every <= set(labels.tolist()):
            return labels
        return np.where(labels < 0, reading.seeds, labels)

    def spread(self, labels: Labels) -> Floats:
        """Probabilities (N, K) that ``labels`` (N,), -1 where unknown, give along the graph."""
        from augment.vision import label_graph

        return label_graph.propagate_labels(self.graph, labels, len(self.classes))


@OPINIONS.register(
    "graph", paper="Zhou et al. 2004, Learning with Local and Global Consistency", hides=True
)
def graph(pool: Pool, labels: Labels) -> Floats:
    """Labels spread from each image to the images that look alike."""
    return pool.spread(labels)


@OPINIONS.register("domain", hides=True)
def domain(pool: Pool, labels: Labels) -> Floats | None:
    """Another domain, such as fonts, says which images show which class, and these spread.

    None where there is no other domain, or where it has nothing to say of these images
    (``augment.classifiers.other_domain``). No label of the images themselves plays a part.
    """
    reading = pool.reading
    return None if reading is None or reading.silent else reading.spread


@OPINIONS.register(
    "head", paper="Chen et al. 2016, InfoGAN (arXiv:1606.03657)", hides=False
)  # the generator was trained with all labels
def head(pool: Pool, labels: Labels) -> Floats | None:
    """The generator's class head predicts; None where there is none or its classes differ."""
    from augment.models import class_head

    loaded = class_head.load(pool.home, pool.device)
    if loaded is None or loaded.classes != pool.classes:
        return None
    return loaded.predict(pool.pixels).astype(np.float64)


@OPINIONS.register(
    "self_training",
    paper="Lee 2013, Pseudo-Label; Xie et al. 2020, Noisy Student",
    hides=True,
    fits=True,
)
def self_training(
    pool: Pool,
    labels: Labels,
    *,
    network: PartSpec = "cnn",
    start: Literal["graph", "labels"] = "graph",
    sure: Fraction = 0.9,
) -> Floats:
    """A classifier learns the labels, and the next one also the predictions it is ``sure`` of.

    The first classifier learns the labels that the ``graph`` gives all images, or with ``start:
    labels`` only those that are there. A later one learns the labels and every prediction whose
    probability is at least ``sure``. Training images are augmented.
    """
    from augment.classifiers.fit import CLASSIC, fit_classifier
    from augment.runtime import seeding

    labelled = labels >= 0
    targets = labels if start == "labels" else pool.spread(labels).argmax(1)
    targets = np.where(labelled, labels, targets)
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
        probabilities = taught.predict(pool.pixels).astype(np.float64)
        targets = np.where(probabilities.max(1) >= sure, probabilities.argmax(1), -1)
        targets = np.where(labelled, labels, targets)
    return probabilities
