"""Every recipe on the same digits, for the same steps: ``python -m benchmarks.families``.

KID and coverage are those of as many samples as there are held-out digits; label accuracy is an
independent judge's, of unfiltered samples. Seconds are those of training alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from augment.train.recipes import RECIPES
from benchmarks import mnist, runs
from benchmarks.summaries import DEFAULT, RIGHT_DEFAULT

CHECKS = 15  # looks at the label accuracy during a run


def measure(recipe: str, seed: int, asked: argparse.Namespace, judge: mnist.Judge) -> runs.Row:
    """A row of the table."""
    train, held = mnist.digits()
    one = runs.Training(runs.settings(recipe, asked, seed), train, asked.device)
    start = judge.fidelity(one.samples(len(held))[0])
    accuracy = seconds_right = None
    for until in sorted({-(-asked.steps * check // CHECKS) for check in range(1, CHECKS + 1)}):
        one.run(until)
        if one.model.matched:
            accuracy = judge.accuracy(*one.samples(len(held)))
            if seconds_right is None and accuracy >= RIGHT_DEFAULT:
                seconds_right = one.seconds
    parts = (one.model.generator, one.model.discriminator)
    return {
        "recipe": recipe,
        "seed": seed,
        "matched": one.model.matched,
        "kid_start": start["kid"],
        **judge.fidelity(one.samples(len(held))[0]),
        "label_accuracy": accuracy,
        "seconds": one.seconds,
        "seconds_right": seconds_right,
        "weights": [sum(weight.numel() for weight in part.parameters()) for part in parts],
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    made = runs.parser(__doc__, seeds=[0], steps=1500, width=32, recipes=list(RECIPES))
    made.add_argument("--recipes", type=runs.names, help="a,b; default: all")
    asked = runs.ask(made, argv)
    rows, facts = [], None
    if asked.recipes and asked.seeds:
        judge = mnist.Judge(asked.judge, asked.device)
        facts = {"steps": asked.judge, **judge.floor()}
        for seed in asked.seeds:
            for recipe in asked.recipes:
                rows.append(runs.signed(measure(recipe, seed, asked, judge), asked))
    wanted = [{"recipe": name, "seed": 0, **runs.full(made)} for name in RECIPES]
    wanted.append({"recipe": DEFAULT, "device": "cuda"})
    runs.finish("families", asked, rows, wanted, ("recipe", "seed"), judge=facts)


if __name__ == "__main__":
    main()
