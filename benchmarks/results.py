"""The stored results: ``benchmarks/results/NAME.json``, dated, with the machine they come from.

A file holds ``rows``, the ``command`` that measures them, the ``date`` and ``hardware`` of the last
run, and ``owed``: rows of the full form that nobody has run yet. A row holds its key (with a seed),
its setting, the measured values, its machine and its date. A later run replaces rows of its own key
and setting only.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from augment.data import files

RESULTS = Path(__file__).parent / "results"
SETTING = ("network", "width", "steps", "batch")  # of a row, beside its own key

Row = dict[str, Any]


def hardware() -> dict[str, Any]:
    """The machine and the versions that a reader needs to know of."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        cpu = platform.processor()
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def signed(row: Mapping[str, Any], device: str = "cpu") -> Row:
    """``row`` as JSON can say it, with the machine and the day on which it was measured."""
    facts = hardware()
    machine = facts["gpu"] if device == "cuda" else f"{facts['cores']} cores of {facts['cpu']}"
    return {**files.finite(row), "machine": machine, "date": _today()}


def load(name: str) -> dict[str, Any]:
    """The stored file; without rows where there is none."""
    path = RESULTS / f"{name}.json"
    empty: dict[str, Any] = {"rows": []}
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else empty


def add(
    name: str,
    rows: Iterable[Row],
    key: Sequence[str],
    command: str,
    full_form: Iterable[Mapping[str, Any]] = (),
    **facts: Any,
) -> dict[str, Any]:
    """Store rows beside those of earlier runs, sorted by ``key``; of two with the same, the new.

    ``facts`` are stored beside the rows; those of earlier runs stay. Gives the whole result.
    """
    with _alone():
        before = load(name)
        by_key = {tuple(row[part] for part in key): row for row in [*before["rows"], *rows]}
        merged = [by_key[values] for values in sorted(by_key)]
        facts = {"command": command, "owed": owed(merged, full_form), **facts}
        stamp = {"date": _today(), "hardware": hardware()} if rows else {}
        result = {**before, **stamp, **facts, "rows": merged}
        files.write_json(RESULTS / f"{name}.json", result)
    return result


def owed(rows: Iterable[Row], full_form: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of ``full_form`` that no row has all values of."""
    rows = list(rows)
    return [
        sought for sought in full_form if not any(sought.items() <= row.items() for row in rows)
    ]


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time: of two that store at once, one would lose its rows."""
    folder = os.open(RESULTS, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
