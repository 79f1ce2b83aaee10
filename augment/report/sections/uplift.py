"""The verdict and the section about the uplift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from augment.report import charts
from augment.report.charts import Axes, Series
from augment.report.elements import Chart, Figure, Interval, Intervals, Section, Table, Verdict
from augment.report.sources import SCORES_FILE, Sources
from augment.report.words import TONES, arm, counted, dose_of, judged, percent, points, shown, span

_HEADLINES = {
    "helps": "The synthetic images help.",
    "no difference": "The synthetic images make no difference.",
    "harms": "The synthetic images harm.",
}


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
        return Verdict("Measured, but not judged.", "plain", sentences, facts, SCORES_FILE)
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
    return Verdict(
        _HEADLINES.get(said, said), TONES.get(said, "plain"), sentences, facts, SCORES_FILE
    )


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
    return Figure("Arms", [Intervals(rows, zero)], SCORES_FILE, caption, table_)


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
    return Figure(title, [Intervals(rows, 0.0)] if rows else [], SCORES_FILE, caption, table_)


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
    return Figure("How many?", [drawn], SCORES_FILE, caption, numbers, half=True)


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
    return Figure("What real images would do", [drawn], SCORES_FILE, caption, numbers, half=True)
