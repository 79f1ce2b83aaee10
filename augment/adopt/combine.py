"""Several opinions become one, calibrated on images whose label was hidden from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment.adopt import calibration
from augment.adopt.calibration import Combination, Floats, Labels
from augment.adopt.opinions import OPINIONS, Pool
from augment.errors import AugmentError
from augment.runtime import devices, seeding, workers
from augment.settings import PartSpec

ENOUGH = 20  # images; fewer do not determine a temperature; chosen by hand
BY_DOMAIN = (
    "what a network of the other domain and of sure images reads in the rest, which errs too"
)
FOLDS = 3  # parts of the labelled train images, where valid has too few; chosen by hand


class AdoptError(AugmentError):
    """Images or settings from which no label can be inferred."""


@dataclass(frozen=True)
class Held:
    """Images whose label is known but hidden from the opinions that are measured on them.

    ``places`` (M,) are their places in the pool and ``labels`` (M,) their class indices. ``source``
    says in words which images they are; None where they are too few to calibrate on.
    """

    places: NDArray[np.int64]
    labels: Labels
    source: str | None


@dataclass(frozen=True)
class Opinion:
    """Probabilities of all images, ``pool`` (N, K), and of the held ones, ``held`` (M, K).

    Those of the held images come from labels without theirs.
    """

    pool: Floats
    held: Floats

    def tempered(self, heat: float) -> Opinion:
        """The opinion with its logits divided by the temperature ``heat``."""
        return Opinion(calibration.tempered(self.pool, heat), calibration.tempered(self.held, heat))


def label_pool(
    pool: Pool, train: Labels, valid: Labels, labellers: Sequence[PartSpec]
) -> tuple[Floats, Combination]:
    """Probabilities (N, K) of all images of ``pool``, combined from the opinions of ``labellers``.

    The pool holds the train images first and the valid images last. ``train`` are the class indices
    of the former, -1 where unknown; ``valid`` those of the latter, which no opinion is told. Raises
    AdoptError for a labeller that stands twice, or where none has an opinion.
    """
    told = np.concatenate([train, np.full_like(valid, -1)])
    held = hold_out(train, valid, pool.seed)
    reading = pool.reading
    if held.source is None and reading is not None and not reading.silent:
        places = np.flatnonzero((told < 0) & (reading.seeds < 0))
        held = Held(places, reading.read[places], BY_DOMAIN)
    opinion, combination = combine(_ask(pool, told, held, labellers), held)
    right = opinion.pool[len(train) :].argmax(1) == valid
    combination = dataclasses.replace(
        combination,
        calibrated_on=held.source,
        held_out=len(held.labels) if held.source else 0,
        valid=len(valid),
        accuracy_valid=float(right.mean()) if len(valid) else None,
    )
    return opinion.pool, combination


def combine(opinions: Mapping[str, Opinion], held: Held) -> tuple[Opinion, Combination]:
    """The combination of opinions with the least log loss on the held images, calibrated.

    Each opinion is calibrated first; then the ``combinations`` of them are calibrated and compared.
    An opinion alone is calibrated once. Where too few images are held, nothing is calibrated and
    the first combination is taken, the most cautious.
    """
    raw = combinations(opinions)
    if held.source is None:
        method = next(iter(raw))
        return raw[method], Combination(method)

    def heat(opinion: Opinion) -> float:
        return calibration.temperature(opinion.held, held.labels)

    first_heats = {name: heat(opinion) for name, opinion in opinions.items()}
    candidates = combinations(
        {name: opinion.tempered(first_heats[name]) for name, opinion in opinions.items()}
    )
    candidates.update(opinions)  # alone, each is calibrated once
    heats = {name: heat(opinion) for name, opinion in candidates.items()}
    calibrated = {name: opinion.tempered(heats[name]) for name, opinion in candidates.items()}
    losses = {
        name: calibration.log_loss(opinion.held, held.labels)
        for name, opinion in calibrated.items()
    }
    method = min(losses, key=losses.__getitem__)
    alone = {
        name: {
            "temperature": first_heats[name],
            "accuracy": float((opinion.held.argmax(1) == held.labels).mean()),
        }
        for name, opinion in opinions.items()
    }
    return calibrated[method], Combination(
        method,
        heats[method],
        calibration_error=calibration.calibration_error(calibrated[method].held, held.labels),
        calibration_error_before=calibration.calibration_error(raw[method].held, held.labels),
        opinions=alone,
    )


def combinations(opinions: Mapping[str, Opinion]) -> dict[str, Opinion]:
    """Every way to make one opinion of ``opinions``, by name, the most cautious first.

    ``agreement`` takes for each class the least of the opinions' probabilities and ``mean`` their
    geometric mean; both are scaled to the sum 1. Then comes each opinion alone.
    """
    if len(opinions) == 1:
        return dict(opinions)

    def together(reduction: str) -> Opinion:
        stacks = (
            np.stack(
                [calibration.logarithms(getattr(opinion, side)) for opinion in opinions.values()]
            )
            for side in ("pool", "held")
        )
        return Opinion(*(calibration.normalised(getattr(stack, reduction)(0)) for stack in stacks))

    return {"agreement": together("min"), "mean": together("mean"), **opinions}


def hold_out(train: Labels, valid: Labels, seed: int) -> Held:
    """The valid images; with the labelled train images where ENOUGH valid ones are not there.

    ``train`` and ``valid`` are class indices, -1 where unknown (of train images alone).
    """
    places = len(train) + np.arange(len(valid))
    if len(valid) >= ENOUGH:
        return Held(places, valid, "valid")
    hidden = np.concatenate(folds(train, seed))
    both = np.concatenate([places, hidden])
    if len(both) >= ENOUGH:
        labels = np.concatenate([valid, train[hidden]])
        return Held(both, labels, "valid and labelled train images, hidden in turn")
    return Held(places, valid, None)


def folds(labels: Labels, seed: int) -> list[NDArray[np.int64]]:
    """Places of the labelled images in FOLDS parts, the images of each class spread evenly.

    ``labels`` (N,) are class indices, -1 where unknown. A class with a single labelled image is in
    no part, so that each class keeps a label when a part is hidden.
    """
    parts: list[list[int]] = [[] for _ in range(FOLDS)]
    for label in np.unique(labels[labels >= 0]):
        members = seeding.rng(seed, "fold", label).permutation(np.flatnonzero(labels == label))
        for number, place in enumerate(members if len(members) > 1 else []):
            parts[number % FOLDS].append(int(place))
    return [np.array(part, np.int64) for part in parts]


def _ask(pool: Pool, told: Labels, held: Held, labellers: Sequence[PartSpec]) -> dict[str, Opinion]:
    """Each labeller's opinion, by name.

    ``told`` (N,) are the class indices of the pool that opinions may learn from, -1 for the others.
    Where labelled train images are held, each part of them is hidden in turn; a labeller from which
    labels cannot be hidden is then left out.
    """
    hidden = [fold for fold in folds(told, pool.seed) if np.isin(fold, held.places).any()]
    opinions: dict[str, Opinion] = {}
    for spec in labellers:
        name = OPINIONS.resolve(spec)["name"]
        if name in opinions:
            raise AdoptError(f"adopt.labellers: {name!r} stands twice")
        if hidden and not OPINIONS.describe(name).facts["hides"]:
            continue
        every = [pool.started(labels) for labels in (told, *(_hiding(told, f) for f in hidden))]
        whole, *without = _answers(pool, spec, every)
        if whole is None:
            continue
        unseen = whole.copy()
        for fold, answer in zip(hidden, without, strict=True):
            unseen[fold] = answer[fold]
        opinions[name] = Opinion(whole, unseen[held.places])
    if not opinions:
        raise AdoptError("adopt.labellers: none of them has an opinion here; add graph")
    return opinions


def _answers(pool: Pool, spec: PartSpec, told: Sequence[Labels]) -> list[Any]:
    """The labeller's opinion from each of ``told``; fits of a network go beside one another."""
    fits = OPINIONS.describe(OPINIONS.resolve(spec)["name"]).facts.get("fits")
    steps = pool.steps * pool.rounds * len(told) if fits else 0
    if fits:
        _ = pool.graph, pool.reading  # made once, and handed on
    return workers.side_by_side(
        partial(OPINIONS.build(spec), pool),
        ((labels,) for labels in told),
        count=len(told),
        processes=devices.fits_at_once(pool.device, steps),
        title="self-training",
    )


def _hiding(told: Labels, fold: NDArray[np.int64]) -> Labels:
    without = told.copy()
    without[fold] = -1
    return without
