"""Do the readers hold whatever lies on a disk? ``python -m benchmarks.fuzz``.

hypothesis draws small sources for every reader: folder trees, archives, lists, tables and IDX, with
hostile names, broken images, wrong columns, truncated files, bytes changed at random places, links
and pipes. Each is read and ingested in a sandbox. Nothing but augment's own error may be raised, no
file outside the source read or written, and each file of the source is kept, rejected or ignored.
A row is a reader and a seed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity, given

from augment.readers import READERS
from benchmarks import runs
from benchmarks.fuzz.plans import Plan, plans
from benchmarks.fuzz.trial import Sandbox
from benchmarks.results import Row

SEEDS = range(8)
EXAMPLES = 1600  # of a reader and a seed; 8 seeds and 8 readers are 102,400
SHARED_MEMORY = Path("/dev/shm")  # files there cost no disk


def fuzzed(reader: str, seed: int, examples: int, *, derandomize: bool = False) -> Row:
    """Draw sources for a reader and try them. Raises what must not be."""
    place = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="augment-fuzz-", dir=place) as folder:
        sandbox = Sandbox(Path(folder))

        @hypothesis.settings(
            max_examples=examples, database=None, deadline=None, derandomize=derandomize,
            verbosity=Verbosity.quiet, phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(plans(reader))
        def trial(plan: Plan) -> None:
            sandbox.trial(reader, plan)

        (trial if derandomize else hypothesis.seed(seed)(trial))()
        return dict(sandbox.tally)


def measure(reader: str, seed: int, options: argparse.Namespace) -> Row:
    """A row: how many examples, what became of their files, and how many broke something."""
    start = time.perf_counter()
    counts = {"examples": 0, "stopped": 0, "files": 0, "kept": 0, "rejected": 0, "ignored": 0}
    crashes = 0
    try:
        few = options.examples // 16 if reader == "builtin" else options.examples  # reads no file
        counts |= fuzzed(reader, seed, few)
    except BaseException as error:  # a hang is none of Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        traceback.print_exc()
        crashes = 1
    seconds = time.perf_counter() - start
    return {**counts, "crashes": crashes, "seconds": seconds}


def main(argv: Sequence[str] | None = None) -> None:
    """Fuzz, print, store."""
    options = runs.parse(
        __doc__, argv, {"seeds": [0], "examples": 20},
        seeds=[*SEEDS], readers=READERS.names(), examples=EXAMPLES, steps=0, width=0, batch=0,
    )  # fmt: skip
    todo = runs.grid(seed=options.seeds, reader=options.readers)
    full_form = runs.grid(seed=SEEDS, reader=READERS.names())
    runs.collect("fuzz", options, todo, measure, full_form, ("reader", "seed"))


if __name__ == "__main__":
    main()
