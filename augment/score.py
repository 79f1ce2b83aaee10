"""Score: measure the synthetic samples, and whether a classifier gets better by them.

It always writes its numbers, however bad they are; the gate is judged later, by ``write``. The
judge sees the real train split only; the test split serves the uplift's accuracy and the floor.
"""

from __future__ import annotations

import dataclasses
import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from augment import classifiers, dataset, devices, features, table
from augment.dataset import Arrays
from augment.features import Recipe
from augment.params import CACHE, CLEAN, REPORTS, SYNTHETIC, Params, ScoreSettings
from augment.registry import Spec
from augment.scores import SCORES, Measured, Numbers, ScoreError, Side, merge, require


def run(params: Params, root: Path = Path(".")) -> dict[str, Any]:
    """Score ``data/synthetic`` against ``data/clean`` into ``reports/score.json``.

    Writes ``reports/per_class.csv`` and ``reports/confusion.csv`` (one row a sample) beside it.
    Raises AugmentError for an unknown part, a missing library, weights, table or train split, or
    images of different shapes.
    """
    settings = params.score
    device = devices.resolve(settings.device)
    specs = _specs(settings, root, device.type == "cuda")
    network = classifiers.CLASSIFIERS.resolve(settings.judge)
    recipe = Recipe(network, settings.steps, settings.batch, device)
    data = _read(root)
    measured = _measure(root / CACHE / "score", recipe, data, settings.seed)
    report: Numbers = {}
    for spec in specs:
        merge(report, SCORES.build(spec)(measured))
    plain_first = sorted(report, key=lambda key: isinstance(report[key], dict))
    report = {key: report[key] for key in plain_first}
    _write_tables(root / REPORTS, measured, report.get("per_class", {}))
    table.write_json(root / REPORTS / "score.json", report)
    return report


def _specs(settings: ScoreSettings, root: Path, cuda: bool) -> list[Spec]:
    """The scores with their options, checked as far as that goes without data."""
    wanted: list[Spec] = list(settings.scores)
    if settings.inception is not None:
        weights = str(root / settings.inception)
        wanted.append({"name": "inception", "weights": weights, "cuda": cuda})
    specs = [require(spec) for spec in wanted]
    for spec in specs:
        if spec["name"] == "inception":
            from augment.scores import reference

            reference.check_weights(Path(spec["weights"]))
    return list(specs)


@dataclasses.dataclass(frozen=True)
class _Data:
    train: Arrays
    valid: Arrays
    test: Arrays
    synthetic: Arrays


def _read(root: Path) -> _Data:
    table.shards(root / SYNTHETIC)  # missing? then before the real images are decoded
    train = dataset.arrays(root / CLEAN, split="train", origin="real")
    if not len(train):
        raise ScoreError(f"{root / CLEAN}: no labelled image in the train split")
    like = partial(dataset.arrays, classes=train.classes, shape=train.shape)
    return _Data(
        train,
        like(root / CLEAN, split="valid", origin="real"),
        like(root / CLEAN, split="test", origin="real"),
        like(root / SYNTHETIC),
    )


def _joined(first: Arrays, second: Arrays) -> Arrays:
    return Arrays(
        np.concatenate([first.pixels, second.pixels]),
        np.concatenate([first.labels, second.labels]),
        first.ids + second.ids,
        first.classes,
    )


def _measure(cache: Path, recipe: Recipe, data: _Data, seed: int) -> Measured:
    """All that scores see; features are in units of the train images' own spread.

    Otherwise the numbers would follow the arbitrary scale of the judge's last layer.
    """
    judge = features.judge(cache, recipe, data.train, seed)
    shown, _ = features.extract(cache, judge, data.train.pixels)
    mean, spread = shown.mean(0), shown.std(0)
    spread = np.maximum(spread, 0.01 * spread.mean() or 1.0)  # a feature may never fire

    def side(found: Arrays) -> Side:
        values, probabilities = features.extract(cache, judge, found.pixels)
        return Side(found.pixels, found.labels, (values - mean) / spread, probabilities)

    arms = {"classic": data.train, "synthetic": _joined(data.train, data.synthetic)}

    def accuracy(arm: str, seed: int) -> float:
        title = f"uplift: {arm}, seed {seed}"
        return features.accuracy(cache, recipe, arms[arm], data.test, seed, title)

    return Measured(
        classes=data.train.classes,
        train=side(data.train),
        held=side(_joined(data.valid, data.test)),
        synthetic=side(data.synthetic),
        accuracy=accuracy,
    )


def _write_tables(folder: Path, measured: Measured, per_class: Numbers) -> None:
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
        table.write_text(folder / f"{name}.csv", text.getvalue())
