"""Where the measurements of a run go beside dvclive: the trackers of other tools.

Servers and credentials are named by the environment variables of each tool, never by settings.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from augment.data import files
from augment.data.places import CACHE, REPORTS
from augment.errors import AugmentError
from augment.registry import Registry, Spec

TRACKERS = Registry("tracker")
NOTE = "mlflow.json"  # in a run's folder: which run of MLflow it is, and how far


class TrackerError(AugmentError):
    """The package of a tracker is missing, or its server does not answer."""


class Tracker(Protocol):
    """Gets every measurement of a run once, in the order of the steps."""

    def row(self, row: Mapping[str, float]) -> None:
        """Keep the numbers of ``row["step"]``."""

    def restart(self, rows: Iterable[Mapping[str, float]]) -> None:
        """The run goes on after ``rows``; what was kept of later steps does not count."""

    def close(self, error: BaseException | None = None) -> None:
        """Finish; ``error`` is what ended the run before its last step."""


def check(specs: Sequence[Spec]) -> None:
    """Raise TrackerError for a tracker whose package is not installed."""
    for spec in specs:
        name = TRACKERS.resolve(spec)["name"]
        package = TRACKERS.describe(name).facts["package"]
        try:
            missing = importlib.util.find_spec(package) is None
        except ValueError:  # blocked
            missing = True
        if missing:
            raise TrackerError(
                f"train.trackers: {name}: {package} is not installed: pip install 'augment[{name}]'"
            )


@TRACKERS.register("tensorboard", package="tensorboard")
class TensorBoard:
    """Event files in reports/tensorboard, which ``tensorboard --logdir`` shows."""

    def __init__(self, root: Path, home: Path):
        """For the project ``root``."""
        self._folder = root / REPORTS / "tensorboard"
        self._writer: Any = None
        self.restart(())

    def row(self, row: Mapping[str, float]) -> None:
        """A point of each number."""
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name.replace("_", "/", 1), value, int(row["step"]))
        self._writer.flush()

    def restart(self, rows: Iterable[Mapping[str, float]]) -> None:
        """New files with ``rows`` alone."""
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._writer = SummaryWriter(str(self._folder))
        for row in rows:
            self.row(row)

    def close(self, error: BaseException | None = None) -> None:
        """Finish the files."""
        if self._writer is not None:
            self._writer.close()


@TRACKERS.register("mlflow", package="mlflow")
class MLflow:
    """A run of MLflow on the server of MLFLOW_TRACKING_URI, or in .augment/mlflow.db."""

    def __init__(self, root: Path, home: Path, *, experiment: str = "augment"):
        """A training that goes on is the same run, named by a note in ``home``, its folder."""
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        for library in ("mlflow", "alembic"):  # which tell of their tables on stderr
            logging.getLogger(library).setLevel(logging.WARNING)
        self._error = MlflowException
        (root / CACHE).mkdir(parents=True, exist_ok=True)
        here = f"sqlite:///{(root / CACHE / 'mlflow.db').resolve()}"
        server = os.environ.get("MLFLOW_TRACKING_URI") or here
        self._client = self._ask(MlflowClient, server)
        self._note, self._experiment = home / NOTE, experiment
        self._run, self._done = self._taken_up()

    def row(self, row: Mapping[str, float]) -> None:
        """A point of each number, unless the run has that step already."""
        from mlflow.entities import Metric

        step = int(row["step"])
        if step <= self._done:
            return
        now = int(1000 * time.time())
        points = [Metric(name, value, now, step) for name, value in row.items() if name != "step"]
        self._ask(self._client.log_batch, self._run, metrics=points)
        self._done = step
        self._remember()

    def restart(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Go on with the run, or begin another one where it has later steps than ``rows``."""
        rows = list(rows)
        if self._done > (int(rows[-1]["step"]) if rows else 0):
            self._ask(self._client.set_terminated, self._run, "KILLED")
            self._run, self._done = self._begun(), 0
        for row in rows:
            self.row(row)

    def close(self, error: BaseException | None = None) -> None:
        """Say how the run ended; a training that goes on after all goes on with it."""
        status = "FINISHED"
        if error is not None:
            status = (
                "FAILED" if isinstance(error, Exception) else "KILLED"
            )  # ctrl-C is no Exception
        self._ask(self._client.set_terminated, self._run, status)

    def _taken_up(self) -> tuple[str, int]:
        if self._note.exists():
            note = files.read_json(self._note)
            try:
                self._client.update_run(note["run"], "RUNNING")
                return note["run"], note["step"]
            except self._error:  # another server, or removed there
                pass
        return self._begun(), 0

    def _begun(self) -> str:
        """The name of a new run, which is noted."""
        experiment = self._ask(self._client.get_experiment_by_name, self._experiment)
        place = (
            experiment.experiment_id
            if experiment
            else self._ask(self._client.create_experiment, self._experiment)
        )
        run: str = self._ask(self._client.create_run, place).info.run_id
        self._run, self._done = run, 0
        self._remember()
        return run

    def _remember(self) -> None:
        files.write_json(self._note, {"run": self._run, "step": self._done})

    def _ask(self, call: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return call(*arguments, **options)
        except self._error as error:
            why = " ".join(str(error).split())[:200]
            raise TrackerError(f"train.trackers: mlflow: {why}") from None
