"""The adopt stage: images without a label get one where its probability is high enough."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from augment.adopt.calibration import Combination
from augment.adopt.settings import AdoptSettings
from augment.data import files, table
from augment.data.arrays import classes_of_all
from augment.data.places import ADOPTED, CLEAN, REPORTS


def run(settings: AdoptSettings, root: Path = Path(".")) -> dict[str, Any]:
    """Label the unlabelled train images of data/clean; write data/adopted and reports/adopt.json.

    The valid split calibrates the opinions and decides how they are combined; the test split is
    not read. The images of other domains teach (``ingest.domains``) where some class has no
    labelled train image. Of very many images a sample is looked at (``adopt.images``); the report
    says so under ``sampled``. Gives the report. Raises AdoptError where under two classes have a
    labelled train image and no domain speaks, or where no labeller has an opinion.
    """
    clean = root / CLEAN
    facts = table.frame(clean, ["label"], split="train", origin="real")
    report: dict[str, Any] = {"unlabelled": int(facts["label"].isna().sum()), "domain": None}
    if report["unlabelled"]:
        from augment.adopt.label import label_images  # which imports torch: seconds, for nothing

        adopted, classes, combination, looked_at = label_images(settings, root)
        report |= looked_at
    else:
        adopted, classes, combination = {}, classes_of_all(clean), Combination()
    labels = [label for label, _ in adopted.values()]
    report |= {
        "adopted": len(adopted),
        "per_class": {name: labels.count(name) for name in classes},
        "threshold": settings.probability,
        **dataclasses.asdict(combination),
        "settings": settings.resolved(),
    }
    _write(root, adopted)
    files.write_json(root / REPORTS / "adopt.json", report)
    return report


def _write(root: Path, adopted: Mapping[str, tuple[str, float]]) -> None:
    """data/adopted: the rows of data/clean that got a label, in their order."""
    with table.TableWriter(root / ADOPTED, overwrite=True) as out:
        for row in table.rows(root / CLEAN, split="train", origin="real") if adopted else ():
            if row["id"] in adopted:
                label, probability = adopted[row["id"]]
                row |= {"label": label, "label_source": "inferred"}
                out.add(row | {"label_probability": probability})
