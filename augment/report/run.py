"""The report stage: one self-contained page about whatever has been run so far."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from augment.data import files
from augment.data.places import REPORTS
from augment.report.elements import Section
from augment.report.page import render
from augment.report.sections import data, flow, gates, generator, provenance, scores, uplift
from augment.report.settings import ReportSettings
from augment.report.sources import Sources, read_sources

PAGE = f"{REPORTS}/index.html"
# In the order of the page, each with the reports that it reads.
_SECTIONS: tuple[tuple[Callable[[Sources], Section], tuple[str, ...]], ...] = (
    (flow.flow, ()),  # which names the one at fault by itself
    (data.classes, ("clean", "synth")),
    (data.cleaning, ("clean",)),
    (generator.training, ("train",)),
    (generator.codes, ("codes",)),
    (gates.gated, ("gates",)),
    (scores.scores, ("score",)),
    (scores.per_class, ("clean", "synth", "score")),
    (uplift.uplift, ("score",)),
    (scores.confusion, ("score",)),
    (scores.suspects, ("synth",)),
    (data.adopted, ("adopt",)),
    (provenance.provenance, ("ingest", "train", "write")),
)


def run(settings: ReportSettings, root: Path = Path(".")) -> dict[str, Any]:
    """Write ``reports/index.html`` from the reports and tables that there are; returns counts.

    What has not been run is said on the page. Raises ReportError naming a report that is not JSON
    or not what its stage writes, AugmentError for a table or an image that cannot be read.
    """
    sources = read_sources(settings, root)
    with sources.blaming("score"):
        headline = uplift.headline(sources)
    sections = []
    for build, stages in _SECTIONS:
        with sources.blaming(*stages):
            sections.append(build(sources))
    page = render(headline, sections)
    files.write_text(root / PAGE, page)
    report = {
        "page": PAGE,
        "bytes": len(page.encode()),
        "verdict": headline.text,
        "versions": provenance.versions(),
        "shown": [section.key for section in sections if not section.missing],
        "missing": [section.key for section in sections if section.missing],
    }
    files.write_json(root / REPORTS / "report.json", report)
    return report
