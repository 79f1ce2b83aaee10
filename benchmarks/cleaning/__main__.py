"""Faults planted in known sets, and what clean does about them: ``python -m benchmarks.cleaning``.

Three parts. ``faults``: how many of each planted fault are found, how many clean images are lost,
how many repaired ones a judge reads right. ``worth``: a classifier and a generator trained on
dirty, cleaned and never dirty images. ``speed``: image checks beside other tools on the same files,
near-duplicate search, memory. The full form of the glyphs is 100 characters × 100 scans.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from augment.data import images
from benchmarks import runs
from benchmarks.cleaning import judging, sets, speed, worth
from benchmarks.cleaning.planting import plant

PARTS = ("faults", "worth", "speed")
SEEDS = range(3)
FULL = {"mnist": "mnist", "digits": "digits", "glyphs": "glyphs 100 × 100"}  # --sets: rows' set


def faults(collection: sets.Collection, seed: int, asked: argparse.Namespace) -> list[runs.Row]:
    """A row for each fault."""
    planted = plant(collection, seed)
    with judging.place(asked.keep, f"{collection.name}-{seed}") as root:
        sheet = judging.clean(planted, root)
        if asked.picture and seed == asked.seeds[0]:
            asked.picture.write_bytes(images.encode(judging.picture(planted, sheet, root)))
        judge = judging.Judge(planted, asked.side, asked.judge, asked.device)
        return judging.rows(planted, sheet, root, judge)


def wanted(recipe: str) -> list[dict[str, Any]]:
    """The rows of the full form that the tables have to have."""
    parts = [{"part": "faults"}, *({"part": "worth", "what": w} for w in ("classifier", recipe))]
    made = [
        {"seed": seed, **part, "set": name}
        for name in FULL.values()
        for part in parts
        for seed in SEEDS
    ]
    return [*made, {"part": "speed"}]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, store."""
    made = runs.parser(
        __doc__, seeds=[*SEEDS], sets=list(FULL), parts=list(PARTS), steps=1000, width=16,
        recipe="infogan", side=32, characters=100, scans=100, images=2000, vectors=100_000,
        grown=1250,
    )  # fmt: skip
    made.add_argument("--sets", type=runs.names, help=f"of {', '.join(FULL)}; default: all")
    made.add_argument("--parts", type=runs.names, help=f"of {', '.join(PARTS)}; default: all")
    made.add_argument("--characters", type=int, help="of the glyphs")
    made.add_argument("--scans", type=int, help="of each character")
    made.add_argument("--limit", type=int, help="images of each set, at most")
    made.add_argument("--side", type=int, help="pixels that judge, classifier and generator see")
    made.add_argument("--recipe", help="of the generator")
    made.add_argument("--no-generator", dest="generator", action="store_false")
    made.add_argument("--keep", type=Path, help="folder for the planted sets, with planted.csv")
    made.add_argument("--picture", type=Path, help="PNG of what was planted beside what is kept")
    made.add_argument("--images", type=int, help="files of the speed part")
    made.add_argument("--vectors", type=int, help="that near duplicates are sought among")
    made.add_argument("--grown", type=int, help="digits that memory is measured with, and fourfold")
    small = {"characters": 12, "scans": 20, "limit": 400, "images": 60, "vectors": 2000}
    asked = runs.ask(made, argv, seeds=[0], recipe="cgan", grown=50, **small)
    found: list[runs.Row] = []
    for name in asked.sets if {"faults", "worth"} & {*asked.parts} else ():
        collection = sets.load(name, asked.characters, asked.scans, asked.limit)
        for part, measure in (("faults", faults), ("worth", worth.rows)):
            for seed in asked.seeds if part in asked.parts else ():
                rows = measure(collection, seed, asked)
                found += [{"part": part, "set": collection.name, "seed": seed, **r} for r in rows]
    if "speed" in asked.parts and asked.seeds:
        found += [{"part": "speed", "seed": 0, **row} for row in speed.rows(asked)]
    signed = [runs.signed(row, asked) for row in found]
    runs.finish(
        "cleaning", asked, signed, wanted(made.get_default("recipe")),
        ("part", "set", "what", "seed"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
