"""Workers of a Ray cluster, or of Ray on this machine, in place of processes.

Tasks go out and results come back in the same order and with the same bytes. A worker that dies
costs its piece of work alone, which another one does again. Only what this program sent is ever
unpickled; Ray on this machine listens on 127.0.0.1 alone and has no dashboard.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

from augment.errors import AugmentError

V = TypeVar("V")

STORE = 256 << 20  # bytes of Ray's object store on this machine
AGAIN = 3  # times that a piece of work is given to another worker after its own died


class RayError(AugmentError):
    """Ray is not installed, or no cluster answers at the address."""


class RayExecutor(Executor):
    """Runs tasks on Ray's workers, each with ``cores``, or a core and a GPU, to itself.

    Ray is started, or the cluster at ``address`` joined, once for a program and until its end; this
    machine's Ray gets ``processes`` cores. ``workers`` is how many tasks run at a time.
    """

    def __init__(self, address: str | None, processes: int, cores: int = 1, *, gpu: bool = False):
        """Start or join Ray. Raises RayError where that fails, or where there is no such GPU."""
        ray = _joined(address, processes)
        options = ray.remote(num_cpus=cores, num_gpus=int(gpu), max_retries=AGAIN)
        there = ray.cluster_resources()
        self.workers = max(1, int(there.get("CPU", 1)) // cores)
        if gpu:
            self.workers = int(there.get("GPU", 0))
            if not self.workers:
                raise RayError(f"runtime.address: {address or 'this machine'}: Ray has no GPU")
        self._errors = ray.exceptions
        self._call = options(_called)

    def submit(self, task: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """A future of ``task(*arguments)``; BrokenProcessPool where workers died again and again.

        An error of the task itself arrives as it was raised.
        """
        answer: Future[Any] = Future()

        def settle(sent: Future[Any]) -> None:
            error = sent.exception()
            if error is None:
                answer.set_result(sent.result())
            elif isinstance(error, self._errors.RayTaskError):
                answer.set_exception(error.cause)
            else:
                answer.set_exception(BrokenProcessPool(f"Ray: {error}"))

        self._call.remote(task, *arguments, **options).future().add_done_callback(settle)
        return answer


class Sent(Generic[V]):
    """A value that each worker of Ray gets once, however many tasks read it."""

    def __init__(self, value: V):
        """Put ``value`` into Ray's store. A RayExecutor has to be there."""
        import ray

        self._reference = ray.put(value)

    def get(self) -> V:
        """The value; in a worker the one that it has got already."""
        value: V = _received(self._reference)
        return value


@functools.lru_cache(maxsize=1)  # the last one: another request has another value
def _received(reference: Any) -> Any:
    import ray

    return ray.get(reference)


def _called(task: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    return task(*arguments, **options)


def _joined(address: str | None, processes: int) -> Any:
    """The module ``ray`` once it has started on this machine or joined ``address``."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is None:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # the setting that keeps Ray local
        os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")  # it ends other's workers
    try:
        import ray
    except ImportError:
        raise RayError("runtime.name: ray is not installed: pip install 'augment[ray]'") from None
    if ray.is_initialized():
        return ray
    here = {
        "num_cpus": processes,
        "object_store_memory": STORE,
        "include_dashboard": False,
    }
    there = {"address": address}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **(there if address else here))
    except Exception as error:  # Ray has many
        why = " ".join(str(error).split())
        raise RayError(f"runtime.address: {address or 'this machine'}: {why}") from None
    return ray
