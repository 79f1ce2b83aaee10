"""The demo's numbers and picture: run ``python -m benchmarks.demo`` after ``make demo``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from augment.data.files import read_json
from augment.data.reports import Spread
from augment.report import terminal
from benchmarks import pages, results
from benchmarks.tables import Frame

REPOSITORY = Path(__file__).parent.parent
UPLIFT = {  # rows stored before the written set was judged hold `synthetic` in its place
    "classic": "real + classic augmentation",
    "synthetic": "the same + synthetic",
    "written": "the written set",
    "gain": "gain",
}


def demo(rows: Frame) -> Frame:
    """The scoreboard, each number beside its floor."""
    score = rows.iloc[0].to_dict()
    lines = [
        (
            facts.title,
            terminal.number(score[key]),
            terminal.number(score["floor"].get(key)),
            facts.hint,
        )
        for key, facts in terminal.BOARD.items()
        if key in score
    ]
    lines += [
        (f"uplift: {title}", terminal.mean_and_deviation(Spread(**score["uplift"][arm])), "", "")
        for arm, title in UPLIFT.items()
        if arm in score["uplift"]
    ]
    rates = sorted(score["accepted"].values())
    lines.append(("acceptance rate by class", f"{rates[0]:.2f} to {rates[-1]:.2f}", "", ""))
    return Frame(lines, columns=["score", "synthetic", "floor: real against real", "hint"])


TABLES = (demo,)


def main() -> None:
    """Store reports/score.json with the hardware, copy the picture, rewrite the pages."""
    reports = REPOSITORY / "reports"
    score, synth = (read_json(reports / f"{name}.json") for name in ("score", "synth"))
    score.pop("per_class")
    rates = {name: counts["acceptance_rate"] for name, counts in synth["per_class"].items()}
    row: dict[str, Any] = {"seed": synth["seed"], "accepted": rates, **score}
    results.add("demo", [results.signed(row)], ("seed",), "make demo")
    shutil.copyfile(reports / "samples.png", REPOSITORY / "docs" / "samples.png")
    pages.write()


if __name__ == "__main__":
    main()
