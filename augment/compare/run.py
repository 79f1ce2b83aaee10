"""``augment compare``: recipes in turn, their order, the winner's one look at the test images."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from augment import pipeline
from augment.compare import workspace
from augment.compare.bench import Bench, picture
from augment.compare.entries import Entry, entries
from augment.compare.lines import Line, ranked
from augment.compare.page import PAGE, write_page
from augment.compare.workspace import CompareError
from augment.data import files, images
from augment.data.arrays import load_arrays
from augment.data.places import CLEAN, REPORTS
from augment.runtime import progress

FILE = f"{REPORTS}/compare.json"


def compare(
    names: Sequence[str] = (), *, minutes: float, overrides: Sequence[str] = (),
    root: Path = Path("."),
) -> tuple[dict[str, Any], Entry]:  # fmt: skip
    """Train each recipe for ``minutes``, rank them; the report and the winner.

    Writes reports/compare.json and the page. What was finished by an earlier call stays, and a run
    that was killed goes on. Raises ParamsError for an unknown recipe or setting, CompareError for
    a set without images to judge by, and where no recipe could be measured: after both are
    written.
    """
    if not (math.isfinite(minutes) and minutes > 0):
        raise CompareError(f"--minutes: above 0, found {minutes:g}")
    settings = pipeline.load(overrides, root)
    here = workspace.prepare(root, settings.score)
    asked_for = entries(names, overrides, root, here.train)
    bench = Bench(here, settings, minutes)
    _announce(bench, asked_for)
    lines = {}
    for place, entry in enumerate(asked_for, 1):
        title = f"compare: {place} of {len(asked_for)}, {entry.name}"
        stored = bench.stored(entry)
        progress.say(f"{title}: {'measured before' if stored else f'{minutes:g} minutes'}")
        lines[entry.name] = stored or bench.line(entry)
        if error := lines[entry.name].error:
            progress.say(f"{title}: {error}")
    order = ranked([*lines.values()])
    by_name = {entry.name: entry for entry in asked_for}
    winner = by_name[order[0].name] if order[0].error is None else None
    tested = {} if winner is None else _tested(bench, winner, root)
    report = _report(bench, order, winner, tested)
    files.write_json(root / FILE, report)
    real = here.home / "real.png"
    files.write_bytes(real, images.encode(picture(here.train)))
    write_page(root, report, real, {name: bench.picture(by_name[name]) for name in by_name})
    if winner is None:
        raise CompareError(f"no recipe could be measured; {root / PAGE} says why")
    return report, winner


def _announce(bench: Bench, asked_for: Sequence[Entry]) -> None:
    """Say what is compared, on what, and how long training takes."""
    here = bench.workspace
    where = (
        f"{here.cut} of the labelled train images, held out because none is in valid"
        if here.cut
        else f"{len(here.valid):,} valid images"
    )
    pile = f" and {len(here.unlabelled):,} without a label" if len(here.unlabelled) else ""
    total = sum(bench.stored(entry) is None for entry in asked_for) * bench.minutes
    progress.say(
        f"compare: {', '.join(entry.name for entry in asked_for)}; {bench.minutes:g} minutes each, "
        f"{total:g} minutes of training and what measuring takes; {len(here.train):,} labelled "
        f"images{pile}, judged on {where}"
    )


def _tested(bench: Bench, winner: Entry, root: Path) -> dict[str, Any]:
    """The winner's numbers on test images, by name: measured once and then kept.

    Those of another comparison's winner on this set stay beside them: test has been looked at for
    both.
    """
    ledger = bench.workspace.home / "tested.json"
    tested: dict[str, Any] = files.read_json(ledger) if ledger.exists() else {}
    key = bench.room(winner).name
    if key not in tested:
        train = bench.workspace.train
        test = load_arrays(
            root / CLEAN, split="test", origin="real", classes=train.classes, shape=train.shape
        )
        if not len(test):
            return {}
        test = workspace.sampler(bench.settings.score).images("test", test)
        tested[key] = {"name": winner.name, **bench.test(winner, test)}
        files.write_json(ledger, tested)
    return {"now": tested[key], "looks": len(tested)}


def _report(
    bench: Bench, order: Sequence[Line], winner: Entry | None, tested: dict[str, Any]
) -> dict[str, Any]:
    """What reports/compare.json holds."""
    here, plan = bench.workspace, bench.plan
    return {
        "winner": None if winner is None else winner.name,
        "line": None if winner is None else winner.line(),
        "minutes": bench.minutes,
        "rows": [line.as_dict() for line in order],
        "test": tested.get("now"),
        "looks_at_test": tested.get("looks", 0),
        "classic": float(bench.classifiers.before.mean()) if winner else None,
        "dose": bench.dose,
        "classifiers": {"seeds": len(plan.seeds), "steps": plan.steps},
        "images": {
            "train": len(here.train),
            "unlabelled": len(here.unlabelled),
            "valid": len(here.valid),
            "held_out": here.cut,
        },
        "seed": bench.settings.train.seed,
        "device": bench.device.type,
        "cores": os.cpu_count(),
        "page": PAGE,
    }
