"""Who runs it: this process, processes of our own, or any executor.

Each function takes tasks and yields runs as they finish, in whichever order. A run never raises
for what the experiment does, so what a future raises is the executor's own trouble.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from functools import partial
from itertools import islice
from queue import SimpleQueue
from typing import Any

from gridrl.experiments.runs import Run, perform, written
from gridrl.tables import whole

Task = tuple[bytes, str, int]  # payload, setting, seed: what `perform` takes
Runner = Callable[[Iterable[Task]], Generator[Run, None, None]]
AT_ONCE = 1000  # futures of somebody else's executor: enough for a cluster, little to remember
MOST = 61  # processes that Windows can wait for
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
              "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS")  # fmt: skip
DIED = (
    "WorkerDied: the process died twice without a word, the second time with nobody beside it"
    " (out of memory, or killed?)"
)


def runner(executor: Executor | str | None, workers: int | None) -> Runner:
    """Choose who runs it: None is processes, "serial" this process, else who has `.submit`.

    Raises:
        TypeError, ValueError: `executor` is none of these; `workers` beside an executor.
    """
    if executor is None:
        return partial(in_processes, workers=_cores() if workers is None else _some(workers))
    if workers is not None:
        raise ValueError("workers is for the processes of executor=None; leave one of them out")
    if isinstance(executor, str):
        if executor != "serial":
            raise ValueError(
                f"executor must be None (processes), 'serial' or an executor; it is {executor!r}"
            )
        return serially
    if isinstance(executor, type) or not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must have a method submit; it is {executor!r}")
    return partial(on_executor, executor)


def serially(tasks: Iterable[Task]) -> Generator[Run, None, None]:
    """Run one after the other, in this process."""
    for task in tasks:
        yield perform(*task)


def on_executor(executor: Executor, tasks: Iterable[Task]) -> Generator[Run, None, None]:
    """Run on somebody else's executor, which is left open.

    Raises:
        BrokenExecutor: it died, was shut down, or cancelled a run.
    """
    for (_, setting, seed), future in _through(executor, iter(tasks), AT_ONCE):
        if _broken(future):
            cause = "a run was cancelled" if future.cancelled() else repr(future.exception())
            raise BrokenExecutor(f"{executor!r} died: {cause}")
        error = future.exception()  # of Dask, say, about a run that killed worker after worker
        yield future.result() if error is None else Run(setting, seed, None, written(error))


def in_processes(tasks: Iterable[Task], workers: int) -> Generator[Run, None, None]:
    """Run in processes of our own, one BLAS thread each.

    A process that dies takes the whole pool with it. What was under way is then run again, each
    alone with one process; if that dies too, the run has failed.

    Raises:
        RuntimeError: processes cannot be started at all.
    """
    waiting = iter(tasks)
    with _one_blas_thread():
        while lost := (yield from _until_broken(waiting, workers)):
            for task in lost:
                yield _alone(task)


def _until_broken(tasks: Iterator[Task], workers: int) -> Generator[Run, None, list[Task]]:
    lost = []
    with _pool(workers) as pool:
        for task, future in _through(pool, tasks, 2 * workers):
            if _broken(future):
                lost.append(task)
            else:
                yield future.result()
    return lost


def _alone(task: Task) -> Run:
    with _pool(1) as pool:
        started, future = pool.submit(os.getpid), _submit(pool, task)
        if started.exception() is not None:
            raise RuntimeError(
                "worker processes cannot be started. In a script, call sweep below"
                ' `if __name__ == "__main__":`, since every worker imports the script'
            ) from started.exception()
        return Run(task[1], task[2], None, DIED) if _broken(future) else future.result()


def _through(
    executor: Executor, tasks: Iterator[Task], at_once: int
) -> Iterator[tuple[Task, Future[Run]]]:
    """Keep `at_once` tasks under way; yield each with its future, done; stop if it is broken."""
    pending: dict[Future[Run], Task] = {}
    finished: SimpleQueue[Future[Run]] = SimpleQueue()
    alive = True
    try:
        while True:
            for task in islice(tasks, at_once - len(pending) if alive else 0):
                future = _submit(executor, task)
                pending[future] = task
                future.add_done_callback(finished.put)
            if not pending:
                return
            future = finished.get()
            alive = alive and not _broken(future)
            yield pending.pop(future), future
    finally:
        for future in pending:
            future.cancel()


def _submit(executor: Executor, task: Task) -> Future[Run]:
    try:
        return executor.submit(perform, *task)
    except Exception as error:  # shut down, disconnected, ...: executors each have their own
        refused: Future[Run] = Future()
        refused.set_exception(BrokenExecutor(repr(error)))
        return refused


def _broken(future: Future[Run]) -> bool:
    return future.cancelled() or isinstance(future.exception(), BrokenExecutor)


@contextmanager
def _pool(workers: int) -> Iterator[Executor]:
    """Processes that end when this one does, or when the block is left by an exception."""
    from concurrent.futures import ProcessPoolExecutor  # neither is there in the browser
    from multiprocessing import get_context

    context = get_context("spawn")  # a fork would copy the locks of threads that it does not copy
    held, lifeline = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_attend, initargs=(held,))
    try:
        yield pool
    except BaseException:
        lifeline.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        lifeline.close()
        held.close()


def _attend(held: Any) -> None:
    """Begin a worker: Ctrl-C is its parent's business, and it does not outlive its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(held,), daemon=True).start()


def _end_with(held: Any) -> None:
    try:
        held.recv()  # nothing is ever sent: this ends when the other end is closed
    except (EOFError, OSError):
        os._exit(1)


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Set what BLAS reads when a process starts: workers times threads would be too many."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _cores() -> int:
    allowed = getattr(os, "sched_getaffinity", None)
    return min(MOST, len(allowed(0)) if allowed is not None else os.cpu_count() or 1)


def _some(workers: int) -> int:
    return min(MOST, whole(workers, "workers", least=1))
