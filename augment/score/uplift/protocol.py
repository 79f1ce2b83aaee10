"""The uplift protocol: arms × seeds in pairs; choices on valid images, gains on test images."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment.data.arrays import Arrays, join
from augment.errors import AugmentError
from augment.registry import Spec
from augment.runtime import seeding
from augment.score.uplift import statistics
from augment.score.uplift.arms import ARMS, Study, Training
from augment.score.uplift.policies import POLICIES

Numbers = dict[str, Any]
CLASSIC = "classic"


class UpliftError(AugmentError, ValueError):
    """A plan that names one arm twice."""


@dataclass(frozen=True)
class Plan:
    """What is asked: arms, the doses of those that have one, seeds, policies, a learning curve.

    ``curve`` holds shares of the real train images, of which each is trained on; those above 1 draw
    on the study's reserve.
    """

    arms: Sequence[Spec]
    doses: Sequence[float]
    seeds: Sequence[int]
    policies: Sequence[Spec]
    curve: Sequence[float] = ()


@dataclass(frozen=True)
class Result:
    """Guessed class indices of one arm: valid (S, V) and test (S, T), a row for each seed."""

    valid: NDArray[np.int64]
    test: NDArray[np.int64]


def measure(study: Study, plan: Plan) -> Numbers:
    """Run every arm of ``plan`` that ``study`` has the images for, and judge the gains.

    Always runs the classic arm; every arm has the same seeds, so gains are differences within
    pairs. Gives what stands under ``uplift`` in reports/score.json. Without valid images the first
    policy and the first dose are taken. Raises UpliftError for an arm that is listed twice.
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
    dose, chosen = _best_dose(study, results[CLASSIC], doses)
    classes, test = study.train.classes, study.test
    before = results[CLASSIC]
    curve = _curve(study, plan, float(np.mean(_accuracy(before.test, test))))
    images = statistics.equal_images(curve, float(np.mean(_accuracy(chosen.test, test))))
    gain = _gain(before, chosen, test)
    gains = {
        title: _gain(before, result, test) for title, result in results.items() if title != CLASSIC
    }
    return {
        **_summaries(before, chosen, test),
        "seeds": list(plan.seeds),
        "arms": {
            title: {**_arm(result, study), **gains.get(title, {})}
            for title, result in results.items()
        },
        "policy": POLICIES.resolve(policy)["name"],
        "dose": dose,
        "low": gain["low"],
        "high": gain["high"],
        "mcnemar": statistics.mcnemar(before.test == test.labels, chosen.test == test.labels)
        if dose
        else None,
        "verdict": gain["verdict"],
        "per_class": {
            name: {
                **_gain(before, chosen, test, label),
                "dose": _class_dose(study.valid, before, chosen, label, dose),
            }
            for label, name in enumerate(classes)
        },
        "learning_curve": [{"images": count, "accuracy": height} for count, height in curve],
        "equal_images": images,
        "data_multiplier": None if images is None else images / len(study.train),
        "adopted": gains.get("adopted"),
        "controls": {
            title: found for title, found in gains.items() if _facts(specs[title]).get("control")
        },
        "confusion": {
            "classes": list(classes),
            "before": _confusion(before, test),
            "after": _confusion(chosen, test),
        },
    }


def _best_policy(study: Study, plan: Plan) -> Spec:
    first, *others = plan.policies
    if not others or not len(study.valid):
        return first
    heights = []
    for policy in plan.policies:
        asked = dataclasses.replace(study, policy=policy)
        title = f"policy {POLICIES.resolve(policy)['name']}"
        found = _run(asked, CLASSIC, plan.seeds, title)
        heights.append(np.mean(_accuracy(found.valid, study.valid)))
    return plan.policies[int(np.argmax(heights))]


def _best_dose(
    study: Study, classic: Result, doses: Mapping[float, Result]
) -> tuple[float, Result]:
    """The dose with the highest valid accuracy, 0 unless it is above that of the classic arm."""
    if not len(study.valid):
        return next(iter(doses.items()), (0.0, classic))
    found = {0.0: classic, **dict(sorted(doses.items()))}
    best = max(found, key=lambda dose: np.mean(_accuracy(found[dose].valid, study.valid)))
    return best, found[best]


def _class_dose(valid: Arrays, before: Result, chosen: Result, label: int, dose: float) -> float:
    """The chosen dose, or 0 for a class that it harms on valid images."""
    rows = valid.labels == label
    right = [result.valid[:, rows] == label for result in (before, chosen)]
    low, high = statistics.interval(np.subtract(right[1], right[0], dtype=np.float64))
    return 0.0 if statistics.verdict(low, high) == "harms" else dose


def _run(study: Study, spec: Spec, seeds: Sequence[int], title: str) -> Result:
    arm = ARMS.build(spec)
    found = [study.trained(arm(study, seed), seed, title) for seed in seeds]
    return Result(
        np.stack([one.valid.argmax(1) for one in found]),
        np.stack([one.test.argmax(1) for one in found]),
    )


def _expanded(plan: Plan) -> dict[str, Spec]:
    """The arms by title, those with a dose once for each."""
    found: dict[str, Spec] = {}
    for spec in plan.arms:
        resolved = ARMS.resolve(spec)
        name = resolved["name"]
        specs: dict[str, Spec] = {name: spec}
        if "dose" in resolved:
            specs = {_title(name, dose): {**resolved, "dose": dose} for dose in plan.doses}
        if repeated := specs.keys() & found.keys():
            raise UpliftError(f"score.uplift.arms: {min(repeated)!r} is listed twice")
        found |= specs
    return found


def _title(name: str, dose: float) -> str:
    return f"{name}@{dose:g}"


def _facts(spec: Spec) -> Mapping[str, Any]:
    return ARMS.describe(ARMS.resolve(spec)["name"]).facts


def _accuracy(guesses: NDArray[np.int64], truth: Arrays) -> NDArray[np.float64]:
    """The accuracy of each seed; NaN where there are no images."""
    if not len(truth):
        return np.full(len(guesses), math.nan)
    heights: NDArray[np.float64] = (guesses == truth.labels).mean(1)
    return heights


def _gain(before: Result, after: Result, test: Arrays, label: int | None = None) -> Numbers:
    """The mean gain on test images, of one class where ``label`` says so, and what it means."""
    rows = slice(None) if label is None else test.labels == label
    right = [(result.test == test.labels)[:, rows] for result in (before, after)]
    gains = np.subtract(right[1], right[0], dtype=np.float64)
    low, high = statistics.interval(gains)
    mean = float(gains.mean()) if gains.size else math.nan
    return {"gain": mean, "low": low, "high": high, "verdict": statistics.verdict(low, high)}


def _summaries(before: Result, after: Result, test: Arrays) -> Numbers:
    values = {CLASSIC: _accuracy(before.test, test), "synthetic": _accuracy(after.test, test)}
    values["gain"] = values["synthetic"] - values[CLASSIC]
    return {name: _summary(found) for name, found in values.items()}


def _summary(values: NDArray[np.float64]) -> Numbers:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return {"mean": float(np.mean(values)), "std": spread, "values": values.tolist()}


def _arm(result: Result, study: Study) -> Numbers:
    test = study.test
    recalls = {
        name: _mean(result.test[:, test.labels == label] == label)
        for label, name in enumerate(test.classes)
    }
    return {
        **_summary(_accuracy(result.test, test)),
        "valid": float(np.mean(_accuracy(result.valid, study.valid))),
        "per_class": recalls,
    }


def _mean(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if flags.size else math.nan


def _confusion(result: Result, test: Arrays) -> list[list[int]]:
    """Counts by real class and guess, summed over seeds."""
    kinds = len(test.classes)
    places = test.labels * kinds + result.test
    return np.bincount(places.ravel(), minlength=kinds**2).reshape(kinds, kinds).tolist()


def _curve(study: Study, plan: Plan, whole: float) -> list[tuple[int, float]]:
    """Images and accuracy of the classic arm on shares of the real images, and on all of them."""
    if not plan.curve:
        return []
    found = {len(study.train): whole}
    for share in sorted(set(plan.curve) - {1.0}):
        heights = []
        for seed in plan.seeds:
            some = _subset(study, share, seed)
            training = Training(some.pixels, some.labels, study.policy)
            guesses = study.trained(training, seed, f"{len(some)} images").test.argmax(1)
            heights.append(_mean(guesses == study.test.labels))
        found[len(some)] = float(np.mean(heights))
    return sorted(found.items())


def _subset(study: Study, share: float, seed: int) -> Arrays:
    """A share of each class's train images, at least one; a larger share holds a smaller one."""
    pool = study.train if study.reserve is None else join(study.train, study.reserve)
    order = seeding.rng(seed, "subset").permutation(len(pool))
    order = np.concatenate([order[order < len(study.train)], order[order >= len(study.train)]])
    chosen = [
        rows[: max(1, round(share * np.sum(study.train.labels == label)))]
        for label in np.unique(study.train.labels)
        if len(rows := order[pool.labels[order] == label])
    ]
    return pool.take(np.sort(np.concatenate(chosen)))
