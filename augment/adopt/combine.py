"""Opinions combined, chosen and calibrated by images whose label was hidden."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from augment.adopt import calibration
from augment.adopt.calibration import Floats, Labels
from augment.adopt.opinions import OPINIONS, Pool
from augment.errors import AugmentError
from augment.runtime import seeding
from augment.settings import PartSpec

ENOUGH = 20  # images of known label that a temperature can be fitted to
FOLDS = 3  # parts of the labelled train images that are hidden in turn where valid is too small


class AdoptError(AugmentError):
    """Images or settings from which no label can be inferred."""


@dataclass(frozen=True)
class Held:
    """Images whose label is known and was not told: their places in the pool, and the labels."""

    places: NDArray[np.int64]
    labels: Labels
    source: str | None  # None: too few to calibrate by


@dataclass(frozen=True)
class Opinion:
    """Probabilities of the whole pool (N, K), and of the held images (M, K) as not told."""

    pool: Floats
    held: Floats

    def tempered(self, heat: float) -> Opinion:
        """The same at another temperature."""
        return Opinion(*(calibration.tempered(one, heat) for one in (self.pool, self.held)))


@dataclass(frozen=True)
class Verdict:
    """What the report says of the opinion that counts; None is what could not be measured.

    ``calibrated_on`` says which ``held_out`` images calibrated it, ``valid`` how many of the valid
    split there are; errors are expected calibration errors on the held images. ``opinions`` holds
    each one's own temperature, and its accuracy on them.
    """

    method: str | None = None
    temperature: float | None = None
    calibrated_on: str | None = None
    held_out: int | None = None
    calibration_error: float | None = None
    calibration_error_before: float | None = None
    valid: int | None = None
    accuracy_valid: float | None = None
    opinions: Mapping[str, Mapping[str, float]] | None = None


def judge(
    pool: Pool, known: Labels, valid: Labels, labellers: Sequence[PartSpec]
) -> tuple[Floats, Verdict]:
    """Probabilities (N, K) that ``labellers`` together give the images of ``pool``, and how good.

    ``known`` holds the class indices of the first images of the pool, the train split, -1 where
    unknown; ``valid`` those of the last, which no opinion is told.
    """
    told = np.concatenate([known, np.full_like(valid, -1)])
    held = _held(known, valid, pool.seed)
    opinion, verdict = combine(_ask(pool, told, held, labellers), held)
    right = opinion.pool[len(known) :].argmax(1) == valid
    verdict = dataclasses.replace(
        verdict,
        calibrated_on=held.source,
        held_out=len(held.labels) if held.source else 0,
        valid=len(valid),
        accuracy_valid=float(right.mean()) if len(valid) else None,
    )
    return opinion.pool, verdict


def combine(opinions: Mapping[str, Opinion], held: Held) -> tuple[Opinion, Verdict]:
    """The combination of calibrated opinions that tells the held images best, calibrated again.

    Candidates are each opinion, the mean of their log-probabilities, and their agreement: for each
    class what the least convinced one gives it. Where too few images are held to choose and to
    calibrate by, it is the agreement as it stands.
    """
    raw = _ways(opinions)
    if held.source is None:
        method = next(iter(raw))
        return raw[method], Verdict(method)
    heats = {name: _heat(one, held) for name, one in opinions.items()}
    ways = _ways({name: one.tempered(heats[name]) for name, one in opinions.items()})
    ways.update(opinions)  # alone, each is calibrated once
    heat = {name: _heat(one, held) for name, one in ways.items()}
    settled = {name: one.tempered(heat[name]) for name, one in ways.items()}
    method = min(settled, key=lambda name: calibration.log_loss(settled[name].held, held.labels))
    each = {
        name: {
            "temperature": heats[name],
            "accuracy": float((one.held.argmax(1) == held.labels).mean()),
        }
        for name, one in opinions.items()
    }
    before, after = (
        calibration.calibration_error(some[method].held, held.labels) for some in (raw, settled)
    )
    return settled[method], Verdict(
        method,
        heat[method],
        calibration_error=after,
        calibration_error_before=before,
        opinions=each,
    )


def _ways(opinions: Mapping[str, Opinion]) -> dict[str, Opinion]:
    """Every way to make one opinion of them, by name; what is most careful comes first."""
    if len(opinions) == 1:
        return dict(opinions)

    def together(name: str) -> Opinion:
        stacks = (
            np.stack([calibration.logarithms(getattr(one, side)) for one in opinions.values()])
            for side in ("pool", "held")
        )
        return Opinion(*(calibration.normalised(getattr(stack, name)(0)) for stack in stacks))

    return {"agreement": together("min"), "mean": together("mean"), **opinions}


def _heat(opinion: Opinion, held: Held) -> float:
    return calibration.temperature(opinion.held, held.labels)


def _held(known: Labels, valid: Labels, seed: int) -> Held:
    """The valid images; labelled train images too where those are too few."""
    places = len(known) + np.arange(len(valid))
    if len(valid) >= ENOUGH:
        return Held(places, valid, "valid")
    hidden = np.concatenate(_folds(known, seed))
    both = np.concatenate([places, hidden])
    if len(both) >= ENOUGH:
        labels = np.concatenate([valid, known[hidden]])
        return Held(both, labels, "valid and labelled train images, hidden in turn")
    return Held(places, valid, None)


def _folds(known: Labels, seed: int) -> list[NDArray[np.int64]]:
    """Places of the labelled images in FOLDS parts; of each class some are in none or in others."""
    folds: list[list[int]] = [[] for _ in range(FOLDS)]
    for label in np.unique(known[known >= 0]):
        members = seeding.rng(seed, "fold", label).permutation(np.flatnonzero(known == label))
        for number, place in enumerate(members if len(members) > 1 else []):
            folds[number % FOLDS].append(int(place))
    return [np.array(fold, np.int64) for fold in folds]


def _ask(pool: Pool, told: Labels, held: Held, labellers: Sequence[PartSpec]) -> dict[str, Opinion]:
    """Everyone's opinion; nobody's who has seen labels that must be hidden from him.

    ``told`` holds the labels of the pool (N,), -1 where unknown or not to be known.
    """
    hidden = [fold for fold in _folds(told, pool.seed) if np.isin(fold, held.places).any()]
    opinions: dict[str, Opinion] = {}
    for spec in labellers:
        name = OPINIONS.resolve(spec)["name"]
        if name in opinions:
            raise AdoptError(f"adopt.labellers: {name!r} stands twice")
        if hidden and not OPINIONS.describe(name).facts["hides"]:
            continue
        ask = OPINIONS.build(spec)
        whole = ask(pool, told)
        if whole is None:
            continue
        unseen = whole.copy()
        for fold in hidden:
            without = told.copy()
            without[fold] = -1
            unseen[fold] = ask(pool, without)[fold]
        opinions[name] = Opinion(whole, unseen[held.places])
    if not opinions:
        raise AdoptError("adopt.labellers: none of them has an opinion here; add graph")
    return opinions
