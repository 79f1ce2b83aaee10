"""The demo's numbers and picture for the README: run after ``make demo``."""

from __future__ import annotations

import shutil
from pathlib import Path

from augment.data.files import read_json
from benchmarks import readme, record

REPOSITORY = Path(__file__).parent.parent


def main() -> None:
    """Store reports/score.json with the hardware, copy the picture, fill in the README."""
    reports = REPOSITORY / "reports"
    score = read_json(reports / "score.json")
    synth = read_json(reports / "synth.json")
    rates = {name: one["acceptance_rate"] for name, one in synth["per_class"].items()}
    score.pop("per_class")
    print(record.store("demo", score, command="make demo", seed=synth["seed"], accepted=rates))
    shutil.copyfile(reports / "samples.png", REPOSITORY / "docs" / "samples.png")
    readme.fill()


if __name__ == "__main__":
    main()
