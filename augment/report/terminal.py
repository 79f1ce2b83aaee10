"""Reports as lines for a terminal: the scoreboard, and any stage's counts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, JustifyMethod
from rich.markup import escape
from rich.table import Table

from augment.data.reports import (
    SCORE_KEYS,
    Gain,
    ScoreKey,
    Spread,
    UpliftReport,
    sample_in_words,
)

FIRST = "label_accuracy"  # of the scores, because it says most to a newcomer
BOARD: Mapping[str, ScoreKey] = {FIRST: SCORE_KEYS[FIRST], **SCORE_KEYS}

PARTS = {  # of the written set, and its rival; beside the labelled images
    "adopted": "with adopted images",
    "synthetic": "with samples",
    "adopted+synthetic": "with both",
    "pseudo_labels": "with pseudo-labels",
}
LONGER = "augment uplift measures longer"


def scoreboard(score: Mapping[str, Any]) -> Table:
    """score.json as a table: each number beside its floor, real train against real held out.

    Raises ReportShapeError for an ``uplift`` that is not as the stage score writes it.
    """
    sample = sample_in_words(score) or None
    board = Table(title="scoreboard", caption=sample, title_justify="left")
    board.add_column("score")
    for name in ("synthetic", "floor"):
        board.add_column(name, justify="right")
    board.add_column("")
    floor = score.get("floor", {})
    for key, facts in BOARD.items():
        if key in score:
            board.add_row(facts.title, number(score[key]), number(floor.get(key)), facts.hint)
    uplift = UpliftReport.of_scores(score)
    if uplift:
        board.add_section()
        for title, accuracy, hint in uplift_rows(uplift):
            board.add_row(title, accuracy, "", hint)
    return board


def uplift_rows(uplift: UpliftReport) -> Iterator[tuple[str, str, str]]:
    """Title, accuracy on test and words: the written set, then whose gain it is, and the budget."""
    yield "uplift: written set", mean_and_deviation(uplift.written), uplift_in_words(uplift)
    yield "  labelled images alone", mean_and_deviation(uplift.classic), "classic augmentation"
    for name, title in PARTS.items():
        if (part := uplift.parts.get(name)) is not None:
            arm, at = name, ""
            if part.dose is not None:
                arm, at = f"{name}@{part.dose:g}", f", dose {part.dose:g}"
            yield f"  {title}{at}", mean_and_deviation(uplift.arms[arm]), gain_in_words(part)
    if uplift.samples is not None:
        yield "  samples themselves", "", samples_in_words(uplift)
    yield "  how it was chosen", "", uplift.choice
    yield "  budget", "", f"{uplift.budget}; {LONGER}"


def uplift_board(report: Mapping[str, Any]) -> Table:
    """uplift.json as a table: the written set, each arm beside the classic one, then the classes.

    Raises ReportShapeError for a report that is not one of the uplift.
    """
    uplift = UpliftReport.from_dict(report)
    title = f"uplift: {uplift_in_words(uplift)}"
    board = Table(title=title, caption=_facts(uplift), title_justify="left")
    board.add_column("arm or class", overflow="fold")
    for name in ("test accuracy", "valid", "gain, points", "95 %", "verdict"):
        board.add_column(name, justify="right", overflow="fold")
    written = mean_and_deviation(uplift.written)
    board.add_row("written set", written, "", *_cells(uplift.overall))
    board.add_section()
    for name, arm in uplift.arms.items():
        board.add_row(name, mean_and_deviation(arm), number(arm.valid), *_cells(arm.gain))
    board.add_section()
    recalls = uplift.arms["classic"].per_class
    for name, gain in uplift.per_class.items():
        board.add_row(f"class {name}", number(recalls[name]), "", *_cells(gain))
    return board


def uplift_in_words(uplift: UpliftReport) -> str:
    """The verdict on the written set in words, with the gain in points that it rests on."""
    if uplift.verdict is None:
        return "not measured"
    if not (uplift.adopted or uplift.dose):
        why = "nothing that could be added is better than classic augmentation on valid images"
        if uplift.chosen_on is None:
            why = "nothing is added, for there are no valid images to choose a dose by"
        return f"no difference: {why}"
    gain, interval, verdict = _cells(uplift.overall)
    return f"{verdict}: {gain} points ({interval}) on real test images, with {uplift.added}"


def gain_in_words(gain: Gain) -> str:
    """Verdict, gain and interval of one comparison."""
    middle, interval, verdict = _cells(gain)
    return f"{verdict}: {middle} points ({interval})" if verdict else "not measured"


def samples_in_words(uplift: UpliftReport) -> str:
    """What the generator itself earned: the gain of its samples over the set without them."""
    part = uplift.samples
    if part is None or part.verdict is None:
        return "not measured"
    over = "adopted images" if uplift.adopted else "the labelled images"
    middle, interval, verdict = _cells(part)
    said = "nothing measurable" if verdict == "no difference" else verdict
    return f"{said}: {middle} points ({interval}) over {over} alone, at dose {part.dose:g}"


def _cells(gain: Gain | None) -> tuple[str, str, str]:
    """Gain and its interval in points, and the verdict; empty where there is none."""
    if gain is None or gain.verdict is None:
        return "", "", ""
    middle, low, high = (100 * share for share in (gain.gain, gain.low, gain.high))
    return f"{middle:+.2f}", f"{low:+.2f} to {high:+.2f}", gain.verdict


def _facts(uplift: UpliftReport) -> str:
    facts = [f"classic augmentation: {uplift.policy}", uplift.budget, uplift.choice]
    if uplift.samples is not None:
        facts.append(f"the samples themselves: {samples_in_words(uplift)}")
    if uplift.equal_images is not None:
        multiplier = f"data multiplier {uplift.data_multiplier:.2f}"
        facts += [f"as good as {uplift.equal_images:.0f} real images", multiplier]
    return "; ".join(facts)


COMPARED = (
    "rank", "recipe", "steps", "gain, points", "95 %", "taught", "coverage", "near copies",
    "right labels", "accepted", "s / 1,000", "bits",
)  # fmt: skip
NARROW = {  # those that a terminal has room for, with their names there
    "rank": "#", "recipe": "recipe", "gain, points": "gain", "95 %": "95 %", "taught": "taught",
    "coverage": "cover", "near copies": "copies", "right labels": "labels",
    "s / 1,000": "s/1,000", "bits": "bits",
}  # fmt: skip


def compare_board(report: Mapping[str, Any]) -> Group:
    """compare.json as a table, a line for each recipe, best first; below it what is to be said."""
    minutes = report["minutes"]
    title = f"{minutes:g} {'minute' if minutes == 1 else 'minutes'} each; gain in points, on valid"
    board = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for title in NARROW.values():
        right = title not in ("recipe", "95 %")
        whole = title != "recipe"  # a name may be long
        justify: JustifyMethod = "right" if right else "left"
        board.add_column(title, justify=justify, overflow="fold", no_wrap=whole)
    for place, row in enumerate(report["rows"], 1):
        cells = compared(place, row)
        board.add_row(*(escape(number(cells[key])) for key in NARROW))
    said = [f"{name}: {text}" for name, text in remarks(report["rows"]).items()]
    return Group(board, "", *map(escape, (*said, *compare_in_words(report))))


def compared(place: int, row: Mapping[str, Any]) -> dict[str, str | float | None]:
    """The cells under COMPARED of the recipe at ``place``; None where nothing was measured."""
    gain, low, high = (
        None if row[key] is None else 100 * row[key] for key in ("gain", "low", "high")
    )
    shares = ("taught", "coverage", "near_copies", "label_accuracy", "accepted")
    cells = (
        place if row["error"] is None else None,
        row["name"],
        row["steps"],
        None if gain is None else round(gain, 2),
        None if low is None or high is None else f"{low:+.2f} to {high:+.2f}",
        *(None if row[key] is None else round(row[key], 3) for key in shares),
        *(None if row[key] is None else round(row[key], 2) for key in ("seconds_per_thousand",
                                                                       "bits")),
    )  # fmt: skip
    return dict(zip(COMPARED, cells, strict=True))


def remarks(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Why a recipe failed, or what else is to be said of it; by name, of those that it is."""
    said = {row["name"]: "; ".join(filter(None, (row["error"], row["remark"]))) for row in rows}
    return {name: text for name, text in said.items() if text}


def compare_in_words(report: Mapping[str, Any]) -> list[str]:
    """Who wins, by what, on test as well, and how params.yaml says it, in sentences."""
    if report["winner"] is None:
        return ["The table says why, recipe by recipe."]
    best, test = report["rows"][0], report["test"]
    gain, low, high = (100 * best[key] for key in ("gain", "low", "high"))
    said = [
        f"{report['winner']}: with its samples a classifier reads {100 * best['accuracy']:.1f} % "
        f"of the valid images right, without {100 * report['classic']:.1f} % ({gain:+.2f} points, "
        f"{low:+.2f} to {high:+.2f}: {best['verdict']})."
    ]
    if test is None:
        said.append("There is no test image to check it on.")
    else:
        gain, low, high = (100 * test[key] for key in ("gain", "low", "high"))
        said.append(
            f"On {test['images']:,} test images, looked at for the winner alone: {gain:+.2f} "
            f"points ({low:+.2f} to {high:+.2f}): {test['verdict']}."
        )
    if report["looks_at_test"] > 1:
        said.append(
            f"Comparisons of this set have looked at the test images {report['looks_at_test']} "
            "times, for another winner each time."
        )
    return [*said, f"In params.yaml: {report['line']}"]


def tune_board(report: Mapping[str, Any]) -> Table:
    """tune.json as a table: the trials that ended, best first, and what they say in words."""
    lines = "; ".join(f"{key}: {value}" for key, value in report["lines"].items())
    board = Table(
        title=report["terms"],
        caption="\n".join([*report["said"], f"In params.yaml: {lines}"]),
        title_justify="left",
        caption_justify="left",
    )
    finished = [trial for trial in report["trials"] if trial["state"] == "finished"]
    names = list(finished[0]["values"]) if finished else []
    for name in ("trial", "gain, points", "95 %", "samples", "steps", *names):
        board.add_column(name, justify="right", overflow="fold")
    for trial in sorted(finished, key=lambda trial: -trial["low"]):
        low, gain, high = (100 * trial[key] for key in ("low", "gain", "high"))
        cells = [number(value) for value in trial["values"].values()]
        board.add_row(
            str(trial["trial"]), f"{gain:+.2f}", f"{low:+.2f} to {high:+.2f}",
            f"{trial['samples']:,}", f"{trial['steps']:,}", *cells,
        )  # fmt: skip
    return board


def counts(report: Mapping[str, Any]) -> Table:
    """The plain numbers and short words of a report, nested ones under dotted names."""
    lines = Table(show_header=False, box=None)
    for _ in range(2):
        lines.add_column(overflow="fold")  # a path or digest is of no use without its end
    for name, value in _flat("", report):
        lines.add_row(name, number(value))
    return lines


def warnings(report: Mapping[str, Any]) -> list[str]:
    """What a stage's report warns of in words; its remarks were said when the stage ran."""
    checks = report.get("set", {})
    return [finding["warning"] for findings in checks.values() for finding in findings]


def number(value: Any) -> str:
    """A number in few characters; an empty string for None and for NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def mean_and_deviation(values: Spread) -> str:
    """Mean ± standard deviation of accuracies, as far as they were measured."""
    return " ± ".join(f"{value:.4f}" for value in (values.mean, values.std) if value == value)


def _flat(prefix: str, value: Mapping[str, Any], depth: int = 0) -> list[tuple[str, Any]]:
    """The numbers and short texts of ``value``, those of small parts of it with dotted names.

    Parts of more than 8 entries, parts of parts and texts of more than 64 characters (a SHA-256
    has as many) stay away, so that a report fits a screen; both bounds were chosen by hand.
    """
    lines: list[tuple[str, Any]] = []
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            if depth < 1 and len(item) <= 8 and key != "settings":
                lines += _flat(f"{name}.", item, depth + 1)
        elif isinstance(item, int | float) or (isinstance(item, str) and len(item) <= 64):
            lines.append((name, item))
    return lines
