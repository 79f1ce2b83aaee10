"""The sections about the data: classes, cleaning, adopted images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from augment.data import table
from augment.data.places import ADOPTED, CLEAN, QUARANTINE, SYNTHETIC
from augment.report import pictures
from augment.report.elements import Figure, Part, Section, Strips, Table
from augment.report.sources import Sources
from augment.report.words import counted


def classes(found: Sources) -> Section:
    """Real train images beside accepted synthetic ones, a row for each class."""
    key, title = "classes", "Real beside synthetic"
    if not found.has_table(CLEAN):
        return Section(key, title, missing="No images yet: augment ingest, then augment clean.")
    columns = found.settings.images
    real = pictures.first_by_class(found.root / CLEAN, columns, split="train")
    made: Mapping[str, list[bytes]] = {}
    if found.has_table(SYNTHETIC):
        made = pictures.first_by_class(found.root / SYNTHETIC, columns)
    names = list(real)[: found.settings.classes]
    rows = [
        (
            name,
            [
                pictures.strip(real[name], f"real images of class {name}", columns),
                pictures.strip(made.get(name, []), f"synthetic images of class {name}", columns),
            ],
        )
        for name in names
    ]
    caption = f"The first {columns} of each class in the table's order: none was picked by hand."
    if len(real) > len(names):
        caption += f" {counted(len(real) - len(names), 'more class', 'more classes')} not shown."
    strips = Strips(("real", "synthetic" if made else "synthetic: not drawn yet"), rows)
    source = "synth.json" if made else "clean.json"
    lead = "Left what there was, right what the generator drew and the filter accepted."
    return Section(key, title, lead, [Figure("A row for each class", [strips], source, caption)])


def cleaning(found: Sources) -> Section:
    """What each check dropped, with pictures."""
    key, title, report = "cleaning", "What cleaning dropped", found.get("clean")
    if not report:
        return Section(key, title, missing="Not run yet: augment clean.")
    rows = [
        (name.replace("_", " "), failed, report["thresholds"].get(name))
        for name, failed in report["checks"].items()
    ]
    parts: list[Part] = []
    if report["dropped"] and (strips := _dropped(found)):
        parts.append(strips)
    parts.append(Table(("check", "failed", "threshold"), rows, sortable=True))
    height, width = report["size"]
    lead = (
        f"{counted(report['dropped'], 'image')} of {report['in']:,} set aside in {QUARANTINE}; "
        f"the others became {width} × {height} pixels, mode {report['mode']} ({report['resize']})."
    )
    caption = (
        "An image can fail several checks; it is measured first and judged afterwards. A repaired "
        "one stays, and so does a test image against which only a model speaks."
    )
    return Section(key, title, lead, [Figure("By check", parts, "clean.json", caption)])


def adopted(found: Sources) -> Section:
    """The images that were given a label, the least certain first."""
    key, title, report = "adopted", "Adopted images", found.get("adopt")
    if not report:
        return Section(key, title, missing="Not run yet: augment adopt.")
    if not report["adopted"]:
        return Section(key, title, "No unlabelled image was adopted.")
    columns = found.settings.images
    strips = _least_certain(found, columns) if found.has_table(ADOPTED) else []
    facts = Table(
        ("what", "value"),
        [
            (name, report.get(name.replace(" ", "_")))
            for name in ("unlabelled", "adopted", "method", "threshold", "temperature",
                         "calibration error", "accuracy valid")
        ],
    )  # fmt: skip
    lead = (
        f"{report['adopted']:,} of {counted(report['unlabelled'], 'unlabelled image')} were sure "
        "enough of their class to be used as real ones."
    )
    per_class = Table(("class", "adopted"), list(report["per_class"].items()), sortable=True)
    caption = "Those whose label is least certain stand here: if these are right, the rest is too."
    parts: list[Part] = [Strips(("least certain",), strips)] if strips else []
    figure = Figure("By class", [*parts, facts], "adopt.json", caption, per_class)
    return Section(key, title, lead, [figure])


def _dropped(found: Sources) -> Strips | None:
    """Images in quarantine under the check that each failed first."""
    verdicts = found.file("clean.csv")
    if not verdicts.is_file() or not found.has_table(QUARANTINE):
        return None
    sheet = pd.read_csv(
        verdicts, usecols=["id", "verdict", "reasons"], dtype=str, keep_default_na=False
    )
    sheet = sheet[sheet["verdict"] == "drop"]
    first = sheet["reasons"].str.partition(";")[0]
    columns = found.settings.images
    chosen = {
        reason: list(dict.fromkeys(ids))[:columns] for reason, ids in sheet["id"].groupby(first)
    }
    images = pictures.by_id(
        found.root / QUARANTINE, [one for ids in chosen.values() for one in ids]
    )
    rows = []
    for reason, ids in chosen.items():
        name = str(reason).replace("_", " ")
        encoded = [images[one] for one in ids if one in images]
        if encoded:
            rows.append((name, [pictures.strip(encoded, f"dropped by {name}", columns)]))
    return Strips(("dropped",), rows) if rows else None


def _least_certain(found: Sources, columns: int) -> list[tuple[str, list[Any]]]:
    facts = table.frame(found.root / ADOPTED, ("id", "label", "label_probability"))
    facts = facts.sort_values(["label_probability", "id"])
    names = table.classes_of(facts["label"])[: found.settings.classes]
    chosen = {name: list(facts["id"][facts["label"] == name][:columns]) for name in names}
    images = pictures.by_id(found.root / ADOPTED, [one for ids in chosen.values() for one in ids])
    return [
        (name, [pictures.strip([images[one] for one in ids], f"adopted as {name}", columns)])
        for name, ids in chosen.items()
    ]
