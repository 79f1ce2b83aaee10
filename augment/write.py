"""Write: real and accepted synthetic samples as one set, with its card and its provenance."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from augment import progress, table
from augment.card import card
from augment.errors import AugmentError
from augment.params import AUGMENTED, CLEAN, REPORTS, SYNTHETIC, Params
from augment.writers import WRITERS
from augment.writers.provenance import FILE, recorded

_FACTS = ("label", "split", "origin", "width", "height", "mode", "generator", "seed", "index")
_ORIGINS = ("real", "synthetic")
_FORM = ["width", "height", "mode"]


class WriteError(AugmentError):
    """Inputs that are missing or do not fit together."""


def run(params: Params, root: Path = Path(".")) -> dict[str, Any]:
    """Write ``data/clean`` and ``data/synthetic`` to ``data/augmented``; returns the report.

    All labelled real samples go in untouched, and of each class the first synthetic ones, by index,
    up to ``dose`` for each real train image. Images without a label are left out and counted.
    Raises PartError for the writer, WriteError for inputs that are missing or unfit, WriterError
    for samples that the format cannot hold.
    """
    settings = params.write
    spec = WRITERS.resolve(settings.writer)
    part = WRITERS.describe(spec["name"])
    real = _facts(root, CLEAN, "clean")
    synthetic = _facts(root, SYNTHETIC, "synth")
    _check(real, synthetic)
    scores = _scores(root / REPORTS / "score.json")
    trained_on = (real["split"] == "train") & (real["origin"] == "real")
    chosen = dosed(synthetic, real.loc[trained_on, "label"], settings.dose)
    report: dict[str, Any] = {
        "writer": spec,
        "licence": settings.licence,
        "dose": settings.dose,
        **_counts(real, synthetic, chosen),
        "inputs": {place: table.digest(root / place) for place in (CLEAN, SYNTHETIC)},
    }
    made_by = params.model_dump(mode="json", include={"clean", "train", "synth", "write"})
    temporary = table.temporary_beside(root / AUGMENTED)
    try:
        folder, provenance = temporary / "set", temporary / FILE
        samples = _samples(root, chosen, report["real"] + report["synthetic"])
        WRITERS.build(settings.writer)(recorded(samples, provenance), folder)
        provenance.replace(folder / FILE)
        table.write_json(folder / "classes.json", list(report["classes"]))
        readme = card(report, scores, made_by, part.facts.get("data_files"))
        table.write_text(folder / "README.md", readme)
        table.publish(folder, root / AUGMENTED)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    table.write_json(root / REPORTS / "write.json", report)
    return report


def dosed(synthetic: pd.DataFrame, real: pd.Series, dose: float | None) -> NDArray[np.bool_]:
    """Which synthetic samples go in: of each class the first by index, rounded down.

    ``real`` holds the label of each real train image; no ``dose`` takes all.
    """
    if dose is None:
        return np.ones(len(synthetic), dtype=bool)
    rank = synthetic.sort_values("index", kind="stable").groupby("label").cumcount()
    most = real.value_counts().mul(dose).add(1e-9).map(math.floor)
    wanted = synthetic["label"].map(most).astype(float).fillna(0)
    return (rank.reindex(synthetic.index) < wanted).to_numpy(dtype=bool)


def _facts(root: Path, place: str, stage: str) -> pd.DataFrame:
    try:
        return table.frame(root / place, _FACTS)
    except table.TableError as error:
        raise WriteError(f"{error}; run the stage {stage} first") from None


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


def _scores(path: Path) -> Mapping[str, Any]:
    """What score measured; nothing if it did not run."""
    if not path.exists():
        return {}
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WriteError(f"{path}: not JSON: {error}") from None
    return scores if isinstance(scores, dict) else {}


def _counts(
    real: pd.DataFrame, synthetic: pd.DataFrame, chosen: NDArray[np.bool_]
) -> dict[str, Any]:
    labelled, added = real[real["label"].notna()], synthetic[chosen]
    written = pd.concat([labelled, added])
    found = written.groupby(["label", "split", "origin"]).size().to_dict()
    classes = {
        label: {
            split: {origin: int(found.get((label, split, origin), 0)) for origin in _ORIGINS}
            for split in table.SPLITS
        }
        for label in table.classes_of(written["label"])
    }
    return {
        **{origin: int((written["origin"] == origin).sum()) for origin in _ORIGINS},
        "left_out": {
            "unlabelled": len(real) - len(labelled),
            "over_dose": len(synthetic) - len(added),
        },
        "classes": classes,
        "generators": sorted(written["generator"].dropna().unique()),
        "seeds": sorted(int(seed) for seed in written["seed"].dropna().unique()),
    }


def _samples(root: Path, chosen: NDArray[np.bool_], total: int) -> Iterator[table.Row]:
    def both() -> Iterator[table.Row]:
        for row in table.rows(root / CLEAN):
            if row["label"] is not None:
                yield row
        for take, row in zip(chosen, table.rows(root / SYNTHETIC), strict=True):
            if take:
                yield row

    return progress.track(both(), "write", total)
