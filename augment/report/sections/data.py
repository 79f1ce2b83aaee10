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


def classes(sources: Sources) -> Section:
    """Real train images beside accepted synthetic ones, a row for each class."""
    key, title = "classes", "Real beside synthetic"
    if not sources.has_table(CLEAN):
        return Section(key, title, missing="No images yet: augment ingest, then augment clean.")
    columns = sources.settings.images
    real = pictures.first_by_class(sources.root / CLEAN, columns, split="train")
    made: Mapping[str, list[bytes]] = {}
    if sources.has_table(SYNTHETIC):
        made = pictures.first_by_class(sources.root / SYNTHETIC, columns)
    names = list(real)[: sources.settings.classes]
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


def cleaning(sources: Sources) -> Section:
    """What each check dropped, with pictures."""
    key, title, report = "cleaning", "What cleaning dropped", sources.get("clean")
    if not report:
        return Section(key, title, missing="Not run yet: augment clean.")
    rows = [
        (name.replace("_", " "), failed, report["thresholds"].get(name))
        for name, failed in report["checks"].items()
    ]
    parts: list[Part] = []
    if report["dropped"] and (strips := _dropped(sources)):
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


def adopted(sources: Sources) -> Section:
    """The images that were given a label, the least certain first."""
    key, title, report = "adopted", "Adopted images", sources.get("adopt")
    if not report:
        return Section(key, title, missing="Not run yet: augment adopt.")
    by_domain = _by_domain(report.get("domain"))
    if not report["adopted"]:
        return Section(key, title, f"No unlabelled image was adopted.{by_domain}")
    columns = sources.settings.images
    strips = _least_certain(sources, columns) if sources.has_table(ADOPTED) else []
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
        f"enough of their class to be used as real ones.{by_domain}"
    )
    per_class = Table(("class", "adopted"), list(report["per_class"].items()), sortable=True)
    caption = "Those whose label is least certain stand here: if these are right, the rest is too."
    parts: list[Part] = [Strips(("least certain",), strips)] if strips else []
    figure = Figure("By class", [*parts, facts], "adopt.json", caption, per_class)
    return Section(key, title, lead, [figure])


def _by_domain(report: Mapping[str, Any] | None) -> str:
    """A sentence about what another domain said, and how labels check it; empty without one."""
    if not report:
        return ""
    if report["silent"]:
        return f" The other domain says nothing: {report['silent']}."
    checked = report["checked"]
    wrong = (
        f"it reads {report['wrong']:,} of {counted(checked, 'labelled image')} wrong"
        if checked
        else "no label of these images checks it: label a few"
    )
    seeds = counted(report["seeds"], "image")
    return f" Another domain is sure of {seeds}, whose labels spread; {wrong}."


def _dropped(sources: Sources) -> Strips | None:
    """Images in quarantine under the check that each failed first."""
    verdicts = sources.file("clean.csv")
    if not verdicts.is_file() or not sources.has_table(QUARANTINE):
        return None
    sheet = pd.read_csv(
        verdicts, usecols=["id", "verdict", "reasons"], dtype=str, keep_default_na=False
    )
    sheet = sheet[sheet["verdict"] == "drop"]
    first = sheet["reasons"].str.partition(";")[0]
    columns = sources.settings.images
    ids_by_reason = {
        reason: list(dict.fromkeys(ids))[:columns] for reason, ids in sheet["id"].groupby(first)
    }
    images = pictures.by_id(
        sources.root / QUARANTINE, [name for ids in ids_by_reason.values() for name in ids]
    )
    rows = []
    for reason, ids in ids_by_reason.items():
        name = str(reason).replace("_", " ")
        encoded = [images[name] for name in ids if name in images]
        if encoded:
            rows.append((name, [pictures.strip(encoded, f"dropped by {name}", columns)]))
    return Strips(("dropped",), rows) if rows else None


def _least_certain(sources: Sources, columns: int) -> list[tuple[str, list[Any]]]:
    """A strip for each class of the adopted images whose label is least probable."""
    facts = table.frame(sources.root / ADOPTED, ("id", "label", "label_probability"))
    facts = facts.sort_values(["label_probability", "id"])
    names = table.classes_of(facts["label"])[: sources.settings.classes]
    ids_by_class = {name: list(facts["id"][facts["label"] == name][:columns]) for name in names}
    images = pictures.by_id(
        sources.root / ADOPTED, [image_id for ids in ids_by_class.values() for image_id in ids]
    )
    return [
        (
            name,
            [pictures.strip([images[image_id] for image_id in ids], f"adopted as {name}", columns)],
        )
        for name, ids in ids_by_class.items()
    ]
