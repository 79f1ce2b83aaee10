"""Faults planted in known sets, and clean at work on them: ``python -m benchmarks.cleaning``.

Four parts. ``faults`` counts the planted faults that are found, the clean images that are lost and
the repaired ones that a judge reads right. ``unlabelled`` counts near duplicates where few images
have a label, for each class by itself. ``worth`` trains a classifier and a generator on dirty,
cleaned and never dirty images. ``speed`` times image checks beside other tools on the same files,
and near-duplicate search, and measures memory. The full form of the glyphs is 100 characters × 100
scans. ``--keep`` names a folder for the planted sets with planted.csv, ``--picture`` a PNG of
planted images beside the kept ones, drawn where faults are measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from augment.data import images
from benchmarks import runs
from benchmarks.cleaning import judging, sets, speed, unlabelled, worth
from benchmarks.cleaning.planting import plant
from benchmarks.results import Row

PARTS = ("faults", "unlabelled", "worth", "speed")
DIGITS = ("mnist", "digits")  # the sets of the part unlabelled
SEEDS = range(3)
RECIPE = "infogan"  # of the generator; --recipe '' trains none
FULL = {"mnist": "mnist", "digits": "digits", "glyphs": "glyphs 100 × 100"}  # --sets: rows' set


def faults(collection: sets.Collection, seed: int, options: argparse.Namespace) -> list[Row]:
    """A row for each fault."""
    planted = plant(collection, seed)
    with judging.place(options.keep, f"{collection.name}-{seed}") as root:
        sheet = judging.clean(planted, root)
        if options.picture and seed == options.seeds[0]:
            Path(options.picture).write_bytes(images.encode(judging.picture(planted, sheet, root)))
        judge = judging.Judge(planted, options.side, options.judge, options.device)
        return judging.rows(planted, sheet, root, judge)


def measure(
    part: str, set: str, seed: int, options: argparse.Namespace, what: str = ""
) -> list[Row]:
    """The rows of a part and a set; those of ``worth`` come together, whatever ``what`` says."""
    if part == "speed":
        return speed.rows(options)
    collection = sets.load(set.split()[0], options.characters, options.scans, options.limit)
    rows = {"faults": faults, "unlabelled": unlabelled.rows, "worth": worth.rows}
    return rows[part](collection, seed, options)


def keys(
    parts: Sequence[str], names: Sequence[str], seeds: Sequence[int], *whats: str
) -> list[Row]:
    """The rows of ``parts``; ``whats`` are trained for ``worth``."""
    of_part = {
        "faults": runs.grid(part=["faults"], set=names, seed=seeds),
        "unlabelled": runs.grid(
            part=["unlabelled"], set=[name for name in names if name in DIGITS], seed=seeds
        ),
        "worth": runs.grid(part=["worth"], set=names, what=whats, seed=seeds),
        "speed": [{"part": "speed", "set": "", "seed": 0}] if seeds else [],
    }
    return [row for part in parts for row in of_part[part]]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    small = {
        "characters": 12,
        "scans": 20,
        "limit": 400,
        "images": 60,
        "vectors": 2000,
        "grown": 50,
    }
    options = runs.parse(
        __doc__, argv, {"seeds": [0], "recipe": "cgan", **small},
        seeds=[*SEEDS], sets=list(FULL), parts=list(PARTS), steps=1000, width=16, recipe=RECIPE,
        side=32, characters=100, scans=100, limit=10**6, images=2000, vectors=100_000, grown=1250,
        keep="", picture="",
    )  # fmt: skip
    names = {name: name for name in FULL}
    names["glyphs"] = f"glyphs {options.characters} × {options.scans}"
    whats = options.recipe or "classifier"
    todo = keys(options.parts, [names[name] for name in options.sets], options.seeds, whats)
    full_form = keys(PARTS, [*FULL.values()], SEEDS, "classifier", RECIPE)
    key = ("part", "set", "what", "seed")
    runs.collect("cleaning", options, todo, measure, full_form, key)


if __name__ == "__main__":
    main()
