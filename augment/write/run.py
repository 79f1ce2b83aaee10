"""Write: real, adopted and accepted synthetic samples as one set, with card and provenance.

What ``score`` found decides: its numbers have to pass the gates, and its verdicts give the doses.
"""

from __future__ import annotations

import shutil
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
from augment.errors import AugmentError
from augment.params import Params
from augment.runtime import progress
from augment.write import gates
from augment.write.card import card
from augment.write.dose import Dose, doses, taken
from augment.write.settings import WriteSettings
from augment.writers.base import WRITERS

_FACTS = ("label", "split", "origin", "width", "height", "mode", "generator", "seed", "index")
_SURE = ("id", "label_source", "label_probability")  # also read of adopted images
_ORIGINS = ("real", "synthetic")
_FORM = ["width", "height", "mode"]
_ADOPTION = ("method", "threshold", "calibration_error", "accuracy_valid")  # of adopt.json


class WriteError(AugmentError):
    """Inputs that are missing or do not fit together."""


@dataclass(frozen=True)
class _Chosen:
    """What goes in: real samples as they came, adopted ones, and which of the synthetic.

    ``struck`` are the synthetic ones that a person decided to drop, ``gone`` counts the decisions
    about images that are no more.
    """

    given: pd.DataFrame
    adopted: pd.DataFrame
    adopted_why: str
    synthetic: pd.DataFrame
    takes: NDArray[np.bool_]
    struck: NDArray[np.bool_]
    gone: int
    doses: Mapping[str, Dose]


def run(params: Params, root: Path = Path("."), *, force: bool = False) -> dict[str, Any]:
    """Write what was cleaned, adopted and made to ``data/augmented``; returns the report.

    All labelled real samples go in untouched; those of ``data/adopted``, whose labels are
    inferred, unless they harm; of each class the first synthetic ones, by index, up to its dose,
    without those that ``decisions.csv`` drops. Images without a label are left out and counted.

    Raises GateError for a gate that fails, unless ``force``; PartError for the writer, DoseError
    for a class that is not there, WriteError for inputs that are missing or unfit, WriterError for
    samples that the format cannot hold, AugmentError for decisions that cannot be read. Then
    ``data/augmented`` stays as it was.
    """
    settings = params.write
    spec = WRITERS.resolve(settings.writer)
    part = WRITERS.describe(spec["name"])
    scores = _json(root / REPORTS / "score.json")
    verdicts = gates.judge(settings.gates, scores)
    if not force:
        gates.refuse(verdicts)
    chosen = _choose(settings, scores, root)
    places = [CLEAN, *([ADOPTED] if len(chosen.adopted) else []), SYNTHETIC]
    report: dict[str, Any] = {
        "writer": spec,
        "licence": settings.licence,
        "dose": settings.dose,
        "gates": gates.records(verdicts),
        "forced": not gates.passed(verdicts),
        "remark": _remark(settings, chosen),
        **_counts(chosen, table.count(root / CLEAN)),
        "adoption": _adoption(chosen, _json(root / REPORTS / "adopt.json")),
        "inputs": {place: files.digest_of_folder(root / place) for place in places},
    }
    made_by = params.model_dump(mode="json", include={"clean", "train", "synth", "write"})
    temporary = files.temporary_beside(root / AUGMENTED)
    try:
        folder, provenance = temporary / "set", temporary / FILE
        samples = _samples(root, chosen, report["real"] + report["synthetic"])
        WRITERS.build(settings.writer)(recorded(samples, provenance), folder)
        provenance.replace(folder / FILE)
        files.write_json(folder / "classes.json", list(report["classes"]))
        readme = card(report, scores, made_by, part.facts.get("data_files"))
        files.write_text(folder / "README.md", readme)
        files.publish(folder, root / AUGMENTED)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    files.write_json(root / REPORTS / "write.json", report)
    return report


def judged(params: Params, root: Path = Path(".")) -> list[gates.Verdict]:
    """The verdict on each of the gates; raises WriteError where nothing was measured."""
    path = root / REPORTS / "score.json"
    if not path.exists():
        raise WriteError(f"{path}: no such file; run the stage score first")
    return gates.judge(params.write.gates, _json(path))


def _choose(settings: WriteSettings, scores: Mapping[str, Any], root: Path) -> _Chosen:
    real = _facts(root, CLEAN, "clean")
    synthetic = _facts(root, SYNTHETIC, "synth", "id")
    _check(real, synthetic)
    adopted = _adopted(root, real)
    given = real[real["label"].notna()]
    uplift = _part(scores, "uplift")
    verdict = _part(uplift, "adopted").get("verdict")
    adopts, why = settings.adopted, "set"
    if adopts == "auto":
        adopts, why = verdict != "harms", verdict or "not measured"
    classes = table.classes_of([*given["label"], *synthetic["label"]])
    chosen = doses(settings.dose, classes, uplift)
    decided = decisions.load(root / decisions.FILE)
    dropped = {name for name, one in decided.items() if one.action == "drop"}
    struck = synthetic["id"].isin(dropped).to_numpy()
    takes = ~struck
    takes[takes] = taken(synthetic[~struck], given.loc[given["split"] == "train", "label"], chosen)
    return _Chosen(
        given,
        adopted if adopts else adopted.iloc[:0],
        why,
        synthetic[takes],
        takes,
        struck,
        len(decided.keys() - _known(root)) if decided else 0,
        chosen,
    )


def _known(root: Path) -> set[str]:
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
    none of the test split comes back with a label.
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
        "of a class without a labelled image": ~adopted["label"].isin(real["label"].dropna()),
    }
    for fault, found in wrong.items():
        if found.any():
            raise WriteError(f"{ADOPTED}: image {adopted['id'][found].iloc[0]} is {fault}")
    return adopted


def _check(real: pd.DataFrame, synthetic: pd.DataFrame) -> None:
    if real["label"].isna().all():
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


def _part(report: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = report.get(name)
    return part if isinstance(part, Mapping) else {}


def _remark(settings: WriteSettings, chosen: _Chosen) -> str | None:
    """What a user should hear who asked for synthetic images and gets none."""
    if settings.dose != "auto" or not len(chosen.takes) or chosen.takes.any():
        return None
    return (
        "no class gains by synthetic images: the set holds the real ones alone "
        "(-S write.dose=null takes all the same)"
    )


def _counts(chosen: _Chosen, cleaned: int) -> dict[str, Any]:
    written = pd.concat([chosen.given, chosen.adopted, chosen.synthetic])
    found = written.groupby(["label", "split", "origin"]).size().to_dict()
    adopted = chosen.adopted["label"].value_counts()
    classes = {
        label: {
            split: {origin: int(found.get((label, split, origin), 0)) for origin in _ORIGINS}
            for split in table.SPLITS
        }
        for label in table.classes_of(written["label"])
    }
    real, synthetic = (int((written["origin"] == origin).sum()) for origin in _ORIGINS)
    return {
        "real": real,
        "adopted": len(chosen.adopted),
        "synthetic": synthetic,
        "left_out": {
            "unlabelled": cleaned - real,
            "over_dose": int((~chosen.takes & ~chosen.struck).sum()),
            "struck_out": int(chosen.struck.sum()),
        },
        "decisions_gone": chosen.gone,
        "classes": classes,
        "per_class": {
            label: {
                "real": splits["train"]["real"] - int(adopted.get(label, 0)),
                "adopted": int(adopted.get(label, 0)),
                "synthetic": splits["train"]["synthetic"],
                "dose": chosen.doses[label].most,
                "why": chosen.doses[label].why,
            }
            for label, splits in classes.items()
        },
        "generators": sorted(written["generator"].dropna().unique()),
        "seeds": sorted(int(seed) for seed in written["seed"].dropna().unique()),
    }


def _adoption(chosen: _Chosen, adopt: Mapping[str, Any]) -> dict[str, Any]:
    """From where the adopted images are, why they went in or not, and how sure their labels."""
    sure = chosen.adopted["label_probability"].astype(float)
    return {
        "from": ADOPTED,
        "why": chosen.adopted_why,
        "probability": {"least": sure.min(), "mean": sure.mean()} if len(sure) else None,
        **{name: adopt.get(name) for name in _ADOPTION},
    }


def _samples(root: Path, chosen: _Chosen, total: int) -> Iterator[table.Row]:
    def all_three() -> Iterator[table.Row]:
        for row in table.rows(root / CLEAN):
            if row["label"] is not None:
                yield row
        if len(chosen.adopted):
            yield from table.rows(root / ADOPTED)
        for take, row in zip(chosen.takes, table.rows(root / SYNTHETIC), strict=True):
            if take:
                yield row

    return progress.track(all_three(), "write", total)
