"""Workers: the same task for many chunks of work, in order and in bounded memory.

Small pieces of work go to a ``pool``; a few long ones, each of which a core can do alone, run
``side_by_side``; small ones that all need the same networks go to a ``crew``. Workers are processes
of this machine or, where ``use`` says so, of Ray.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing.context import BaseContext
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar

from augment.runtime import precision, progress
from augment.runtime.on_ray import RayExecutor, Sent

A = TypeVar("A")
C = TypeVar("C")
P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V")

INLINE = 2000  # items, about as many as are done while processes start; chosen by hand
WAITING = 2  # chunks for each worker, so that none waits for its next chunk


Runtime = Literal["processes", "ray"]

_runtime: Runtime = "processes"
_address: str | None = None  # of Ray's cluster; None: Ray on this machine


def use(runtime: Runtime, address: str | None = None) -> None:
    """Let all further work of this program run there."""
    global _runtime, _address
    _runtime, _address = runtime, address


def _read_from_a_pipe() -> bool:
    """Whether the program has no file from which another process could import it."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return file is not None and not os.path.exists(file)


def _follow_parent() -> None:
    """Make a worker leave ctrl-C to its parent and end when its parent ends, even if killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextmanager
def pool(processes: int, items: int) -> Iterator[Executor | None]:
    """Processes for ``items`` small pieces of work, or None where starting them costs more.

    With ``processes`` 0 every core gets a process; a Ray cluster has as many as it has. This
    process is never forked, because a fork would cut off its threads; so a script that calls this
    needs the guard ``if __name__ == "__main__"``.
    """
    processes = processes or os.cpu_count() or 1
    if items < INLINE:
        yield None
        return
    if _runtime == "ray":
        yield RayExecutor(_address, processes)
        return
    if processes == 1 or _read_from_a_pipe():
        yield None
        return
    context = _context("augment.data.images")  # what every task needs
    executor = ProcessPoolExecutor(processes, mp_context=context, initializer=_follow_parent)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _context(*preloaded: str) -> BaseContext:
    """How processes start: from a server, which imports the modules ``preloaded`` once for all."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if context.get_start_method() == "forkserver":
        from multiprocessing import forkserver  # there is none on every system

        forkserver.set_forkserver_preload([*preloaded])
        forkserver.ensure_running()  # it imports that while this process goes on
    return context


def mapped(
    task: Callable[[A], R], work: Iterable[tuple[C, A]], executor: Executor | None
) -> Iterator[tuple[C, R]]:
    """Turn pairs (companion, argument) into pairs (companion, ``task(argument)``), in order.

    The companions stay in this process. Without an executor the task runs here.
    """
    if executor is None:
        for companion, argument in work:
            yield companion, task(argument)
        return
    at_once = executor.workers if isinstance(executor, RayExecutor) else os.cpu_count() or 1
    waiting: deque[tuple[C, Future[R]]] = deque()
    for companion, argument in work:
        waiting.append((companion, executor.submit(task, argument)))
        if len(waiting) > WAITING * at_once:
            companion, future = waiting.popleft()
            yield companion, future.result()
    for companion, future in waiting:
        yield companion, future.result()


_task: Callable[..., Any]  # of a process that runs beside others


def _begin(task: Callable[..., Any], threads: int, setting: precision.Precision) -> None:
    """Make this process ready for its share of ``side_by_side``."""
    global _task
    _task = task
    _settle(threads, setting)
    _follow_parent()


def _settle(threads: int, setting: precision.Precision) -> None:
    """Give torch ``threads`` cores, and no bar to this process."""
    import torch

    torch.set_num_threads(threads)
    precision.use(setting)
    progress.silence()


def _alone(
    task: Callable[..., R], threads: int, setting: precision.Precision, arguments: tuple[Any, ...]
) -> R:
    """``task(*arguments)`` in a worker of Ray, on so many threads."""
    _settle(threads, setting)
    return task(*arguments)


def _done(arguments: tuple[Any, ...]) -> Any:
    return _task(*arguments)


def side_by_side(
    task: Callable[..., R], work: Iterable[tuple[Any, ...]], *, count: int, processes: int,
    title: str,
) -> list[R]:  # fmt: skip
    """``task(*arguments)`` for each of ``work``, of which there are ``count``, on several cores.

    ``task`` and arguments go to other processes, so they must be picklable; little work is asked
    for ahead. Small networks gain hardly anything by a second thread: beside one another, each on
    its own cores, they take half the time. With ``processes`` 1 all runs here, one after the other.
    ``title`` is for the progress bar of the others. A script that calls this needs the guard of
    ``pool``.
    """
    import torch

    processes = max(1, min(processes, count))
    threads = torch.get_num_threads()
    if processes > 1:
        threads = max(1, (os.cpu_count() or 1) // processes)
    if _runtime == "ray" and count > 1:
        alone = functools.partial(_alone, task, threads, precision.decided("cpu"))
        ray = RayExecutor(_address, processes * threads, threads)
        results = mapped(alone, ((None, arguments) for arguments in work), ray)
        return [result for _, result in progress.track(results, title, count)]
    if processes < 2 or _read_from_a_pipe():
        return [task(*arguments) for arguments in work]
    function = task.func if isinstance(task, partial) else task
    context = _context(function.__module__)
    others = multiprocessing.active_children()
    with ProcessPoolExecutor(
        processes,
        mp_context=context,
        initializer=_begin,
        initargs=(task, threads, precision.decided("cpu")),
    ) as executor:
        try:
            results = mapped(_done, ((None, arguments) for arguments in work), executor)
            return [result for _, result in progress.track(results, title, count)]
        except BaseException:  # ctrl-C too: nobody waits until all are done
            for process in multiprocessing.active_children():
                if process not in others:
                    process.terminate()
            raise


class Crew(Generic[V]):
    """Workers of Ray that each hold ``value``, on one thread each or on a GPU each."""

    def __init__(self, value: V, device: str):
        """Send ``value`` to those who will need it. Raises RayError where ``device`` is missing."""
        self._executor = RayExecutor(_address, os.cpu_count() or 1, gpu=device == "cuda")
        self._sent = Sent(value)
        self._setting = precision.decided(device)

    def mapped(
        self, task: Callable[Concatenate[V, P], R], work: Iterable[tuple[Any, ...]]
    ) -> Iterator[R]:
        """``task(value, *arguments)`` for each of ``work``, in order; a few are done ahead."""
        held = functools.partial(_held, task, self._sent, self._setting)
        pairs = ((None, arguments) for arguments in work)
        yield from (result for _, result in mapped(held, pairs, self._executor))


def crew(value: V, device: str) -> Crew[V] | None:
    """A crew whose networks run on a kind of ``device``, cpu or cuda; None without Ray.

    Networks use all cores of this machine by their threads, so that processes would gain nothing.
    """
    return Crew(value, device) if _runtime == "ray" else None


def _held(
    task: Callable[..., R], sent: Sent[V], setting: precision.Precision, arguments: tuple[Any, ...]
) -> R:
    """``task`` on the value that this worker holds."""
    _settle(1, setting)
    return task(sent.get(), *arguments)
