"""The common part of all benchmarks: options, and rows that are measured once and then kept."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from augment.runtime import devices
from benchmarks import pages, results
from benchmarks.results import SETTING, Row

QUICK = {"steps": 20, "width": 8, "judge": 20}


def parse(
    doc: str | None, argv: Sequence[str] | None, quick: Mapping[str, Any], **full: Any
) -> Any:
    """The options: those that all share, and the names of ``full``, whose values are the full form.

    An option is of the type of its value; a list is given as ``a,b``. With ``--quick`` options that
    were not given are those of ``quick``. The setting of the full form is kept in ``full``.
    """
    full = {"seeds": [0], "network": "own", "batch": 64, "judge": 600, "device": "auto"} | full
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--quick", action="store_true", help="smoke test: nothing is stored")
    parser.add_argument("--again", action="store_true", help="measure stored rows anew")
    for name, value in full.items():
        parser.add_argument(
            f"--{name}", type=_reader(value), default=value, help=f"full form: {value}"
        )
    if parser.parse_args(argv).quick:
        parser.set_defaults(**QUICK | dict(quick))
    options = parser.parse_args(argv)
    options.device = devices.choose_device(options.device)
    options.full = {name: full[name] for name in SETTING}
    return options


def _reader(value: Any) -> Callable[[str], Any]:
    if not isinstance(value, list):
        return type(value)
    item = type(value[0])
    return lambda text: [item(word) for word in text.split(",") if word]


def grid(setting: Mapping[str, Any] | None = None, **axes: Iterable[Any]) -> list[Row]:
    """A row for each combination of the values of ``axes``, with ``setting``."""
    combinations = itertools.product(*axes.values())
    return [dict(zip(axes, values, strict=True)) | dict(setting or {}) for values in combinations]


def collect(
    name: str,
    options: argparse.Namespace,
    keys: Iterable[Row],
    measure: Callable[..., Row | Sequence[Row]],
    full_form: Sequence[Mapping[str, Any]],
    key: Sequence[str],
    facts: Callable[[Any], Mapping[str, Any]] = lambda options: {},
) -> None:
    """Measure the rows that ``keys`` name and that are not stored yet; print the tables.

    ``key`` lists the values that name a row beside its setting; a dict of ``keys`` may hold a
    setting of its own. ``measure`` takes ``options`` and the values of a dict of ``keys``, and
    gives one row or several. They are stored at once: a run that was killed goes on where it was.
    ``options.again`` measures stored rows anew, and ``options.quick`` stores nothing. ``facts`` are
    stored beside the rows. ``full_form`` are the rows that the page must have in the end.
    """
    command, whole_key = f"python -m benchmarks.{name}", (*key, *SETTING, "device")
    setting = {**{part: getattr(options, part) for part in SETTING}, "device": options.device.type}
    result = {"rows": []} if options.quick else results.load(name)
    for row_key in keys:
        place = {**setting, **row_key}
        if not (options.quick or options.again or results.owed(result["rows"], [place])):
            continue
        beside = facts(options)
        measured = measure(options=options, **row_key)
        measured = [measured] if isinstance(measured, dict) else measured
        rows = [results.signed({**row_key, **place, **row}, place["device"]) for row in measured]
        if options.quick:
            result = {"rows": [*result["rows"], *rows], **beside}
        else:
            result = results.add(name, rows, whole_key, command, full_form, **beside)
    if not options.quick:
        result = results.add(name, [], whole_key, command, full_form)
        pages.write()
    pages.show(name, result)
