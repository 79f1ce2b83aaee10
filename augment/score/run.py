"""Score: measure the synthetic samples, and whether a classifier gets better by them.

It always writes its numbers, however bad they are; the gate is judged later, by ``write``. The
judge sees the real train split only; the test split serves the uplift's accuracy and the floor.
"""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from augment.classifiers.fit import enough_steps
from augment.classifiers.judge import JudgeRecipe, extract, fit_judge
from augment.classifiers.networks import CLASSIFIERS
from augment.data import files, table
from augment.data.arrays import Arrays, join, load_arrays, with_adopted
from augment.data.images import Pixels
from augment.data.places import ADOPTED, CACHE, CLEAN, REPORTS, SYNTHETIC
from augment.registry import Spec
from augment.runtime import devices
from augment.runtime.sampling import Sampler
from augment.score.scores.base import SCORES, Measured, Numbers, ScoreError, Side, merge, require
from augment.score.settings import ScoreSettings
from augment.score.uplift import protocol
from augment.score.uplift.answers import fitted_answers
from augment.score.uplift.arms import Outcome, Study, Training
from augment.score.uplift.learners import LEARNERS, Terms
from augment.score.uplift.protocol import Plan

FITTED = f"{CACHE}/score"


def run(settings: ScoreSettings, root: Path = Path(".")) -> dict[str, Any]:
    """Score ``data/synthetic`` against ``data/clean`` into ``reports/score.json``.

    Writes ``reports/per_class.csv`` and ``reports/confusion.csv`` (one row a sample) beside it.
    Raises AugmentError for an unknown part, a missing library, weights, table or train split, or
    images of different shapes.
    """
    device = devices.choose_device(settings.device)
    specs = _specs(settings, root, device.type == "cuda")
    network = CLASSIFIERS.resolve(settings.judge)
    data = _read(settings, root)
    steps = enough_steps(settings.steps, len(data.train))
    recipe = JudgeRecipe(network, steps, settings.batch, device)
    study, plan = study_of(settings, device, data, root), plan_of(settings)
    measured = measure(
        root / FITTED, recipe, data, settings.seed, lambda: protocol.measure(study, plan).as_dict()
    )
    report: Numbers = {}
    for spec in specs:
        merge(report, SCORES.build(spec)(measured))
    plain_first = sorted(report, key=lambda key: isinstance(report[key], dict))
    report = {key: report[key] for key in plain_first} | {**data.facts}
    report["settings"] = settings.resolved()
    _write_tables(root / REPORTS, measured, report.get("per_class", {}))
    files.write_json(root / REPORTS / "score.json", report)
    return report


def prove(settings: ScoreSettings, root: Path = Path(".")) -> dict[str, Any]:
    """The uplift alone, by ``score.uplift``, into ``reports/uplift.json``.

    For a longer measurement than each run of ``score`` can afford; fitted arms are kept, and shared
    with ``score`` where the steps are the same. Raises AugmentError like run.
    """
    device = devices.choose_device(settings.device)
    data = _read(settings, root)
    uplift = protocol.measure(study_of(settings, device, data, root), plan_of(settings))
    report: dict[str, Any] = files.finite(uplift.as_dict()) | data.facts
    files.write_json(root / REPORTS / "uplift.json", report)
    return report


def _specs(settings: ScoreSettings, root: Path, cuda: bool) -> list[Spec]:
    """The scores with their options, checked before any image is read."""
    requested: list[Spec] = list(settings.scores)
    if settings.inception is not None:
        weights = str(root / settings.inception)
        requested.append({"name": "inception", "weights": weights, "cuda": cuda})
    specs = [require(spec) for spec in requested]
    for spec in specs:
        if spec["name"] == "inception":
            from augment.score.scores import via_torch_fidelity

            via_torch_fidelity.read_weights(Path(spec["weights"]))
    return list(specs)


@dataclasses.dataclass(frozen=True)
class ScoreImages:
    """All images that something is measured on; those of ``unlabelled`` are of the train split.

    ``facts`` is what a report says of them: ``sampled``, where any are a sample.
    """

    train: Arrays
    valid: Arrays
    test: Arrays
    unlabelled: Pixels
    synthetic: Arrays
    adopted: Arrays
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _read(settings: ScoreSettings, root: Path) -> ScoreImages:
    """The images of all tables; raises ScoreError where no train image has a label.

    Where a class has no label of its own, adopted images are train images. More than
    ``score.images`` of a kind are a sample; where the train images are, the adopted and synthetic
    ones are the same share of theirs, so that the doses stay what they are.
    """
    most = settings.images
    told = "score: judged on {count} {kind} images (score.images)"
    sampler = Sampler(most, settings.seed, told)

    def share(kind: str, most: float, images: Arrays) -> Arrays:
        return sampler.images(kind, images, most=math.ceil(min(most, len(images) * kept)))

    table.shards(root / SYNTHETIC)  # missing? then before the real images are decoded
    every = load_arrays(root / CLEAN, split="train", origin="real", unlabelled=True)
    rows = np.flatnonzero(every.labels >= 0)
    labelled = sampler.images("train", every, rows)
    kept = len(labelled) / max(len(rows), 1) or 1.0
    train, joined = with_adopted(labelled, root, partial(share, "adopted", most))
    if not len(train):
        raise ScoreError(f"{root / CLEAN}: no labelled image in the train split")
    like = partial(load_arrays, classes=train.classes, shape=train.shape)
    used = set(train.ids)
    rest = [row for row in np.flatnonzero(every.labels < 0) if every.ids[row] not in used]
    return ScoreImages(
        train,
        sampler.images("valid", like(root / CLEAN, split="valid", origin="real")),
        sampler.images("test", like(root / CLEAN, split="test", origin="real")),
        sampler.images("unlabelled", every, np.array(rest, np.int64)).pixels,
        share("synthetic", most * max(1.0, *settings.uplift.doses), like(root / SYNTHETIC)),
        share("adopted", most, like(root / ADOPTED))
        if (root / ADOPTED).exists() and not joined
        else train.take(np.arange(0)),
        sampler.facts,
    )


def plan_of(settings: ScoreSettings) -> Plan:
    """What the uplift compares, by ``score.uplift``."""
    uplift = settings.uplift
    trained = LEARNERS.describe(LEARNERS.resolve(uplift.learner)["name"]).facts["trained"]
    return Plan(
        uplift.arms, uplift.doses, range(uplift.seeds), uplift.policies,
        curve=uplift.learning_curve, steps=_uplift_steps(settings) if trained else None,
    )  # fmt: skip


def _uplift_steps(settings: ScoreSettings) -> int:
    """The training steps of each classifier of the uplift."""
    return settings.uplift.steps or math.ceil(settings.steps / 3)


def study_of(settings: ScoreSettings, device: torch.device, data: ScoreImages, root: Path) -> Study:
    """The images with the learner that answers for them; what it answered is kept on disk."""
    terms = Terms(
        classes=len(data.train.classes),
        steps=_uplift_steps(settings),
        batch=settings.batch,
        network=settings.judge,
        profile=settings.profile,
        device=device,
    )
    shown = np.concatenate([data.valid.pixels, data.test.pixels, data.unlabelled])
    ends = [len(data.valid), len(data.valid) + len(data.test)]

    uplift = settings.uplift
    steps = terms.steps * uplift.seeds * len(uplift.arms)
    return Study(
        data.train, data.valid, data.test, data.synthetic, data.adopted, data.unlabelled,
        partial(_answers, root / FITTED, uplift.learner, terms, shown, ends),
        processes=devices.fits_at_once(device, steps),
    )  # fmt: skip


def _answers(
    folder: Path, learner: Spec, terms: Terms, shown: Pixels, ends: Sequence[int],
    training: Training, seed: int, title: str,
) -> Outcome:  # fmt: skip
    """What the learner answers about the images ``shown``, split at ``ends``."""
    title = f"uplift: {title}, seed {seed}"
    probabilities = fitted_answers(folder, learner, terms, training, seed, shown, title)
    return Outcome(*np.split(probabilities, list(ends)))


def measure(
    cache: Path, recipe: JudgeRecipe, data: ScoreImages, seed: int, uplift: Callable[[], Numbers]
) -> Measured:
    """All that scores see: images with the judge's probabilities and features.

    Each feature is in units of its standard deviation over the train images, because the scale of
    the judge's last layer is arbitrary. A feature that hardly varies counts as if it varied by a
    hundredth of the mean of all; chosen by hand.
    """
    judge = fit_judge(cache, recipe, data.train, seed)
    shown, _ = extract(cache, judge, data.train.pixels)
    mean, spread = shown.mean(0), shown.std(0)
    spread = np.maximum(spread, 0.01 * spread.mean() or 1.0)  # a feature may never fire

    def side(images: Arrays) -> Side:
        return of_pixels(images.pixels, images.labels)

    def of_pixels(pixels: Pixels, labels: NDArray[np.int64]) -> Side:
        values, probabilities = extract(cache, judge, pixels)
        return Side(pixels, labels, (values - mean) / spread, probabilities)

    return Measured(
        classes=data.train.classes,
        train=side(data.train),
        held=side(join(data.valid, data.test)),
        synthetic=side(data.synthetic),
        uplift=uplift,
        unlabelled=of_pixels(data.unlabelled, np.full(len(data.unlabelled), -1))
        if len(data.unlabelled)
        else None,
    )


def _write_tables(folder: Path, measured: Measured, per_class: Numbers) -> None:
    """confusion.csv: each sample's class and the judge's guess; per_class.csv: a row a class."""
    names = np.array(measured.classes, dtype=object)
    shown = measured.synthetic
    guesses = shown.probabilities.argmax(1)
    confusion = pd.DataFrame({"actual": names[shown.labels], "predicted": names[guesses]})
    counts = {
        "train": np.bincount(measured.train.labels, minlength=len(names)),
        "synthetic": np.bincount(shown.labels, minlength=len(names)),
    }
    rows = [per_class.get(name, {}) for name in measured.classes]
    by_class = pd.concat([pd.DataFrame({"label": names, **counts}), pd.DataFrame(rows)], axis=1)
    for name, frame in (("confusion", confusion), ("per_class", by_class)):
        text = io.StringIO()
        frame.to_csv(text, index=False, lineterminator="\n")
        files.write_text(folder / f"{name}.csv", text.getvalue())
