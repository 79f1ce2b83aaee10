"""Does a classifier get better by generated images? ``python -m benchmarks.generated --quick``.

Each row has a subset of the real images and a generator that has seen nothing else.

``rare``: two of MNIST's classes are cut to 10 images, the others have 400. Training batches are
balanced by class, ``match: largest`` fills the rare classes; recall with half of those samples, the
rest filled by repeated real images, beside that of oversampling alone.
``synthetic only``: a classifier of 50,000 samples beside one of the 4,000 digits that the generator
learned from, for equal steps; each subset holds out another 1,000.

``1`` and ``10 labels`` of each of MNIST's digits, the rest of the 4,000 without: what adopted
images teach, what samples of a half-labelled generator do, and both.

``20`` and ``50 per class``, and nothing else: the verdict of the score stage by its own budget, on
valid and test images as few as a user has, beside a longer measurement with other test images and
with other and more classifier seeds. The verdict is right if the longer measurement says the same
of the chosen dose. ``no difference`` is also right if the gain measured there lies in its interval,
and dose 0 if no dose helps there. The set that ``write`` would then write is measured as long. All
samples under each other's labels must harm.

Every case but ``synthetic only`` and the verdicts is measured by classifiers of two families: a
convolutional network under elastic changes and a support-vector machine on pixels.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from augment.data.arrays import Arrays
from augment.data.reports import UpliftReport
from augment.runtime import seeding
from augment.score.settings import ScoreSettings
from augment.score.uplift import statistics
from augment.score.uplift.answers import fitted_answers
from augment.score.uplift.arms import Outcome, Study, Training
from augment.score.uplift.learners import Terms
from augment.score.uplift.protocol import Plan, measure
from augment.synth.measured import Draw
from augment.synth.quotas import Order, SynthError, quotas
from augment.synth.settings import SynthSettings
from augment.write import dose as doses_
from benchmarks import half, mnist, runs, uplift
from benchmarks.results import SETTING, Row
from benchmarks.supply import Supply
from benchmarks.tables import MACHINE, WHERE, Column, Frame, cell, summary

SUBSETS, GENERATORS = range(5), range(2)
RARE, FEWEST = 2, 10  # classes that are cut, and to how many images
VALID, TEST = 0.25, 0.5  # images for each train image that a user chooses and tests by
HELD = 100  # of each class, for the longer measurement
LATER = 100  # first classifier seed of the longer measurement
RARE_GAIN, OTHERS_GAIN = 0.03, -0.002  # of recall, in the mean
ONLY = 0.98  # accuracy of synthetic images alone, in the median
RIGHT, WRITTEN = 0.9, -0.002  # share of verdicts; gain of what is written, in every repeat

FAMILIES = ("judge", "svc")  # learners: the network of the terms, and none
FEW_ARMS = ("adopted", "synthetic", "adopted+synthetic")
FEW_SAMPLES = 200  # samples of each class beside a few labels

Case = Callable[[argparse.Namespace, int, int, Path], Row | list[Row]]


def rare(options: argparse.Namespace, subset: int, generator: int, cache: Path) -> list[Row]:
    """Rows about two classes of which there are few images, one for each family."""
    whole, held = mnist.digits()
    few = seeding.rng(subset, "rare").permutation(len(whole.classes))[:RARE]
    counts = np.full(len(whole.classes), len(whole))
    counts[few] = FEWEST
    (train,) = parts(whole, [counts], subset)
    supply = _supply(train, options, subset, generator, balance="classes")
    orders = quotas(SynthSettings(match="largest", per_class=None), train)
    dose = max(order.count for order in orders) / FEWEST / 2  # half of what they lack
    try:
        made = _samples(supply, orders, options)
    except SynthError as error:  # then there is nothing to add
        none = {"rare_gain": 0.0, "others_gain": 0.0, "stopped": str(error)}
        return [{"learner": learner, **none} for learner in options.learners]
    sides = {"rare": few, "others": np.setdiff1d(np.arange(len(counts)), few)}
    return [
        {"learner": learner, **_recalls(train, held, made, dose, sides, learner, options, cache)}
        for learner in options.learners
    ]


def _recalls(
    train: Arrays, held: Arrays, made: Arrays, dose: float,
    sides: Mapping[str, np.ndarray[Any, Any]], learner: str, options: argparse.Namespace,
    cache: Path,
) -> Row:  # fmt: skip
    """Recall on each of ``sides`` by oversampling and with ``dose`` of samples, and the gains."""
    study = _study(train, held, made, _terms(options), cache, learner=learner)
    arms = ("oversampling", "oversampling+synthetic")
    plan = Plan(arms, (dose,), range(options.classifiers), ("elastic",))
    recalls = {
        title.partition("@")[0].rpartition("+")[2]: np.array([*arm.per_class.values()])
        for title, arm in measure(study, plan).arms.items()
    }
    means = {
        f"{side}_{arm}": float(recall[labels].mean())
        for side, labels in sides.items()
        for arm, recall in recalls.items()
    }
    gains = {
        f"{side}_gain": means[f"{side}_synthetic"] - means[f"{side}_oversampling"] for side in sides
    }
    return {**means, **gains}


def few_labels(
    count: int, options: argparse.Namespace, subset: int, generator: int, cache: Path
) -> list[Row]:
    """Rows about ``count`` labels of each class beside many images without, one for each family."""
    train, held = mnist.digits(subset)
    data = half.labelled(train, count, subset)
    labelled = data.take(np.flatnonzero(data.labels >= 0))
    adopted, _ = uplift.adopt(data, options.classify, 64, subset, options.device)
    model = {"name": "infogan", "labels": "half"}
    supply = _supply(labelled, options, subset, generator, pool=data, model=model)
    orders = [Order(name, options.few) for name in train.classes]
    made = _samples(supply, orders, options)
    plan = Plan(FEW_ARMS, (options.few / count,), range(options.classifiers), ("elastic",))
    rows = []
    for learner in options.learners:
        study = _study(
            labelled, held, made, _terms(options), cache, adopted=adopted, learner=learner
        )
        means = {
            title.partition("@")[0]: arm["mean"]
            for title, arm in measure(study, plan).as_dict()["arms"].items()
        }
        rows.append({"learner": learner, "labels": count, **means})
    return rows


def synthetic_only(options: argparse.Namespace, subset: int, generator: int, cache: Path) -> Row:
    """A row about a classifier that has seen no real image."""
    train, held = mnist.digits(subset)
    supply = _supply(train, options, subset, generator)
    orders = [Order(name, options.samples // len(train.classes)) for name in train.classes]
    study = _study(train, held, _samples(supply, orders, options), _terms(options), cache)
    plan = Plan(("synthetic_only",), (1.0,), range(options.classifiers), ("elastic",))
    arms = measure(study, plan).as_dict()["arms"]
    only = arms["synthetic_only"]
    return {
        "synthetic_only": only["mean"],
        "real": arms["classic"]["mean"],
        **{name: only[name] for name in ("gain", "low", "high")},
    }


def verdict(
    source: Callable[[], Arrays], count: int,
    options: argparse.Namespace, subset: int, generator: int, cache: Path,
) -> Row:  # fmt: skip
    """A row about ``count`` labelled images of each class of ``source`` and no others."""
    whole = source()
    kinds = np.ones(len(whole.classes), np.int64)
    sizes = (count, round(VALID * count), round(TEST * count), HELD)
    train, valid, test, held = parts(whole, [size * kinds for size in sizes], subset)
    supply = _supply(train, options, subset, generator)
    synthetic = _samples(supply, [Order(name, options.kept) for name in train.classes], options)
    settings = ScoreSettings()
    budget = settings.uplift
    terms = Terms(
        len(kinds), options.budget or math.ceil(settings.steps / 3), settings.batch,
        settings.judge, "glyph", options.device,
    )  # fmt: skip
    plan = Plan((*budget.arms, "shuffled"), budget.doses, range(budget.seeds), budget.policies)
    report = measure(_study(train, test, synthetic, terms, cache, valid), plan)
    said = report.as_dict()
    later = range(LATER, LATER + options.longer)
    longer = Plan(("synthetic",), budget.doses, later, budget.policies)
    arms = measure(_study(train, held, synthetic, terms, cache), longer).as_dict()["arms"]
    written = what_is_written(train, synthetic, report)
    gain = 0.0
    if len(written):
        longest = Plan(("synthetic",), (float(options.kept),), later, budget.policies)
        whole = measure(_study(train, held, written, terms, cache), longest).as_dict()["arms"]
        gain = whole[f"synthetic@{options.kept}"]["gain"]
    at_dose = arms.get(f"synthetic@{said['dose']:g}", {})
    return {
        **{name: said[name] for name in ("verdict", "dose", "low", "high")},
        "classic": arms["classic"]["mean"],
        "longer": {title: [arm.get("gain"), arm.get("verdict")] for title, arm in arms.items()},
        "right": right(said, at_dose, [arm.get("verdict") for arm in arms.values()]),
        "written": len(written),
        "written_gain": gain,
        "shuffled": said["controls"]["shuffled"]["verdict"],
    }


def right(said: Mapping[str, Any], arm: Mapping[str, Any], longer: Sequence[str | None]) -> bool:
    """Whether the report ``said`` holds the verdict of a longer measurement.

    ``arm`` is the longer measurement of the report's dose, ``longer`` holds its verdicts of every
    dose.
    """
    if not said["dose"]:
        return "helps" not in longer
    if said["verdict"] == arm["verdict"]:
        return True
    within = said["low"] <= arm["gain"] <= said["high"]
    return said["verdict"] == "no difference" and bool(within)


def parts(
    data: Arrays, counts: Sequence[np.ndarray[tuple[int], np.dtype[np.int64]]], seed: int
) -> list[Arrays]:
    """Disjoint parts of ``data`` with ``counts`` (K,) images of each class; fewer at its end."""
    places: list[list[int]] = [[] for _ in counts]
    for label in range(len(data.classes)):
        rng = seeding.rng(seed, "parts", label)
        left = rng.permutation(np.flatnonzero(data.labels == label)).tolist()
        for part, count in zip(places, counts, strict=True):
            part += left[: count[label]]
            left = left[count[label] :]
    return [data.take(np.sort(part).astype(np.int64)) for part in places]


def _supply(
    train: Arrays, options: argparse.Namespace, subset: int, generator: int, **changes: Any
) -> Supply:
    return Supply(train, options, seeding.derive(subset, generator), **changes)


def _samples(supply: Supply, orders: Sequence[Order], options: argparse.Namespace) -> Arrays:
    how = Draw(max_candidates=options.candidates)
    return supply.draw(orders, how, filtered=options.probability > 0)


def _terms(options: argparse.Namespace) -> Terms:
    return Terms(10, options.classify, 64, "cnn", "glyph", options.device)


def _study(
    train: Arrays, test: Arrays, synthetic: Arrays, terms: Terms, cache: Path,
    valid: Arrays | None = None, adopted: Arrays | None = None, learner: str = "judge",
) -> Study:  # fmt: skip
    """The images with a learner whose earlier answers are read from ``cache``."""
    nothing = train.take(np.zeros(0, np.int64))
    valid = nothing if valid is None else valid
    shown = np.concatenate([valid.pixels, test.pixels])

    def trained(training: Training, seed: int, title: str) -> Outcome:
        answers = fitted_answers(cache, learner, terms, training, seed, shown, title)
        return Outcome(*np.split(answers, [len(valid), len(shown)]))

    adopted = nothing if adopted is None else adopted
    return Study(train, valid, test, synthetic, adopted, nothing.pixels, trained)


def what_is_written(train: Arrays, synthetic: Arrays, report: UpliftReport) -> Arrays:
    """The synthetic images that ``write`` would write after the choice of ``report``."""
    names = np.array(train.classes)
    frame = pd.DataFrame({"label": names[synthetic.labels], "index": range(len(synthetic))})
    doses = doses_.doses("auto", train.classes, report)
    mask = doses_.taken(frame, pd.Series(names[train.labels]), doses)
    return synthetic.take(np.flatnonzero(mask))


CASES: dict[str, Case] = {
    "rare": rare,
    "synthetic only": synthetic_only,
    "1 label": partial(few_labels, 1),
    "10 labels": partial(few_labels, 10),
    **{
        f"{count} per class: {name}": partial(verdict, source, count)
        for name, source in (("digits", mnist.small_digits), ("MNIST", mnist.all_digits))
        for count in (20, 50)
    },
}


def measure_case(case: str, seed: int, generator: int, options: argparse.Namespace) -> list[Row]:
    """Rows of the table: one for each family of classifiers, or one by the network alone."""
    start = time.perf_counter()
    with TemporaryDirectory() as folder:
        measured = CASES[case](options, seed, generator, Path(folder))
    rows = measured if isinstance(measured, list) else [{"learner": FAMILIES[0], **measured}]
    minutes = (time.perf_counter() - start) / 60
    classifiers = [options.longer if "verdict" in row else options.classifiers for row in rows]
    return [
        {**row, "classifiers": count, "minutes": minutes}
        for row, count in zip(rows, classifiers, strict=True)
    ]


def generated(rows: Frame) -> Frame:
    """A line for each case, with its bound."""
    parts = []
    for _, group in rows.groupby(["case", "learner", *SETTING, "device"], sort=False):
        kind = next(key for key in BOUNDS if key in group and group[key].notna().all())
        bound, reached, enough = BOUNDS[kind](group)
        facts = summary(group, ["case"], {
            "subsets": Column("seed", "nunique", "{}"),
            "generators each": Column("generator", "nunique", "{}"),
            "classifiers each": Column("classifiers"),
            "minutes each": Column("minutes", form="{:.1f}"),
            "setting": WHERE["setting"], **MACHINE,
        })  # fmt: skip
        case, learner = group["case"].iloc[0], group["learner"].iloc[0]
        case = case if learner == FAMILIES[0] else f"{case}, by {learner}"
        line = {"case": case, "bound": bound, "reached": reached}
        parts.append(Frame([line | {"met": cell(enough), **facts.iloc[0]}]))
    return pd.concat(parts)


def _few(rows: Frame) -> tuple[str, str, str]:
    """No bound; accuracy of every arm in the median, and the gain of samples with its interval."""
    arms = ["classic", *FEW_ARMS]
    subsets = rows.reindex(columns=["seed", *arms]).groupby("seed", sort=False).mean()
    medians = ", ".join(f"{name} {cell(subsets[name].median())}" for name in subsets)
    alone = _interval(subsets["synthetic"] - subsets["classic"])
    beside = _interval(subsets["adopted+synthetic"] - subsets["adopted"])
    return "none", f"{medians}; samples {alone}, beside adopted images {beside}", ""


def _rare(rows: Frame) -> tuple[str, str, bool]:
    """The bound of rare classes, the gains with intervals over subsets, whether it is met."""
    subsets = rows.groupby("seed", sort=False)  # generators of one subset are no independent proof
    rare, others = (subsets[name].mean() for name in ("rare_gain", "others_gain"))
    before, after = (cell(rows[f"rare_{arm}"].median()) for arm in ("oversampling", "synthetic"))
    stopped = rows["stopped"].notna().sum() if "stopped" in rows else 0
    refused = f"; in {stopped} synth stopped, and nothing is added" if stopped else ""
    return (
        f"recall of the rare classes {RARE_GAIN:+.1%} over oversampling, of the others "
        f"{OTHERS_GAIN:+.1%}",
        f"{_interval(rare)} ({before} to {after} in the median), others {_interval(others)}"
        f"{refused}",
        bool(rare.mean() >= RARE_GAIN and others.mean() >= OTHERS_GAIN),
    )


def _interval(gains: pd.Series[float]) -> str:
    low, high = statistics.interval(gains.to_numpy())
    return f"{gains.mean():+.1%} [{low:+.1%}, {high:+.1%}]"


def _only(rows: Frame) -> tuple[str, str, bool]:
    reached, real = rows["synthetic_only"].median(), rows["real"].median()
    words = f"{cell(reached)}, real alone at as many steps {cell(real)}"
    return f"accuracy {ONLY:.1%}", words, bool(reached >= ONLY)


def _verdicts(rows: Frame) -> tuple[str, str, bool]:
    """The bound of verdicts, the counts of right and wrong ones, and whether it is met."""
    correct, worst = rows["right"].sum(), rows["written_gain"].min()
    harmed = (rows["shuffled"] == "harms").sum()
    counts = rows["verdict"].value_counts().sort_index()
    words = ", ".join(f"{word} {count}" for word, count in counts.items())
    return (
        f"verdict right in {RIGHT:.0%}, what is written never below {WRITTEN:+.1%}, "
        "shuffled labels harm in all",
        f"right in {correct} of {len(rows)} ({words}), written {worst:+.2%} at worst, "
        f"shuffled harm in {harmed}",
        bool(correct >= RIGHT * len(rows) and worst >= WRITTEN and harmed == len(rows)),
    )


BOUNDS = {  # bound, value reached, whether it is met; by a key that only rows of the case have
    "rare_gain": _rare,
    "synthetic_only": _only,
    "verdict": _verdicts,
    "labels": _few,
}
TABLES = (generated,)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    quick = {
        "seeds": [0], "generators": [0], "probability": 0.0, "kept": 2, "samples": 20,
        "classify": 2, "classifiers": 1, "longer": 1, "budget": 2, "few": 2,
    }  # fmt: skip
    options = runs.parse(
        __doc__, argv, quick, seeds=[*SUBSETS], generators=[*GENERATORS], cases=list(CASES),
        network="own", width=32, steps=2000, probability=0.9, candidates=100.0, kept=100,
        samples=50_000, classify=1000, classifiers=2, longer=10, budget=0, few=FEW_SAMPLES,
        learners=[*FAMILIES],
    )  # fmt: skip
    keys = runs.grid(case=options.cases, seed=options.seeds, generator=options.generators)
    full_form = runs.grid(options.full, case=CASES, seed=SUBSETS, generator=GENERATORS)
    key = ("case", "seed", "generator", "learner")
    runs.collect("generated", options, keys, measure_case, full_form, key)


if __name__ == "__main__":
    main()
