"""The sections about scores: numbers beside their floors, classes, mistakes, suspects."""

from __future__ import annotations

from augment.data import table
from augment.data.places import CLEAN, SYNTHETIC
from augment.report import charts, pictures
from augment.report.elements import Cell, Chart, Figure, Pairs, Section, Table
from augment.report.sources import SCORES_FILE, Sources
from augment.report.terminal import BOARD
from augment.report.words import counted


def scores(found: Sources) -> Section:
    """Every score beside its floor."""
    key, title, report = "scores", "Scores beside their floors", found.get("score")
    if not report:
        return Section(key, title, missing="Not run yet: augment score.")
    floor = report.get("floor", {})
    rows = [
        (name, report[score], floor.get(score), hint)
        for score, name, hint in BOARD
        if score in report
    ]
    head = ("score", "synthetic", "floor", "how to read it")
    lead = (
        "The floor is the same number for real train images against real held-out ones: no "
        "generator can be expected to beat it by more than chance."
    )
    return Section(key, title, lead, [Figure("All classes", [Table(head, rows)], SCORES_FILE)])


def per_class(found: Sources) -> Section:
    """A row for each class with all that is known of it."""
    key, title = "per-class", "Class by class"
    measured = found.get("score").get("per_class", {})
    drawn = found.get("synth").get("per_class", {})
    gains = found.get("score").get("uplift", {}).get("per_class", {})
    real = found.get("clean").get("after", {})
    names = table.classes_of([*real, *drawn, *measured])
    if not drawn and not measured:
        return Section(key, title, missing="Not run yet: augment synth, then augment score.")
    columns = [score for score, *_ in BOARD if any(score in one for one in measured.values())]
    head = ["class", "real", "synthetic", "accepted"]
    head += ["gain, points", "verdict", "dose"] if gains else []
    head += [score.replace("_", " ") for score in columns]
    rows: list[list[Cell]] = []
    for name in names:
        made, one, gain = drawn.get(name, {}), measured.get(name, {}), gains.get(name, {})
        row = [name, real.get(name), made.get("accepted"), made.get("acceptance_rate")]
        if gains:
            change = None if gain.get("gain") is None else 100 * gain["gain"]
            row += [change, gain.get("verdict"), gain.get("dose")]
        rows.append(row + [one.get(score) for score in columns])
    lead = "A click on a column's head sorts by it."
    caption = "Accepted is the share of candidates that passed the filter."
    figure = Figure("Everything by class", [Table(head, rows, True)], SCORES_FILE, caption)
    return Section(key, title, lead, [figure])


def confusion(found: Sources) -> Section:
    """What is taken for what, before and after."""
    key, title = "confusion", "What is mistaken for what"
    report = (found.get("score").get("uplift") or {}).get("confusion")
    if not report:
        return Section(key, title, missing="Not measured yet.")
    names, sides = report["classes"], (report["before"], report["after"])
    figures = []
    for counts, side in zip(sides, ("Before", "After"), strict=True):
        wrong = sum(map(sum, counts)) - sum(row[place] for place, row in enumerate(counts))
        text = f"{counted(wrong, 'mistake')} on {counted(sum(map(sum, counts)), 'test image')}."
        drawn = Chart(charts.confusion(f"{side}: {text}", text, names, counts))
        figures.append(Figure(side, [drawn], SCORES_FILE, text, half=True))
    changes = [
        (actual, predicted, sides[0][i][j], sides[1][i][j], sides[1][i][j] - sides[0][i][j])
        for i, actual in enumerate(names)
        for j, predicted in enumerate(names)
        if i != j and (sides[0][i][j] or sides[1][i][j])
    ]
    changes.sort(key=lambda row: (-max(row[2], row[3]), row[0], row[1]))
    head = ("actual", "predicted", "before", "after", "change")
    rows = Table(head, changes[:12], sortable=True)
    figures.append(Figure("The most frequent mistakes", [rows], SCORES_FILE))
    lead = "Before: classic augmentation. After: with synthetic images. Summed over all repeats."
    return Section(key, title, lead, figures)


def suspects(found: Sources) -> Section:
    """The synthetic images nearest to a real one, beside it."""
    key, title = "suspects", "Is it copying?"
    if not (found.has_table(SYNTHETIC) and found.has_table(CLEAN)):
        return Section(key, title, missing="Not run yet: augment synth.")
    columns = ("id", "label", "nearest_real", "nearest_distance")
    facts = table.frame(found.root / SYNTHETIC, columns).dropna()
    facts = facts.sort_values(["nearest_distance", "id"])[: found.settings.suspects]
    made = pictures.by_id(found.root / SYNTHETIC, facts["id"])
    real = pictures.by_id(found.root / CLEAN, facts["nearest_real"])
    rows: list[tuple[str, float, str, str]] = [
        (one["label"], float(one["nearest_distance"]), one["id"], one["nearest_real"])
        for one in facts.to_dict("records")
        if one["nearest_real"] in real
    ]
    pairs = [
        (
            pictures.single(made[own], f"synthetic image of class {label}"),
            pictures.single(real[other], "its nearest real train image"),
            f"{label} · {distance:.3g}",
        )
        for label, distance, own, other in rows
    ]
    if not pairs:
        return Section(key, title, "No synthetic image names its nearest real one.")
    lead = "The most suspicious accepted images, each beside the train image nearest to it."
    caption = "Below each pair its class and distance, in the labeller's features."
    if (least := found.get("synth").get("copy_threshold")) is not None:
        caption += f" Anything nearer than {least:.3g} was turned away as a copy."
    numbers = Table(("class", "distance", "synthetic id", "nearest real id"), rows)
    figure = Figure(
        "Nearest neighbours", [Pairs(("synthetic", "real"), pairs)], "synth.json", caption, numbers
    )
    return Section(key, title, lead, [figure])
