"""The log of a run, in the files that ``dvc plots`` reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Watch = Callable[[Mapping[str, float]], None]


class Log:
    """Rows of numbers to dvclive, where it is installed, and to whoever watches the run."""

    def __init__(self, start: Callable[[], Any] | None = None, watch: Watch | None = None):
        """Log to the empty log that ``start`` opens, or nowhere; ``watch`` gets each row too."""
        self._start, self._watch = start, watch
        self._live = start() if start else None

    def row(self, row: Mapping[str, float]) -> None:
        """Log one measurement. An error that the watch raises ends the run."""
        if self._watch:
            self._watch(row)
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
def open_log(folder: Path, watch: Watch | None = None) -> Iterator[Log]:
    """A log in ``folder`` through dvclive, or one that forgets where it is not installed.

    Each row goes to ``watch`` as well, and those of before where a run is resumed.
    """
    try:
        from dvclive.live import Live
    except ImportError:  # an extra: a GPU box may lack it
        yield Log(watch=watch)
        return

    class Files(Live):  # type: ignore[misc, unused-ignore]
        def _init_dvc(self) -> None:
            """Only write what `dvc plots` reads: git is looked at by no log, without a commit too.

            dvclive itself fails in a repository that has no commit yet.
            """
            self._save_dvc_exp = False

    folder.mkdir(parents=True, exist_ok=True)
    log = Log(lambda: Files(str(folder), save_dvc_exp=False, dvcyaml=False), watch)
    try:
        yield log
    finally:
        log.close()
