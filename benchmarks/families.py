"""Every recipe on the same digits, for the same steps: ``python -m benchmarks.families``.

KID and coverage are those of as many samples as there are held-out digits; label accuracy is an
independent judge's, of unfiltered samples. Seconds are those of training alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from benchmarks import mnist, runs
from benchmarks.results import Row
from benchmarks.tables import WHERE, Column, Frame, by_recipe, first, met, summary
from benchmarks.training import DEFAULT, WITHIN, Training, settings

CHECKS = 15  # looks at the label accuracy during a run
BETTER_KID = 10.0  # times, than at step 0
RIGHT, RIGHT_DEFAULT = 0.95, 0.99  # label accuracy of a conditional recipe, and of the default
RIGHT_SECONDS = 60.0  # until the default has that, on a GPU


def measure(recipe: str, seed: int, options: argparse.Namespace) -> Row:
    """A row of the table."""
    train, held = mnist.digits()
    judge = mnist.judge(options.judge, options.device)
    training = Training(settings(recipe, options, seed), train, options.device)
    start = judge.fidelity(training.samples(len(held))[0])
    accuracy = seconds_right = None
    for until in sorted({-(-options.steps * check // CHECKS) for check in range(1, CHECKS + 1)}):
        training.run(until)
        if training.model.matched:
            accuracy = judge.accuracy(*training.samples(len(held)))
            if seconds_right is None and accuracy >= RIGHT_DEFAULT:
                seconds_right = training.seconds
    return {
        "kid_start": start["kid"],
        **judge.fidelity(training.samples(len(held))[0]),
        "label_accuracy": accuracy,
        "seconds": training.seconds,
        "seconds_right": seconds_right,
    }


def families(rows: Frame) -> Frame:
    """A line for each recipe: medians over the seeds."""

    def enough(t: Frame) -> Frame:
        default, accuracy = t["recipe"] == DEFAULT, t["label accuracy"]
        right = accuracy.isna() | (accuracy >= np.where(default, RIGHT_DEFAULT, RIGHT))
        late = default & (t["device"] == "cuda") & ~(t["to 99 %"] <= RIGHT_SECONDS)
        return (t["times better"] >= BETTER_KID) & right & ~late

    times = rows["kid_start"] / rows["kid"].clip(lower=0)  # infinite where no distance is left
    return summary(by_recipe(rows.assign(times=times), "recipe"), ["recipe"], {
        "recipe": first("recipe"), "device": first("device", ""),
        "KID at step 0": Column("kid_start"), "KID": Column("kid"),
        "times better": Column("times", form="{:.0f}"), "coverage": Column("coverage"),
        "label accuracy": Column("label_accuracy"), "seconds": Column("seconds", form="{:.0f}"),
        "to 99 %": Column("seconds_right", form="{:.0f}"), "met": met(enough), **WHERE,
    })  # fmt: skip


TABLES = (families,)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    options = runs.parse(__doc__, argv, {}, steps=1500, width=32, recipes=WITHIN)
    keys = runs.grid(recipe=options.recipes, seed=options.seeds)
    full_form = runs.grid(options.full, recipe=WITHIN, seed=[0])
    full_form.append({"recipe": DEFAULT, "device": "cuda"})
    key = ("recipe", "seed")
    runs.collect("families", options, keys, measure, full_form, key, mnist.judge_facts)


if __name__ == "__main__":
    main()
