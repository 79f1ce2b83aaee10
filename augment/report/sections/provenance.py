"""The section about provenance and versions."""

from __future__ import annotations

import json
import platform
from importlib import metadata

from augment.data import table
from augment.data.lookup import Lookup
from augment.data.places import CLEAN, SYNTHETIC
from augment.report import pictures
from augment.report.elements import Cell, Figure, Section, Strips, Table
from augment.report.sources import Sources

_PACKAGES = ("augment", "numpy", "pandas", "pillow", "pyarrow", "scikit-learn", "scipy", "torch",
             "torchvision")  # fmt: skip
_CLASSES = 12  # shown with what was made of one of their images


def provenance(sources: Sources) -> Section:
    """Inputs, generator, settings and versions that this page's numbers come from."""
    written, trained = sources.get("write"), sources.get("train")
    rows: list[tuple[str, Cell]] = [("source", sources.get("ingest").get("source"))]
    rows.append(("generator", trained.get("generator")))
    rows += [(place, digest) for place, digest in written.get("inputs", {}).items()]
    rows.append(("seeds of the samples", ", ".join(map(str, written.get("seeds", [])))))
    rows.append(("licence", written.get("licence")))
    what = Table(("what", "value or SHA-256"), [row for row in rows if row[1]])
    settings = [
        (stage, json.dumps(report["settings"], ensure_ascii=False))
        for stage, report in sources.reports.items()
        if "settings" in report
    ]
    flat = Table(("stage", "the settings that it ran with"), settings)
    figures = [
        Figure("Origin", [what], "write.json" if written else "ingest.json", numbers=flat),
        Figure(
            "Versions", [Table(("package", "version"), list(versions().items()))], "report.json"
        ),
    ]
    figures += _started(sources)
    lead = (
        "From a row's generator, seed, label and index, and its source where it has one, that very "
        "image can be made again."
    )
    return Section("provenance", "Provenance and versions", lead, figures)


def _started(sources: Sources) -> list[Figure]:
    """Of each class an image and what was made of it, where samples start from images."""
    if not (sources.has_table(SYNTHETIC) and sources.has_table(CLEAN)):
        return []
    facts = table.frame(sources.root / SYNTHETIC, ["id", "label", "source"]).dropna()
    if not len(facts):
        return []
    starts, samples = (Lookup(sources.root / place) for place in (CLEAN, SYNTHETIC))
    count, rows = sources.settings.images, []
    for label in table.classes_of(facts["label"])[:_CLASSES]:
        of_class = facts[facts["label"] == label]
        source = of_class["source"].iloc[0]
        made = of_class["id"][of_class["source"] == source][:count]
        start = [starts[source]] if source in starts else []
        strips = (
            pictures.strip(start, f"the image that samples of class {label} are made from", 1),
            pictures.strip([samples[name] for name in made], f"samples of class {label}", count),
        )
        rows.append((label, strips))
    return [Figure("Where samples start", [Strips(("from", "made from it"), rows)], "synth.json")]


def versions() -> dict[str, str]:
    """The versions of Python and of the packages on which numbers or bytes depend."""
    return {"python": platform.python_version()} | {
        package: metadata.version(package) for package in _PACKAGES
    }
