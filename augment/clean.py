"""Clean: judge every ingested image, then bring the kept ones to one size and mode.

Measures come first, thresholds from all of them second, verdicts third. The first pass over
``data/ingested`` measures, the second writes ``data/clean`` and ``data/quarantine``. A kept image
keeps the id it was given at ingest, so that it can be traced to its original bytes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from augment import forms, images, progress, table, workers
from augment.checks import CHECKS, thresholds
from augment.errors import AugmentError
from augment.forms import Form
from augment.ink import Glyph
from augment.params import CLEAN, INGESTED, QUARANTINE, REPORTS, CleanSettings, Params

_CHUNK = 64  # images a task

R = TypeVar("R")


class CleanError(AugmentError, ValueError):
    """Settings that fit no check, or a set of which too little would be left."""


class Measured(NamedTuple):
    """What the first pass notes of one image: a digest of its pixels, and what was measured."""

    pixels: str
    grey: bool
    measures: tuple[float, ...]


def run(params: Params, root: Path = Path(".")) -> dict[str, Any]:
    """Clean ``data/ingested`` into ``data/clean`` and ``data/quarantine``; returns the report.

    ``reports/clean.csv`` is written before anything can stop the run, so that the images behind an
    error can be looked at. Raises PartError and CleanError for the settings, TableError without
    ingested images, CleanError when a check drops more than ``max_dropped`` of a class or fewer
    than two classes are left.
    """
    settings = params.clean
    specs = _specs(settings)
    total = table.count(root / INGESTED)
    with workers.pool(settings.workers, total) as executor:
        facts, measures = _measure(root / INGESTED, total, specs, executor)
        limits = thresholds(measures, settings.thresholds)
        faults = measures.lt(pd.Series(limits, dtype=float))
        kept = ~faults.any(axis=1)
        _write_verdicts(root / REPORTS / "clean.csv", facts, measures, faults)
        _stop(facts["label"], faults, kept, settings.max_dropped)
        form = _form(facts[kept], settings)
        _write_tables(root, kept.to_numpy(), form, executor)
    report = _report(facts, faults, kept, limits, form)
    table.write_json(root / REPORTS / "clean.json", report)
    return report


def measure_many(
    encoded: Sequence[bytes], checks: Sequence[Callable[[images.Pixels], float]]
) -> list[Measured]:
    """Decode and measure several images; one task of a worker process.

    The same picture has the same digest whether it is stored as grey or as colour.
    """
    found = []
    for data in encoded:
        pixels: images.Pixels = np.asarray(images.decode(data))
        if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
            pixels = pixels[..., 0]
        content = repr(pixels.shape).encode() + pixels.tobytes()
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        glyph = pixels.view(Glyph)  # what several checks need is found once
        measures = tuple(float(check(glyph)) for check in checks)
        found.append(Measured(digest, forms.is_grey(pixels), measures))
    return found


def allowed(count: int, max_dropped: float) -> int:
    """How many of a class's ``count`` images one check may drop.

    The share ``max_dropped``, and always one: one bad image of three says nothing about a check.
    But not the only image of a class, and none at all where ``max_dropped`` is 0.
    """
    share = math.floor(max_dropped * count + 1e-9)
    return max(share, 1) if count > 1 and max_dropped > 0 else share


def _specs(settings: CleanSettings) -> list[dict[str, Any]]:
    """The checks with all their options; every mistake in them is found here."""
    specs = [CHECKS.resolve(spec) for spec in settings.checks]
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


def _measure(
    folder: Path, total: int, specs: Sequence[dict[str, Any]], executor: Executor | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Facts (with ``path``, ``pixels``, ``grey``) and measures, a row for each image in order."""
    names = [spec["name"] for spec in specs]
    checks = {spec["name"]: CHECKS.build(spec) for spec in specs}
    kinds = {name: CHECKS.describe(name).facts["kind"] for name in names}
    on_images = [name for name in names if kinds[name] == "image"]
    task = partial(measure_many, checks=[checks[name] for name in on_images])
    columns = ("id", "image", "label", "split", "group", "width", "height")
    work = ((batch, _bytes(batch)) for batch in table.stream(folder, columns, rows=_CHUNK))
    facts: list[pd.DataFrame] = []
    measured: list[Measured] = []
    for batch, found in _shown(workers.mapped(task, work, executor), "measure", total):
        facts.append(_facts(batch))
        measured += found
    if not measured:
        raise CleanError(f"{folder}: no images")
    frame = pd.concat(facts, ignore_index=True).assign(
        pixels=[one.pixels for one in measured], grey=[one.grey for one in measured]
    )
    values = np.array([one.measures for one in measured], dtype=np.float64)
    measures = pd.DataFrame(values, columns=on_images)
    for name in names:
        if kinds[name] == "table":
            measures[name] = checks[name](frame)
    return frame, measures[names]


def _facts(batch: pa.RecordBatch) -> pd.DataFrame:
    path = pc.struct_field(batch.column("image"), "path")
    facts: pd.DataFrame = batch.drop_columns(["image"]).append_column("path", path).to_pandas()
    return facts


def _write_verdicts(
    path: Path, facts: pd.DataFrame, measures: pd.DataFrame, faults: pd.DataFrame
) -> None:
    """clean.csv, a row for each image, lines as RFC 4180 has them (a label may hold a break)."""
    names = list(faults.columns)
    sheet = facts[["id", "path", "label", "split"]].assign(
        verdict=np.where(faults.any(axis=1), "drop", "keep"),
        reasons=[";".join(compress(names, row)) for row in faults.to_numpy()],
    )
    text = sheet.join(measures).to_csv(index=False, lineterminator="\r\n", float_format="%.6g")
    table.write_text(path, text)


def _stop(
    labels: pd.Series, faults: pd.DataFrame, kept: pd.Series[bool], max_dropped: float
) -> None:
    """Raise CleanError if a check drops too much of a class, or if no two classes are left."""
    where = f"look at {REPORTS}/clean.csv, then change"
    before = labels.value_counts().to_dict()
    worst, what = 0.0, ""
    for name in faults.columns:
        for label, dropped in labels[faults[name]].value_counts().items():
            count = before[label]
            if dropped > allowed(count, max_dropped) and dropped / count > worst:
                worst = dropped / count
                what = f"check {name!r} drops {dropped} of {count} images of class {label!r}"
    if what:
        raise CleanError(
            f"{what}, more than clean.max_dropped ({max_dropped:g}) allows; "
            f"{where} clean.checks, clean.thresholds or clean.max_dropped"
        )
    left = labels[kept].nunique()
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
    root: Path, kept: np.ndarray[Any, Any], form: Form, executor: Executor | None
) -> None:
    """data/clean in the given form, data/quarantine as it came; both appear at the end."""
    height, width = form.size
    with (
        table.TableWriter(root / CLEAN, overwrite=True) as clean,
        table.TableWriter(root / QUARANTINE, overwrite=True) as quarantine,
    ):

        def work() -> Iterator[tuple[pa.RecordBatch, list[bytes]]]:
            start = 0
            for batch in table.stream(root / INGESTED, rows=_CHUNK):
                keep = kept[start : start + len(batch)]
                start += len(batch)
                for row in batch.filter(pa.array(~keep)).to_pylist():
                    quarantine.add(row)
                passed = batch.filter(pa.array(keep))
                yield passed, _bytes(passed)

        task = partial(forms.normalise_many, form=form)
        done = workers.mapped(task, work(), executor)
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
    faults: pd.DataFrame,
    kept: pd.Series,
    limits: dict[str, float],
    form: Form,
) -> dict[str, Any]:
    def counts(rows: pd.Series) -> dict[str, Any]:
        found, stayed = int(rows.sum()), int((rows & kept).sum())
        checks = {name: int((rows & faults[name]).sum()) for name in faults.columns}
        return {"in": found, "kept": stayed, "dropped": found - stayed, "checks": checks}

    names = table.classes_of(facts["label"])
    classes = {label: counts(facts["label"] == label) for label in names}
    return {
        **counts(pd.Series(True, index=facts.index)),
        "thresholds": limits,
        "size": list(form.size),
        "mode": form.mode,
        "resize": form.resize,
        "before": {label: found["in"] for label, found in classes.items()},
        "after": {label: found["kept"] for label, found in classes.items()},
        "classes": classes,
        "unlabelled": counts(facts["label"].isna()),
        "splits": {split: counts(facts["split"] == split) for split in table.SPLITS},
    }
