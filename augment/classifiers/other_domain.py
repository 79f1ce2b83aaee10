"""Images read by what another domain teaches: handwriting by fonts, without one of its own labels.

A small network learns the labelled images of the other domain, strongly bent. The images that it is
surest of are nearly all right, and become seeds; these spread along the graph that joins images of
the set that look alike, which knows the set's own shapes and not the other domain's. Labels that
are known play no part, so that they can tell how much was read wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from augment.classifiers.fit import enough_steps, fit_classifier
from augment.data.arrays import Arrays
from augment.data.images import Pixels
from augment.data.types import Doubles, Labels
from augment.registry import Spec
from augment.runtime import seeding
from augment.vision import label_graph
from augment.vision.layout import laid

# Chosen by hand, on MNIST's digits and Debian's fonts. A changing stroke weight, other bends and
# 10 or 50 seeds a class changed the share that is spread right by less than 0.3 points.
BENT: Spec = {
    "name": "elastic", "amplitude": 0.12, "degrees": 12.0, "scale": 0.2, "shear": 0.5,
}  # fmt: skip
STEPS = 1000  # of the network, at most
BATCH = 64
SEEDS = 25  # of a class, at most
SHARE = 4  # and at most one in so many of the images that a class has on average
SURE = 0.8  # least probability of a seed
PARTS = 4  # of the seeds, hidden in turn
AGREED = 0.8  # least share of seeds that the others, spread, give the same class


@dataclass(frozen=True)
class Reading:
    """What another domain says of N images, of K classes.

    ``read`` (N,) are class indices by the network, ``seeds`` (N,) those of the images that it is
    surest of, -1 for the others, and ``spread`` (N, K) the probabilities that follow from the
    seeds. ``agreed`` is the share of seeds, 0 … 1, that get their class from the others. ``silent``
    says in words why nothing is to be believed; it is empty where that is not so.
    """

    read: Labels
    seeds: Labels
    spread: Doubles
    agreed: float
    silent: str = ""

    def report(self, labels: Labels) -> dict[str, Any]:
        """Counts for a report; ``labels`` (N,) are those that are known, -1 for the others."""
        checked = labels >= 0
        wrong = (self.spread.argmax(1) != labels) & checked
        return {
            "seeds": int((self.seeds >= 0).sum()),
            "seeds_agreed": self.agreed,
            "silent": self.silent or None,
            "checked": int(checked.sum()),
            "wrong": None if self.silent else int(wrong.sum()),
        }


def read_by(
    domain: Arrays,
    pixels: Pixels,
    graph: sparse.csr_array,
    *,
    upright: bool,
    seed: int,
    device: torch.device | str,
) -> Reading:
    """What the labelled images of ``domain`` say of ``pixels`` (N, C, H, W), joined by ``graph``.

    ``upright`` is for glyphs: those of both sides are laid alike first. The reading is silent where
    the network is sure of no image of a class, and where the seeds contradict each other: where
    other seeds, spread along the graph, do not give them their class.
    """
    lay = laid if upright else np.ascontiguousarray
    network = fit_classifier(
        lay(domain.pixels), domain.labels, classes=len(domain.classes), network="cnn",
        steps=enough_steps(STEPS, len(domain)), batch=BATCH, device=device, augment=[BENT],
        seed=seeding.derive(seed, "other domain"), title="the other domain",
    )  # fmt: skip
    probabilities = network.predict(lay(pixels))
    seeds = surest(probabilities)
    spread = label_graph.propagate_labels(graph, seeds, len(domain.classes))
    agreed = _agreed(graph, seeds, len(domain.classes), seed)
    absent = sorted(set(range(len(domain.classes))) - set(seeds.tolist()))
    silent = ""
    if absent:
        names = ", ".join(repr(domain.classes[label]) for label in absent[:8])
        silent = f"no image looks surely like class {names}"
    elif agreed < AGREED:
        silent = f"images that look alike are read as different classes: {agreed:.0%} agree"
    return Reading(probabilities.argmax(1), seeds, spread, agreed, silent)


def surest(probabilities: NDArray[np.float32]) -> Labels:
    """The class (N,) of the images with the highest probabilities (N, K) of each; -1 for others.

    At most SEEDS of a class, and at most one in SHARE of the images that it has on average; each
    has a probability of at least SURE.
    """
    count, classes = probabilities.shape
    most = min(SEEDS, max(1, count // (SHARE * classes)))
    seeds = np.full(count, -1)
    for label in range(classes):
        sure = (probabilities.argmax(1) == label) & (probabilities[:, label] >= SURE)
        places = np.flatnonzero(sure)
        order = np.argsort(-probabilities[places, label], kind="stable")
        seeds[places[order[:most]]] = label
    return seeds


def _agreed(graph: sparse.csr_array, seeds: Labels, classes: int, seed: int) -> float:
    """Share of the seeds whose class follows from those of the other parts; 0 without seeds."""
    places = seeding.rng(seed, "parts").permutation(np.flatnonzero(seeds >= 0))
    if not len(places):
        return 0.0
    right = 0
    for part in (places[number::PARTS] for number in range(PARTS)):
        told = seeds.copy()
        told[part] = -1
        spread = label_graph.propagate_labels(graph, told, classes)
        right += int((spread[part].argmax(1) == seeds[part]).sum())
    return right / len(places)
