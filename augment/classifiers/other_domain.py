"""Images read by what another domain teaches: handwriting by fonts, without one of its own labels.

A residual network learns the labelled images of the other domain, strongly bent, and guesses the
class of each image of the set. The guesses are smoothed along the graph that joins images of the
set that look alike, which knows the set's own shapes and not the other domain's, and evened, so
that every class is about equally frequent. The next network learns the other domain and the images
whose smoothed guess is surest, a growing share of them. Labels that are known play no part, so that
they can tell how much was read wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from augment.classifiers import judge
from augment.classifiers.fit import enough_steps, fit_classifier
from augment.data.arrays import Arrays
from augment.data.images import Pixels
from augment.data.types import Doubles, Labels
from augment.registry import Spec
from augment.runtime import precision, seeding
from augment.runtime.cache import Values, cached, code_digest, digest_of_arrays
from augment.vision import gradients, label_graph, layout, neighbours
from augment.vision.layout import laid

# Chosen by hand, on MNIST's digits and Debian's fonts. A changing stroke weight, other bends and
# 10 or 50 seeds a class changed the share that is spread right by less than 0.3 points. What the
# rounds gain is in docs/evidence/borrowed.md.
BENT: Spec = {
    "name": "elastic", "amplitude": 0.12, "degrees": 12.0, "scale": 0.2, "shear": 0.5,
}  # fmt: skip
NETWORK = "residual"  # a plain one reads 8 points fewer of the letters of hands by other fonts
STEPS = 1000  # of each network, at most
BATCH = 64
ROUNDS = (0.5, 0.7, 0.9)  # share of the images of a class that the next network learns
SETTLED = 0.02  # share of the images whose class changes; after fewer there is no further round
SEEDS = 25  # of a class, at most, that are compared with one another
SHARE = 4  # and at most one in so many of the images that a class has on average
SURE = 0.8  # least probability of a seed
HALF = 0.5  # share of the images of a class that are its seeds in the end
PARTS = 4  # of the seeds, hidden in turn
AGREED = 0.8  # least share of seeds that the others, spread, give the same class


@dataclass(frozen=True)
class Reading:
    """What another domain says of N images, of K classes.

    ``alone`` (N,) are class indices by the network that learned the other domain alone, ``read``
    (N,) by the last one, and ``spread`` (N, K) the smoothed probabilities that follow. ``seeds``
    (N,) are the classes of the surest half of the images, -1 for the others. ``agreed`` is the
    share, 0 … 1, of the images that the first network is surest of that get their class from the
    others of these. ``silent`` says in words why nothing is to be believed; it is empty where that
    is not so.
    """

    alone: Labels
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
    room: Path | None = None,
) -> Reading:
    """What the labelled images of ``domain`` say of ``pixels`` (N, C, H, W), joined by ``graph``.

    ``upright`` is for glyphs: those of both sides are laid alike first. The reading is silent where
    the first network is sure of no image of a class, and where the images that it is surest of
    contradict each other: where the others of them, spread along the graph, do not give them their
    class. It is kept in the folder ``room``, if there is one: ``train`` and ``adopt`` ask for the
    same reading.
    """
    if room is None:
        return _read(domain, pixels, graph, upright, seed, device)
    key = {
        "domain": digest_of_arrays(domain.pixels, domain.labels),
        "classes": domain.classes,
        "pixels": digest_of_arrays(pixels),
        "upright": upright,
        "seed": seed,
        "device": torch.device(device).type,
        "precision": precision.decided(torch.device(device).type),
        "code": code_digest(
            *judge.CODE, sys.modules[__name__], label_graph, layout, gradients, neighbours
        ),
    }

    def compute() -> Values:
        reading = _read(domain, pixels, graph, upright, seed, device)
        return {
            "alone": reading.alone, "read": reading.read, "seeds": reading.seeds,
            "spread": reading.spread, "agreed": np.array([reading.agreed]),
            "silent": np.frombuffer(reading.silent.encode(), np.uint8),
        }  # fmt: skip

    values = cached(room, "reading", key, compute)
    agreed, silent = float(values.pop("agreed")[0]), bytes(values.pop("silent")).decode()
    return Reading(**values, agreed=agreed, silent=silent)


def _read(
    domain: Arrays, pixels: Pixels, graph: sparse.csr_array, upright: bool, seed: int,
    device: torch.device | str,
) -> Reading:  # fmt: skip
    """What ``read_by`` gives, not kept."""
    lay = laid if upright else np.ascontiguousarray
    shown, told, images = lay(domain.pixels), domain.labels, lay(pixels)
    count = len(domain.classes)

    def guesses(shown: Pixels, told: Labels, number: int) -> NDArray[np.float32]:
        title = f"the other domain, round {number} of {len(ROUNDS)} at most"
        network = fit_classifier(
            shown, told, classes=count, network=NETWORK, steps=enough_steps(STEPS, len(shown)),
            batch=BATCH, device=device, augment=[BENT],
            seed=seeding.derive(seed, "other domain", *([number] if number else [])),
            title=title if number else "the other domain",
        )  # fmt: skip
        return network.predict(images)

    chances = guesses(shown, told, 0)
    alone = chances.argmax(1)
    first = surest(chances)
    agreed = _agreed(graph, first, count, seed)
    absent = sorted(set(range(count)) - set(first.tolist()))
    silent = ""
    if absent:
        names = ", ".join(repr(domain.classes[label]) for label in absent[:8])
        silent = f"no image looks surely like class {names}"
    elif agreed < AGREED:
        silent = f"images that look alike are read as different classes: {agreed:.0%} agree"
    smoothed = label_graph.smooth(graph, chances)
    for number, share in enumerate(() if silent else ROUNDS, start=1):
        before, labels = smoothed.argmax(1), best(smoothed, share)
        places = np.flatnonzero(labels >= 0)
        size = max(len(told), len(places))  # as many of the one as of the other
        ours, theirs = np.resize(places, size), np.resize(np.arange(len(told)), size)
        chances = guesses(
            np.concatenate([shown[theirs], images[ours]]),
            np.concatenate([told[theirs], labels[ours]]),
            number,
        )
        smoothed = label_graph.smooth(graph, chances)
        if (smoothed.argmax(1) != before).mean() < SETTLED:
            break
    return Reading(alone, chances.argmax(1), best(smoothed, HALF), smoothed, agreed, silent)


def best(probabilities: NDArray[Any], share: float) -> Labels:
    """The class (N,) of the images with the highest probabilities (N, K) of each; -1 for others.

    These are a ``share``, 0 … 1, of the images of each class, or of as many as a class has on
    average where that is fewer; at least one of a class that any image has.
    """
    count, classes = probabilities.shape
    sizes = np.bincount(probabilities.argmax(1), minlength=classes)
    return _top(probabilities, [max(1, int(share * min(size, count / classes))) for size in sizes])


def surest(probabilities: NDArray[Any]) -> Labels:
    """The class (N,) of the images with the highest probabilities (N, K) of each; -1 for others.

    At most SEEDS of a class, and at most one in SHARE of the images that it has on average; each
    has a probability of at least SURE.
    """
    count, classes = probabilities.shape
    most = min(SEEDS, max(1, count // (SHARE * classes)))
    return np.where(probabilities.max(1) >= SURE, _top(probabilities, [most] * classes), -1)


def _top(probabilities: NDArray[Any], most: Sequence[int]) -> Labels:
    """The class (N,) of the likeliest images of each, at most ``most`` of it; -1 for others."""
    guessed, labels = probabilities.argmax(1), np.full(len(probabilities), -1)
    for label, number in enumerate(most):
        places = np.flatnonzero(guessed == label)
        order = np.argsort(-probabilities[places, label], kind="stable")
        labels[places[order[:number]]] = label
    return labels


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
