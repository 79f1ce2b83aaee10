"""Real Ray on this machine: the same results in the same order, workers that die, errors."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from augment import params
from augment.clean import run as clean
from augment.clean.checks.base import CHECKS
from augment.clean.settings import CleanSettings
from augment.data import files, images, table
from augment.data.places import CLEAN, INGESTED
from augment.errors import AugmentError
from augment.ingest import run as ingest
from augment.ingest.settings import IngestSettings
from augment.runtime import on_ray, workers

TASKS = """
import os
import signal
from pathlib import Path


def dies_once(path: str) -> int:
    # Kill the worker that comes first; the next one gives the length of the path.
    if not os.path.exists(path):
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return len(path)


def dies(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def divide(number: int) -> float:
    return 6 / number


def process(_: int) -> int:
    return os.getpid()


def scaled(value: dict[str, int], number: int) -> tuple[int, int, int]:
    return os.getpid(), id(value), value["scale"] * number
"""


@pytest.fixture(scope="module")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The tasks of this file as a module; all work goes to two workers of Ray."""
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "ray_tasks.py").write_text(TASKS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        patch.syspath_prepend(folder)
        patch.setattr(workers, "INLINE", 0)
        workers.use("ray")
        yield importlib.import_module("ray_tasks")
        workers.use("processes")
        import ray as module

        module.shutdown()


def test_results_come_in_order_from_other_processes(ray: Any) -> None:
    work = [(f"c{number}", -number) for number in range(40)]
    with workers.pool(2, 40) as executor:
        assert isinstance(executor, on_ray.RayExecutor) and executor.workers == 2
        assert list(workers.mapped(abs, work, executor)) == [(name, -x) for name, x in work]
        ran = {number for _, number in workers.mapped(ray.process, work, executor)}
    assert os.getpid() not in ran


def test_a_worker_that_is_killed_costs_its_piece_alone(ray: Any, tmp_path: Path) -> None:
    paths = [str(tmp_path / str(number)) for number in range(3)]
    with workers.pool(2, 3) as executor:
        done = list(workers.mapped(ray.dies_once, ((path, path) for path in paths), executor))
    assert done == [(path, len(path)) for path in paths]


def test_work_that_kills_every_worker_stops_with_the_error_of_processes(
    ray: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_ray, "AGAIN", 0)
    with workers.pool(2, 1) as executor, pytest.raises(BrokenProcessPool):
        list(workers.mapped(ray.dies, [(None, 0)], executor))


def test_an_error_of_the_task_arrives_as_it_was_raised(ray: Any) -> None:
    with workers.pool(2, 2) as executor, pytest.raises(ZeroDivisionError):
        list(workers.mapped(ray.divide, [(None, 2), (None, 0)], executor))


def test_long_pieces_run_side_by_side(ray: Any) -> None:
    work = [(number,) for number in (1, 2, 3)]
    done = workers.side_by_side(ray.divide, work, count=3, processes=2, title="")
    assert done == [6.0, 3.0, 2.0]


def test_a_crew_gets_its_value_once(ray: Any) -> None:
    crew = workers.crew({"scale": 3}, "cpu")
    assert crew is not None
    done = list(crew.mapped(ray.scaled, ((number,) for number in range(20))))
    assert [made for *_, made in done] == [3 * number for number in range(20)]
    places = {(process, place) for process, place, _ in done}
    assert len(places) == len({process for process, _ in places})  # none was unpacked twice
    assert os.getpid() not in {process for process, _ in places}


def test_a_crew_for_gpus_needs_one(ray: Any) -> None:
    with pytest.raises(on_ray.RayError, match="runtime.address: this machine: Ray has no GPU"):
        workers.crew({}, "cuda")


def test_as_many_pieces_wait_as_the_cluster_has_workers(ray: Any) -> None:
    """A cluster is larger than the machine that hands out its work."""
    taken: list[int] = []

    def work() -> Iterator[tuple[None, int]]:
        for number in range(100):
            taken.append(number)
            yield None, number

    with workers.pool(2, 100) as executor:
        assert isinstance(executor, on_ray.RayExecutor)
        executor.workers = 20
        next(workers.mapped(abs, work(), executor))
    assert len(taken) == workers.WAITING * 20 + 1


@pytest.mark.parametrize("runtime", ["processes", "ray"])
def test_a_poisoned_shard_is_refused_on_every_runtime(
    runtime: Any, ray: Any, tmp_path: Path
) -> None:
    """Another type of labels, a label that is a path, an image that is none."""
    sample = {"id": "a", "split": "train", "origin": "real", "label": "x", "width": 4, "height": 4,
              "mode": "L", "image": {"bytes": b"no image", "path": "a.png"}}  # fmt: skip
    workers.use(runtime)
    try:
        with table.TableWriter(tmp_path / INGESTED) as out:
            out.add(sample)
        with pytest.raises(AugmentError, match="part-00000|a.png|image"):
            clean.run(CleanSettings(), tmp_path)
        assert not (tmp_path / CLEAN).exists()
        schema = table.SCHEMA.set(table.COLUMNS.index("label"), pa.field("label", pa.int64()))
        shard = tmp_path / INGESTED / "part-00000.parquet"
        pq.write_table(schema.empty_table(), shard)
        with pytest.raises(table.TableError, match=r"part-00000.parquet: column 'label' is int64"):
            clean.run(CleanSettings(), tmp_path)
        assert not (tmp_path / CLEAN).exists()
    finally:
        workers.use("ray")


def test_clean_gives_the_same_bytes_as_with_processes(
    ray: Any, tmp_path: Path, digits_table: Callable[..., Path]
) -> None:
    checks = [name for name in CHECKS.names() if CHECKS.describe(name).facts["kind"] == "image"]
    settings = CleanSettings(checks=checks, max_dropped=1.0)
    digits_table(tmp_path / "processes" / INGESTED)
    shutil.copytree(tmp_path / "processes", tmp_path / "ray")
    reports = {}
    for runtime in ("ray", "processes"):
        workers.use(runtime)  # type: ignore[arg-type]
        reports[runtime] = clean.run(settings, tmp_path / runtime)
    workers.use("ray")
    assert reports["ray"] == reports["processes"]
    digests = [files.digest_of_folder(tmp_path / name / "data") for name in reports]
    assert digests[0] == digests[1]


def test_ingest_gives_the_same_bytes_as_with_processes(ray: Any, tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / "source" / label).mkdir(parents=True)
        for number in range(30):
            picture = np.random.default_rng(number).integers(0, 256, (9, 7), dtype=np.uint8)
            data = images.encode(picture)[: None if number else 20]  # one is damaged
            (tmp_path / "source" / label / f"{number}.png").write_bytes(data)
    settings = IngestSettings(source=str(tmp_path / "source"), max_rejected=0.5)
    reports = {}
    for runtime in ("ray", "processes"):
        workers.use(runtime)  # type: ignore[arg-type]
        reports[runtime] = ingest.run(settings, tmp_path / runtime)
    workers.use("ray")
    assert reports["ray"] == reports["processes"] and reports["ray"]["rejected"] == 2
    for path in (tmp_path / "ray" / INGESTED).iterdir():
        assert path.read_bytes() == (tmp_path / "processes" / INGESTED / path.name).read_bytes()


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp6"), reason="listeners are read from /proc")
def test_ray_of_this_machine_listens_on_this_machine_alone(ray: Any) -> None:
    import psutil

    with workers.pool(2, 2) as executor:
        list(workers.mapped(abs, [(None, 1), (None, 2)], executor))
        listening = [
            connection.laddr.ip
            for process in psutil.Process().children(recursive=True)
            if "ray" in " ".join(process.cmdline())
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
    assert listening and {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        on_ray.RayError, match=r"ray is not installed: pip install 'augment\[ray\]'"
    ):
        on_ray.RayExecutor(None, 1)


def test_settings_take_a_name_or_an_address() -> None:
    tree = {"ingest": {"source": "x"}}
    assert params.Params.model_validate(tree).runtime.name == "processes"
    assert params.Params.model_validate({**tree, "runtime": "ray"}).runtime.name == "ray"
    with pytest.raises(ValueError, match="address 'auto' goes with name: ray"):
        params.Params.model_validate({**tree, "runtime": {"address": "auto"}})
