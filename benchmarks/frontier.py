"""What a recipe reaches in so many seconds of training: ``python -m benchmarks.frontier``.

Unfiltered samples after equal wall time, by the judge of ``benchmarks.families`` or one like it of
``benchmarks.photographs``. *Taught* is a classifier of 8,000 samples, asked about the held-out
images. ``--changes`` holds settings of the
group ``train`` as JSON, which go over the recipe's. ``--pace`` takes the seconds of a step from a
row that was measured on the machine at rest, where other work shares it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import numpy as np
import torch

from augment.data.arrays import Arrays
from augment.runtime import seeding
from augment.score.scores import diversity, memorisation
from augment.score.scores.base import Measured
from augment.train.pace import TIMED, seconds_a_step
from augment.train.settings import TrainSettings
from benchmarks import mnist, photographs, runs, scans
from benchmarks.results import Row
from benchmarks.tables import MACHINE, SEEDS, Column, Frame, by_recipe, first, met, summary
from benchmarks.training import DEFAULT, WITHIN, Training

SETS = {
    "digits": mnist.digits,
    "photographs": photographs.patches,
    "calligraphy": scans.calligraphy,
    "large calligraphy": scans.large_calligraphy,
    "words": scans.words,
    "many": scans.many,
}
BUDGETS = (60, 240, 900)  # seconds of training
COUNTS = (10, 40, 100, 400)  # images a class
MANY, FEW = 400, 20  # images a class, of the bounds
TAUGHT = (8000, 800)  # samples that teach a classifier, and its steps
SAMPLES = 2000  # whose label, spread and likeness to train images are measured
LEAST = {  # label accuracy, coverage, taught of the default: images a class and seconds
    (MANY, 60): (0.99, 0.85, 0.955),
    (MANY, 240): (0.99, 0.93, 0.975),
    (FEW, 60): (0.97, 0.6, 0.0),
}
MOST_KID = {(MANY, 60): 0.01, (MANY, 240): -0.01}  # 240 s: as far as real train digits lie


def few(count: int, seed: int, images: str = "digits") -> Arrays:
    """``count`` train images of each class, picked by ``seed``."""
    train, _ = SETS[images]()
    places = [
        seeding.rng(seed, "frontier", label).permutation(np.flatnonzero(train.labels == label))
        for label in range(len(train.classes))
    ]
    return train.take(np.sort(np.concatenate([of_class[:count] for of_class in places])))


def trained(
    settings: TrainSettings, data: Arrays, seconds: float, device: torch.device, pace: float
) -> Training:
    """A run of about ``seconds``, the length of which a few steps before it decide.

    A ``pace`` above 0 are the seconds of a step on the machine at rest, and decides instead.
    """
    if not pace:
        trial = Training(settings.model_copy(update={"steps": 2 * TIMED}), data, device)
        pace = seconds_a_step(trial.engine, trial.feed)
    steps = max(1, round(seconds / pace))
    run = Training(settings.model_copy(update={"steps": steps}), data, device)
    run.run(steps)
    return run


def samples(run: Training, count: int, classes: list[str]) -> Arrays:
    """Unfiltered samples, as many of each class."""
    pixels, labels = run.samples(count)
    return Arrays(pixels, labels.astype(np.int64), [*map(str, range(count))], classes)


def measure(
    images: str, recipe: str, changes: str, count: int, budget: int, seed: int,
    options: argparse.Namespace,
) -> Row:  # fmt: skip
    """A row of the table."""
    _, held = SETS[images]()
    judge = judge_of(images, options)
    data, profile = few(count, seed, images), "natural" if images == "photographs" else "glyph"
    settings = TrainSettings(recipe=recipe, seed=seed, profile=profile, **json.loads(changes))
    run = trained(settings, data, budget * options.speed, options.device, options.pace)
    made = samples(run, options.samples, data.classes)
    measured = Measured(
        data.classes, judge.side(data), judge.side(held), judge.side(made), lambda: {}
    )
    copies = memorisation.memorisation(measured)
    taught = mnist.classifier(
        samples(run, options.taught, data.classes), "cnn", options.teaching, options.device
    )
    return {
        "trained": run.step,
        "pace": options.pace,
        "seconds": run.seconds,
        **judge.fidelity(run.samples(len(held))[0]),
        "label_accuracy": judge.accuracy(made.pixels, made.labels),
        "diversity": diversity.diversity(measured)["diversity"],
        "near_copies": copies["near_copy_fraction"],
        "near_copies_floor": copies["floor"]["near_copy_fraction"],
        "taught": mnist.accuracy(taught, held),
    }


def judge_of(images: str, options: argparse.Namespace) -> mnist.Judge:
    """The judge of a set."""
    return mnist.judge(options.judge, options.device, SETS[images])


def frontier(rows: Frame) -> Frame:
    """A line for each recipe, set and budget: medians over the seeds."""

    def bounded(t: Frame) -> Frame:
        keys = [*zip(t["images a class"], t["budget, s"], strict=True)]
        told = [key in LEAST for key in keys]
        default = (t["recipe"] == DEFAULT) & (t["changes"] == "") & (t["images"] == "digits")
        return default & np.array(told)

    def enough(t: Frame) -> list[bool]:
        keys = [*zip(t["images a class"], t["budget, s"], strict=True)]
        values = t[["label accuracy", "coverage", "taught", "KID", "near copies", "floor"]]
        return [
            key in LEAST
            and all(np.greater_equal(line[:3], LEAST[key]))
            and line[3] <= MOST_KID.get(key, np.inf)
            and (key[0] != FEW or line[4] <= line[5])
            for key, line in zip(keys, values.itertuples(index=False), strict=True)
        ]

    shown = rows.assign(changed=rows["changes"].replace("{}", ""))
    keys = ["images", "count", "budget", "recipe"]
    return summary(by_recipe(shown, *keys), [*keys, "changes"], {
        "images": first("images"), "recipe": first("recipe"), "changes": first("changed"),
        "images a class": first("count"), "budget, s": first("budget"),
        "steps": Column("trained", form="{:.0f}"), "KID": Column("kid", form="{:.4f}"),
        "coverage": Column("coverage", form="{:.3f}"),
        "label accuracy": Column("label_accuracy", form="{:.3f}"),
        "diversity": Column("diversity", form="{:.2f}"),
        "near copies": Column("near_copies", form="{:.3f}"),
        "floor": Column("near_copies_floor", form="{:.3f}"),
        "taught": Column("taught", form="{:.3f}"), "met": met(enough, bounded), **SEEDS, **MACHINE,
    })  # fmt: skip


TABLES = (frontier,)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    quick = {"counts": [2], "budgets": [60], "speed": 0.001, "samples": 20,
             "taught": 20, "teaching": 2}  # fmt: skip
    options = runs.parse(
        __doc__, argv, quick, images=["digits"], recipes=[DEFAULT], changes="{}", counts=[MANY],
        budgets=[60], speed=1.0, pace=0.0, samples=SAMPLES, taught=TAUGHT[0], teaching=TAUGHT[1],
        width=0, steps=0,
    )  # fmt: skip
    axes = {"images": options.images, "recipe": options.recipes, "changes": [options.changes],
            "count": options.counts}  # fmt: skip
    keys = runs.grid(**axes, budget=options.budgets, seed=options.seeds)
    whole = {**options.full, "images": "digits"}
    full_form = [
        *runs.grid(whole, recipe=[DEFAULT], count=[MANY, FEW], budget=[60, 240], seed=range(3)),
        *runs.grid(whole, recipe=WITHIN, count=COUNTS, budget=BUDGETS, seed=[0]),
        *runs.grid(
            {**whole, "images": "photographs"},
            recipe=[DEFAULT],
            count=[100, MANY],
            budget=[60, 240],
            seed=[0],
        ),
    ]
    key = ("images", "recipe", "changes", "count", "budget", "seed")
    runs.collect("frontier", options, keys, measure, full_form, key, mnist.judge_facts)


if __name__ == "__main__":
    main()
