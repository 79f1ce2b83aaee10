"""Progress on stderr: a bar with rate and remaining time on a terminal, silence elsewhere.

With AUGMENT_LOG=json in the environment, as ``augment --log json`` sets it, each line of stderr is
a JSON object in place of that, and so in every process that is started.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")
Level = Literal["info", "warning", "error"]

LOG = "AUGMENT_LOG"  # environment variable: text or json
OFTEN = 5.0  # seconds between two objects of one bar

_silent = False
_command: str | None = None


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="cyan")


class _Lines:
    """A bar as JSON objects: one in OFTEN seconds, and one at the end; it is used as rich's is."""

    def __enter__(self) -> _Lines:
        self._tasks: list[dict[str, Any]] = []
        return self

    def __exit__(self, *_: object) -> None:
        for task in self._tasks:
            if task["said"] != task["done"]:
                self._tell(task)

    def add_task(self, description: str, *, total: float | None, note: str) -> int:
        now = time.monotonic()
        task = {"title": description, "total": total, "note": note, "done": 0.0}
        self._tasks.append(task | {"begun": now, "told": now, "said": None})
        return len(self._tasks) - 1

    def advance(self, task: int, advance: float = 1) -> None:
        self.update(task, completed=self._tasks[task]["done"] + advance)

    def update(self, task: int, *, completed: float | None = None, note: str = "") -> None:
        state = self._tasks[task]
        if completed is not None:
            state["done"] = completed
        state["note"] = note or state["note"]
        if time.monotonic() - state["told"] >= OFTEN:
            self._tell(state)

    def _tell(self, task: dict[str, Any]) -> None:
        task["told"], task["said"] = time.monotonic(), task["done"]
        rate = task["done"] / max(task["told"] - task["begun"], 1e-9)
        left = (task["total"] - task["done"]) / rate if task["total"] and rate else None
        facts = {"done": task["done"], "total": task["total"], "rate": round(rate, 3),
                 "seconds_left": left if left is None else round(left, 1)}  # fmt: skip
        _object("info", "progress", task["title"], **facts, note=task["note"])


def silence() -> None:
    """Show no bar in this process, a worker: its parent shows one for all of them."""
    global _silent
    _silent = True


def name(command: str | None) -> None:
    """Name the command that all further JSON objects of this process are of."""
    global _command
    _command = command


def bar() -> AbstractContextManager[Any]:
    """A progress display, which stays silent when stderr is no terminal."""
    if _as_json() and not _silent:
        return _Lines()
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=_silent or _as_json() or not console.is_terminal,
    )


def say(text: str, level: Level = "info") -> None:
    """A line on stderr, on a terminal and elsewhere: what a user should know before the work."""
    if _as_json():
        _object(level, "message", text)
    else:
        print(text if level == "info" else f"{level}: {text}", file=sys.stderr, flush=True)


def track(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items`` unchanged and count them in a bar called ``title``, out of ``total``."""
    with bar() as display:
        task = display.add_task(title, total=total, note="")
        for item in items:
            yield item
            display.advance(task)


def _as_json() -> bool:
    return os.environ.get(LOG) == "json"


def _object(level: Level, event: str, message: str, **facts: Any) -> None:
    """A line of JSON on stderr."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"time": now, "level": level, "command": _command, "event": event, "message": message}
    print(json.dumps(line | facts, ensure_ascii=False), file=sys.stderr, flush=True)
