"""What other tools keep of a run is what the run measured, once each."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from augment.train.settings import TrainSettings
from augment.train.trackers import TRACKERS, Tracker, TrackerError, check

Points = dict[int, float]


def tensorboard(root: Path) -> Points:
    """The points of one number in the event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(root / "reports/tensorboard"))
    events.Reload()
    kept = [(event.step, event.value) for event in events.Scalars("g/adversarial")]
    assert len(kept) == len(dict(kept))
    return dict(kept)


def mlflow(root: Path) -> Points:
    """The points of one number in the newest run."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{root / '.augment/mlflow.db'}")
    experiment = client.get_experiment_by_name("augment")
    assert experiment is not None
    run, *_ = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "g_adversarial")
    assert len(history) == len({point.step for point in history})
    return {point.step: point.value for point in history}


READ: dict[str, Callable[[Path], Points]] = {"tensorboard": tensorboard, "mlflow": mlflow}


def row(step: int) -> Mapping[str, float]:
    return {"step": float(step), "g_adversarial": step / 8, "kid": 0.5}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's store without a run; to make one takes seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def root(tmp_path: Path, empty: Path) -> Path:
    """A project in which nothing was tracked yet."""
    (tmp_path / ".augment").mkdir()
    shutil.copy(empty, tmp_path / ".augment")
    return tmp_path


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def opened(name: str, root: Path) -> Tracker:
    home = root / "home"
    home.mkdir(exist_ok=True)
    tracker: Tracker = TRACKERS.build(name, root, home)
    return tracker


def test_each_tracker_has_a_way_to_read_it() -> None:
    assert set(READ) == set(TRACKERS.names())


@pytest.mark.parametrize("name", READ)
def test_a_run_that_goes_on_has_each_step_once(name: str, root: Path) -> None:
    first = opened(name, root)
    first.row(row(10))
    first.row(row(20))
    first.close()
    again = opened(name, root)  # after a kill: the checkpoint has both rows
    again.restart([row(10), row(20)])
    again.row(row(30))
    again.close()
    assert READ[name](root) == {10: 1.25, 20: 2.5, 30: 3.75}


@pytest.mark.parametrize("name", READ)
def test_steps_that_were_taken_back_do_not_count(name: str, root: Path) -> None:
    tracker = opened(name, root)
    for step in (10, 20, 30):
        tracker.row(row(step))
    tracker.restart([row(10)])
    tracker.row(row(20))
    tracker.close()
    assert READ[name](root) == {10: 1.25, 20: 2.5}


@pytest.mark.parametrize("name", READ)
def test_a_run_that_is_begun_anew_keeps_nothing_of_the_old_one(name: str, root: Path) -> None:
    tracker = opened(name, root)
    tracker.row(row(10))
    tracker.close()
    again = opened(name, root)
    again.restart([])
    again.row(row(5))
    again.close()
    assert READ[name](root) == {5: 0.625}


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "FINISHED"), (ValueError("no"), "FAILED"), (KeyboardInterrupt(), "KILLED")],
)
def test_mlflow_is_told_how_a_run_ended(
    error: BaseException | None, status: str, root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    if error is None:  # a store is made in silence too
        (root / ".augment/mlflow.db").unlink()
    tracker = opened("mlflow", root)
    tracker.row(row(10))
    tracker.close(error)
    client = MlflowClient(f"sqlite:///{root / '.augment/mlflow.db'}")
    (run,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert run.info.status == status
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", READ)
def test_a_missing_package_is_said_before_any_work(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check([name])
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(TrackerError, match=rf"pip install 'augment\[{name}\]'"):
        check([name])


def test_a_server_that_does_not_answer_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "no-such-store://127.0.0.1")
    with pytest.raises(TrackerError, match="train.trackers: mlflow"):
        opened("mlflow", tmp_path)


def test_trackers_change_no_run() -> None:
    plain, tracked = TrainSettings(), TrainSettings(trackers=["mlflow", "tensorboard"])
    assert plain.resolved() == tracked.resolved()
