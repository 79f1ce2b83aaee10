"""The page's headline and the section about the uplift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from augment.data.reports import (
    ArmResult,
    ClassGain,
    CurvePoint,
    Gain,
    PartGain,
    UpliftReport,
)
from augment.report import charts
from augment.report.charts import Axes, Series
from augment.report.elements import Chart, Figure, Headline, Interval, Intervals, Section, Table
from augment.report.sources import SCORES_FILE, Sources
from augment.report.terminal import LONGER
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
    "helps": "The written set helps.",
    "no difference": "The written set makes no difference.",
    "harms": "The written set harms.",
}


def headline(sources: Sources) -> Headline:
    """Whether a classifier gets better by the set that is written, in plain words."""
    uplift = sources.uplift()
    if uplift is None:
        stage = "augment score" if "synth" in sources.reports else "the stages up to score"
        return Headline("Not measured yet.", "plain", [f"The verdict is there after {stage}."])
    if uplift.verdict is None:
        text = "There was no real test image to measure on: no proof either way."
        return Headline("Measured, but not judged.", "plain", [text], source=SCORES_FILE)
    facts = [
        ("labelled images alone", percent(uplift.classic.mean)),
        ("the written set", percent(uplift.written.mean)),
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
    sentences += _whose_gain(uplift)
    sentences.append(f"Measured by {uplift.budget}; {LONGER}.")
    if sources.get("write").get("as_measured") is False:
        sentences.append("What was written last is another set than this one: see its card.")
    text, tone = _HEADLINES[uplift.verdict], TONES[uplift.verdict]
    return Headline(text, tone, sentences, facts, SCORES_FILE)


def uplift(sources: Sources) -> Section:
    """Whose gain it is, arms, classes, dose curve, learning curve and controls."""
    key, title, report = "uplift", "Does a classifier get better?", sources.uplift()
    if report is None:
        return Section(key, title, missing="Not run yet: augment score.")
    if report.verdict is None:
        return Section(key, title, missing="There was no real test image to measure on.")
    figures = [_whole_and_parts(report), _arms(report.arms)]
    if report.per_class:
        text = "Of the written set, with the dose of each class in it."
        figures.append(_gains("Gain by class", report.per_class, text))
    if any(dose_of(name) is not None for name in report.arms):
        figures.append(_dose_curve(report))
    if report.learning_curve:
        figures.append(_learning_curve(report.learning_curve, report))
    if report.controls:
        text = "Shuffled labels must harm: a measurement that does not see it sees nothing."
        controls = {arm(name): gain for name, gain in report.controls.items()}
        figures.append(_gains("Controls", controls, text))
    lead = (
        f"Every arm trains the same network for as many steps, over "
        f"{counted(len(report.seeds), 'repeat')}, and is measured on real test images. Classic "
        f"augmentation: {report.policy}. How the written set was chosen: {report.choice}. Budget: "
        f"{report.budget}; {LONGER}."
    )
    if report.mcnemar is not None:
        lead += f" McNemar's test on the pooled predictions: p = {report.mcnemar:.3g}."
    return Section(key, title, lead, figures)


def _gain_in_words(uplift: UpliftReport) -> str:
    """Both accuracies, their difference, and what the written set holds."""
    holds = f"beside the labelled images it holds {uplift.added} ({uplift.choice})"
    if not (uplift.adopted or uplift.dose):
        holds = "it holds the labelled images alone, " + (
            "because there are no valid images to choose a dose by"
            if uplift.chosen_on is None
            else "because nothing that could be added was better on valid images"
        )
    return (
        f"A classifier taught by the written set reads {percent(uplift.written.mean)} of the real "
        f"test images right, against {percent(uplift.classic.mean)} with the labelled images under "
        f"classic augmentation alone: {points(uplift.gain.mean)} points; {holds}."
    )


def _whose_gain(uplift: UpliftReport) -> list[str]:
    """A sentence on the adopted images where they were measured, and one on the samples."""
    sentences = []
    if (adopted := uplift.parts.get("adopted")) is not None:
        sentences.append(f"The adopted images alone: {verdict_in_words(adopted)}.")
    if uplift.samples is not None and uplift.samples.verdict is not None:
        over = "adopted images" if uplift.adopted else "the labelled images"
        where = f"over {over} alone, at dose {shown(uplift.samples.dose)}"
        text = f"The samples themselves: {verdict_in_words(uplift.samples)} {where}."
        if uplift.samples.verdict == "no difference":
            gain = uplift.samples
            text = (
                "The samples themselves earned nothing measurable: "
                f"{points(gain.gain)} points ({span(gain.low, gain.high)}) {where}."
            )
        sentences.append(text)
    return sentences


def _whole_and_parts(uplift: UpliftReport) -> Figure:
    """The gain of the written set, of each ingredient, and of the samples over the rest."""
    gains: dict[str, Gain] = {"the written set": uplift.overall}
    for name, part in uplift.parts.items():
        title = name if part.dose is None else f"{name}@{part.dose:g}"
        gains[arm(title)] = part
    if uplift.samples is not None:
        gains["the samples, over the set without them"] = uplift.samples
    caption = "Each part beside the labelled images, the samples over the set without them."
    return _gains("Whose gain is it?", gains, caption)


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
        dose = gain.dose if isinstance(gain, ClassGain | PartGain) else None
        numbers.append((name, *shares, gain.verdict, dose))
        if gain.verdict is not None:
            text = f"{points(gain.gain)} · {gain.verdict}"
            ends = (100 * gain.low, 100 * gain.gain, 100 * gain.high)
            rows.append(Interval(name, *ends, text, TONES[gain.verdict]))
    head = ("", "gain", "low", "high", "verdict", "dose")
    caption = f"Points over classic augmentation, with 95 % intervals. {caption}"
    table = Table(head, numbers, sortable=True)
    return Figure(title, [Intervals(rows, 0.0)] if rows else [], SCORES_FILE, caption, table)


def _dose_curve(uplift: UpliftReport) -> Figure:
    """Accuracy by dose on test and, where there is one, on valid; classic is a dose of 0."""
    arms = uplift.arms
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
    marks = [(uplift.dose, "in the written set")]
    chart = Chart(charts.lines(axes, lines, marks=marks), [line.name for line in lines])
    rows = [
        (at, result.mean, measured(result.std), measured(result.valid)) for at, result in results
    ]
    numbers = Table(("dose", "test", "standard deviation", "valid"), rows)
    caption = (
        f"Without adopted images. The upright line is the dose in the written set: {uplift.choice}."
    )
    return Figure("How many?", [chart], SCORES_FILE, caption, numbers, half=True)


def _learning_curve(curve: Sequence[CurvePoint], uplift: UpliftReport) -> Figure:
    """Accuracy by the number of labelled images, beside that of the written set."""
    pairs = [(point.images, point.accuracy) for point in curve]
    line = Series("real images", pairs)
    axes = Axes(
        "Learning curve",
        "Accuracy on test by the number of real train images.",
        "real train images",
        "accuracy",
    )
    level = (uplift.written.mean, "written set")
    same = uplift.equal_images
    marks = [] if same is None else [(same, "as good as the written set")]
    chart = Chart(charts.lines(axes, [line], marks=marks, level=level))
    caption = "How many real images would do as much."
    if uplift.data_multiplier is not None:
        caption += f" What was added multiplies the labelled ones by {uplift.data_multiplier:.2f}."
    numbers = Table(("images", "accuracy"), pairs)
    return Figure("What real images would do", [chart], SCORES_FILE, caption, numbers, half=True)
