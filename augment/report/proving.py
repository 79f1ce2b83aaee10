"""The sections about what the set is worth: verdict, scores, uplift, suspects, provenance."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from augment import gates, table
from augment.params import CLEAN, SYNTHETIC
from augment.report import charts, pictures
from augment.report.charts import Axes, Series
from augment.report.parts import (
    Cell,
    Chart,
    Figure,
    Interval,
    Intervals,
    Pairs,
    Section,
    Table,
    Verdict,
)
from augment.report.sources import Sources
from augment.report.words import (
    TONES,
    arm,
    counted,
    dose_of,
    judged,
    percent,
    points,
    shown,
    span,
)
from augment.scoreboard import BOARD

_PACKAGES = ("augment", "numpy", "pandas", "pillow", "pyarrow", "scikit-learn", "scipy", "torch",
             "torchvision")  # fmt: skip
_HEADLINES = {
    "helps": "The synthetic images help.",
    "no difference": "The synthetic images make no difference.",
    "harms": "The synthetic images harm.",
}
_SCORE = "score.json"


def verdict(found: Sources) -> Verdict:
    """Whether a classifier gets better by the new images, in plain words."""
    uplift = found.get("score").get("uplift")
    if not uplift:
        run = "augment score" if "synth" in found.reports else "the stages up to score"
        return Verdict("Not measured yet.", "plain", [f"The verdict is there after {run}."])
    before, after, gain = uplift["classic"], uplift["synthetic"], uplift["gain"]
    seeds = len(uplift["seeds"])
    facts = [("with classic augmentation", percent(before["mean"]))]
    facts.append(("with synthetic images too", percent(after["mean"])))
    said = uplift.get("verdict")
    if said is None:
        facts.append(("gain, in points", points(gain["mean"])))
        sentences = [
            f"Over {counted(seeds, 'repeat')} the accuracy on real test images changed by "
            f"{points(gain['mean'])} points, give or take {100 * gain['std']:.2f}.",
            "Without an interval this is no proof either way.",
        ]
        return Verdict("Measured, but not judged.", "plain", sentences, facts, _SCORE)
    facts.append(("gain, 95 % interval", span(uplift["low"], uplift["high"])))
    sentences = [_gain_in_words(uplift)]
    if (same := uplift.get("equal_images")) is not None:
        text = f"To read as well without them it would take {counted(round(same), 'real image')}"
        there = found.get("train").get("images", {}).get("train")
        sentences.append(f"{text}." if there is None else f"{text}; there are {there:,}.")
    if (multiplier := uplift.get("data_multiplier")) is not None:
        facts.append(("data multiplier", f"× {multiplier:.2f}"))
    if adopted := uplift.get("adopted"):
        sentences.append(f"The adopted images alone: {judged(adopted)}.")
    return Verdict(_HEADLINES.get(said, said), TONES.get(said, "plain"), sentences, facts, _SCORE)


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
    figure = Figure("As params.yaml asks", [Table(("gate", "value", "bound", ""), rows)], _SCORE)
    return Section(key, title, lead, [figure])


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
    return Section(key, title, lead, [Figure("All classes", [Table(head, rows)], _SCORE)])


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
    figure = Figure("Everything by class", [Table(head, rows, True)], _SCORE, caption)
    return Section(key, title, lead, [figure])


def uplift(found: Sources) -> Section:
    """Arms, classes, dose curve, learning curve and controls."""
    key, title = "uplift", "Does a classifier get better?"
    report = found.get("score").get("uplift")
    if not report:
        return Section(key, title, missing="Not run yet: augment score.")
    arms = report.get("arms") or {name: report[name] for name in ("classic", "synthetic")}
    figures = [_arms(arms)]
    if classes := report.get("per_class"):
        figures.append(_gains("Gain by class", classes, "With the dose that valid chose."))
    if any(dose_of(name) is not None for name in arms):
        figures.append(_dose_curve(arms, report.get("dose")))
    if curve := report.get("learning_curve"):
        figures.append(_learning_curve(curve, report))
    if controls := report.get("controls"):
        caption = "Shuffled labels must harm: a measurement that does not see it sees nothing."
        figures.append(_gains("Controls", {arm(k): v for k, v in controls.items()}, caption))
    lead = (
        f"Every arm trains the same network for as many steps, over "
        f"{counted(len(report['seeds']), 'repeat')}, and is measured on real test images."
    )
    if policy := report.get("policy"):
        lead += f" The classic augmentation chosen on valid: {policy}."
    if (chance := report.get("mcnemar")) is not None:
        lead += f" McNemar's test on the pooled predictions: p = {chance:.3g}."
    return Section(key, title, lead, figures)


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
        figures.append(Figure(side, [drawn], _SCORE, text, half=True))
    changes = [
        (actual, predicted, sides[0][i][j], sides[1][i][j], sides[1][i][j] - sides[0][i][j])
        for i, actual in enumerate(names)
        for j, predicted in enumerate(names)
        if i != j and (sides[0][i][j] or sides[1][i][j])
    ]
    changes.sort(key=lambda row: (-max(row[2], row[3]), row[0], row[1]))
    head = ("actual", "predicted", "before", "after", "change")
    rows = Table(head, changes[:12], sortable=True)
    figures.append(Figure("The most frequent mistakes", [rows], _SCORE))
    lead = "Before: classic augmentation. After: with synthetic images. Summed over all repeats."
    return Section(key, title, lead, figures)


def suspects(found: Sources) -> Section:
    """The synthetic images nearest to a real one, beside it."""
    key, title = "suspects", "Is it copying?"
    if not (found.has_table(SYNTHETIC) and found.has_table(CLEAN)):
        return Section(key, title, missing="Not run yet: augment synth.")
    columns = ("id", "label", "nearest_real", "nearest_distance")
    facts = table.frame(found.root / SYNTHETIC, columns).dropna()
    facts = facts.sort_values(["nearest_distance", "id"])[: found.params.report.suspects]
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


def provenance(found: Sources) -> Section:
    """What made this page's numbers: inputs, generator, settings, versions."""
    written, trained = found.get("write"), found.get("train")
    rows: list[tuple[str, Cell]] = [("source", found.get("ingest").get("source"))]
    rows.append(("generator", trained.get("generator")))
    rows += [(place, digest) for place, digest in written.get("inputs", {}).items()]
    rows.append(("seeds of the samples", ", ".join(map(str, written.get("seeds", [])))))
    rows.append(("licence", written.get("licence")))
    what = Table(("what", "value or SHA-256"), [row for row in rows if row[1]])
    groups = found.params.model_dump(mode="json").items()
    settings = [(group, json.dumps(keys, ensure_ascii=False)) for group, keys in groups]
    flat = Table(("group of params.yaml", "settings, with all defaults"), settings)
    figures = [
        Figure("Origin", [what], "write.json" if written else "ingest.json", numbers=flat),
        Figure(
            "Versions", [Table(("package", "version"), list(versions().items()))], "report.json"
        ),
    ]
    lead = "From a row's generator, seed, label and index that very image can be made again."
    return Section("provenance", "Provenance and versions", lead, figures)


def versions() -> dict[str, str]:
    """What is installed, as far as numbers or bytes depend on it."""
    return {"python": platform.python_version()} | {one: metadata.version(one) for one in _PACKAGES}


def _gain_in_words(uplift: Mapping[str, Any]) -> str:
    where = f"at a dose of {shown(uplift['dose'])} synthetic images for each real one"
    if not uplift["dose"]:
        where = "and no dose was better than classic augmentation alone on valid"
    return (
        f"A classifier reads {percent(uplift['synthetic']['mean'])} of the real test images right, "
        f"against {percent(uplift['classic']['mean'])} with classic augmentation alone: "
        f"{points(uplift['gain']['mean'])} points, {where}."
    )


def _arms(arms: Mapping[str, Mapping[str, Any]]) -> Figure:
    rows = [
        Interval(
            arm(name),
            one["mean"] - (one["std"] or 0),
            one["mean"],
            one["mean"] + (one["std"] or 0),
            f"{percent(one['mean'])} ± {100 * (one['std'] or 0):.2f}",
            "even" if name == "classic" else "plain",
        )
        for name, one in arms.items()
    ]
    head = ("arm", "mean on test", "standard deviation", "mean on valid")
    numbers = [(arm(name), one["mean"], one["std"], one.get("valid")) for name, one in arms.items()]
    zero = arms["classic"]["mean"] if "classic" in arms else None
    caption = "Accuracy and its standard deviation; the line is classic augmentation alone."
    table_ = Table(head, numbers, sortable=True)
    return Figure("Arms", [Intervals(rows, zero)], _SCORE, caption, table_)


def _gains(title: str, gains: Mapping[str, Mapping[str, Any]], caption: str) -> Figure:
    rows, numbers = [], []
    for name, one in gains.items():
        numbers.append(
            (name, one["gain"], one["low"], one["high"], one["verdict"], one.get("dose"))
        )
        if None not in (one["gain"], one["low"], one["high"]):
            text = f"{points(one['gain'])} · {one['verdict']}"
            ends = (100 * one["low"], 100 * one["gain"], 100 * one["high"])
            rows.append(Interval(name, *ends, text, TONES.get(one["verdict"], "plain")))
    head = ("", "gain", "low", "high", "verdict", "dose")
    caption = f"Points over classic augmentation, with 95 % intervals. {caption}"
    table_ = Table(head, numbers, sortable=True)
    return Figure(title, [Intervals(rows, 0.0)] if rows else [], _SCORE, caption, table_)


def _dose_curve(arms: Mapping[str, Mapping[str, Any]], dose: float | None) -> Figure:
    by_dose = {one: arms[name] for name in arms if (one := dose_of(name)) is not None}
    if "classic" in arms:
        by_dose[0.0] = arms["classic"]
    doses = sorted(by_dose)
    lines = [
        Series(
            "test",
            [(one, by_dose[one]["mean"]) for one in doses],
            [by_dose[one]["std"] or 0 for one in doses],
        )
    ]
    watched = [(one, by_dose[one]["valid"]) for one in doses if by_dose[one].get("valid")]
    lines += [Series("valid", watched)] if watched else []
    best = max(doses, key=lambda one: by_dose[one]["mean"])
    axes = Axes(
        "Accuracy by dose",
        f"Best on test at a dose of {best:g}.",
        "synthetic images for each real one",
        "accuracy",
    )
    marks = [] if dose is None else [(float(dose), "chosen on valid")]
    drawn = Chart(charts.lines(axes, lines, marks=marks), [line.name for line in lines])
    rows = [(one, by_dose[one]["mean"], by_dose[one]["std"], by_dose[one].get("valid"))
            for one in doses]  # fmt: skip
    numbers = Table(("dose", "test", "standard deviation", "valid"), rows)
    caption = "The upright line is the dose chosen on valid."
    return Figure("How many?", [drawn], _SCORE, caption, numbers, half=True)


def _learning_curve(curve: Sequence[Mapping[str, Any]], uplift: Mapping[str, Any]) -> Figure:
    line = Series("real images", [(one["images"], one["accuracy"]) for one in curve])
    same = uplift.get("equal_images")
    axes = Axes(
        "Learning curve",
        "Accuracy on test by the number of real train images.",
        "real train images",
        "accuracy",
    )
    level = (uplift["synthetic"]["mean"], "with synthetic")
    marks = [] if same is None else [(float(same), "as good as with synthetic")]
    drawn = Chart(charts.lines(axes, [line], marks=marks, level=level))
    caption = "How many real images would do as much."
    if (multiplier := uplift.get("data_multiplier")) is not None:
        caption += f" The synthetic ones multiply the real ones by {multiplier:.2f}."
    numbers = Table(("images", "accuracy"), [(one["images"], one["accuracy"]) for one in curve])
    return Figure("What real images would do", [drawn], _SCORE, caption, numbers, half=True)
