"""Several processes that take the same steps, through Lightning Fabric.

The *leader*, rank 0, does what one process does: it reads, measures and writes. The others follow
its orders. One that ends or hangs is named within a minute, and no process outlives the leader.
Processes that the leader starts meet in a file and talk over the loopback interface; those of
``torchrun`` or SLURM meet where these say.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from augment.errors import AugmentError
from augment.runtime import progress

BEAT = 2.0  # seconds between two signs of life
SILENCE = 40.0  # seconds after which a process counts as hanging
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
PATIENCE = timedelta(days=1)  # that followers wait for an order: the leader may measure for long
ENDING = 10.0  # seconds that followers have to end by themselves
READY = b"ready\n"
SMALL = 2**14  # values of a tensor whose exchange takes as long as one value's, or little more

_met = 0  # how often this process has met the others, for the watch


class GroupError(AugmentError):
    """Processes cannot start together, or one of them ended or hangs."""


def gathered(part: Tensor) -> list[Tensor]:
    """The tensors of all processes, which have the same shape."""
    _meet()
    parts = [torch.empty_like(part) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, part)
    return parts


def add_up(tensor: Tensor) -> Tensor:
    """``tensor``, turned into its sum over all processes.

    The parts of a small one are gathered, which is one exchange where a reduction is two.
    """
    if tensor.numel() <= SMALL:
        return torch.sum(torch.stack(gathered(tensor)), 0, out=tensor)
    _meet()
    dist.all_reduce(tensor)
    return tensor


class ProcessGroup:
    """This process among others: its ``rank``, their number ``size``, and the ``device`` it has."""

    def __init__(self, fabric: Any, store: Any, children: Sequence[subprocess.Popen[bytes]]):
        """``children`` are the processes that this one started, from rank 1 on."""
        self.rank, self.size, self.device = fabric.global_rank, fabric.world_size, fabric.device
        self._fabric, self._store, self.children = fabric, store, children
        self._alone = True  # the leader, at what it does alone
        self._lost = ""
        self._over = threading.Event()
        self._store.set(f"pulse{self.rank}", self._pulse(0))
        dist.barrier()
        threading.Thread(target=self._watch, daemon=True).start()

    def tell(self, order: Any) -> None:
        """Give an order to all others, which ``hear`` it. Raises GroupError where one is lost."""
        with self.together():
            _meet()
            self._fabric.broadcast(order)

    def hear(self) -> Any:
        """The leader's next order; None is the end."""
        with self.together():
            _meet()
            return self._fabric.broadcast(None)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What all processes do at the same time. Raises GroupError where one is lost."""
        self._alone = False
        try:
            yield
        except RuntimeError:
            for _ in range(20):  # the watch is about to see why
                if self._lost or self._ended():
                    break
                time.sleep(BEAT / 10)
            why = self._lost or self._ended()
            if why:
                raise GroupError(why) from None
            raise
        finally:
            self._alone = True

    def leave(self, *, failed: bool = False) -> None:
        """End the group; the leader's children end too, at once where it ``failed``."""
        if not failed and not self.rank:
            self.tell(None)
        self._over.set()
        for child in self.children:
            if failed:
                child.kill()
            try:
                child.wait(ENDING)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            assert child.stdin is not None
            child.stdin.close()
        if not failed:
            dist.destroy_process_group()
        else:
            with suppress(Exception):
                dist.destroy_process_group()

    def _ended(self) -> str:
        for rank, child in enumerate(self.children, 1):
            if child.poll():
                return f"{self._named(rank)} ended ({_reason(child.returncode)})"
        return ""

    def _named(self, rank: int) -> str:
        pid = f", pid {self.children[rank - 1].pid}," if self.children and rank else ""
        return f"train.devices: process {rank} of {self.size}{pid}"

    def _pulse(self, beat: int) -> str:
        return f"{beat} {_met} {int(self._alone and not self.rank)}"

    def _watch(self) -> None:
        """Give signs of life, and look for those of the others."""
        beat = 0
        before: dict[int, tuple[str, float]] = {}
        meeting = (_met, time.monotonic())
        while not self._over.wait(BEAT):
            beat += 1
            now = time.monotonic()
            try:
                self._store.set(f"pulse{self.rank}", self._pulse(beat))
                pulses = {rank: self._store.get(f"pulse{rank}").decode()
                          for rank in range(self.size) if rank != self.rank}  # fmt: skip
            except RuntimeError:  # the store's process ended
                pulses = {rank: "" for rank in range(self.size) if rank != self.rank}
            if meeting[0] != _met:
                meeting = (_met, now)
            stuck = now - meeting[1] > SILENCE
            for rank, pulse in pulses.items():
                if before.get(rank, ("",))[0] != pulse:
                    before[rank] = pulse, now
                if now - before[rank][1] > SILENCE:
                    self._lose(rank, f"gave no sign of life for {SILENCE:.0f} s")
                elif stuck and pulse:
                    _, met, alone = pulse.split()
                    if int(met) < meeting[0] and alone == "0" and not self._alone:
                        self._lose(rank, f"hangs: the others wait for it for {SILENCE:.0f} s")

    def _lose(self, rank: int, why: str) -> None:
        """End this process or, where it can go on, the child that is lost."""
        if self._over.is_set():
            return
        self._lost = f"{self._named(rank)} {why}"
        if self.children and rank:
            self.children[rank - 1].kill()  # which ends what this process waits for
        else:
            progress.say(self._lost, "error")
            os._exit(1)


@contextmanager
def group(devices: int | str, device: str, module: str) -> Iterator[ProcessGroup | None]:
    """The processes of a run; None where there is one only.

    Those that ``torchrun`` or SLURM started are the group. Otherwise this process starts
    ``devices`` - 1 others (``auto``: one a GPU), each by ``python -m module`` with what ``follow``
    reads. Raises GroupError where that fails.
    """
    gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    size = (gpus or 1) if devices == "auto" else int(devices)
    environment = _cluster()
    if environment is None and size == 1:
        yield None
        return
    if device not in ("auto", "cpu", "cuda"):
        raise GroupError(f"train.device: {device!r} is one device; found train.devices {devices}")
    kind = "cuda" if gpus else "cpu"
    if gpus and size > gpus:
        raise GroupError(f"train.devices: {size}; this machine has {gpus} GPUs")
    if environment is not None:
        nodes = int(os.environ.get("SLURM_NNODES", 0)) or (
            environment.world_size() // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        )
        with _left(_joined(kind, environment.world_size() // nodes, environment, nodes)) as joined:
            yield joined
        return
    meeting = Path(tempfile.mkdtemp(prefix="augment-"))
    threads = torch.get_num_threads()
    children: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(1, size):
            command = [sys.executable, "-m", module, str(meeting), str(rank), str(size), kind]
            children.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    start_new_session=True,  # ctrl-C is the leader's
                )
            )
        for rank, child in enumerate(children, 1):
            assert child.stdout is not None
            if child.stdout.readline() != READY:
                why = _reason(child.wait())
                raise GroupError(f"train.devices: process {rank} of {size} did not start ({why})")
            child.stdout.close()
        with _left(_here(meeting, 0, size, kind, children)) as joined:
            yield joined
    finally:
        for child in children:
            child.kill()
            child.wait()
        torch.set_num_threads(threads)
        shutil.rmtree(meeting, ignore_errors=True)


def follow(arguments: Sequence[str]) -> ProcessGroup:
    """The group of a process that ``group`` started with ``arguments``.

    It ends when the leader does, and leaves ctrl-C to it.
    """
    meeting, rank, size, kind = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_leader() -> None:
        os.read(0, 1)  # nothing comes; it returns when the leader's end is closed
        os._exit(1)

    threading.Thread(target=end_with_leader, daemon=True).start()
    os.write(1, READY)
    os.dup2(2, 1)
    return _here(Path(meeting), int(rank), int(size), kind, ())


@contextmanager
def _left(joined: ProcessGroup) -> Iterator[ProcessGroup]:
    failed = True
    try:
        yield joined
        failed = False
    finally:
        joined.leave(failed=failed)


def _here(
    meeting: Path, rank: int, size: int, kind: str, children: Sequence[subprocess.Popen[bytes]]
) -> ProcessGroup:
    """The group of ``size`` processes of this machine that meet in a folder."""
    for transport in ("GLOO", "NCCL"):
        os.environ.setdefault(f"{transport}_SOCKET_IFNAME", LOOPBACK)
    torch.set_num_threads(min(torch.get_num_threads(), max(1, (os.cpu_count() or 1) // size)))
    fabric = _fabric()

    class Here(fabric.plugins.environments.LightningEnvironment):  # type: ignore[name-defined,misc]
        creates_processes_externally = True

        def local_rank(self) -> int:
            return rank

        def node_rank(self) -> int:
            return 0

    dist.init_process_group(
        "nccl" if kind == "cuda" else "gloo",
        init_method=f"file://{meeting / 'processes'}",
        rank=rank,
        world_size=size,
        timeout=PATIENCE,
    )
    store = dist.FileStore(str(meeting / "pulses"), size)  # type: ignore[attr-defined]
    return _joined(kind, size, Here(), 1, store, children)


def _joined(
    kind: str,
    devices: int,
    environment: Any,
    nodes: int,
    store: Any = None,
    children: Sequence[subprocess.Popen[bytes]] = (),
) -> ProcessGroup:
    """This process as one of ``devices`` on each of ``nodes``."""
    lightning = _fabric()
    strategy = lightning.strategies.DDPStrategy(
        cluster_environment=environment, process_group_backend=None, timeout=PATIENCE
    )
    fabric = lightning.Fabric(accelerator=kind, devices=devices, num_nodes=nodes, strategy=strategy)
    fabric.launch()
    if store is None:
        store = dist.PrefixStore("augment", dist.distributed_c10d._get_default_store())  # type: ignore[attr-defined]
    return ProcessGroup(fabric, store, children)


def _cluster() -> Any:
    """The environment of torchrun or SLURM where it started several processes, or None."""
    if not {"TORCHELASTIC_RUN_ID", "SLURM_NTASKS"} & set(os.environ):
        return None
    environments = _fabric().plugins.environments
    for kind in (environments.TorchElasticEnvironment, environments.SLURMEnvironment):
        if kind.detect() and (environment := kind()).world_size() > 1:
            return environment
    return None


def _fabric() -> Any:
    """Lightning Fabric, told to keep its greetings to itself. Raises GroupError without it."""
    try:
        import lightning_fabric
        import lightning_fabric.plugins.environments
        import lightning_fabric.strategies
    except ImportError:
        raise GroupError(
            "train.devices: Lightning Fabric is not installed: pip install 'augment[devices]'"
        ) from None
    for name in ("lightning.fabric", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return lightning_fabric


def _meet() -> None:
    global _met
    _met += 1


def _reason(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
