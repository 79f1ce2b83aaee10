"""The page of a comparison: who wins and by what, and the samples of all beside one another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from augment.data import files
from augment.data.places import REPORTS
from augment.report import pictures
from augment.report.elements import (
    Figure,
    Headline,
    Interval,
    Intervals,
    Part,
    Section,
    Table,
)
from augment.report.page import render
from augment.report.terminal import COMPARED, compare_in_words, compared, remarks
from augment.report.words import TONES, counted, percent, points, span

PAGE = f"{REPORTS}/compare.html"
SOURCE = "compare.json"
RULE = (
    "Ranked by the gain on valid images; recipes that the best one does not beat by more than a "
    "standard error count as level, and then the accuracy of a classifier that was taught by "
    "samples alone decides, then coverage."
)


def write_page(
    root: Path, report: Mapping[str, Any], real: Path, samples: Mapping[str, Path]
) -> None:
    """Write the page; ``real`` and ``samples``, by recipe, are pictures, as far as they exist."""
    rows = report["rows"]
    ranking = [_table(rows)] + ([gains] if (gains := _gains(rows)) else [])
    sections = [
        Section("ranking", "Ranking", _terms(report), ranking),
        Section(
            "samples",
            "Samples",
            "The first samples of each class, not picked and not filtered, real images first.",
            _pictures(rows, real, samples),
        ),
    ]
    files.write_text(root / PAGE, render(_headline(report), sections))


def _headline(report: Mapping[str, Any]) -> Headline:
    """The winner, what it gains, and its line for params.yaml."""
    sentences = compare_in_words(report)
    if report["winner"] is None:
        return Headline("No recipe could be measured.", "bad", sentences, source=SOURCE)
    best = report["rows"][0]
    facts = [
        ("gain on valid", f"{points(best['gain'])} points"),
        ("samples alone teach", percent(best["taught"])),
    ]
    if report["test"]:
        facts.append(("gain on test", f"{points(report['test']['gain'])} points"))
    tone = TONES.get(best["verdict"], "plain")
    return Headline(f"{report['winner']} comes first.", tone, sentences, facts, SOURCE)


def _terms(report: Mapping[str, Any]) -> str:
    """On what terms the recipes were compared."""
    seen, fits = report["images"], report["classifiers"]
    valid = counted(seen["valid"], "valid image")
    if seen["held_out"]:
        valid += " (held out of train, because no valid image has a label)"
    pile = f" and {seen['unlabelled']:,} without a label" if seen["unlabelled"] else ""
    return (
        f"{report['minutes']:g} min of training for each recipe on {report['device']} "
        f"({counted(report['cores'], 'core')}), seed {report['seed']}; "
        f"{counted(seen['train'], 'labelled train image')}{pile}; judged on {valid} by "
        f"{counted(fits['seeds'], 'classifier')} an arm, {report['dose']:g} samples at most for "
        f"each labelled image. {RULE}"
    )


def _table(rows: list[Mapping[str, Any]]) -> Figure:
    """A line for each recipe, then why one failed and what one leaves unused."""
    body = [list(line.values()) for line in map(compared, range(1, len(rows) + 1), rows)]
    caption = (
        "Gain: of labelled images with accepted samples over the images alone. Taught: accuracy on "
        "valid of a classifier of accepted samples alone. Coverage, near copies and right labels "
        "are of unfiltered samples; s / 1,000: seconds for a thousand of them."
    )
    said = [*remarks(rows).items()]
    further: list[Part] = [Table(("recipe", "remark"), said)] if said else []
    parts: list[Part] = [Table(COMPARED, body, sortable=True), *further]
    return Figure("Side by side", parts, SOURCE, caption)


def _gains(rows: list[Mapping[str, Any]]) -> Figure | None:
    """The gains with their intervals; None where none was measured."""
    measured = [row for row in rows if row["gain"] is not None]
    if not measured:
        return None
    intervals = [
        Interval(
            row["name"], 100 * row["low"], 100 * row["gain"], 100 * row["high"],
            f"{points(row['gain'])} · {row['verdict']}", TONES.get(row["verdict"], "plain"),
        )
        for row in measured
    ]  # fmt: skip
    head = ("recipe", "gain", "low", "high")
    numbers = Table(head, [[row[key] for key in ("name", *head[1:])] for row in measured])
    caption = "Points over classic augmentation on valid images, in pairs, with 95 % intervals."
    return Figure("Gain", [Intervals(intervals, 0.0)], SOURCE, caption, numbers)


def _pictures(
    rows: list[Mapping[str, Any]], real: Path, samples: Mapping[str, Path]
) -> list[Figure]:
    """The real images, then a figure for each recipe, the same classes below one another."""
    figures = [_picture("real", real, "images of the set", "")]
    for place, row in enumerate(rows, 1):
        words = row["error"] or f"{points(row['gain'])} points ({span(row['low'], row['high'])})"
        title = f"{place}. {row['name']}" if row["error"] is None else row["name"]
        figures.append(_picture(title, samples[row["name"]], f"samples of {row['name']}", words))
    return figures


def _picture(title: str, path: Path, alt: str, caption: str) -> Figure:
    shown = pictures.of_file(path, alt)
    parts: list[Part] = [shown] if shown else []
    return Figure(title, parts, SOURCE, caption)
