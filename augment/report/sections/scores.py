"""The sections about scores: numbers beside their floors, classes, mistakes, suspects."""

from __future__ import annotations

from augment.data import table
from augment.data.places import CLEAN, SYNTHETIC
from augment.data.reports import sample_in_words
from augment.report import charts, pictures
from augment.report.elements import Cell, Chart, Figure, Pairs, Section, Table
from augment.report.sources import SCORES_FILE, Sources
from augment.report.terminal import BOARD
from augment.report.words import counted, measured


def scores(sources: Sources) -> Section:
    """Every score beside its floor."""
    key, title, report = "scores", "Scores beside their floors", sources.get("score")
    if not report:
        return Section(key, title, missing="Not run yet: augment score.")
    floor = report.get("floor", {})
    rows = [
        (facts.title, report[score], floor.get(score), facts.hint)
        for score, facts in BOARD.items()
        if score in report
    ]
    head = ("score", "synthetic", "floor", "how to read it")
    lead = (
        "The floor is the same number for real train images against real held-out ones: no "
        f"generator can be expected to beat it by more than chance. {sample_in_words(report)}"
    )
    return Section(
        key, title, lead.rstrip(), [Figure("All classes", [Table(head, rows)], SCORES_FILE)]
    )


def per_class(sources: Sources) -> Section:
    """A row for each class with all that is known of it."""
    key, title = "per-class", "Class by class"
    scored = sources.get("score").get("per_class", {})
    synthesised = sources.get("synth").get("per_class", {})
    uplift = sources.uplift()
    gains = uplift.per_class if uplift else {}
    real = sources.get("clean").get("after", {})
    names = table.classes_of([*real, *synthesised, *scored])
    if not synthesised and not scored:
        return Section(key, title, missing="Not run yet: augment synth, then augment score.")
    columns = [score for score in BOARD if any(score in part for part in scored.values())]
    head = ["class", "real", "synthetic", "accepted"]
    head += ["gain, points", "verdict", "dose"] if gains else []
    head += [score.replace("_", " ") for score in columns]
    rows: list[list[Cell]] = []
    for name in names:
        made, numbers = synthesised.get(name, {}), scored.get(name, {})
        row = [name, real.get(name), made.get("accepted"), made.get("acceptance_rate")]
        if gains:
            gain = gains.get(name)
            row += [measured(100 * gain.gain), gain.verdict, gain.dose] if gain else [None] * 3
        rows.append(row + [numbers.get(score) for score in columns])
    lead = "A click on a column's head sorts by it."
    caption = "Accepted is the share of candidates that passed the filter."
    figure = Figure("Everything by class", [Table(head, rows, True)], SCORES_FILE, caption)
    return Section(key, title, lead, [figure])


def confusion(sources: Sources) -> Section:
    """What is taken for what, before and after."""
    key, title = "confusion", "What is mistaken for what"
    uplift = sources.uplift()
    if uplift is None or uplift.verdict is None:
        return Section(key, title, missing="Not measured yet.")
    counts = uplift.confusion
    names, sides = counts.classes, (counts.before, counts.after)
    figures = []
    for rows, side in zip(sides, ("Before", "After"), strict=True):
        total = sum(map(sum, rows))
        wrong = total - sum(row[place] for place, row in enumerate(rows))
        text = f"{counted(wrong, 'mistake')} on {counted(total, 'test image')}."
        chart = Chart(charts.confusion(f"{side}: {text}", text, names, rows))
        figures.append(Figure(side, [chart], SCORES_FILE, text, half=True))
    changes = [
        (actual, predicted, sides[0][i][j], sides[1][i][j], sides[1][i][j] - sides[0][i][j])
        for i, actual in enumerate(names)
        for j, predicted in enumerate(names)
        if i != j and (sides[0][i][j] or sides[1][i][j])
    ]
    changes.sort(key=lambda row: (-max(row[2], row[3]), row[0], row[1]))
    head = ("actual", "predicted", "before", "after", "change")
    frequent = Table(head, changes[:12], sortable=True)
    figures.append(Figure("The most frequent mistakes", [frequent], SCORES_FILE))
    lead = "Before: classic augmentation alone. After: the written set. Summed over all repeats."
    return Section(key, title, lead, figures)


def suspects(sources: Sources) -> Section:
    """The synthetic images nearest to a real one, beside it."""
    key, title = "suspects", "Is it copying?"
    if not (sources.has_table(SYNTHETIC) and sources.has_table(CLEAN)):
        return Section(key, title, missing="Not run yet: augment synth.")
    columns = ("id", "label", "nearest_real", "nearest_distance")
    facts = table.frame(sources.root / SYNTHETIC, columns).dropna()
    facts = facts.sort_values(["nearest_distance", "id"])[: sources.settings.suspects]
    made = pictures.by_id(sources.root / SYNTHETIC, facts["id"])
    real = pictures.by_id(sources.root / CLEAN, facts["nearest_real"])
    rows: list[tuple[str, float, str, str]] = [
        (row["label"], float(row["nearest_distance"]), row["id"], row["nearest_real"])
        for row in facts.to_dict("records")
        if row["nearest_real"] in real
    ]
    pairs = [
        (
            pictures.single(made[made_id], f"synthetic image of class {label}"),
            pictures.single(real[real_id], "its nearest real train image"),
            f"{label} · {distance:.3g}",
        )
        for label, distance, made_id, real_id in rows
    ]
    if not pairs:
        return Section(key, title, "No synthetic image names its nearest real one.")
    lead = "The most suspicious accepted images, each beside the train image nearest to it."
    caption = "Below each pair its class and distance, in the labeller's features."
    if (least := sources.get("synth").get("copy_threshold")) is not None:
        caption += f" Anything nearer than {least:.3g} was turned away as a copy."
    numbers = Table(("class", "distance", "synthetic id", "nearest real id"), rows)
    figure = Figure(
        "Nearest neighbours", [Pairs(("synthetic", "real"), pairs)], "synth.json", caption, numbers
    )
    return Section(key, title, lead, [figure])
