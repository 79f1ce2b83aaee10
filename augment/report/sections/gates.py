"""The section about the gates."""

from __future__ import annotations

from augment.report.elements import Figure, Section, Table
from augment.report.sources import SCORES_FILE, Sources
from augment.write import gates


def gated(found: Sources) -> Section:
    """Which gates let the set be written."""
    key, title, scores = "gates", "Gates", found.get("score")
    if not found.params.write.gates:
        return Section(key, title, missing="No gate is set: write.gates in params.yaml.")
    if not scores:
        return Section(key, title, missing="Not judged yet: augment score.")
    verdicts = gates.judge(found.params.write.gates, scores)
    lead = "Every gate passed." if gates.passed(verdicts) else "Where one fails nothing is written."
    rows = gates.cells(verdicts)
    figure = Figure(
        "As params.yaml asks", [Table(("gate", "value", "bound", ""), rows)], SCORES_FILE
    )
    return Section(key, title, lead, [figure])
