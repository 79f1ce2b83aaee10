"""The sections about the generator: training and codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from augment.data.places import REPORTS
from augment.report import charts, pictures
from augment.report.charts import Axes, Series
from augment.report.elements import Chart, Figure, Part, Section, Table
from augment.report.sources import Sources
from augment.report.words import counted, shown

_FILM = "progress/training.gif"
_CODES = "codes.png"
_CURVES = (
    ("Distance to real images", "KID", {"kid": "to valid", "kid_train": "to train"}),
    ("Losses", "loss", {"g_adversarial": "generator", "d_adversarial": "discriminator"}),
    ("Bits a dimension", "bits", {"bits": "of valid images"}),
    (
        "Variety of samples",
        "relative to real",
        {"variance": "overall", "variance_within": "within a class",
         "variance_within_least": "in the least varied class"},
    ),
    (
        "What the discriminator tells apart",
        "share",
        {"accuracy": "pairs", "accuracy_real": "real as real", "accuracy_fake": "fake as fake"},
    ),
)  # fmt: skip


def training(sources: Sources) -> Section:
    """Curves, diagnoses with their rollbacks, and the animation of fixed codes."""
    key, title, report = "training", "Training", sources.get("train")
    if not report:
        return Section(key, title, missing="Not run yet: augment train.")
    history, rollbacks = report["history"], report["rollbacks"]
    best = report["best"]["step"]
    marks = [(float(best), "best step")] if best is not None else []
    figures = [_curve(history, *curve, marks) for curve in _CURVES if _measured(history, curve[2])]
    figures += [_diagnoses(rollbacks)] if rollbacks else []
    figures += [_film(sources)] if sources.file(_FILM).is_file() else []
    lead = (
        f"{counted(report['steps'], 'step')} on {counted(report['images']['train'], 'train image')}"
        f"; the generator kept is that of step {shown(best)}."
    )
    coded = [row["bits"] for row in history if row["step"] == best and "bits" in row]
    if coded:
        lead += f" Valid images cost it {coded[-1]:.2f} bits a dimension."
    if not rollbacks:
        lead += " No trouble was diagnosed."
    return Section(key, title, lead, figures)


def codes(sources: Sources) -> Section:
    """What the generator's codes move."""
    key, title, report = "codes", "What the codes move", sources.get("codes")
    if not report:
        return Section(key, title, missing="Not run yet: augment codes.")
    rows = []
    for code in report.get("continuous", []):
        moved = sorted(code["spearman"].items(), key=lambda item: -abs(item[1] or 0.0))
        strongest, strength = moved[0] if moved else (None, None)
        rows.append((code["code"], code["name"], strongest, strength, code["class_changes"]))
    head = ("code", "name", "moves most", "rank correlation", "class changes on the way")
    picture = pictures.of_file(sources.file(_CODES), "traversals: one code at a time moved")
    too_large = picture is None and sources.file(_CODES).is_file()
    parts: list[Part] = [picture] if picture else []
    if rows:
        parts.append(Table(head, rows))
    if not parts and not too_large:
        return Section(key, title, "This generator has no codes of its own.")
    lead = "One code moves from left to right, everything else stays."
    caption = f"The picture is too large for this page: {REPORTS}/{_CODES}." if too_large else ""
    return Section(key, title, lead, [Figure("Traversals", parts, "codes.json", caption)])


def _measured(history: Sequence[Mapping[str, Any]], keys: Mapping[str, str]) -> bool:
    return any(row.get(key) is not None for row in history for key in keys)


def _curve(
    history: Sequence[Mapping[str, Any]],
    title: str,
    unit: str,
    keys: Mapping[str, str],
    marks: Sequence[tuple[float, str]],
) -> Figure:
    """One chart over the steps of training: a line for each of ``keys`` that was measured."""
    lines = []
    for key, name in keys.items():
        points = [(row["step"], row[key]) for row in history if row.get(key) is not None]
        lines += [Series(name, points)] if points else []
    ends = ", ".join(f"{line.name} {line.points[-1][1]:.3g}" for line in lines)
    axes = Axes(title, f"At the end: {ends}.", "step", unit)
    rows = [[int(row["step"]), *(row.get(key) for key in keys)] for row in history]
    numbers = Table(("step", *keys.values()), rows)
    chart = Chart(charts.lines(axes, lines, marks=marks), [line.name for line in lines])
    return Figure(title, [chart], "train.json", numbers=numbers, half=True)


def _film(sources: Sources) -> Figure:
    title, alt = "Fixed codes over time", "samples of fixed codes as training goes on"
    film = pictures.of_file(sources.file(_FILM), alt, 916)
    if film is None:
        return Figure(title, [], "train.json", f"Too large for this page: {REPORTS}/{_FILM}.")
    caption = "The same codes at every measurement: real images left, samples right."
    return Figure(title, [film], "train.json", caption)


def _diagnoses(rollbacks: Sequence[Mapping[str, Any]]) -> Figure:
    head = ("at step", "back to", "diagnosis", "evidence", "advice")
    keys = ("step", "restored", "name", "evidence", "advice")
    rows = [[rollback.get(key) for key in keys] for rollback in rollbacks]
    return Figure("Diagnoses and rollbacks", [Table(head, rows)], "train.json")
