"""The evidence pages, docs/evidence: their tables are written from the stored results.

``python -m benchmarks.pages`` rewrites all tables and runs no benchmark. A table stands between
``<!-- table NAME -->`` and ``<!-- /table NAME -->``; the text around it is written by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from augment.data import files
from benchmarks import results, tables
from benchmarks.training import WITHIN

EVIDENCE = Path(__file__).parent.parent / "docs/evidence"
PAGES = (
    "frontier", "sizes", "families", "infogan", "half", "throughput", "modes", "uplift",
    "generated", "transfer", "borrowed", "selection", "sharing", "no_labels", "cleaning", "fuzz",
    "costs", "speed", "devices", "memory", "scale", "demo",
)  # fmt: skip
WIDE = 400  # letters of a printed table, which would be of no use when folded
MARKED = re.compile(r"(?s)<!-- table (\w+) -->\n.*?<!-- /table \1 -->")


def write() -> None:
    """Rewrite the tables of all pages."""
    for path in sorted(EVIDENCE.glob("*.md")):
        files.write_text(path, filled(path.read_text(encoding="utf-8")))


def filled(text: str) -> str:
    """``text`` with every table written anew."""
    return MARKED.sub(lambda match: _block(match[1]), text)


def show(name: str, result: Mapping[str, Any]) -> None:
    """Print the tables of a result, and the rows that are not run yet."""
    console = Console(width=WIDE)
    for frame in tables.tables(name, result["rows"]):
        table = Table(*frame, title=name)
        for line in frame.itertuples(index=False):
            table.add_row(*line)
        console.print(table)
    console.print(*remarks(result), sep="\n", highlight=False)


def remarks(result: Mapping[str, Any]) -> list[str]:
    """Sentences below the tables: the judge, the rows that are not run yet, the day and machine."""
    sentences = []
    if judge := result.get("judge"):
        sentences.append(
            f"The judge, fitted for {judge['steps']} steps, is right about "
            f"{judge['accuracy']:.1%} of the held-out digits; as many real train digits have KID "
            f"{judge['kid']:.4g} and coverage {judge['coverage']:.4g}."
        )
    if result.get("tuned"):
        tuned = json.dumps(result["tuned"]).replace('"', "")
        sentences.append(f"The default recipe's settings here: `{tuned}`.")
    if result.get("owed"):
        sentences.append(f"Of the full form not run yet: {in_words(result['owed'])}.")
    return [*sentences, *_measured(result)]


def in_words(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows that are owed; those that differ in one value only stand together.

    The full form's setting goes without saying.
    """
    frame = pd.DataFrame(rows, dtype=object)
    setting = [key for key in results.SETTING if key in frame]
    frame.loc[frame.notna().sum(axis=1) > len(setting), setting] = None
    frame = frame.fillna("").astype(str).assign(all="")
    for key in frame.columns.drop("all"):
        groups = frame.groupby([*frame.columns.drop(key)], sort=False, as_index=False)
        joined = groups[key].agg(lambda values: ", ".join(dict.fromkeys(values)))
        frame = joined[frame.columns]
    every = ", ".join(WITHIN)
    lines = [
        [
            f"every {key}" if value == every else f"{key} {value}"
            for key, value in row.items()
            if value
        ]
        for row in frame.to_dict("records")
    ]
    return "; ".join(map(", ".join, lines))


def _measured(result: Mapping[str, Any]) -> list[str]:
    """When and where the rows were measured; nothing of a run that was not stored."""
    if "hardware" not in result:
        return []
    dates = sorted({row["date"] for row in result["rows"]})
    machines = ", ".join(sorted({row["machine"] for row in result["rows"]}))
    days = " to ".join(dict.fromkeys([dates[0], dates[-1]]))
    return [f"Measured {days} on {machines}, torch {result['hardware']['torch']}."]


def _block(name: str) -> str:
    if name == "index":
        parts = [_markdown(_index())]
    else:
        result = results.load(name)
        parts = [_markdown(frame) for frame in tables.tables(name, result["rows"])]
        parts += remarks(result)
    return "\n\n".join([f"<!-- table {name} -->", *parts, f"<!-- /table {name} -->"])


def _index() -> pd.DataFrame:
    """A line for each page: the sentence below its title, bounds met, rows owed, when and where."""
    lines = []
    for name in PAGES:
        title, sentence, *_ = (EVIDENCE / f"{name}.md").read_text(encoding="utf-8").split("\n\n")
        result = results.load(name)
        bounds = [
            bound
            for table in tables.tables(name, result["rows"])
            for bound in table.get("met", [])
            if bound
        ]
        lines.append({
            "page": f"[{title.removeprefix('# ')}]({name}.md)",
            "shows": " ".join(sentence.split()),
            "bounds met": f"{bounds.count('yes')} of {len(bounds)}" if bounds else "",
            "rows not run yet": str(len(result.get("owed", [])) or ""),
            "measured": " ".join(_measured(result)).removeprefix("Measured ").removesuffix("."),
        })  # fmt: skip
    return pd.DataFrame(lines)


def _markdown(table: pd.DataFrame) -> str:
    lines = [[*table], ["---"] * len(table.columns), *table.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(line)} |".replace("| no |", "| **no** |") for line in lines)


if __name__ == "__main__":
    write()
