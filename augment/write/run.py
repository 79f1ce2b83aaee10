"""Write: real, adopted and accepted synthetic samples as one set, with card and provenance.

What ``score`` found decides: it chose on valid images what the set holds, and its numbers, which
are about that very set, have to pass the gates.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from augment.data import decisions, files, table
from augment.data.places import ADOPTED, AUGMENTED, CLEAN, QUARANTINE, REPORTS, SYNTHETIC
from augment.data.provenance import FILE, recorded
from augment.data.reports import ReportShapeError, UpliftReport
from augment.errors import AugmentError
from augment.runtime import progress, remote
from augment.write import gates
from augment.write.card import card
from augment.write.dose import Dose, doses, taken
from augment.write.settings import WriteSettings
from augment.writers.base import WRITERS

_FACTS = ("label", "split", "origin", "width", "height", "mode", "generator", "seed", "index")
_SURE = ("id", "label_source", "label_probability")  # also read of adopted images
_ORIGINS = ("real", "synthetic")
_FORM = ["width", "height", "mode"]
_KIND = ["label", "split", "origin"]
_ADOPTION = ("method", "threshold", "calibration_error", "accuracy_valid")  # of adopt.json


ONLY = "a class has no other image"  # why adopted images go in whatever the uplift says
_MAKERS = ("clean", "train", "synth")  # stages whose settings the card shows


class WriteError(AugmentError):
    """Inputs that are missing or do not fit together."""


@dataclass(frozen=True)
class _Selection:
    """The samples that go in, and why.

    takes[n], struck[n]: whether row n of the synthetic table goes in, and whether a person dropped
    it. ``adopted_spare`` counts adopted images that the uplift keeps out, ``gone`` decisions about
    images that are no longer there. ``as_measured``: whether this is the set that the uplift is
    about; None where that was not measured.
    """

    labelled: pd.DataFrame
    adopted: pd.DataFrame
    adopted_why: str
    adopted_spare: int
    synthetic: pd.DataFrame
    takes: NDArray[np.bool_]
    struck: NDArray[np.bool_]
    gone: int
    doses: Mapping[str, Dose]
    as_measured: bool | None


def run(settings: WriteSettings, root: Path = Path("."), *, force: bool = False) -> dict[str, Any]:
    """Write what was cleaned, adopted and made to ``data/augmented``; returns the report.

    All labelled real samples go in untouched; those of ``data/adopted``, whose labels are
    inferred, unless the uplift chose without them; of each class the first synthetic ones, by
    index, up to its dose, without those that ``decisions.csv`` drops. Images without a label are
    left out and counted.

    Raises GateError for a gate that fails, unless ``force``; PartError for the writer, DoseError
    for a class that is not there, WriteError for inputs that are missing or unfit, WriterError for
    samples that the format cannot hold, RemoteError for a destination that cannot take the set,
    AugmentError for decisions that cannot be read. Then
    ``data/augmented`` stays as it was.
    """
    spec = WRITERS.resolve(settings.writer)
    part = WRITERS.describe(spec["name"])
    scores = _json(root / REPORTS / "score.json")
    results = gates.check_gates(settings.gates, scores)
    files.write_json(root / REPORTS / "gates.json", {"gates": gates.records(results)})
    if not force:
        gates.refuse(results)
    uplift = _uplift(scores, root / REPORTS / "score.json")
    selection = _choose(settings, uplift, root)
    destination = _elsewhere(settings.destination, root)
    if destination is not None:
        remote.free(destination, overwrite=True)
    places = [CLEAN, *([ADOPTED] if len(selection.adopted) else []), SYNTHETIC]
    report: dict[str, Any] = {
        "writer": spec,
        "licence": settings.licence,
        "dose": settings.dose,
        "gates": gates.records(results),
        "forced": not gates.passed(results),
        "remark": _remark(settings, uplift, selection),
        "as_measured": selection.as_measured,
        **_counts(selection, table.count(root / CLEAN)),
        "adoption": _adoption(selection, _json(root / REPORTS / "adopt.json")),
        "inputs": {place: files.digest_of_folder(root / place) for place in places},
        "settings": settings.resolved(),
    }
    made_by = {
        stage: _json(root / REPORTS / f"{stage}.json").get("settings", {}) for stage in _MAKERS
    } | {"write": report["settings"]}
    temporary = files.temporary_beside(root / AUGMENTED)
    try:
        folder, provenance = temporary / "set", temporary / FILE
        samples = _samples(root, selection, report["real"] + report["synthetic"])
        WRITERS.build(settings.writer)(recorded(samples, provenance), folder)
        provenance.replace(folder / FILE)
        files.write_json(folder / "classes.json", list(report["classes"]))
        readme = card(report, scores, uplift, made_by, part.facts.get("data_files"))
        files.write_text(folder / "README.md", readme)
        files.publish(folder, root / AUGMENTED)
        if destination is not None:
            remote.send(root / AUGMENTED, destination, overwrite=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    files.write_json(root / REPORTS / "write.json", report)
    return report


def gate_results(settings: WriteSettings, root: Path = Path(".")) -> list[gates.GateResult]:
    """What became of each gate; raises WriteError where nothing was measured."""
    path = root / REPORTS / "score.json"
    if not path.exists():
        raise WriteError(f"{path}: no such file; run the stage score first")
    return gates.check_gates(settings.gates, _json(path))


def _elsewhere(destination: str | None, root: Path) -> str | None:
    """``write.destination`` as an address or as a path; a relative one begins at ``root``."""
    if destination is None or remote.is_remote(destination):
        return destination
    return str((root / Path(destination).expanduser()).absolute())


def _choose(settings: WriteSettings, uplift: UpliftReport | None, root: Path) -> _Selection:
    """What goes in, by the settings, the uplift, and the decisions of a person."""
    real = _facts(root, CLEAN, "clean")
    synthetic = _facts(root, SYNTHETIC, "synth", "id")
    adopted = _adopted(root, real)
    _check(real, synthetic, adopted)
    labelled = real[real["label"].notna()]
    adopts, why = _adopts(settings, uplift)
    every = set(adopted["label"]) | set(synthetic["label"])
    needed = bool(every - set(labelled.loc[labelled["split"] == "train", "label"]))
    if needed and settings.adopted == "auto":
        adopts, why = True, ONLY
    spare = len(adopted) if settings.adopted == "auto" and not adopts else 0
    if not adopts:
        adopted = adopted.iloc[:0]
    classes = table.classes_of([*labelled["label"], *synthetic["label"]])
    dose_of_class = doses(settings.dose, classes, uplift)
    decided = decisions.load(root / decisions.FILE)
    dropped = {name for name, decision in decided.items() if decision.action == "drop"}
    struck = synthetic["id"].isin(dropped).to_numpy()
    takes, train = ~struck, labelled.loc[labelled["split"] == "train", "label"]
    if needed:
        train = pd.concat([train, adopted["label"]])
    takes[takes] = taken(synthetic[~struck], train, dose_of_class)
    as_measured = None
    if uplift:
        measured = taken(synthetic, train, doses("auto", classes, uplift))
        same = np.array_equal(takes, measured)
        as_measured = same and bool(len(adopted)) == (uplift.adopted or needed)
    return _Selection(
        labelled,
        adopted,
        why,
        spare,
        synthetic[takes],
        takes,
        struck,
        len(decided.keys() - _decidable(root)) if decided else 0,
        dose_of_class,
        as_measured,
    )


def _adopts(settings: WriteSettings, uplift: UpliftReport | None) -> tuple[bool, str]:
    """Whether adopted images go in, and why."""
    if settings.adopted != "auto":
        return settings.adopted, "set"
    if uplift is None:
        return True, "not measured"
    if "adopted" not in uplift.parts:
        return False, "not measured"
    if uplift.chosen_on is None:
        return uplift.adopted, "no valid images"
    why = "chosen" if uplift.adopted else "worse"
    return uplift.adopted, f"{why} on {uplift.chosen_on}"


def _decidable(root: Path) -> set[str]:
    """The ids of all images that a decision can be about."""
    places = (root / place for place in (CLEAN, QUARANTINE, SYNTHETIC))
    return {name for place in places if place.exists() for name in table.frame(place, ["id"])["id"]}


def _facts(root: Path, place: str, stage: str, *more: str) -> pd.DataFrame:
    try:
        return table.frame(root / place, (*_FACTS, *more))
    except table.TableError as error:
        raise WriteError(f"{error}; run the stage {stage} first") from None


def _adopted(root: Path, real: pd.DataFrame) -> pd.DataFrame:
    """The adopted images; none where there is no such table.

    Each has to be an unlabelled train image of the clean ones, so that no image goes in twice and
    none of the test split comes back with a label. Its class is that of a labelled image or of a
    further domain's.
    """
    if not (root / ADOPTED).exists():
        return real.iloc[:0].assign(label_probability=None)
    adopted = _facts(root, ADOPTED, "adopt", *_SURE)
    if not len(adopted):
        return adopted
    ids = table.frame(root / CLEAN, ["id"])["id"]
    open_ids = ids[(real["label"].isna() & (real["split"] == "train")).to_numpy()]
    wrong = {
        "not an unlabelled train image of " + CLEAN: ~adopted["id"].isin(open_ids),
        "there twice": adopted["id"].duplicated(),
        "not in the train split": adopted["split"] != "train",
        "not real with an inferred label": (adopted["origin"] != "real")
        | (adopted["label_source"] != "inferred"),
        "of a class without a labelled image": ~adopted["label"].isin(
            table.frame(root / CLEAN, ["label"], domain=table.EVERY)["label"].dropna()
        ),
    }
    for fault, wrong_rows in wrong.items():
        if wrong_rows.any():
            raise WriteError(f"{ADOPTED}: image {adopted['id'][wrong_rows].iloc[0]} is {fault}")
    return adopted


def _check(real: pd.DataFrame, synthetic: pd.DataFrame, adopted: pd.DataFrame) -> None:
    """Raise WriteError for tables that do not fit together."""
    if real["label"].isna().all() and not len(adopted):
        raise WriteError(f"{CLEAN}: no labelled images")
    if synthetic["label"].isna().any() or not (synthetic["split"] == "train").all():
        raise WriteError(f"{SYNTHETIC}: a sample without a label or outside the train split")
    stray = set(map(tuple, synthetic[_FORM].drop_duplicates().to_numpy())) - set(
        map(tuple, real[_FORM].drop_duplicates().to_numpy())
    )
    if stray:
        width, height, mode = stray.pop()
        raise WriteError(
            f"{SYNTHETIC}: images of {width} × {height} {mode}, and none such in {CLEAN}; "
            "train and synth again"
        )


def _json(path: Path) -> dict[str, Any]:
    """What a stage reported; nothing if it did not run."""
    if not path.exists():
        return {}
    try:
        report = files.read_json(path)
    except files.JSONError as error:
        raise WriteError(str(error)) from None
    return report if isinstance(report, dict) else {}


def _uplift(scores: Mapping[str, Any], path: Path) -> UpliftReport | None:
    try:
        return UpliftReport.of_scores(scores)
    except ReportShapeError as error:
        raise WriteError(f"{path}: {error}; run the stage score again") from None


def _remark(
    settings: WriteSettings, uplift: UpliftReport | None, selection: _Selection
) -> str | None:  # fmt: skip
    """A word to users who get another set than they may expect, or than the verdict is about."""
    remarks = []
    if uplift and settings.dose == "auto" and len(selection.takes) and not selection.takes.any():
        why = "no class gains by synthetic images on valid ones"
        if uplift.chosen_on is None:
            why = "without valid images no dose can be chosen"
        rest = "real ones" if len(selection.adopted) else "labelled ones"
        remarks.append(
            f"{why}: the set holds the {rest} alone (-S write.dose=null takes all the same)"
        )
    if selection.adopted_spare:
        remarks.append(
            f"adopted images stay out: {selection.adopted_why} (-S write.adopted=true takes them "
            "all the same)"
        )
    if uplift and selection.as_measured is False:
        changes = {
            "write.dose is set": settings.dose != "auto",
            "write.adopted is set": settings.adopted != "auto"
            and bool(len(selection.adopted)) != uplift.adopted,
            "samples are struck out": selection.struck.any(),
        }
        why = ", ".join(name for name, holds in changes.items() if holds)
        remarks.append(
            "the verdict and the gates are about another set "
            f"({why or 'tables changed since score ran'}): the labelled images with {uplift.added}"
        )
    return "; ".join(remarks) or None


def _counts(selection: _Selection, cleaned: int) -> dict[str, Any]:
    """How many samples go in and stay out, by class, split and origin."""
    parts = (selection.labelled, selection.adopted, selection.synthetic)
    counts = sum((Counter(dict(part[_KIND].value_counts())) for part in parts), Counter())
    adopted = selection.adopted["label"].value_counts()
    classes = {
        label: {
            split: {origin: int(counts.get((label, split, origin), 0)) for origin in _ORIGINS}
            for split in table.SPLITS
        }
        for label in table.classes_of(label for label, _, _ in counts)
    }
    real, synthetic = (
        sum(count for (_, _, origin), count in counts.items() if origin == this)
        for this in _ORIGINS
    )
    return {
        "real": real,
        "adopted": len(selection.adopted),
        "synthetic": synthetic,
        "left_out": {
            "unlabelled": cleaned - real,
            "over_dose": int((~selection.takes & ~selection.struck).sum()),
            "struck_out": int(selection.struck.sum()),
        },
        "decisions_gone": selection.gone,
        "classes": classes,
        "per_class": {
            label: {
                "real": splits["train"]["real"] - int(adopted.get(label, 0)),
                "adopted": int(adopted.get(label, 0)),
                "synthetic": splits["train"]["synthetic"],
                "dose": selection.doses[label].most,
                "why": selection.doses[label].why,
            }
            for label, splits in classes.items()
        },
        "generators": sorted(set().union(*(part["generator"].dropna() for part in parts))),
        "seeds": sorted({int(seed) for part in parts for seed in part["seed"].dropna().unique()}),
    }


def _adoption(selection: _Selection, adopt: Mapping[str, Any]) -> dict[str, Any]:
    """From where the adopted images are, why they went in or not, and how sure their labels."""
    sure = selection.adopted["label_probability"].astype(float)
    return {
        "from": ADOPTED,
        "why": selection.adopted_why,
        "probability": {"least": sure.min(), "mean": sure.mean()} if len(sure) else None,
        **{name: adopt.get(name) for name in _ADOPTION},
    }


def _samples(root: Path, selection: _Selection, total: int) -> Iterator[table.Row]:
    """The rows that go in, with a progress bar: labelled, then adopted, then synthetic ones."""

    def all_three() -> Iterator[table.Row]:
        for row in table.rows(root / CLEAN):
            if row["label"] is not None:
                yield row
        if len(selection.adopted):
            yield from table.rows(root / ADOPTED)
        for take, row in zip(selection.takes, table.rows(root / SYNTHETIC), strict=True):
            if take:
                yield row

    return progress.track(all_three(), "write", total)
