"""The page's headline and the section about the uplift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from augment.data.reports import ArmResult, ClassGain, CurvePoint, Gain, UpliftReport
from augment.report import charts
from augment.report.charts import Axes, Series
from augment.report.elements import Chart, Figure, Headline, Interval, Intervals, Section, Table
from augment.report.sources import SCORES_FILE, Sources
from augment.report.words import (
    TONES,
    arm,
    counted,
    dose_of,
    measured,
    percent,
    points,
    shown,
    span,
    verdict_in_words,
)

_HEADLINES = {
    "helps": "The synthetic images help.",
    "no difference": "The synthetic images make no difference.",
    "harms": "The synthetic images harm.",
}


def headline(sources: Sources) -> Headline:
    """Whether a classifier gets better by the new images, in plain words."""
    uplift = sources.uplift()
    if uplift is None:
        stage = "augment score" if "synth" in sources.reports else "the stages up to score"
        return Headline("Not measured yet.", "plain", [f"The verdict is there after {stage}."])
    if uplift.verdict is None:
        text = "There was no real test image to measure on: no proof either way."
        return Headline("Measured, but not judged.", "plain", [text], source=SCORES_FILE)
    facts = [
        ("with classic augmentation", percent(uplift.classic.mean)),
        ("with synthetic images too", percent(uplift.synthetic.mean)),
        ("gain, 95 % interval", span(uplift.low, uplift.high)),
    ]
    sentences = [_gain_in_words(uplift)]
    if uplift.equal_images is not None:
        images = counted(round(uplift.equal_images), "real image")
        text = f"To read as well without them it would take {images}"
        there = sources.get("train").get("images", {}).get("train")
        sentences.append(f"{text}." if there is None else f"{text}; there are {there:,}.")
    if uplift.data_multiplier is not None:
        facts.append(("data multiplier", f"× {uplift.data_multiplier:.2f}"))
    if uplift.adopted is not None:
        sentences.append(f"The adopted images alone: {verdict_in_words(uplift.adopted)}.")
    text, tone = _HEADLINES[uplift.verdict], TONES[uplift.verdict]
    return Headline(text, tone, sentences, facts, SCORES_FILE)


def uplift(sources: Sources) -> Section:
    """Arms, classes, dose curve, learning curve and controls."""
    key, title, report = "uplift", "Does a classifier get better?", sources.uplift()
    if report is None:
        return Section(key, title, missing="Not run yet: augment score.")
    if report.verdict is None:
        return Section(key, title, missing="There was no real test image to measure on.")
    figures = [_arms(report.arms)]
    if report.per_class:
        text = "With the dose that valid chose."
        figures.append(_gains("Gain by class", report.per_class, text))
    if any(dose_of(name) is not None for name in report.arms):
        figures.append(_dose_curve(report.arms, report.dose))
    if report.learning_curve:
        figures.append(_learning_curve(report.learning_curve, report))
    if report.controls:
        text = "Shuffled labels must harm: a measurement that does not see it sees nothing."
        controls = {arm(name): gain for name, gain in report.controls.items()}
        figures.append(_gains("Controls", controls, text))
    lead = (
        f"Every arm trains the same network for as many steps, over "
        f"{counted(len(report.seeds), 'repeat')}, and is measured on real test images. The "
        f"classic augmentation chosen on valid: {report.policy}."
    )
    if report.mcnemar is not None:
        lead += f" McNemar's test on the pooled predictions: p = {report.mcnemar:.3g}."
    return Section(key, title, lead, figures)


def _gain_in_words(uplift: UpliftReport) -> str:
    """Both accuracies, their difference, and the dose that it belongs to."""
    where = f"at a dose of {shown(uplift.dose)} synthetic images for each real one"
    if not uplift.dose:
        where = "and no dose was better than classic augmentation alone on valid"
    return (
        f"A classifier reads {percent(uplift.synthetic.mean)} of the real test images right, "
        f"against {percent(uplift.classic.mean)} with classic augmentation alone: "
        f"{points(uplift.gain.mean)} points, {where}."
    )


def _arms(arms: Mapping[str, ArmResult]) -> Figure:
    """The accuracy of every arm with its standard deviation, one below the other."""
    rows, numbers = [], []
    for name, result in arms.items():
        mean, deviation = result.mean, measured(result.std)
        numbers.append((arm(name), mean, deviation, measured(result.valid)))
        around = deviation or 0
        text = f"{percent(mean)} ± {100 * around:.2f}"
        tone = "even" if name == "classic" else "plain"
        rows.append(Interval(arm(name), mean - around, mean, mean + around, text, tone))
    head = ("arm", "mean on test", "standard deviation", "mean on valid")
    table = Table(head, numbers, sortable=True)
    caption = "Accuracy and its standard deviation; the line is classic augmentation alone."
    intervals = Intervals(rows, arms["classic"].mean)
    return Figure("Arms", [intervals], SCORES_FILE, caption, table)


def _gains(title: str, gains: Mapping[str, Gain], caption: str) -> Figure:
    """Gains with their intervals, one below the other; those not measured only in the table."""
    rows, numbers = [], []
    for name, gain in gains.items():
        shares = [measured(share) for share in (gain.gain, gain.low, gain.high)]
        dose = gain.dose if isinstance(gain, ClassGain) else None
        numbers.append((name, *shares, gain.verdict, dose))
        if gain.verdict is not None:
            text = f"{points(gain.gain)} · {gain.verdict}"
            ends = (100 * gain.low, 100 * gain.gain, 100 * gain.high)
            rows.append(Interval(name, *ends, text, TONES[gain.verdict]))
    head = ("", "gain", "low", "high", "verdict", "dose")
    caption = f"Points over classic augmentation, with 95 % intervals. {caption}"
    table = Table(head, numbers, sortable=True)
    return Figure(title, [Intervals(rows, 0.0)] if rows else [], SCORES_FILE, caption, table)


def _dose_curve(arms: Mapping[str, ArmResult], dose: float) -> Figure:
    """Accuracy by dose on test and, where there is one, on valid; classic is a dose of 0."""
    by_dose = {dose_of(name): result for name, result in arms.items()} | {0.0: arms["classic"]}
    results = sorted((at, result) for at, result in by_dose.items() if at is not None)
    lines = [
        Series(
            "test",
            [(at, result.mean) for at, result in results],
            [measured(result.std) or 0 for _, result in results],
        )
    ]
    watched = [(at, result.valid) for at, result in results if result.valid == result.valid]
    lines += [Series("valid", watched)] if watched else []
    best, _ = max(results, key=lambda pair: pair[1].mean)
    axes = Axes(
        "Accuracy by dose",
        f"Best on test at a dose of {best:g}.",
        "synthetic images for each real one",
        "accuracy",
    )
    marks = [(dose, "chosen on valid")]
    chart = Chart(charts.lines(axes, lines, marks=marks), [line.name for line in lines])
    rows = [
        (at, result.mean, measured(result.std), measured(result.valid)) for at, result in results
    ]
    numbers = Table(("dose", "test", "standard deviation", "valid"), rows)
    caption = "The upright line is the dose chosen on valid."
    return Figure("How many?", [chart], SCORES_FILE, caption, numbers, half=True)


def _learning_curve(curve: Sequence[CurvePoint], uplift: UpliftReport) -> Figure:
    """Accuracy by the number of real images, beside the accuracy with synthetic ones."""
    pairs = [(point.images, point.accuracy) for point in curve]
    line = Series("real images", pairs)
    axes = Axes(
        "Learning curve",
        "Accuracy on test by the number of real train images.",
        "real train images",
        "accuracy",
    )
    level = (uplift.synthetic.mean, "with synthetic")
    same = uplift.equal_images
    marks = [] if same is None else [(same, "as good as with synthetic")]
    chart = Chart(charts.lines(axes, [line], marks=marks, level=level))
    caption = "How many real images would do as much."
    if uplift.data_multiplier is not None:
        caption += f" The synthetic ones multiply the real ones by {uplift.data_multiplier:.2f}."
    numbers = Table(("images", "accuracy"), pairs)
    return Figure("What real images would do", [chart], SCORES_FILE, caption, numbers, half=True)
