"""Reports as lines for a terminal: the scoreboard, and any stage's counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from augment.data.reports import SCORE_KEYS, Gain, ScoreKey, Spread, UpliftReport

FIRST = "label_accuracy"  # of the scores, because it says most to a newcomer
BOARD: Mapping[str, ScoreKey] = {FIRST: SCORE_KEYS[FIRST], **SCORE_KEYS}

ARMS = {
    "classic": "real + classic augmentation",
    "synthetic": "the same + synthetic",
    "gain": "gain",
}


def scoreboard(score: Mapping[str, Any]) -> Table:
    """score.json as a table: each number beside its floor, real train against real held out.

    Raises ReportShapeError for an ``uplift`` that is not as the stage score writes it.
    """
    board = Table(title="scoreboard", title_justify="left")
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
        for arm, title in ARMS.items():
            hint = uplift_in_words(uplift) if arm == "gain" else "on real test images"
            board.add_row(f"uplift: {title}", mean_and_deviation(getattr(uplift, arm)), "", hint)
    return board


def uplift_board(report: Mapping[str, Any]) -> Table:
    """uplift.json as a table: each arm beside the classic one, then the gain of each class.

    Raises ReportShapeError for a report that is not one of the uplift.
    """
    uplift = UpliftReport.from_dict(report)
    title = f"uplift: {uplift_in_words(uplift)}"
    board = Table(title=title, caption=_facts(uplift), title_justify="left")
    board.add_column("arm or class", overflow="fold")
    for name in ("test accuracy", "valid", "gain, points", "95 %", "verdict"):
        board.add_column(name, justify="right", overflow="fold")
    for name, arm in uplift.arms.items():
        board.add_row(name, mean_and_deviation(arm), number(arm.valid), *_cells(arm.gain))
    board.add_section()
    recalls = uplift.arms["classic"].per_class
    for name, gain in uplift.per_class.items():
        board.add_row(f"class {name}", number(recalls[name]), "", *_cells(gain))
    return board


def uplift_in_words(uplift: UpliftReport) -> str:
    """The verdict in words, with the gain in points that it rests on."""
    if uplift.verdict is None:
        return "not measured"
    if not uplift.dose:
        return "no difference: no dose is better than classic augmentation on valid images"
    gain, interval, verdict = _cells(uplift.overall)
    return f"{verdict}: {gain} points ({interval}) on real test images, at dose {uplift.dose:g}"


def _cells(gain: Gain | None) -> tuple[str, str, str]:
    """Gain and its interval in points, and the verdict; empty where there is none."""
    if gain is None or gain.verdict is None:
        return "", "", ""
    middle, low, high = (100 * share for share in (gain.gain, gain.low, gain.high))
    return f"{middle:+.2f}", f"{low:+.2f} to {high:+.2f}", gain.verdict


def _facts(uplift: UpliftReport) -> str:
    facts = [f"classic augmentation: {uplift.policy}", f"seeds: {len(uplift.seeds)}"]
    if uplift.equal_images is not None:
        multiplier = f"data multiplier {uplift.data_multiplier:.2f}"
        facts += [f"as good as {uplift.equal_images:.0f} real images", multiplier]
    return "; ".join(facts)


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
