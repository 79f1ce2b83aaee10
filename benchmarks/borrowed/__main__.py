"""What images of elsewhere are worth: ``python -m benchmarks.borrowed --rows letters --seeds 0``.

Without a label: ``small_digits`` and ``large_digits`` are scikit-learn's named by MNIST's, and the
reverse; ``letters`` and ``characters`` are written by hand and brush, and other fonts name them.
``unseen`` are characters that no brush wrote, translated from print, and ``rare_characters`` some
that brushes wrote three times. ``helpers`` are other digits, by whose differences the images of few
are bent. ``seasons`` turns green patches of photographs into dry ones and back; ``--picture`` names
a folder for these.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import runs
from benchmarks.borrowed import bent, named, translated
from benchmarks.results import Row

NAMED = {"network": "own", "width": 32, "steps": 1000, "batch": 64}  # the other domain's network
TAUGHT = {"teach": 600, "classify": 1500}  # steps of those that learn what it says
TRANSLATOR = {"network": "own", "width": 16, "batch": 32}
BENDER = {"network": "own", "width": 16, "steps": 400, "batch": 64}
CASES: dict[str, tuple[Callable[[int, argparse.Namespace], Row], dict[str, Any], dict[str, Any]]]
CASES = {  # function, setting of the generator, and of the classifiers where it is not all others'
    "small_digits": (named.small_digits, NAMED, TAUGHT),
    "large_digits": (named.large_digits, NAMED, TAUGHT),
    "letters": (named.capitals, NAMED, TAUGHT),
    "characters": (named.characters, NAMED, TAUGHT),
    "unseen": (translated.unseen, {**TRANSLATOR, "steps": 600}, {}),
    "rare_characters": (bent.characters, {**BENDER, "steps": 600}, {"classify": 1800}),
    "helpers": (bent.helpers, BENDER, {}),
    "seasons": (translated.seasons, {**TRANSLATOR, "steps": 300}, {}),
}
SEEDS = range(3)


def measure(row: str, seed: int, options: argparse.Namespace, **setting: Any) -> Row:
    """A row of the table, by the ``setting`` of its case."""
    function, _, effort = CASES[row]
    effort = {} if options.quick else effort
    return effort | function(seed, argparse.Namespace(**{**vars(options), **setting, **effort}))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    quick = {
        "rows": ["letters"], "seeds": [0], "steps": 2, "classify": 2, "teach": 2, "classifiers": 1,
        "files": 2, "each": 4,
    }  # fmt: skip
    options = runs.parse(
        __doc__, argv, quick, rows=list(CASES), seeds=[*SEEDS], width=16, steps=1000,
        files=200, each=100, classify=600, classifiers=1, share=0.8, picture="",
    )  # fmt: skip
    keys = [
        {"row": row, "seed": seed} | ({} if options.quick else CASES[row][1])
        for row in options.rows
        for seed in options.seeds
    ]
    full_form = [
        {"row": row, "seed": seed} | setting
        for row, (_, setting, _) in CASES.items()
        for seed in SEEDS
    ]
    runs.collect("borrowed", options, keys, measure, full_form, ("row", "seed"))


if __name__ == "__main__":
    main()
