"""Reports as lines for a terminal: the scoreboard, and any stage's counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

BOARD = (
    ("label_accuracy", "label accuracy by the judge", "1 is best"),
    ("fid", "FID (domain features)", "lower is better"),
    ("kid", "KID (domain features)", "lower is better"),
    ("precision", "precision", "1 is best"),
    ("recall", "recall", "1 is best"),
    ("density", "density", "about 1"),
    ("coverage", "coverage", "1 is best"),
    ("diversity", "diversity within classes, relative to real", "about 1"),
    ("duplicate_fraction", "duplicates among synthetic", "0 is best"),
    ("near_copy_fraction", "near copies of train images", "0 is best"),
    ("authenticity", "authenticity (AuthPct)", "1 is best"),
)

ARMS = {
    "classic": "real + classic augmentation",
    "synthetic": "the same + synthetic",
    "gain": "gain",
}


def scoreboard(score: Mapping[str, Any]) -> Table:
    """score.json as a table: each number beside its floor, real train against real held out."""
    board = Table(title="scoreboard", title_justify="left")
    board.add_column("score")
    for name in ("synthetic", "floor"):
        board.add_column(name, justify="right")
    board.add_column("")
    floor = score.get("floor", {})
    for key, title, hint in BOARD:
        if key in score:
            board.add_row(title, number(score[key]), number(floor.get(key)), hint)
    uplift = score.get("uplift")
    if uplift:
        for arm in ("classic", "synthetic", "gain"):
            hint = words(uplift) if arm == "gain" else "on real test images"
            board.add_row(f"uplift: {ARMS[arm]}", spread(uplift[arm]), "", hint)
    return board


def uplift_board(uplift: Mapping[str, Any]) -> Table:
    """The uplift as a table: each arm beside the classic one, then what is known of each class."""
    board = Table(title=f"uplift: {words(uplift)}", caption=_facts(uplift), title_justify="left")
    board.add_column("arm or class", overflow="fold")
    for name in ("test accuracy", "valid", "gain, points", "95 %", "verdict"):
        board.add_column(name, justify="right", overflow="fold")
    for name, arm in uplift["arms"].items():
        board.add_row(name, spread(arm), number(arm["valid"]), *_gain(arm))
    board.add_section()
    recalls = uplift["arms"]["classic"]["per_class"]
    for name, found in uplift["per_class"].items():
        board.add_row(f"class {name}", number(recalls[name]), "", *_gain(found))
    return board


def words(uplift: Mapping[str, Any]) -> str:
    """The verdict in words, with the gain in points that it rests on."""
    if uplift.get("verdict") is None:
        return "not measured"
    if not uplift["dose"]:
        return "no difference: no dose is better than classic augmentation on valid images"
    gain, between, verdict = _gain({**uplift, "gain": uplift["gain"]["mean"]})
    return f"{verdict}: {gain} points ({between}) on real test images, at dose {uplift['dose']:g}"


def _gain(found: Mapping[str, Any]) -> tuple[str, str, str]:
    """Gain and its interval in points, and the verdict; empty where there is none."""
    if found.get("verdict") is None:
        return "", "", ""
    gain, low, high = (100 * found[key] for key in ("gain", "low", "high"))
    return f"{gain:+.2f}", f"{low:+.2f} to {high:+.2f}", found["verdict"]


def _facts(uplift: Mapping[str, Any]) -> str:
    facts = [f"classic augmentation: {uplift['policy']}", f"seeds: {len(uplift['seeds'])}"]
    if uplift["equal_images"] is not None:
        multiplier = f"data multiplier {uplift['data_multiplier']:.2f}"
        facts += [f"as good as {uplift['equal_images']:.0f} real images", multiplier]
    return "; ".join(facts)


def counts(report: Mapping[str, Any]) -> Table:
    """The plain numbers and short words of a report, nested ones under dotted names."""
    lines = Table(show_header=False, box=None)
    for _ in range(2):
        lines.add_column(overflow="fold")  # a path or digest is of no use without its end
    for name, value in _flat("", report):
        lines.add_row(name, number(value))
    return lines


def number(value: Any) -> str:
    """A number in few characters; an empty string for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def spread(arm: Any) -> str:
    """Mean ± standard deviation of one arm, as far as they were measured."""
    if not isinstance(arm, Mapping):
        return number(arm)
    return " ± ".join(f"{arm[key]:.4f}" for key in ("mean", "std") if arm[key] is not None)


def _flat(prefix: str, value: Mapping[str, Any], depth: int = 0) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            if depth < 1 and len(item) <= 8 and key != "settings":
                found += _flat(f"{name}.", item, depth + 1)
        elif isinstance(item, int | float) or (isinstance(item, str) and len(item) <= 64):
            found.append((name, item))
    return found
