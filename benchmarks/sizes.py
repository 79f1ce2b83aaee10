"""Sets of the sizes that people have: ``python -m benchmarks.sizes``.

Recipes learn brushed characters, words, photographs and many classes for so many seconds, and a
judge that learned the set's train images reads their unfiltered samples; see
``benchmarks.frontier``, whose numbers these are. ``--pace`` takes the seconds of a step from the
machine at rest, where other work shares it.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Sequence

from benchmarks import frontier, runs
from benchmarks.results import Row
from benchmarks.tables import MACHINE, SEEDS, Column, Frame, by_recipe, first, met, summary
from benchmarks.training import DEFAULT

MINUTES = 20  # of training, within which characters must be right
RIGHT = 0.9  # label accuracy of the characters, at least
CASES = {  # images a class, and seconds of training, of the full form
    "calligraphy": ([10, 100], [240, 60 * MINUTES]),
    "large calligraphy": ([20], [240]),
    "words": ([100], [240]),
    "photographs": ([400], [240]),
    "many": ([20], [240]),
}


def measure(
    images: str, recipe: str, changes: str, count: int, budget: int, seed: int,
    options: argparse.Namespace,
) -> Row:  # fmt: skip
    """A row of the table: the frontier's, the judge's reading of real images, and memory."""
    row = frontier.measure(images, recipe, changes, count, budget, seed, options)
    train, held = frontier.SETS[images]()
    return {
        **row,
        "size": "{2} × {1}".format(*train.shape),
        "classes": len(train.classes),
        "read": frontier.judge_of(images, options).accuracy(held.pixels, held.labels),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def sizes(rows: Frame) -> Frame:
    """A line for each set, recipe and budget."""

    def bounded(t: Frame) -> Frame:
        return (t["set"] == "calligraphy") & (t["budget, s"] == 60 * MINUTES)

    def enough(t: Frame) -> Frame:
        return t["label accuracy"] >= RIGHT

    keys = ["images", "count", "budget", "recipe"]
    shown = rows.assign(changed=rows["changes"].replace("{}", ""))
    return summary(by_recipe(shown, *keys), [*keys, "changes"], {
        "set": first("images"), "px": first("size"), "classes": first("classes"),
        "images a class": first("count"), "recipe": first("recipe"), "changes": first("changed"),
        "budget, s": first("budget"), "steps": Column("trained", form="{:.0f}"),
        "label accuracy": Column("label_accuracy", form="{:.3f}"),
        "worst seed": Column("label_accuracy", "min", "{:.3f}"),
        "the judge's of real images": Column("read", form="{:.3f}"),
        "KID": Column("kid", form="{:.4f}"), "coverage": Column("coverage", form="{:.3f}"),
        "near copies": Column("near_copies", form="{:.3f}"),
        "floor": Column("near_copies_floor", form="{:.3f}"),
        "taught": Column("taught", form="{:.3f}"),
        "GiB at most": Column("memory", form="{:.1f}"), "met": met(enough, bounded),
        **SEEDS, **MACHINE,
    })  # fmt: skip


TABLES = (sizes,)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    quick = {"images": ["words"], "counts": [2], "budgets": [60], "speed": 0.001, "samples": 20,
             "taught": 20, "teaching": 2}  # fmt: skip
    options = runs.parse(
        __doc__, argv, quick, images=["calligraphy"], recipes=[DEFAULT], changes="{}",
        counts=[100], budgets=[240], speed=1.0, pace=0.0, samples=frontier.SAMPLES,
        taught=frontier.TAUGHT[0], teaching=frontier.TAUGHT[1], width=0, steps=0, judge=1500,
    )  # fmt: skip
    keys = runs.grid(
        images=options.images, recipe=options.recipes, changes=[options.changes],
        count=options.counts, budget=options.budgets, seed=options.seeds,
    )  # fmt: skip
    full_form = [
        row
        for images, (counts, budgets) in CASES.items()
        for row in runs.grid(
            {**options.full, "images": images}, recipe=[DEFAULT], count=counts, budget=budgets,
            seed=range(3),
        )
    ]  # fmt: skip
    key = ("images", "recipe", "changes", "count", "budget", "seed")
    runs.collect("sizes", options, keys, measure, full_form, key)


if __name__ == "__main__":
    main()
