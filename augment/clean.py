"""Clean: judge every ingested image, then bring the kept ones to one size and mode.

Measures come first, thresholds from all of them second, verdicts third. The first pass over
``data/ingested`` measures, a second repairs what can be repaired, models read what is then left,
and a last pass writes ``data/clean`` and ``data/quarantine``. What a person decided
(``decisions.csv``) goes before every verdict. A kept image keeps the id it was given at ingest, so
that it can be traced to its original bytes, which no repair touches.

Thresholds are found from train and valid. What a model thinks of a test image is listed and never
drops it: a test set without the images that models find hard would flatter them.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from augment import decisions, forms, progress, table, workers
from augment.checks import CHECKS, defaults, survey, thresholds
from augment.checks.evidence import Evidence
from augment.decisions import Decision
from augment.errors import AugmentError
from augment.forms import Form
from augment.images import Pixels
from augment.inspection import SIDE, Inspector, Names
from augment.params import CLEAN, INGESTED, QUARANTINE, REPORTS, CleanSettings, Params
from augment.repairs import REPAIRS

_CHUNK = 64  # images a task
_VERDICTS = ("keep", "drop", "ask", "repair", "relabel")
_NOTES = ["suggested_label", "probability", "cluster"]  # that learned checks may add

R = TypeVar("R")


class CleanError(AugmentError, ValueError):
    """Settings that fit no check, or a set of which too little would be left."""


def run(params: Params, root: Path = Path(".")) -> dict[str, Any]:
    """Clean ``data/ingested`` into ``data/clean`` and ``data/quarantine``; returns the report.

    ``reports/clean.csv`` is written before anything can stop the run, so that the images behind an
    error can be looked at. Raises PartError and CleanError for the settings, DecisionError for
    decisions.csv, TableError without ingested images, CleanError when a check drops more than
    ``max_dropped`` of a class or fewer than two classes are left.
    """
    settings = params.clean
    specs = _specs(settings)
    decided = decisions.load(root / decisions.FILE)
    total = table.count(root / INGESTED)
    checks = {spec["name"]: CHECKS.build(spec) for spec in specs}
    learned = _of_kind(specs, "learned")
    inspector = Inspector(
        {name: checks[name] for name in _of_kind(specs, "image")},
        {REPAIRS.resolve(spec)["name"]: REPAIRS.build(spec) for spec in settings.repairs},
        small=bool(learned),
    )
    with (
        workers.pool(settings.workers, total) as executor,
        tempfile.TemporaryDirectory(prefix="augment-") as scratch,
    ):
        small = _room(Path(scratch), total if learned else 0)
        facts, measures = _measure(root / INGESTED, total, inspector, small, executor)
        for name in _of_kind(specs, "table"):
            measures[name] = checks[name](facts)
        limits = _limits(measures, facts, settings)
        mended = _mend(root, facts, measures, limits, inspector, decided, small, executor)
        notes = pd.DataFrame(index=facts.index, columns=_NOTES)
        if learned:
            sound = ~_faults(measures, limits, mended, facts).any(axis=1)
            evidence = _evidence(facts, sound, small, settings)
            for name in learned:
                found = checks[name](evidence)
                measures[name] = found["measure"].to_numpy()
                notes = notes.combine_first(found.reindex(columns=_NOTES).set_axis(notes.index))
            limits |= _limits(measures[learned], facts, settings)
        measures = measures[[spec["name"] for spec in specs if spec["name"] in measures]]
        judged = _judge(facts, measures, limits, mended, decided, settings)
        _write_verdicts(root / REPORTS / "clean.csv", facts, judged, notes, measures)
        _stop(facts, judged, settings.max_dropped)
        form = _form(facts[judged["kept"]], settings)
        _write_tables(root, judged, inspector, form, executor)
    report = _report(facts, judged, limits, form, decided) | {"set": survey(facts, specs)}
    table.write_json(root / REPORTS / "clean.json", report)
    return report


def allowed(count: int, max_dropped: float) -> int:
    """How many of a class's ``count`` images one check may drop.

    The share ``max_dropped``, and always one: one bad image of three says nothing about a check.
    But not the only image of a class, and none at all where ``max_dropped`` is 0.
    """
    share = math.floor(max_dropped * count + 1e-9)
    return max(share, 1) if count > 1 and max_dropped > 0 else share


def _specs(settings: CleanSettings) -> list[dict[str, Any]]:
    """The checks with all their options; every mistake in them is found here."""
    asked = defaults(settings.profile) if settings.checks == "auto" else settings.checks
    specs = [CHECKS.resolve(spec) for spec in asked]
    names = [spec["name"] for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise CleanError(f"clean.checks: {name!r} stands twice")
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
    return np.memmap(folder / "small", np.uint8, "w+", shape=shape) if count else np.empty(shape)


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


def _limits(
    measures: pd.DataFrame, facts: pd.DataFrame, settings: CleanSettings
) -> dict[str, float]:
    """The least measures that pass, from the images of train and valid (if there are any)."""
    open_ = facts["split"] != "test"
    fixed = {name: limit for name, limit in settings.thresholds.items() if name in measures}
    return thresholds(measures[open_] if open_.any() else measures, fixed)


def _mend(
    root: Path,
    facts: pd.DataFrame,
    measures: pd.DataFrame,
    limits: Mapping[str, float],
    inspector: Inspector,
    decided: Mapping[str, Decision],
    small: Pixels,
    executor: Executor | None,
) -> pd.Series:
    """The repairs (a tuple of names) that each image needs and that leave it without a fault.

    Where a person asked for repair, whatever repairs find something to do.
    """
    cures = {name: set(REPAIRS.describe(name).facts["cures"]) for name in inspector.repairs}
    checks = list(inspector.checks)
    least = np.array([limits[name] for name in checks])
    wanted: dict[int, Names] = {}
    asked = facts["id"].map(lambda one: one in decided and decided[one].action == "repair")
    faulty = measures[checks].lt(pd.Series(limits, dtype=float)[checks])
    for row in np.flatnonzero((faulty.any(axis=1) | asked).to_numpy()):
        faults = set(compress(checks, faulty.iloc[row]))
        names = tuple(name for name in cures if asked[row] or cures[name] & faults)
        if asked[row] or faults <= set().union(*(cures[name] for name in names)):
            wanted[int(row)] = names
    found = pd.Series([()] * len(facts), dtype=object)
    work = _selected(root / INGESTED, wanted)
    for rows, mended in workers.mapped(inspector.mend, work, executor):
        for row, one in zip(rows, mended, strict=True):
            passes = not (np.array(one.after.measures) < least).any()
            if one.repairs and (passes or asked[row]):
                found[row] = one.repairs
                if one.after.small is not None:
                    small[row] = one.after.small
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


def _faults(
    measures: pd.DataFrame, limits: Mapping[str, float], mended: pd.Series, facts: pd.DataFrame
) -> pd.DataFrame:
    """Which checks each image fails, but those it was mended for and a model's of a test image."""
    faults = measures.lt(pd.Series(limits, dtype=float)[list(measures.columns)])
    kinds = {name: CHECKS.describe(name).facts["kind"] for name in measures}
    repaired, held = mended.astype(bool), facts["split"] == "test"
    for name, kind in kinds.items():
        if kind != "table":
            faults.loc[repaired if kind == "image" else held, name] = False
    return faults


def _evidence(
    facts: pd.DataFrame, sound: pd.Series, small: Pixels, settings: CleanSettings
) -> Evidence:
    """What models make of the images; those with a fault already teach them nothing."""
    from augment.evidence import gather  # it needs torch

    pixels = small.transpose(0, 3, 1, 2)
    if facts["grey"].all():
        pixels = pixels[:, :1]
    frame = facts.assign(label=facts["label"].where(sound, None))
    return gather(frame, pixels, seed=settings.seed, glyph=settings.profile == "glyph")


def _judge(
    facts: pd.DataFrame,
    measures: pd.DataFrame,
    limits: Mapping[str, float],
    mended: pd.Series,
    decided: Mapping[str, Decision],
    settings: CleanSettings,
) -> pd.DataFrame:
    """A row for each image: verdict, reasons, decided, label, repairs, kept, and ``faults``.

    ``faults`` are the checks that keep an image out which nobody has decided about.
    """
    listed = measures.lt(pd.Series(limits, dtype=float)[list(measures.columns)])
    faults = _faults(measures, limits, mended, facts)
    names = list(measures)
    sure = [name for name in names if CHECKS.describe(name).facts.get("certain")]
    verdict = pd.Series("keep", index=facts.index).mask(mended.astype(bool), "repair")
    if settings.on_doubt != "keep":
        verdict = verdict.mask(faults.any(axis=1), settings.on_doubt)
    verdict = verdict.mask(faults[sure].any(axis=1), "drop")
    actions = facts["id"].map(lambda one: decided[one].action if one in decided else "")
    follows = {"keep": "keep", "drop": "drop", "relabel": "relabel"}
    verdict = verdict.mask(actions.isin(follows), actions.map(follows))
    able = mended.astype(bool)
    verdict = verdict.mask(actions == "repair", able.map({True: "repair", False: "ask"}))
    out = verdict.isin(["drop", "ask"])
    label = facts["label"].where(
        actions != "relabel",
        facts["id"].map(lambda one: decided[one].label if one in decided else ""),
    )
    blamed = faults[(out & (actions == "")).to_numpy()].reindex(facts.index, fill_value=False)
    return pd.DataFrame(
        {
            "verdict": verdict,
            "reasons": [";".join(compress(names, row)) for row in listed.to_numpy()],
            "decided": actions,
            "label": label,
            "repairs": mended.where(verdict == "repair", None).map(lambda one: one or ()),
            "kept": ~out,
            "faults": [tuple(compress(names, row)) for row in blamed.to_numpy()],
        }
    )


def _write_verdicts(
    path: Path,
    facts: pd.DataFrame,
    judged: pd.DataFrame,
    notes: pd.DataFrame,
    measures: pd.DataFrame,
) -> None:
    """clean.csv, a row for each image, lines as RFC 4180 has them (a label may hold a break)."""
    sheet = facts[["id", "path", "label", "split"]].join(judged[["verdict", "reasons"]]).join(notes)
    sheet["repairs"] = judged["repairs"].map(";".join)
    sheet["decided"] = judged["decided"]
    text = sheet.join(measures).to_csv(index=False, lineterminator="\r\n", float_format="%.6g")
    table.write_text(path, text)


def _stop(facts: pd.DataFrame, judged: pd.DataFrame, max_dropped: float) -> None:
    """Raise CleanError if a check drops too much of a class, or if no two classes are left."""
    where = f"look at {REPORTS}/clean.csv, then change"
    before = facts["label"].value_counts().to_dict()
    worst, what = 0.0, ""
    blamed = pd.DataFrame({"label": facts["label"], "check": judged["faults"]}).explode("check")
    for (label, name), dropped in blamed.value_counts(["label", "check"], sort=False).items():
        count = before[label]
        if dropped > allowed(count, max_dropped) and dropped / count > worst:
            worst = dropped / count
            what = f"check {name!r} drops {dropped} of {count} images of class {label!r}"
    if what:
        raise CleanError(
            f"{what}, more than clean.max_dropped ({max_dropped:g}) allows; "
            f"{where} clean.checks, clean.thresholds or clean.max_dropped"
        )
    left = judged.loc[judged["kept"], "label"].nunique()
    if left < 2:
        raise CleanError(
            f"{left} of {len(before)} classes would be left and two are needed; "
            f"{where} clean.checks or clean.thresholds"
        )


def _form(kept: pd.DataFrame, settings: CleanSettings) -> Form:
    size = settings.size
    if size == "auto":
        size = forms.auto_size(kept[["width", "height"]].max(axis=1).to_numpy())
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


def _report(
    facts: pd.DataFrame,
    judged: pd.DataFrame,
    limits: Mapping[str, float],
    form: Form,
    decided: Mapping[str, Decision],
) -> dict[str, Any]:
    def counts(rows: pd.Series) -> dict[str, Any]:
        some = judged[rows]
        flagged = some["reasons"].str.split(";").explode().value_counts()
        kept = int(some["kept"].sum())
        verdicts = {name: int((some["verdict"] == name).sum()) for name in _VERDICTS}
        checks = {name: int(flagged.get(name, 0)) for name in limits}
        return {
            "in": len(some), "kept": kept, "dropped": len(some) - kept,
            "verdicts": verdicts, "checks": checks,
        }  # fmt: skip

    names = table.classes_of(facts["label"])
    classes = {label: counts(facts["label"] == label) for label in names}
    after = judged.loc[judged["kept"], "label"].value_counts()
    known = judged["decided"].value_counts()
    return {
        **counts(pd.Series(True, index=facts.index)),
        "thresholds": dict(limits),
        "size": list(form.size),
        "mode": form.mode,
        "resize": form.resize,
        "before": {label: found["in"] for label, found in classes.items()},
        "after": {label: int(after[label]) for label in table.classes_of(after.index)},
        "classes": classes,
        "unlabelled": counts(facts["label"].isna()),
        "splits": {split: counts(facts["split"] == split) for split in table.SPLITS},
        "decisions": {
            **{action: int(known.get(action, 0)) for action in decisions.ACTIONS},
            "elsewhere": len(set(decided) - set(facts["id"])),  # gone, or of synthetic images
        },
    }
