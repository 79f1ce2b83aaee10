"""Clean: judge every ingested image, then bring the kept ones to one size and mode.

Measures come first, thresholds from all of them second, verdicts third. The first pass over
``data/ingested`` measures, a second repairs what can be repaired, models read what is then left,
and a last pass writes ``data/clean`` and ``data/quarantine``. What a person decided
(``decisions.csv``) goes before every verdict. A kept image keeps the id it was given at ingest, so
that it can be traced to its original bytes, which no repair touches.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from augment.clean import verdicts
from augment.clean.checks.base import CHECKS, defaults, survey
from augment.clean.checks.evidence import Evidence
from augment.clean.inspection import SIDE, Inspector, Names
from augment.clean.repairs import REPAIRS
from augment.clean.settings import CleanSettings
from augment.clean.verdicts import CleanError
from augment.data import decisions, files, normalise, table
from augment.data.decisions import Decision
from augment.data.images import Pixels
from augment.data.normalise import Form
from augment.data.places import CLEAN, INGESTED, QUARANTINE, REPORTS
from augment.runtime import progress, workers

_CHUNK = 64  # images a task
_NOTES = ["suggested_label", "probability", "cluster"]  # that learned checks may add

R = TypeVar("R")


def run(settings: CleanSettings, root: Path = Path(".")) -> dict[str, Any]:
    """Clean ``data/ingested`` into ``data/clean`` and ``data/quarantine``; returns the report.

    ``reports/clean.csv`` is written before anything can stop the run, so that the images behind an
    error can be looked at. Raises PartError and CleanError for the settings, DecisionError for
    decisions.csv, TableError without ingested images, CleanError when a check drops more than
    ``max_dropped`` of a class or fewer than two classes are left.
    """
    specs = _specs(settings)
    decided = decisions.load(root / decisions.FILE)
    total = table.count(root / INGESTED)
    checks = {spec["name"]: CHECKS.build(spec) for spec in specs}
    learned = _of_kind(specs, "learned")
    seen = {name: checks[name] for name in _of_kind(specs, "pixels")}
    inspector = Inspector(
        {name: checks[name] for name in _of_kind(specs, "image")},
        {REPAIRS.resolve(spec)["name"]: REPAIRS.build(spec) for spec in settings.repairs},
        small=bool(learned or seen),
    )
    with (
        workers.pool(settings.workers, total) as executor,
        tempfile.TemporaryDirectory(prefix="augment-") as scratch,
    ):
        small = _room(Path(scratch), total if inspector.small else 0)
        facts, measures = _measure(root / INGESTED, total, inspector, small, executor)
        for name in _of_kind(specs, "table"):
            measures[name] = checks[name](facts)
        for name, check in seen.items():
            measures[name] = check(facts, small)
        limits = verdicts.limits(measures, facts, settings)
        mended = _mend(root, facts, measures, limits, inspector, seen, decided, small, executor)
        notes = pd.DataFrame(index=facts.index, columns=_NOTES)
        if learned:
            sound = ~verdicts.faults(measures, limits, mended, facts).any(axis=1)
            evidence = _evidence(facts, sound, small, settings)
            for name in learned:
                found = checks[name](evidence)
                measures[name] = found["measure"].to_numpy()
                notes = notes.combine_first(found.reindex(columns=_NOTES).set_axis(notes.index))
            limits |= verdicts.limits(measures[learned], facts, settings)
        measures = measures[[spec["name"] for spec in specs if spec["name"] in measures]]
        judged = verdicts.judge(facts, measures, limits, mended, decided, settings)
        _write_verdicts(root / REPORTS / "clean.csv", facts, judged, notes, measures)
        verdicts.stop(facts, judged, settings.max_dropped)
        form = _form(facts[judged["kept"]], settings)
        _write_tables(root, judged, inspector, form, executor)
    report = verdicts.report(facts, judged, limits, form, decided) | {
        "set": survey(facts, specs),
        "settings": settings.resolved(),
    }
    files.write_json(root / REPORTS / "clean.json", report)
    return report


def _specs(settings: CleanSettings) -> list[dict[str, Any]]:
    """The checks with all their options; every mistake in them is found here."""
    asked = defaults(settings.profile) if settings.checks == "auto" else settings.checks
    specs = [CHECKS.resolve(spec) for spec in asked]
    names = [spec["name"] for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise CleanError(f"clean.checks: {name!r} stands twice")
        if module := CHECKS.lacking(name):
            raise CleanError(
                f"clean.checks: {name!r} needs {module}, which is not installed; "
                "pip install 'augment[clean]', or list the checks that you want"
            )
    for name in settings.thresholds:
        if name not in names:
            raise CleanError(
                f"clean.thresholds: {name!r} is not among clean.checks: {', '.join(names)}"
            )
    return specs


def _of_kind(specs: Iterable[Mapping[str, Any]], kind: str) -> list[str]:
    names = [spec["name"] for spec in specs]
    return [name for name in names if CHECKS.describe(name).facts["kind"] == kind]


def _room(folder: Path, count: int) -> Pixels:
    """Where the small forms of ``count`` images (N, SIDE, SIDE, 3) go: a file, not memory."""
    shape = (count, SIDE, SIDE, 3)
    if not count:
        return np.empty(shape, np.uint8)
    return np.memmap(folder / "small", np.uint8, "w+", shape=shape)


def _measure(
    folder: Path, total: int, inspector: Inspector, small: Pixels, executor: Executor | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Facts (with ``path``, ``pixels``, ``grey``) and measures, a row for each image in order."""
    columns = ("id", "image", "label", "split", "group", "width", "height")
    work = ((batch, _bytes(batch)) for batch in table.stream(folder, columns, rows=_CHUNK))
    facts: list[pd.DataFrame] = []
    seen: list[tuple[str, bool]] = []
    values: list[tuple[float, ...]] = []
    for batch, found in _shown(workers.mapped(inspector.measure, work, executor), "measure", total):
        facts.append(_facts(batch))
        for one in found:
            if one.small is not None:
                small[len(seen)] = one.small
            seen.append((one.pixels, one.grey))
            values.append(one.measures)
    if not facts:
        raise CleanError(f"{folder}: no images")
    frame = pd.concat(facts, ignore_index=True)
    frame[["pixels", "grey"]] = pd.DataFrame(seen)
    return frame, pd.DataFrame(np.array(values, np.float64), columns=list(inspector.checks))


def _facts(batch: pa.RecordBatch) -> pd.DataFrame:
    path = pc.struct_field(batch.column("image"), "path")
    facts: pd.DataFrame = batch.drop_columns(["image"]).append_column("path", path).to_pandas()
    return facts


def _mend(
    root: Path,
    facts: pd.DataFrame,
    measures: pd.DataFrame,
    limits: Mapping[str, float],
    inspector: Inspector,
    seen: Mapping[str, Callable[[pd.DataFrame, Pixels], pd.Series]],
    decided: Mapping[str, Decision],
    small: Pixels,
    executor: Executor | None,
) -> pd.Series:
    """The repairs (a tuple of names) that each image needs and that leave it without a fault.

    Without regard to what is left where a person asked for repair.
    """
    asked = facts["id"].map(lambda one: one in decided and decided[one].action == "repair")
    wanted = _wanted(measures[[*inspector.checks, *seen]], limits, list(inspector.repairs), asked)
    least = np.array([limits[name] for name in inspector.checks])
    found: list[Names] = [()] * len(facts)
    work = _selected(root / INGESTED, wanted)
    for rows, mended in workers.mapped(inspector.mend, work, executor):
        for row, one in zip(rows, mended, strict=True):
            passes = asked[row] or (np.array(one.after.measures) >= least).all()
            if one.repairs and passes:
                found[row] = one.repairs
                if one.after.small is not None:
                    small[row] = one.after.small
    for name, check in seen.items():
        for row in np.flatnonzero((check(facts, small) < limits[name]) & ~asked).tolist():
            found[row] = ()
    return pd.Series(found, dtype=object)


def _wanted(
    measures: pd.DataFrame, limits: Mapping[str, float], repairs: Sequence[str], asked: pd.Series
) -> dict[int, Names]:
    """By row the repairs that may help: those that cure all of an image's faults.

    Where a person ``asked``, also those of faults that are seen in an image alone, as these find
    out by themselves whether there is something to do.
    """
    cures = {name: set(REPAIRS.describe(name).facts["cures"]) for name in repairs}
    alone = {name for name in CHECKS if CHECKS.describe(name).facts["kind"] == "image"}
    faulty = verdicts.under(measures, limits)
    found: dict[int, Names] = {}
    for row in np.flatnonzero((faulty.any(axis=1) | asked).to_numpy()).tolist():
        faults = set(compress(faulty.columns, faulty.iloc[row]))
        curable = faults | alone if asked[row] else faults
        names = tuple(name for name in cures if cures[name] & curable)
        if asked[row] or faults <= set().union(*(cures[name] for name in names)):
            found[row] = names
    return found


def _selected(
    folder: Path, wanted: Mapping[int, Names]
) -> Iterator[tuple[list[int], list[tuple[bytes, Names]]]]:
    """Rows, and their encoded images with what belongs to each."""
    start = 0
    for batch in table.stream(folder, ("id", "image"), rows=_CHUNK):
        rows = [row for row in range(start, start + len(batch)) if row in wanted]
        if rows:
            encoded = _bytes(batch)
            yield rows, [(encoded[row - start], wanted[row]) for row in rows]
        start += len(batch)


def _evidence(
    facts: pd.DataFrame, sound: pd.Series, small: Pixels, settings: CleanSettings
) -> Evidence:
    """What models make of the images; those with a fault already teach them nothing."""
    from augment.clean.out_of_fold import gather  # it needs torch

    pixels = small.transpose(0, 3, 1, 2)
    if facts["grey"].all():
        pixels = pixels[:, :1]
    frame = facts.assign(label=facts["label"].where(sound, None))
    return gather(frame, pixels, seed=settings.seed, glyph=settings.profile == "glyph")


def _write_verdicts(
    path: Path,
    facts: pd.DataFrame,
    judged: pd.DataFrame,
    notes: pd.DataFrame,
    measures: pd.DataFrame,
) -> None:
    """clean.csv, a row for each image, lines as RFC 4180 has them (a label may hold a break)."""
    known = notes.astype({"probability": float, "cluster": float}).astype({"cluster": "Int64"})
    sheet = facts[["id", "path", "label", "split"]].join(judged[["verdict", "reasons"]]).join(known)
    sheet["repairs"] = judged["repairs"].map(";".join)
    sheet["decided"] = judged["decided"]
    text = sheet.join(measures).to_csv(index=False, lineterminator="\r\n", float_format="%.6g")
    files.write_text(path, text)


def _form(kept: pd.DataFrame, settings: CleanSettings) -> Form:
    size = settings.size
    if size == "auto":
        size = normalise.auto_size(kept[["width", "height"]].max(axis=1).to_numpy())
    mode = settings.mode
    if mode == "auto":
        mode = "L" if kept["grey"].all() else "RGB"
    return Form(size if isinstance(size, tuple) else (size, size), mode, settings.resize)


def _write_tables(
    root: Path,
    judged: pd.DataFrame,
    inspector: Inspector,
    form: Form,
    executor: Executor | None,
) -> None:
    """data/clean in the given form, data/quarantine as it came; both appear at the end."""
    height, width = form.size
    kept = judged["kept"].to_numpy()
    repairs, labels = judged["repairs"].to_list(), judged["label"].to_list()
    with (
        table.TableWriter(root / CLEAN, overwrite=True) as clean,
        table.TableWriter(root / QUARANTINE, overwrite=True) as quarantine,
    ):

        def work() -> Iterator[tuple[pa.RecordBatch, list[tuple[bytes, Names]]]]:
            start = 0
            for batch in table.stream(root / INGESTED, rows=_CHUNK):
                rows = slice(start, start + len(batch))
                start += len(batch)
                for row in batch.filter(pa.array(~kept[rows])).to_pylist():
                    quarantine.add(row)
                keep = pa.array(kept[rows])
                named = batch.set_column(
                    batch.schema.get_field_index("label"),
                    "label",
                    pa.array(labels[rows], pa.string()),
                )
                passed = named.filter(keep)
                yield (
                    passed,
                    list(zip(_bytes(passed), compress(repairs[rows], kept[rows]), strict=True)),
                )

        done = workers.mapped(partial(inspector.form, form=form), work(), executor)
        for batch, encoded in _shown(done, "normalise", int(kept.sum())):
            for row, data in zip(batch.to_pylist(), encoded, strict=True):
                image = {"bytes": data, "path": row["image"]["path"]}
                clean.add(
                    row | {"image": image, "width": width, "height": height, "mode": form.mode}
                )


def _bytes(batch: pa.RecordBatch) -> list[bytes]:
    encoded: list[bytes] = pc.struct_field(batch.column("image"), "bytes").to_pylist()
    return encoded


def _shown(
    done: Iterable[tuple[pa.RecordBatch, R]], what: str, total: int
) -> Iterator[tuple[pa.RecordBatch, R]]:
    """Pass batches through and show how many images have gone by."""
    with progress.bar() as display:
        task = display.add_task(what, total=total, note="")
        for batch, result in done:
            yield batch, result
            display.advance(task, len(batch))
