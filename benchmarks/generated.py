"""Does a classifier get better by generated images? ``python -m benchmarks.generated --quick``.

Each row has a subset of the real images and a generator that has seen nothing else.

``rare``: two of MNIST's classes are cut to 10 images, the others have 400. Training batches are
balanced by class, ``match: largest`` fills the rare classes; recall with half of those samples, the
rest filled by repeated real images, beside that of oversampling alone.
``synthetic only``: a classifier of 50,000 samples beside one of the 4,000 digits that the generator
learned from, for equal steps; each subset holds out another 1,000.

``20`` and ``50 per class``, and nothing else: what the score stage says by its own budget, of valid
and test images as few as a user has, beside a longer measurement: other test images, other and
more classifier seeds. The verdict is right if that says the same of the chosen dose; ``no
difference`` also if the gain measured there lies in its interval; and no dose if none helps there.
What ``write`` would then write is measured as long. All samples under one another's labels must
harm.
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

from augment.data.arrays import Arrays, join
from augment.data.reports import UpliftReport
from augment.readers import builtin
from augment.runtime import seeding
from augment.score.settings import ScoreSettings
from augment.score.uplift.answers import fitted_answers
from augment.score.uplift.arms import Outcome, Study, Training
from augment.score.uplift.learners import Terms
from augment.score.uplift.protocol import Plan, measure
from augment.synth.candidates import Draw
from augment.synth.quotas import Order, quotas
from augment.synth.settings import SynthSettings
from augment.write import dose
from benchmarks import mnist, runs
from benchmarks.supply import Supply

SUBSETS, GENERATORS = range(5), range(2)
RARE, FEWEST = 2, 10  # classes that are cut, and to how many images
VALID, TEST = 0.25, 0.5  # images for each train image that a user chooses and tests by
HELD = 100  # of each class, for the longer measurement
LATER = 100  # first classifier seed of the longer measurement

Case = Callable[[argparse.Namespace, int, int, Path], runs.Row]


def rare(asked: argparse.Namespace, subset: int, generator: int, cache: Path) -> runs.Row:
    """A row about two classes of which there are few images."""
    whole, held = mnist.digits()
    few = seeding.rng(subset, "rare").permutation(len(whole.classes))[:RARE]
    counts = np.full(len(whole.classes), len(whole))
    counts[few] = FEWEST
    (train,) = parts(whole, [counts], subset)
    supply = _supply(train, asked, subset, generator, balance="classes")
    orders = quotas(SynthSettings(match="largest", per_class=None), train)
    half = max(order.count for order in orders) / FEWEST / 2
    study = _study(train, held, _samples(supply, orders, asked), _terms(asked), cache)
    arms = ("oversampling", "oversampling+synthetic")
    plan = Plan(arms, (half,), range(asked.classifiers), ("elastic",))
    recalls = {
        title.partition("@")[0].rpartition("+")[2]: np.array([*arm.per_class.values()])
        for title, arm in measure(study, plan).arms.items()
    }
    sides = {"rare": few, "others": np.setdiff1d(np.arange(len(counts)), few)}
    found = {
        f"{side}_{arm}": float(recall[labels].mean())
        for side, labels in sides.items()
        for arm, recall in recalls.items()
    }
    gains = {
        f"{side}_gain": found[f"{side}_synthetic"] - found[f"{side}_oversampling"] for side in sides
    }
    return {**found, **gains}


def synthetic_only(asked: argparse.Namespace, subset: int, generator: int, cache: Path) -> runs.Row:
    """A row about a classifier that has seen no real image."""
    train, held = mnist.digits(subset)
    supply = _supply(train, asked, subset, generator)
    orders = [Order(name, asked.samples // len(train.classes)) for name in train.classes]
    study = _study(train, held, _samples(supply, orders, asked), _terms(asked), cache)
    plan = Plan(("synthetic_only",), (1.0,), range(asked.classifiers), ("elastic",))
    arms = measure(study, plan).as_dict()["arms"]
    only = arms["synthetic_only"]
    return {
        "synthetic_only": only["mean"],
        "real": arms["classic"]["mean"],
        **{name: only[name] for name in ("gain", "low", "high")},
    }


def verdict(
    source: Callable[[], Arrays], count: int,
    asked: argparse.Namespace, subset: int, generator: int, cache: Path,
) -> runs.Row:  # fmt: skip
    """A row about ``count`` labelled images of each class of ``source`` and no others."""
    whole = source()
    kinds = np.ones(len(whole.classes), np.int64)
    sizes = (count, round(VALID * count), round(TEST * count), HELD)
    train, valid, test, held = parts(whole, [size * kinds for size in sizes], subset)
    supply = _supply(train, asked, subset, generator)
    synthetic = _samples(supply, [Order(name, asked.kept) for name in train.classes], asked)
    settings = ScoreSettings()
    budget = settings.uplift
    terms = Terms(
        len(kinds), asked.budget or math.ceil(settings.steps / 3), settings.batch,
        settings.judge, "glyph", asked.device,
    )  # fmt: skip
    plan = Plan((*budget.arms, "shuffled"), budget.doses, range(budget.seeds), budget.policies)
    report = measure(_study(train, test, synthetic, terms, cache, valid), plan)
    said = report.as_dict()
    later = range(LATER, LATER + asked.longer)
    longer = Plan(("synthetic",), budget.doses, later, budget.policies)
    arms = measure(_study(train, held, synthetic, terms, cache), longer).as_dict()["arms"]
    written = _written(train, synthetic, report)
    gain = 0.0
    if len(written):
        longest = Plan(("synthetic",), (float(asked.kept),), later, budget.policies)
        found = measure(_study(train, held, written, terms, cache), longest).as_dict()["arms"]
        gain = found[f"synthetic@{asked.kept}"]["gain"]
    chosen = arms.get(f"synthetic@{said['dose']:g}", {})
    return {
        **{name: said[name] for name in ("verdict", "dose", "low", "high")},
        "classic": arms["classic"]["mean"],
        "longer": {title: [arm.get("gain"), arm.get("verdict")] for title, arm in arms.items()},
        "right": right(said, chosen, [arm.get("verdict") for arm in arms.values()]),
        "written": len(written),
        "written_gain": gain,
        "shuffled": said["controls"]["shuffled"]["verdict"],
    }


def right(said: Mapping[str, Any], chosen: Mapping[str, Any], longer: Sequence[str | None]) -> bool:
    """Whether a verdict is what a longer measurement of the ``chosen`` dose says, or of all doses.

    ``longer`` holds that one's verdicts of every dose.
    """
    if not said["dose"]:
        return "helps" not in longer
    if said["verdict"] == chosen["verdict"]:
        return True
    within = said["low"] <= chosen["gain"] <= said["high"]
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


def digits() -> Arrays:
    """scikit-learn's handwritten digits."""
    pixels, labels = builtin.digits()
    return Arrays(pixels[:, None], labels, [*map(str, range(len(labels)))], [*map(str, range(10))])


def _mnist() -> Arrays:
    return join(*mnist.digits())


def _supply(
    train: Arrays, asked: argparse.Namespace, subset: int, generator: int, **given: Any
) -> Supply:
    return Supply(train, asked, seeding.derive(subset, generator), **given)


def _samples(supply: Supply, orders: Sequence[Order], asked: argparse.Namespace) -> Arrays:
    how = Draw(max_candidates=asked.candidates)
    return supply.draw(orders, how, filtered=asked.probability > 0)


def _terms(asked: argparse.Namespace) -> Terms:
    return Terms(10, asked.classify, 64, "cnn", "glyph", asked.device)


def _study(
    train: Arrays, test: Arrays, synthetic: Arrays, terms: Terms, cache: Path,
    valid: Arrays | None = None,
) -> Study:  # fmt: skip
    """The images with a learner; what it answered before is in ``cache``."""
    nothing = train.take(np.zeros(0, np.int64))
    valid = nothing if valid is None else valid
    shown = np.concatenate([valid.pixels, test.pixels])

    def trained(training: Training, seed: int, title: str) -> Outcome:
        answers = fitted_answers(cache, "judge", terms, training, seed, shown, title)
        return Outcome(*np.split(answers, [len(valid), len(shown)]))

    return Study(train, valid, test, synthetic, nothing, nothing.pixels, trained)


def _written(train: Arrays, synthetic: Arrays, uplift: UpliftReport) -> Arrays:
    """The synthetic images that ``write`` would write after such a verdict."""
    names = np.array(train.classes)
    frame = pd.DataFrame({"label": names[synthetic.labels], "index": range(len(synthetic))})
    chosen = dose.doses("auto", train.classes, uplift)
    mask = dose.taken(frame, pd.Series(names[train.labels]), chosen)
    return synthetic.take(np.flatnonzero(mask))


CASES: dict[str, Case] = {
    "rare": rare,
    "synthetic only": synthetic_only,
    **{
        f"{count} per class: {name}": partial(verdict, source, count)
        for name, source in (("digits", digits), ("MNIST", _mnist))
        for count in (20, 50)
    },
}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    made = runs.parser(
        __doc__, seeds=[*SUBSETS], generators=[*GENERATORS], cases=list(CASES), network="paper",
        width=16, steps=1500, probability=0.9, candidates=100.0, kept=100, samples=50_000,
        classify=1000, classifiers=2, longer=10, budget=0,
    )  # fmt: skip
    made.add_argument("--cases", type=runs.names, help=f"of {', '.join(CASES)}; default: all")
    made.add_argument("--generators", type=runs.numbers, help="seeds of each subset")
    made.add_argument("--probability", type=float, help="of the wanted label; 0: unfiltered")
    made.add_argument("--candidates", type=float, help="for each accepted one, at most")
    made.add_argument("--kept", type=int, help="samples of each class, where a verdict is asked")
    made.add_argument("--samples", type=int, help="samples in all, where there is nothing else")
    made.add_argument("--classify", type=int, help="steps of a classifier without a verdict")
    made.add_argument("--classifiers", type=int, help="seeds of such a classifier")
    made.add_argument("--longer", type=int, help="classifier seeds of the longer measurement")
    made.add_argument("--budget", type=int, help="steps of a verdict; 0: those of score")
    made.add_argument("--again", action="store_true", help="measure stored rows anew")
    asked = runs.ask(
        made, argv, seeds=[0], generators=[0], probability=0.0, kept=2,
        samples=20, classify=2, classifiers=1, longer=1, budget=2,
    )  # fmt: skip

    def measured(key: runs.Row) -> runs.Row:
        start = time.perf_counter()
        with TemporaryDirectory() as folder:
            row = CASES[key["case"]](asked, key["seed"], key["generator"], Path(folder))
        minutes = (time.perf_counter() - start) / 60
        seeds = asked.longer if "verdict" in row else asked.classifiers
        return {**row, "classifiers": seeds, "minutes": minutes}

    def keys(cases: Sequence[str], seeds: Sequence[int], ones: Sequence[int]) -> list[runs.Row]:
        return [
            {"case": case, "seed": seed, "generator": one}
            for case in cases
            for seed in seeds
            for one in ones
        ]

    wanted = [{**key, **runs.full(made)} for key in keys([*CASES], SUBSETS, GENERATORS)]
    todo = keys(asked.cases, asked.seeds, asked.generators)
    runs.resume("generated", asked, todo, measured, wanted, ("case", "seed", "generator"))


if __name__ == "__main__":
    main()
