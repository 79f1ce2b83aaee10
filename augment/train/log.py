"""The log of a run, in the files that ``dvc plots`` reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Log:
    """Rows of numbers to dvclive, where it is installed."""

    def __init__(self, start: Callable[[], Any] | None = None):
        """Log to the empty log that ``start`` opens, or nowhere."""
        self._start = start
        self._live = start() if start else None

    def row(self, row: Mapping[str, float]) -> None:
        """Log one measurement."""
        if self._live is not None:
            self._live.step = int(row["step"])
            for name, value in row.items():
                if name != "step":
                    self._live.log_metric(name, value)
            self._live.make_summary()

    def restart(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Log ``rows`` and forget all others."""
        if self._start:
            self.close()
            self._live = self._start()
        for row in rows:
            self.row(row)

    def close(self) -> None:
        """Finish."""
        if self._live is not None:
            self._live.end()


@contextmanager
def open_log(folder: Path) -> Iterator[Log]:
    """A log in ``folder`` through dvclive, or one that forgets where it is not installed."""
    try:
        from dvclive.live import Live
    except ImportError:  # an extra: a GPU box may lack it
        yield Log()
        return

    class Files(Live):  # type: ignore[misc, unused-ignore]
        def _init_dvc(self) -> None:
            """Only write what `dvc plots` reads: git is looked at by no log, without a commit too.

            dvclive itself fails in a repository that has no commit yet.
            """
            self._save_dvc_exp = False

    folder.mkdir(parents=True, exist_ok=True)
    log = Log(lambda: Files(str(folder), save_dvc_exp=False, dvcyaml=False))
    try:
        yield log
    finally:
        log.close()
