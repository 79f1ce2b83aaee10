"""The log of a run, in the files that ``dvc plots`` reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from augment.train.trackers import Tracker

Watch = Callable[[Mapping[str, float]], None]


class Log:
    """Rows of numbers to dvclive, where it is installed, to trackers, and to whoever watches."""

    def __init__(
        self, start: Callable[[], Any] | None = None, watch: Watch | None = None,
        trackers: Sequence[Tracker] = (),
    ):  # fmt: skip
        """Log to the empty log that ``start`` opens, or nowhere; the others get each row too."""
        self._start, self._watch, self._trackers = start, watch, trackers
        self._live = start() if start else None

    def row(self, row: Mapping[str, float]) -> None:
        """Log one measurement. An error that the watch raises ends the run."""
        self._note(row)
        for tracker in self._trackers:
            tracker.row(row)

    def _note(self, row: Mapping[str, float]) -> None:
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
        rows = list(rows)
        if self._start and self._live is not None:
            self._live.end()
            self._live = self._start()
        for row in rows:
            self._note(row)
        for tracker in self._trackers:
            tracker.restart(rows)

    def close(self, error: BaseException | None = None) -> None:
        """Finish; ``error`` is what ended the run before its last step."""
        if self._live is not None:
            self._live.end()
        for tracker in self._trackers:
            tracker.close(error)


@contextmanager
def open_log(
    folder: Path, watch: Watch | None = None, trackers: Sequence[Tracker] = ()
) -> Iterator[Log]:
    """A log in ``folder`` through dvclive, or one that forgets where it is not installed.

    Each row goes to ``watch`` and ``trackers`` as well, and those of before where a run is resumed.
    """
    log = Log(_files(folder), watch, trackers)
    error: BaseException | None = None
    try:
        yield log
    except BaseException as raised:
        error = raised
        raise
    finally:
        log.close(error)


def _files(folder: Path) -> Callable[[], Any] | None:
    """What opens an empty log in ``folder``, or None where dvclive is not installed."""
    try:
        from dvclive.live import Live
    except ImportError:  # an extra: a GPU box may lack it
        return None

    class Files(Live):  # type: ignore[misc, unused-ignore]
        def _init_dvc(self) -> None:
            """Only write what `dvc plots` reads: git is looked at by no log, without a commit too.

            dvclive itself fails in a repository that has no commit yet.
            """
            self._save_dvc_exp = False

    folder.mkdir(parents=True, exist_ok=True)
    return lambda: Files(str(folder), save_dvc_exp=False, dvcyaml=False)
