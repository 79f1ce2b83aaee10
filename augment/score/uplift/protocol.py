"""The uplift protocol: arms × seeds in pairs; choices on valid images, gains on test images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from augment.data.arrays import Arrays
from augment.data.reports import (
    ClassGain,
    Confusion,
    CurvePoint,
    PartGain,
    UpliftReport,
)
from augment.errors import AugmentError
from augment.registry import Spec
from augment.runtime import seeding, workers
from augment.score.uplift import arms, choice, results, statistics
from augment.score.uplift.arms import ARMS, Study, Training
from augment.score.uplift.choice import Mix
from augment.score.uplift.policies import POLICIES
from augment.score.uplift.results import Result

Arm = Callable[[Study, int], Training]

CLASSIC, ADOPTED, WRITTEN = "classic", "adopted", "written"


class UpliftError(AugmentError, ValueError):
    """A plan that names one arm twice."""


@dataclass(frozen=True)
class Plan:
    """Which arms to compare, at which doses, over which seeds, under the best of which policies.

    An arm without a dose runs once. ``curve`` holds the shares of the real train images, in (0, 1),
    at which the learning curve is measured; ``steps`` are those of each classifier, which the
    report names beside the number of seeds, None of a learner that takes none.
    """

    arms: Sequence[Spec]
    doses: Sequence[float]
    seeds: Sequence[int]
    policies: Sequence[Spec]
    curve: Sequence[float] = ()
    steps: int | None = None


def measure(study: Study, plan: Plan) -> UpliftReport:
    """Run every arm of ``plan`` that ``study`` has the images for, and judge the written set.

    The classic arm always runs, and the adopted one where there are adopted images. All arms have
    the same seeds, so that a gain is a difference within pairs. The policy and what the written set
    holds are chosen on valid images; without any the first policy is taken, and choice.choose says
    what is written. If that set is none of the arms, it is one more, ``written``. Raises
    UpliftError for an arm that is listed twice.
    """
    policy = best_policy(study, plan)
    study = dataclasses.replace(study, policy=policy)
    specs = {CLASSIC: CLASSIC, **_expanded(plan)}
    specs.setdefault(ADOPTED, ADOPTED)
    arms_by_title = {
        title: ARMS.build(spec)
        for title, spec in specs.items()
        if all(len(getattr(study, need)) for need in _facts(spec).get("needs", ()))
    }
    ran = answers(
        study, {CLASSIC: arms_by_title.pop(CLASSIC)}, plan.seeds
    )  # others ask its learners
    ran |= answers(study, arms_by_title, plan.seeds)
    measured = {mix: ran[title] for title, mix in _mixes(plan).items() if title in ran}
    mix, doses = choice.choose(measured, study.valid)
    before, after, test = ran[CLASSIC], measured[mix], study.test
    if set(doses) != {mix.dose}:
        arm = partial(arms.written, with_adopted=mix.adopted, doses=doses)
        after = ran[WRITTEN] = answers(study, {WRITTEN: arm}, plan.seeds)[WRITTEN]
    accuracies = [results.accuracy(result.test, test) for result in (before, after)]
    alone, written = map(results.spread, accuracies)
    curve = _curve(study, plan, alone.mean)
    images = statistics.equal_images(curve, written.mean)
    gain = results.gain(before, after, test)
    gains = {
        title: results.gain(before, result, test)
        for title, result in ran.items()
        if title != CLASSIC
    }
    return UpliftReport(
        classic=alone,
        written=written,
        gain=results.spread(accuracies[1] - accuracies[0]),
        seeds=list(plan.seeds),
        steps=plan.steps,
        arms={title: results.arm(result, study, gains.get(title)) for title, result in ran.items()},
        policy=POLICIES.resolve(policy)["name"],
        adopted=mix.adopted,
        dose=mix.dose,
        chosen_on="valid" if len(study.valid) else None,
        low=gain.low,
        high=gain.high,
        mcnemar=None
        if after is before
        else statistics.mcnemar(before.test == test.labels, after.test == test.labels),
        verdict=gain.verdict,
        per_class={
            name: ClassGain(**vars(results.gain(before, after, test, label)), dose=float(dose))
            for label, (name, dose) in enumerate(zip(study.train.classes, doses, strict=True))
        },
        parts=_parts(ran, measured, mix, study),
        samples=_samples(measured, mix, after, study),
        learning_curve=[CurvePoint(count, accuracy) for count, accuracy in curve],
        equal_images=images,
        data_multiplier=None if images is None else images / len(study.train),
        controls={
            title: gains[title]
            for title, spec in specs.items()
            if title in gains and _facts(spec).get("control")
        },
        confusion=Confusion(
            list(study.train.classes),
            results.confusion(before, test),
            results.confusion(after, test),
        ),
    )


def _mixes(plan: Plan) -> dict[str, Mix]:
    """The titles of the arms that the written set is chosen from, with what each adds."""
    return {
        CLASSIC: Mix(False, 0.0),
        ADOPTED: Mix(True, 0.0),
        **{_title("synthetic", dose): Mix(False, dose) for dose in plan.doses},
        **{_title("adopted+synthetic", dose): Mix(True, dose) for dose in plan.doses},
    }


def _parts(
    ran: Mapping[str, Result], measured: Mapping[Mix, Result], mix: Mix, study: Study
) -> dict[str, PartGain]:
    """The gain over the classic arm of each ingredient that was measured."""
    parts: dict[str, tuple[Result | None, float | None]] = {
        ADOPTED: (ran.get(ADOPTED), None),
        "pseudo_labels": (ran.get("pseudo_labels"), None),
    }
    for name, adopted in (("synthetic", False), ("adopted+synthetic", True)):
        dose = choice.dose_to_show(measured, Mix(adopted, mix.dose), study.valid)
        parts[name] = (None if dose is None else measured[Mix(adopted, dose)], dose)
    return {
        name: PartGain(**vars(results.gain(ran[CLASSIC], result, study.test)), dose=dose)
        for name, (result, dose) in parts.items()
        if result is not None
    }


def _samples(
    measured: Mapping[Mix, Result], mix: Mix, written: Result, study: Study
) -> PartGain | None:
    """What the samples gain over the written set without them; None where no such arm ran."""
    dose = choice.dose_to_show(measured, mix, study.valid)
    if dose is None:
        return None
    after = written if mix.dose else measured[mix._replace(dose=dose)]
    gain = results.gain(measured[mix._replace(dose=0.0)], after, study.test)
    return PartGain(**vars(gain), dose=dose)


def best_policy(study: Study, plan: Plan) -> Spec:
    """The policy with the highest valid accuracy of the classic arm; of equal ones the first."""
    first, *others = plan.policies
    if not others or not len(study.valid):
        return first
    candidates = {
        f"policy {POLICIES.resolve(policy)['name']}": partial(_classic_under, policy)
        for policy in plan.policies
    }
    accuracies = [
        np.mean(results.accuracy(result.valid, study.valid))
        for result in answers(study, candidates, plan.seeds).values()
    ]
    return plan.policies[int(np.argmax(accuracies))]


def _classic_under(policy: Spec, study: Study, seed: int) -> Training:
    return arms.classic(dataclasses.replace(study, policy=policy), seed)


def answers(
    study: Study, arms_by_title: Mapping[str, Arm], seeds: Sequence[int]
) -> dict[str, Result]:
    """What the learners of each arm answer, one for each seed."""
    fitted = workers.side_by_side(
        study.trained,
        ((arm(study, seed), seed, title) for title, arm in arms_by_title.items() for seed in seeds),
        count=len(arms_by_title) * len(seeds),
        processes=study.processes,
        title="uplift",
    )
    outcomes = {
        title: fitted[place * len(seeds) : (place + 1) * len(seeds)]
        for place, title in enumerate(arms_by_title)
    }
    return {
        title: Result(
            np.stack([outcome.valid.argmax(1) for outcome in of_arm]),
            np.stack([outcome.test.argmax(1) for outcome in of_arm]),
        )
        for title, of_arm in outcomes.items()
    }


def _expanded(plan: Plan) -> dict[str, Spec]:
    """The plan's arms by title; an arm that has a dose stands there once for each dose."""
    every: dict[str, Spec] = {}
    for spec in plan.arms:
        resolved = ARMS.resolve(spec)
        name = resolved["name"]
        specs: dict[str, Spec] = {name: spec}
        if "dose" in resolved:
            specs = {_title(name, dose): {**resolved, "dose": dose} for dose in plan.doses}
        if repeated := specs.keys() & every.keys():
            raise UpliftError(f"score.uplift.arms: {min(repeated)!r} is listed twice")
        every |= specs
    return every


def _title(name: str, dose: float) -> str:
    return f"{name}@{dose:g}"


def _facts(spec: Spec) -> Mapping[str, Any]:
    return ARMS.describe(ARMS.resolve(spec)["name"]).facts


def _curve(study: Study, plan: Plan, whole: float) -> list[tuple[int, float]]:
    """Images and accuracy of the classic arm on shares of the real images, and on all of them.

    ``whole`` is the accuracy on all of them.
    """
    if not plan.curve:
        return []
    parts = {  # by the number of images, which is the same for every seed
        len(subset(study.train, share, 0)): partial(_classic_on, share) for share in plan.curve
    }
    ran = answers(study, {f"{count} images": arm for count, arm in parts.items()}, plan.seeds)
    points = {
        count: float(np.mean(results.accuracy(ran[f"{count} images"].test, study.test)))
        for count in parts
    }
    return sorted({**points, len(study.train): whole}.items())


def _classic_on(share: float, study: Study, seed: int) -> Training:
    part = subset(study.train, share, seed)
    return Training(part.pixels, part.labels, study.policy)


def subset(train: Arrays, share: float, seed: int) -> Arrays:
    """The ``share``, in (0, 1], of each class's images, at least one image, drawn by ``seed``.

    A larger share of the same seed holds a smaller one.
    """
    order = seeding.rng(seed, "subset").permutation(len(train))
    rows = [order[train.labels[order] == label] for label in np.unique(train.labels)]
    kept = [of_class[: max(1, round(share * len(of_class)))] for of_class in rows]
    return train.take(np.sort(np.concatenate(kept)))
