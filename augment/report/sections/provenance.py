"""The section about provenance and versions."""

from __future__ import annotations

import json
import platform
from importlib import metadata

from augment.report.elements import Cell, Figure, Section, Table
from augment.report.sources import Sources

_PACKAGES = ("augment", "numpy", "pandas", "pillow", "pyarrow", "scikit-learn", "scipy", "torch",
             "torchvision")  # fmt: skip


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
    lead = "From a row's generator, seed, label and index that very image can be made again."
    return Section("provenance", "Provenance and versions", lead, figures)


def versions() -> dict[str, str]:
    """The versions of Python and of the packages on which numbers or bytes depend."""
    return {"python": platform.python_version()} | {
        package: metadata.version(package) for package in _PACKAGES
    }
