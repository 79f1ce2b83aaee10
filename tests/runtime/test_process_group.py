"""Processes that start, end, hang and are found again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from augment.runtime import process_group
from augment.runtime.process_group import GroupError
from augment.train import follow

SMALL = {
    "generator": {"name": "dcgan", "width": 8},
    "discriminator": {"name": "dcgan", "width": 8},
    "steps": 40,
    "every": 10,
    "batch": 16,
    "labeller": {"steps": 20},
    "device": "cpu",
}
AUGMENT = [sys.executable, "-m", "augment.cli"]
TIMEOUT = 120


@pytest.fixture
def root(tmp_path: Path, digits_table: Any) -> Path:
    digits_table(tmp_path / "data/clean")
    groups = {"precision": "full", "ingest": {"source": "builtin:digits"}, "train": SMALL}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(groups))
    return tmp_path


def training(root: Path, *changes: str) -> list[str]:
    return [*AUGMENT, "train", *(part for change in changes for part in ("-S", change))]


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started to follow it."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    every = [int(child) for task in tasks for child in task.read_text().split()]
    return [child for child in every if b"follow" in Path(f"/proc/{child}/cmdline").read_bytes()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def hears_ctrl_c() -> None:
    """Tests in the background of a shell ignore it, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def begun(root: Path, *changes: str) -> subprocess.Popen[str]:
    """A long training, of an autoencoder: it does not collapse meanwhile, as a GAN may."""
    return subprocess.Popen(
        training(root, "train.recipe=vae", *changes), cwd=root, stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL, text=True, preexec_fn=hears_ctrl_c,
    )  # fmt: skip


def goes_on(process: subprocess.Popen[str]) -> None:
    """Wait until a training says that it goes on from a checkpoint."""
    assert process.stderr is not None
    lines = []
    while "goes on from step" not in (line := process.stderr.readline()):
        lines.append(line)
        assert line, lines


def test_a_run_that_lost_a_process_goes_on_with_another_number_of_them(root: Path) -> None:
    """The follower is killed; one process goes on, then two, of which ctrl-C leaves none."""
    first = begun(root, "train.devices=2", "train.steps=100000")
    end = time.monotonic() + TIMEOUT
    while not list(root.glob(".augment/train/*/steps/step-*")) and time.monotonic() < end:
        assert first.poll() is None, first.stderr and first.stderr.read()
        time.sleep(0.1)
    (follower,) = children(first.pid)
    os.kill(follower, signal.SIGKILL)
    _, said = first.communicate(timeout=TIMEOUT)
    assert first.returncode == 1
    assert f"process 1 of 2, pid {follower}, ended (SIGKILL)" in said.splitlines()[-1]
    assert not alive(follower)
    alone = begun(root, "train.devices=1", "train.steps=100001")
    goes_on(alone)
    alone.kill()
    alone.communicate()
    both = begun(root, "train.devices=2", "train.steps=100002")
    goes_on(both)
    (follower,) = children(both.pid)
    both.send_signal(signal.SIGINT)
    both.communicate(timeout=TIMEOUT)
    assert both.returncode == 130
    assert not alive(follower)


LEADER = """
import time
from augment.runtime import process_group
from augment.train import follow

if __name__ == "__main__":
    with process_group.group(2, "cpu", follow.__name__) as group:
        print(group.children[0].pid, flush=True)
        time.sleep(600)
"""


def test_no_follower_outlives_its_leader(tmp_path: Path) -> None:
    (tmp_path / "leader.py").write_text(LEADER)
    environment = {"PYTHONPATH": os.getcwd()}
    leader = started([sys.executable, "leader.py"], tmp_path, **environment)
    assert leader.stdout is not None
    follower = int(leader.stdout.readline())
    assert alive(follower)
    leader.kill()
    leader.communicate()
    end = time.monotonic() + 20
    while alive(follower) and time.monotonic() < end:
        time.sleep(0.1)
    assert not alive(follower)


def test_a_follower_that_hangs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped, it gives no sign of life and takes no order."""
    monkeypatch.setattr(process_group, "SILENCE", 3.0)
    monkeypatch.setattr(process_group, "BEAT", 0.2)
    with (
        pytest.raises(GroupError, match="process 1 of 2, pid .* (hangs|gave no sign).* for 3 s"),
        process_group.group(2, "cpu", follow.__name__) as group,
    ):
        assert group is not None
        child = group.children[0]
        os.kill(child.pid, signal.SIGSTOP)
        with group.together():
            torch.distributed.barrier()
    assert not alive(child.pid)


def test_a_process_that_does_not_start_is_said() -> None:
    with (
        pytest.raises(GroupError, match=r"process 1 of 2 did not start \(exit code 1\)"),
        process_group.group(2, "cpu", "augment.no_such_module"),
    ):
        pass


def test_one_process_needs_no_group_and_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with process_group.group(1, "cpu", follow.__name__) as group:
        assert group is None
    with (
        pytest.raises(GroupError, match=r"pip install 'augment\[devices\]'"),
        process_group.group(2, "cpu", follow.__name__),
    ):
        pass


def test_one_device_is_not_several() -> None:
    with (
        pytest.raises(GroupError, match="train.device: 'cuda:1' is one device"),
        process_group.group(2, "cuda:1", follow.__name__),
    ):
        pass


def started(command: list[str], root: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=root, env=os.environ | environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def steps(root: Path) -> int:
    report = json.loads((root / "reports/train.json").read_text())
    return int(report["steps"])


def test_torchrun_starts_the_processes(root: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    local = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--no-python"]
    process = started([*torchrun, *local, *training(root)], root)
    said, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, said
    assert "train: 2 processes share each batch" in said
    assert said.count("best.step") == 1  # one of them reports
    assert steps(root) == 40


def test_slurm_starts_the_processes(root: Path) -> None:
    """By the variables that ``srun`` sets."""
    slurm = {
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NAME": "augment",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_NODELIST": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }
    both = [
        started(training(root), root, **slurm, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank))
        for rank in range(2)
    ]
    leader, follower = (process.communicate(timeout=TIMEOUT)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0], leader + follower
    assert "train: 2 processes share each batch" in leader
    assert follower == ""
    assert steps(root) == 40
