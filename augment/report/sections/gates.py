"""The section about the gates."""

from __future__ import annotations

from augment.report.elements import Figure, Section, Table
from augment.report.sources import SCORES_FILE, Sources
from augment.write import gates


def gated(sources: Sources) -> Section:
    """Which gates let the set be written."""
    key, title, scores = "gates", "Gates", sources.get("score")
    if not sources.params.write.gates:
        return Section(key, title, missing="No gate is set: write.gates in params.yaml.")
    if not scores:
        return Section(key, title, missing="Not judged yet: augment score.")
    results = gates.check_gates(sources.params.write.gates, scores)
    lead = "Every gate passed." if gates.passed(results) else "Where one fails nothing is written."
    rows = gates.cells(results)
    figure = Figure(
        "As params.yaml asks", [Table(("gate", "value", "bound", ""), rows)], SCORES_FILE
    )
    return Section(key, title, lead, [figure])
