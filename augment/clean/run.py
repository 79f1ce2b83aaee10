"""Clean: judge every ingested image, then bring the kept ones to one size and mode.

Measures come first, thresholds from all of them second, verdicts third. A first pass over
``data/ingested`` measures, a second one repairs faults where that is safe; then models read all
images, and a last pass writes ``data/clean`` and ``data/quarantine``. A person's decision
(``decisions.csv``) goes before every verdict. A kept image keeps the id from ingest, so that it can
be traced to its original bytes, which no repair touches.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from augment.clean import verdicts
from augment.clean.checks.base import CHECKS, defaults, survey
from augment.clean.checks.evidence import Evidence
from augment.clean.inspection import Inspector
from augment.clean.passes import Passes
from augment.clean.repairs import REPAIRS
from augment.clean.settings import CleanSettings
from augment.clean.verdicts import CleanError
from augment.data import decisions, files, normalise, table
from augment.data.decisions import Decision
from augment.data.images import Pixels
from augment.data.normalise import Form
from augment.data.places import INGESTED, REPORTS
from augment.runtime import progress, workers

_LINES = "most images are lines or words, and these checks suppose one character an image"
_NOTES = ["suggested_label", "probability", "cluster"]  # columns that learned checks may add


def run(settings: CleanSettings, root: Path = Path(".")) -> dict[str, Any]:
    """Clean ``data/ingested`` into ``data/clean`` and ``data/quarantine``; returns the report.

    ``reports/clean.csv`` is written before anything can stop the run, so that the images behind an
    error can be looked at. Raises PartError and CleanError for the settings, DecisionError for
    decisions.csv, TableError without ingested images, CleanError when a check drops more than
    ``max_dropped`` of a class or fewer than two classes are left.
    """
    specs = _specs(settings)
    decisions_by_id = decisions.load(root / decisions.FILE)
    decided = _by_row(decisions_by_id, root)
    total = table.count(root / INGESTED)
    checks = {spec["name"]: CHECKS.build(spec) for spec in specs}
    learned = _of_kind(specs, "learned")
    pixel_checks = {name: checks[name] for name in _of_kind(specs, "pixels")}
    inspector = Inspector(
        {name: checks[name] for name in _of_kind(specs, "image")},
        {REPAIRS.resolve(spec)["name"]: REPAIRS.build(spec) for spec in settings.repairs},
        small=bool(learned or pixel_checks),
    )
    with (
        workers.pool(settings.workers, total) as executor,
        tempfile.TemporaryDirectory(prefix="augment-") as scratch,
    ):
        passes = Passes(root, inspector, executor)
        measured = passes.measure(total, Path(scratch))
        facts, measures, small = measured.facts, measured.measures, measured.small
        for name in _of_kind(specs, "table"):
            measures[name] = checks[name](facts)
        for name, check in pixel_checks.items():
            measures[name] = check(facts, small)
        unread = _of_lines(facts, settings, measures.columns)
        measures[unread] = np.nan
        limits = verdicts.limits(measures, facts, settings)
        requested = pd.Series(False, index=facts.index)
        requested.loc[[row for row, told in decided.items() if told.action == "repair"]] = True
        mended = passes.mend(measured, limits, pixel_checks, requested)
        notes = pd.DataFrame(columns=_NOTES, index=facts.index[:0])
        resembled = facts["label"]
        abstained = [f"{', '.join(unread)} abstained: {_LINES}"] if unread else []
        if learned:
            sound = ~verdicts.faults(measures, limits, mended, facts).any(axis=1)
            reads = any(CHECKS.describe(name).facts.get("reads") for name in learned)
            evidence = _evidence(facts, sound, small, settings, models=reads)
            for name in learned:
                opinion = checks[name](evidence)
                measures[name] = opinion["measure"].to_numpy()
                notes = notes.combine_first(opinion.reindex(columns=_NOTES).set_axis(facts.index))
            limits |= verdicts.limits(measures[learned], facts, settings)
            names = pd.Series([*evidence.classes, None], dtype=object)
            resembled = resembled.fillna(names.take(evidence.resembled).set_axis(facts.index))
            abstained += _abstained(evidence, measures[learned])
        for text in abstained:
            progress.say(f"clean: {text}")
        measures = measures.reindex(
            columns=[spec["name"] for spec in specs if spec["name"] in measures]
        )
        judged = verdicts.decide_verdicts(facts, measures, limits, mended, decided, settings)
        sheets = ((None, sheet) for sheet in _sheets(root, facts, judged, notes, measures))
        lines = (text for _, text in workers.mapped(_lines, sheets, executor))
        files.write_parts(root / REPORTS / "clean.csv", lines)
        further = _of_domains(root)
        elsewhere = {label for counts in further.values() for label in counts}
        verdicts.stop(facts, judged, resembled, settings.max_dropped, elsewhere)
        form = _form(facts[judged["kept"]], settings)
        passes.write(judged, form)
    elsewhere_decided = len(decisions_by_id) - len(decided)
    report = verdicts.report(facts, judged, limits, form, elsewhere_decided) | {
        "domains": further,
        "helpers": table.count(root / INGESTED, domain=table.HELPERS),
        "abstained": "; ".join(abstained) or None,
        "set": survey(facts, specs),
        "settings": settings.resolved(),
    }
    files.write_json(root / REPORTS / "clean.json", report)
    return report


def _specs(settings: CleanSettings) -> list[dict[str, Any]]:
    """The checks with all their options. Raises PartError and CleanError for a mistake in them."""
    listed = defaults(settings.profile) if settings.checks == "auto" else settings.checks
    specs = [CHECKS.resolve(spec) for spec in listed]
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


def _by_row(decided: Mapping[str, Decision], root: Path) -> dict[int, Decision]:
    """The decisions about ingested images, by row."""
    if not decided:
        return {}
    batches = table.stream(root / INGESTED, ["id"])
    ids = (name for batch in batches for name in batch.column("id").to_pylist())
    return {row: decided[name] for row, name in enumerate(ids) if name in decided}


def _of_domains(root: Path) -> dict[str, dict[str, int]]:
    """The images of each class in the further domains, which are brought to form and not judged."""
    counts = table.frame(root / INGESTED, ["domain", "label"], domain=table.EVERY).value_counts()
    further: dict[str, dict[str, int]] = {}
    for domain, label in sorted(counts.index):
        further.setdefault(domain, {})[label] = int(counts[domain, label])
    return further


def _of_kind(specs: Iterable[Mapping[str, Any]], kind: str) -> list[str]:
    names = [spec["name"] for spec in specs]
    return [name for name in names if CHECKS.describe(name).facts["kind"] == kind]


def _evidence(
    facts: pd.DataFrame, sound: pd.Series, small: Pixels, settings: CleanSettings, *, models: bool
) -> Evidence:
    """The shapes of all images and, with ``models``, their readings by models.

    Models learn only from the ``sound`` (N,) images.
    """
    from augment.clean.out_of_fold import gather  # it needs torch

    pixels = small.transpose(0, 3, 1, 2)
    if facts["grey"].all():
        pixels = pixels[:, :1]
    frame = facts.assign(label=facts["label"].where(sound, None))
    glyph = settings.profile == "glyph"
    return gather(frame, pixels, seed=settings.seed, glyph=glyph, models=models)


def _of_lines(facts: pd.DataFrame, settings: CleanSettings, names: Iterable[str]) -> list[str]:
    """The checks among ``names`` that suppose one character, where most images are lines or words.

    Images are lines where ``clean.size: auto`` takes a rectangle. None where the user lists checks;
    a check with a threshold of the user's is no such check.
    """
    height, width = normalise.auto_shape(facts["height"].to_numpy(), facts["width"].to_numpy())
    if settings.checks != "auto" or height == width:
        return []
    alone = [name for name in names if CHECKS.describe(name).facts.get("alone")]
    return [name for name in alone if name not in settings.thresholds]


def _abstained(evidence: Evidence, measures: pd.DataFrame) -> list[str]:
    """The learned checks that judge nothing for want of images, in words, at most one text."""
    if not evidence.abstained:
        return []
    silent = [str(name) for name in measures if measures[name].isna().all()]
    return [f"{', '.join(silent) or 'the models'} abstained: {evidence.abstained}"]


def _sheets(
    root: Path,
    facts: pd.DataFrame,
    judged: pd.DataFrame,
    notes: pd.DataFrame,
    measures: pd.DataFrame,
) -> Iterator[pd.DataFrame]:
    """The rows of clean.csv in sheets of at most table.ROWS."""
    columns = (facts[["label", "split"]], judged[["verdict", "reasons"]], notes,
               judged["repairs"], judged["decided"], measures)  # fmt: skip
    start = 0
    for batch in table.stream(root / INGESTED, ("id", "image.path")):
        index = facts.index[start : start + len(batch)]
        paths = pc.struct_field(batch.column("image"), "path")
        names = pd.DataFrame({"id": batch.column("id"), "path": paths}, index=index)
        yield pd.concat([names, *(part.reindex(index) for part in columns)], axis=1)
        start += len(batch)


def _lines(sheet: pd.DataFrame) -> bytes:
    """A sheet of clean.csv, lines as in RFC 4180 (a label may hold a break), the first headed."""
    first = sheet.index[0] == 0
    sheet["repairs"] = sheet["repairs"].map(";".join)
    sheet = sheet.astype({"probability": float, "cluster": float}).astype({"cluster": "Int64"})
    text = sheet.to_csv(index=False, header=first, lineterminator="\r\n", float_format="%.6g")
    return text.encode()


def _form(kept: pd.DataFrame, settings: CleanSettings) -> Form:
    size = settings.size
    if size == "auto":
        size = normalise.auto_shape(kept["height"].to_numpy(), kept["width"].to_numpy())
    mode = settings.mode
    if mode == "auto":
        mode = "L" if kept["grey"].all() else "RGB"
    return Form(size if isinstance(size, tuple) else (size, size), mode, settings.resize)
