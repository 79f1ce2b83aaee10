"""Progress on stderr: a bar with rate and remaining time on a terminal, silence elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

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

_silent = False


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="cyan")


def silence() -> None:
    """Show no bar in this process, a worker: its parent shows one for all of them."""
    global _silent
    _silent = True


def bar() -> Progress:
    """A progress display, which stays silent when stderr is no terminal."""
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
        disable=_silent or not console.is_terminal,
    )


def say(text: str) -> None:
    """A line on stderr, on a terminal and elsewhere: what a user should know before the work."""
    print(text, file=sys.stderr, flush=True)


def track(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items`` unchanged and count them in a bar called ``title``, out of ``total``."""
    with bar() as display:
        task = display.add_task(title, total=total, note="")
        for item in items:
            yield item
            display.advance(task)
