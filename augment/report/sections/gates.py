"""The section about the gates."""

from __future__ import annotations

from augment.report.elements import Figure, Section, Table
from augment.report.sources import Sources
from augment.write import gates


def gated(sources: Sources) -> Section:
    """Which gates let the set be written."""
    key, title, report = "gates", "Gates", sources.get("gates")
    if not report:
        return Section(key, title, missing="Not judged yet: augment write.")
    if not report["gates"]:
        return Section(key, title, missing="No gate is set: write.gates in params.yaml.")
    results = [gates.GateResult(**record) for record in report["gates"]]
    lead = "Every gate passed." if gates.passed(results) else "Where one fails nothing is written."
    rows = gates.cells(results)
    figure = Figure(
        "As params.yaml asks", [Table(("gate", "value", "bound", ""), rows)], "gates.json"
    )
    return Section(key, title, lead, [figure])
