"""The uplift protocol: arms × seeds in pairs; choices on valid images, gains on test images."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment.data.arrays import Arrays
from augment.data.reports import (
    ArmResult,
    ClassGain,
    Confusion,
    CurvePoint,
    Gain,
    Spread,
    UpliftReport,
)
from augment.errors import AugmentError
from augment.registry import Spec
from augment.runtime import seeding
from augment.score.uplift import statistics
from augment.score.uplift.arms import ARMS, Study, Training
from augment.score.uplift.policies import POLICIES

CLASSIC = "classic"


class UpliftError(AugmentError, ValueError):
    """A plan that names one arm twice."""


@dataclass(frozen=True)
class Plan:
    """Which arms to compare, at which doses, over which seeds, under the best of which policies.

    An arm without a dose runs once. ``curve`` holds the shares of the real train images, in (0, 1),
    at which the learning curve is measured.
    """

    arms: Sequence[Spec]
    doses: Sequence[float]
    seeds: Sequence[int]
    policies: Sequence[Spec]
    curve: Sequence[float] = ()


@dataclass(frozen=True)
class Result:
    """Class indices that one arm guesses for valid (S, V) and test images (S, T), by seed."""

    valid: NDArray[np.int64]
    test: NDArray[np.int64]


def measure(study: Study, plan: Plan) -> UpliftReport:
    """Run every arm of ``plan`` that ``study`` has the images for, and judge the gains.

    The classic arm always runs. All arms have the same seeds, so that a gain is a difference
    within pairs. Policy and dose are chosen on valid images; without any the first policy and the
    first dose are taken. Raises UpliftError for an arm that is listed twice.
    """
    policy = _best_policy(study, plan)
    study = dataclasses.replace(study, policy=policy)
    specs = {CLASSIC: CLASSIC, **_expanded(plan)}
    results = {
        title: _run(study, spec, plan.seeds, title)
        for title, spec in specs.items()
        if all(len(getattr(study, need)) for need in _facts(spec).get("needs", ()))
    }
    doses = {
        dose: results[title]
        for dose in plan.doses
        if (title := _title("synthetic", dose)) in results
    }
    before, test = results[CLASSIC], study.test
    dose, after = _best_dose(study, before, doses)
    accuracies = _accuracy(before.test, test), _accuracy(after.test, test)
    classic, synthetic = map(_spread, accuracies)
    curve = _curve(study, plan, classic.mean)
    images = statistics.equal_images(curve, synthetic.mean)
    gain = _gain(before, after, test)
    gains = {
        title: _gain(before, result, test) for title, result in results.items() if title != CLASSIC
    }
    return UpliftReport(
        classic=classic,
        synthetic=synthetic,
        gain=_spread(accuracies[1] - accuracies[0]),
        seeds=list(plan.seeds),
        arms={title: _arm(result, study, gains.get(title)) for title, result in results.items()},
        policy=POLICIES.resolve(policy)["name"],
        dose=dose,
        low=gain.low,
        high=gain.high,
        mcnemar=statistics.mcnemar(before.test == test.labels, after.test == test.labels)
        if dose
        else None,
        verdict=gain.verdict,
        per_class={
            name: ClassGain(
                **vars(_gain(before, after, test, label)),
                dose=_class_dose(study.valid, before, after, label, dose),
            )
            for label, name in enumerate(study.train.classes)
        },
        learning_curve=[CurvePoint(count, accuracy) for count, accuracy in curve],
        equal_images=images,
        data_multiplier=None if images is None else images / len(study.train),
        adopted=gains.get("adopted"),
        controls={
            title: of_arm for title, of_arm in gains.items() if _facts(specs[title]).get("control")
        },
        confusion=Confusion(
            list(study.train.classes), _confusion(before, test), _confusion(after, test)
        ),
    )


def _best_policy(study: Study, plan: Plan) -> Spec:
    """The policy with the highest valid accuracy of the classic arm; of equal ones the first."""
    first, *others = plan.policies
    if not others or not len(study.valid):
        return first
    accuracies = []
    for policy in plan.policies:
        title = f"policy {POLICIES.resolve(policy)['name']}"
        result = _run(dataclasses.replace(study, policy=policy), CLASSIC, plan.seeds, title)
        accuracies.append(np.mean(_accuracy(result.valid, study.valid)))
    return plan.policies[int(np.argmax(accuracies))]


def _best_dose(
    study: Study, classic: Result, doses: Mapping[float, Result]
) -> tuple[float, Result]:
    """The dose with the highest valid accuracy, with its result; 0 unless one beats classic."""
    if not len(study.valid):
        return next(iter(doses.items()), (0.0, classic))
    results = {0.0: classic, **dict(sorted(doses.items()))}
    best = max(results, key=lambda dose: np.mean(_accuracy(results[dose].valid, study.valid)))
    return best, results[best]


def _class_dose(valid: Arrays, before: Result, after: Result, label: int, dose: float) -> float:
    """``dose``, or 0 for a class that it harms on valid images."""
    rows = valid.labels == label
    right = [result.valid[:, rows] == label for result in (before, after)]
    low, high = statistics.interval(np.subtract(right[1], right[0], dtype=np.float64))
    return 0.0 if statistics.verdict(low, high) == "harms" else dose


def _run(study: Study, spec: Spec, seeds: Sequence[int], title: str) -> Result:
    arm = ARMS.build(spec)
    outcomes = [study.trained(arm(study, seed), seed, title) for seed in seeds]
    return Result(
        np.stack([outcome.valid.argmax(1) for outcome in outcomes]),
        np.stack([outcome.test.argmax(1) for outcome in outcomes]),
    )


def _expanded(plan: Plan) -> dict[str, Spec]:
    """The plan's arms by title; an arm that has a dose stands there once for each dose."""
    arms: dict[str, Spec] = {}
    for spec in plan.arms:
        resolved = ARMS.resolve(spec)
        name = resolved["name"]
        specs: dict[str, Spec] = {name: spec}
        if "dose" in resolved:
            specs = {_title(name, dose): {**resolved, "dose": dose} for dose in plan.doses}
        if repeated := specs.keys() & arms.keys():
            raise UpliftError(f"score.uplift.arms: {min(repeated)!r} is listed twice")
        arms |= specs
    return arms


def _title(name: str, dose: float) -> str:
    return f"{name}@{dose:g}"


def _facts(spec: Spec) -> Mapping[str, Any]:
    return ARMS.describe(ARMS.resolve(spec)["name"]).facts


def _accuracy(guesses: NDArray[np.int64], truth: Arrays) -> NDArray[np.float64]:
    """The accuracy of each seed; NaN where there are no images."""
    if not len(truth):
        return np.full(len(guesses), math.nan)
    accuracies: NDArray[np.float64] = (guesses == truth.labels).mean(1)
    return accuracies


def _gain(before: Result, after: Result, test: Arrays, label: int | None = None) -> Gain:
    """The mean gain on test images, all or those of class ``label``, with interval and verdict."""
    rows = slice(None) if label is None else test.labels == label
    right = [(result.test == test.labels)[:, rows] for result in (before, after)]
    gains = np.subtract(right[1], right[0], dtype=np.float64)
    low, high = statistics.interval(gains)
    mean = float(gains.mean()) if gains.size else math.nan
    return Gain(mean, low, high, statistics.verdict(low, high))


def _spread(values: NDArray[np.float64]) -> Spread:
    """Mean and standard deviation (of a sample) of one number for each seed."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return Spread(float(np.mean(values)), deviation, values.tolist())


def _arm(result: Result, study: Study, gain: Gain | None) -> ArmResult:
    """What is reported of one arm; a class's recall is the share of its test images guessed."""
    test = study.test
    return ArmResult(
        **vars(_spread(_accuracy(result.test, test))),
        valid=float(np.mean(_accuracy(result.valid, study.valid))),
        per_class={
            name: _mean(result.test[:, test.labels == label] == label)
            for label, name in enumerate(test.classes)
        },
        gain=gain,
    )


def _mean(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if flags.size else math.nan


def _confusion(result: Result, test: Arrays) -> list[list[int]]:
    """Counts [actual, guessed] of test images, summed over seeds."""
    kinds = len(test.classes)
    places = test.labels * kinds + result.test
    return np.bincount(places.ravel(), minlength=kinds**2).reshape(kinds, kinds).tolist()


def _curve(study: Study, plan: Plan, whole: float) -> list[tuple[int, float]]:
    """Images and accuracy of the classic arm on shares of the real images, and on all of them.

    ``whole`` is the accuracy on all of them.
    """
    if not plan.curve:
        return []
    points = {len(study.train): whole}
    for share in sorted(set(plan.curve) - {1.0}):
        accuracies = []
        for seed in plan.seeds:
            part = subset(study.train, share, seed)
            training = Training(part.pixels, part.labels, study.policy)
            guesses = study.trained(training, seed, f"{len(part)} images").test.argmax(1)
            accuracies.append(_mean(guesses == study.test.labels))
        points[len(part)] = float(np.mean(accuracies))
    return sorted(points.items())


def subset(train: Arrays, share: float, seed: int) -> Arrays:
    """The ``share``, in (0, 1], of each class's images, at least one image, drawn by ``seed``.

    A larger share of the same seed holds a smaller one.
    """
    order = seeding.rng(seed, "subset").permutation(len(train))
    rows = [order[train.labels[order] == label] for label in np.unique(train.labels)]
    kept = [of_class[: max(1, round(share * len(of_class)))] for of_class in rows]
    return train.take(np.sort(np.concatenate(kept)))
