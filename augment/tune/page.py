"""The page of a study: what gained most, what each knob is worth, and the lines for params.yaml."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from augment.data import files
from augment.data.places import REPORTS
from augment.params_file import flow
from augment.report import charts, pictures
from augment.report.charts import Axes, Series
from augment.report.elements import (
    Cell,
    Chart,
    Figure,
    Headline,
    Interval,
    Intervals,
    Part,
    Section,
    Table,
)
from augment.report.page import render
from augment.report.words import TONES, counted, percent, points, span
from augment.score.uplift import statistics
from augment.tune.base import Changes, Knob, TrialOutcome
from augment.tune.study import JUDGES, Trial

PAGE = f"{REPORTS}/tune.html"
SOURCE = "tune.json"
SHOWN = 12  # trials with their intervals; chosen by hand
RULE = (
    "The objective is the lower end of the 95 % interval of the gain on valid images. Of many "
    "trials the one with the highest mean is the luckiest; the lower end ranks by what is sure, "
    "and is above 0 only where the samples help."
)


@dataclass(frozen=True)
class Findings:
    """What a study came to: its trials, knobs and their importances, and the terms it ran on.

    ``best`` is the finished trial with the highest lower end, if any; ``lines`` are the keys of
    params.yaml in which its settings differ, ``terms`` says in words how trials were judged.
    """

    trials: Sequence[Trial]
    knobs: Sequence[Knob]
    importances: Mapping[str, float]
    best: Trial | None
    lines: Changes
    terms: str
    study: str

    @property
    def finished(self) -> list[tuple[Trial, TrialOutcome]]:
        """The finished trials with their outcomes, best first."""
        pairs = [(trial, trial.outcome) for trial in self.trials if trial.outcome]
        return sorted(pairs, key=lambda pair: -pair[1].low)

    def count(self, state: str) -> int:
        """How many trials are in a state."""
        return sum(trial.state == state for trial in self.trials)

    def verdict(self) -> str | None:
        """Whether the best trial's samples help a classifier, by the interval."""
        if self.best is None or self.best.outcome is None:
            return None
        return statistics.verdict(self.best.outcome.low, self.best.outcome.high)

    def as_dict(self) -> dict[str, Any]:
        """The findings as reports/tune.json holds them."""
        return {
            "study": self.study,
            "terms": self.terms,
            "trials": [_record(trial) for trial in self.trials],
            "counts": {
                state: self.count(state) for state in ("finished", "pruned", "stopped", "running")
            },
            "importances": dict(self.importances),
            "best": None if self.best is None else _record(self.best),
            "verdict": self.verdict(),
            "lines": dict(self.lines),
            "said": in_words(self),
            "page": PAGE,
        }


def _record(trial: Trial) -> dict[str, Any]:
    outcome = {} if trial.outcome is None else dict(vars(trial.outcome))
    values = {"trial": trial.number, "state": trial.state, "values": dict(trial.values)}
    return {**values, "why": trial.why or None, "seconds": trial.seconds, **outcome}


def in_words(findings: Findings) -> list[str]:
    """What was tried, what gained most, and what to do with it, in sentences."""
    tried = (
        f"{counted(len(findings.trials), 'trial')}: {findings.count('finished')} to the end, "
        f"{findings.count('pruned')} given up."
    )
    best = findings.best
    if best is None or best.outcome is None:
        return [tried, "None could be measured; the table says why."]
    outcome = best.outcome
    said = [
        tried,
        f"Trial {best.number} has the highest lower end: with its samples a classifier reads "
        f"{percent(outcome.after)} of the valid images right, without {percent(outcome.before)} "
        f"({points(outcome.gain)} points, {span(outcome.low, outcome.high)}).",
    ]
    if findings.verdict() == "helps":
        said.append(
            "It was chosen by these very images, so its gain is too hopeful: what it is worth "
            "on test images, which no trial has seen, augment score tells."
        )
    else:
        said.append("No trial gains more than chance: for this set the samples need not go in.")
    if best.number == 0:
        said.append("It is the settings of params.yaml as they are.")
    return said


def write_page(root: Path, findings: Findings, samples: Path) -> None:
    """Write the page; ``samples`` is a picture of the best trial's, as far as it exists."""
    sections = [
        _settings(findings, samples),
        _knobs(findings),
        Section("trials", "Trials", findings.terms, _trials(findings)),
    ]
    files.write_text(root / PAGE, render(_headline(findings), sections))


def _headline(findings: Findings) -> Headline:
    """Whether the samples help, by how much, and which knob matters most."""
    verdict, sentences = findings.verdict(), in_words(findings)
    if findings.best is None or findings.best.outcome is None:
        return Headline("No trial could be measured.", "bad", sentences, source=SOURCE)
    texts = {"helps": "Tuned samples help.", "harms": "The samples harm in every trial."}
    outcome = findings.best.outcome
    facts = [
        ("gain on valid", f"{points(outcome.gain)} points"),
        ("lower end", f"{points(outcome.low)} points"),
        *(("matters most", name) for name in list(findings.importances)[:1]),
    ]
    text = texts.get(verdict or "", "Tuning found no sure gain.")
    return Headline(text, TONES.get(verdict or "", "even"), sentences, facts, SOURCE)


def _settings(findings: Findings, samples: Path) -> Section:
    """The lines for params.yaml and what the best trial drew."""
    title, key = "Best settings", "settings"
    if findings.best is None:
        return Section(key, title, missing="No trial was measured to the end.")
    rows: list[list[Cell]] = [[name, flow(value)] for name, value in findings.lines.items()]
    caption = "augment tune --apply writes them and leaves all other lines as they are."
    lines = Figure("Lines for params.yaml", [Table(("key", "value"), rows)], SOURCE, caption)
    shown = pictures.of_file(samples, f"samples of trial {findings.best.number}")
    parts: list[Part] = [shown] if shown else []
    picture = Figure("Samples", parts, SOURCE, "The first of each class, not filtered.")
    return Section(key, title, "", [lines, *([picture] if parts else [])])


def _knobs(findings: Findings) -> Section:
    """How much each knob matters, then the gain at its values."""
    lead = (
        "The share of the gain's variance that a knob explains by itself (fANOVA). With so few "
        "trials it is rough: it says where to look, not what is true of every set."
    )
    shares = [
        Interval(name, 0.0, 100 * share, 100 * share, f"{100 * share:.0f} %")
        for name, share in findings.importances.items()
    ]
    if not shares:
        missing = f"{JUDGES} trials that ended and differ are needed before knobs can be told apart"
        return Section("knobs", "Knobs", missing=missing)
    numbers = Table(("knob", "share"), [[*pair] for pair in findings.importances.items()])
    whole = Interval("all", 0.0, 100.0, 100.0, "100 %")
    ranking = Figure("Importance", [Intervals([*shares, whole], 0.0)], SOURCE, "", numbers)
    by_name = {knob.name: knob for knob in findings.knobs}
    figures = [_knob(by_name[name], findings) for name in findings.importances]
    return Section("knobs", "Knobs", lead, [ranking, *figures])


def _knob(knob: Knob, findings: Findings) -> Figure:
    """The gain of each trial at the value that a knob had there."""
    gains = [(trial.values[knob.name], 100 * outcome.gain) for trial, outcome in findings.finished]
    caption = f"Tried: {knob.described}."
    if knob.choices:
        of_choice = {
            choice: [gain for value, gain in gains if value == choice] for choice in knob.choices
        }
        rows = [
            Interval(name, min(of_one), fmean(of_one), max(of_one), counted(len(of_one), "trial"))
            for name, of_one in of_choice.items()
            if of_one
        ]
        caption += " Least, mean and largest gain in points, and the number of trials."
        return Figure(knob.name, [Intervals(rows, 0.0)], SOURCE, caption, half=True)
    dots = sorted((math.log10(float(x)) if knob.log else float(x), gain) for x, gain in gains)
    name = f"log10 of {knob.name}" if knob.log else knob.name
    axes = Axes(f"gain by {knob.name}", "one dot for each trial", name, "gain, points")
    chart = charts.lines(axes, [Series("gain", dots, joined=False)], level=(0.0, "classic"))
    return Figure(knob.name, [Chart(chart)], SOURCE, caption, half=True)


def _trials(findings: Findings) -> list[Figure]:
    """The best trials with their intervals, and the table of all."""
    rows = [
        Interval(
            f"trial {trial.number}", 100 * outcome.low, 100 * outcome.gain, 100 * outcome.high,
            f"{points(outcome.gain)} ({span(outcome.low, outcome.high)})",
            TONES.get(statistics.verdict(outcome.low, outcome.high) or "", "plain"),
        )
        for trial, outcome in findings.finished[:SHOWN]
    ]  # fmt: skip
    names = [knob.name for knob in findings.knobs]
    head = ("trial", "lower end", "gain", "samples", "steps", "seconds", *names, "")
    table = Table(head, [_row(trial, names) for trial in findings.trials], sortable=True)
    figures = [Figure("Gain", [Intervals(rows, 0.0)], SOURCE, RULE)] if rows else []
    caption = "Gains in points. Trial 0 is params.yaml as it is."
    return [*figures, Figure("All trials", [table], SOURCE, caption)]


def _row(trial: Trial, names: Sequence[str]) -> list[Cell]:
    values: list[Cell] = [trial.values.get(name) for name in names]
    values = [float(f"{value:.3g}") if isinstance(value, float) else value for value in values]
    seconds = None if math.isnan(trial.seconds) else round(trial.seconds)
    if trial.outcome is None:
        return [trial.number, None, None, None, None, seconds, *values, trial.why or trial.state]
    outcome = trial.outcome
    ends = [round(100 * outcome.low, 2), round(100 * outcome.gain, 2)]
    return [trial.number, *ends, outcome.samples, outcome.steps, seconds, *values, ""]
