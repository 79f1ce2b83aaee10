"""The README's tables, written from benchmarks/results so that no row is filled in by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from augment.data import files
from augment.data.reports import Spread
from augment.report import terminal
from benchmarks import boards, summaries
from benchmarks.record import RESULTS

README = Path(__file__).parent.parent / "README.md"


def demo(result: dict[str, Any]) -> list[str]:
    """The scoreboard of the demo, each number beside its floor."""
    score = result["rows"]
    lines = ["| score | synthetic | floor: real against real | |", "|---|---|---|---|"]
    for key, facts in terminal.BOARD.items():
        values = (terminal.number(side.get(key)) for side in (score, score["floor"]))
        lines.append(f"| {facts.title} | {' | '.join(values)} | {facts.hint} |")
    for arm, title in terminal.ARMS.items():
        spread = Spread.from_dict(score["uplift"][arm])
        lines.append(f"| uplift: {title} | {terminal.mean_and_deviation(spread)} | | |")
    rates = sorted(result["accepted"].values())
    lines += ["", f"Acceptance rate by class: {rates[0]:.2f} to {rates[-1]:.2f}."]
    return lines


def speed(result: dict[str, Any]) -> list[str]:
    """What `make bench` printed."""
    lines = ["| what | measured | bound | met | |", "|---|---|---|---|---|"]
    for row in result["rows"]:
        met = "yes" if row["met"] else "**no**"
        lines.append(
            f"| {row['what']} | {row['measured']} | {row['bound']} | {met} | {row['detail']} |"
        )
    return lines


def collected(result: dict[str, Any], board: Callable[[list[Any]], summaries.Lines]) -> list[str]:
    """Rows of several runs, and in words those that are owed."""
    tables = [_grid(lines) for lines in summaries.tables(board(result["rows"]))]
    judge = summaries.judged(result["judge"]) if result.get("judge") else ""
    given = json.dumps(result.get("tuned")).replace('"', "")
    tuned = f"The default recipe's settings here: `{given}`." if result.get("tuned") else ""
    missing = summaries.owing(result["owed"])
    owed = f"Of the full form not run yet: {missing}." if missing else ""
    paragraphs = [*tables, judge, tuned, owed]
    return "\n\n".join(one for one in paragraphs if one).split("\n")


def _grid(lines: summaries.Lines) -> str:
    cells = [[*lines[0]], ["---"] * len(lines[0]), *([*line.values()] for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |".replace("| no |", "| **no** |") for row in cells)


TABLES: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "demo": demo,
    "speed": speed,
    **{name: partial(collected, board=board) for name, board in boards.BOARDS.items()},
}


def filled(text: str) -> str:
    """``text`` with every marked block replaced by its table and the hardware under it."""
    for name, lines in TABLES.items():
        path = RESULTS / f"{name}.json"
        if not path.exists():
            continue
        result = files.read_json(path)
        where = result["hardware"]
        machine = where["gpu"] or f"{where['cores']} cores of {where['cpu']}"
        block = [*lines(result), "", f"{result['date']}, {machine}, torch {where['torch']}."]
        pattern = rf"(?s)<!-- {name} -->\n.*?<!-- /{name} -->"
        whole = "\n".join([f"<!-- {name} -->", "", *block, "", f"<!-- /{name} -->"])
        text = re.sub(pattern, lambda _, whole=whole: whole, text)  # type: ignore[misc]
    return text


def fill() -> None:
    """Rewrite the README's tables."""
    files.write_text(README, filled(README.read_text(encoding="utf-8")))


if __name__ == "__main__":
    fill()
