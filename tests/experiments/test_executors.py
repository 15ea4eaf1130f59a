"""The same results wherever they are computed; what happens to a run whose process dies."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridrl.experiments import Results, Run, SweepStopped, executors, sweep
from gridrl.experiments.executors import AT_ONCE, ONE_THREAD
from tests.experiments.laboratory import SETTINGS, deadly, fragile, noise, number, slow, threads

SPAWN = get_context("spawn")


@pytest.fixture(scope="module")
def serial() -> Results:
    return sweep(noise, SETTINGS, seeds=5, executor="serial")


def equal(a: Results, b: Results) -> bool:
    np.testing.assert_equal(a.to_records(), b.to_records())
    return repr(a.to_records()) == repr(b.to_records())


@pytest.mark.parametrize("workers", [None, 1, 2])
def test_processes_find_the_same(serial: Results, workers: int | None) -> None:
    assert equal(sweep(noise, SETTINGS, seeds=5, workers=workers), serial)


@pytest.mark.parametrize(
    "start",
    [lambda: ThreadPoolExecutor(3), lambda: ProcessPoolExecutor(2, mp_context=SPAWN)],
    ids=["threads", "processes"],
)
def test_an_executor_of_ones_own_finds_the_same(
    serial: Results, start: Callable[[], Executor]
) -> None:
    with start() as executor:
        assert equal(sweep(noise, SETTINGS, seeds=5, executor=executor), serial)
        assert executor.submit(abs, -1).result() == 1  # it is left open


class Backwards:
    """Runs everything that is waiting when asked for the first result, the last first."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Any, Any]] = []
        self.most = 0

    def submit(self, function: Any, /, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, function, args))
        self.most = max(self.most, len(self.waiting))
        threading.Timer(0.02, self.run).start()
        return future

    def run(self) -> None:
        while self.waiting:
            future, function, args = self.waiting.pop()
            future.set_result(function(*args))


def test_results_stand_in_the_order_of_settings_and_seeds(serial: Results) -> None:
    backwards: Any = Backwards()
    found = sweep(noise, SETTINGS, seeds=[3, 1, 2], executor=backwards)
    assert [(run.setting, run.seed) for run in found.runs] == [
        (name, seed) for name in ("size=1.0", "size=2.0") for seed in (3, 1, 2)
    ]
    assert found.runs[0].fields["end"] == serial.runs[3].fields["end"]  # type: ignore[index]


def test_a_million_runs_are_not_handed_over_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "AT_ONCE", 7)
    backwards: Any = Backwards()
    assert len(sweep(number, [{}], seeds=30, executor=backwards).runs) == 30
    assert backwards.most <= 7
    assert AT_ONCE >= 100  # and a cluster has enough to do


@pytest.mark.parametrize("executor", ["serial", None])
def test_one_failure_does_not_lose_the_others(executor: str | None) -> None:
    found = sweep(fragile, {"a": {"bad": (1, 3)}}, seeds=5, executor=executor)
    assert [run.seed for run in found.failed] == [1, 3]
    assert found.failed[1].reason == "ZeroDivisionError: seed 3 is bad"
    assert "laboratory.py" in (found.failed[1].error or "")
    good = [run.fields for run in found.runs if run.error is None]
    assert good == [{"value": number(seed)} for seed in (0, 2, 4)]


def test_a_run_that_kills_its_process_fails_alone(tmp_path: Path) -> None:
    out = tmp_path / "runs.jsonl"
    found = sweep(deadly, {"a": {"bad": (2, 9)}}, seeds=12, workers=2, out=out)
    assert [run.seed for run in found.failed] == [2, 9]
    assert found.failed[0].reason.startswith("WorkerDied: the process died twice without a word")
    good = [run.fields for run in found.runs if run.error is None]
    assert good == [{"value": number(seed)} for seed in range(12) if seed not in (2, 9)]
    assert out.read_text().count("\n") == 12


def test_only_what_was_under_way_is_run_again_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    alone: list[Any] = []
    again = executors._alone

    def counted(task: Any) -> Run:
        alone.append(task)
        return again(task)

    monkeypatch.setattr(executors, "_alone", counted)
    found = sweep(deadly, {"a": {"bad": (2,)}}, seeds=30, workers=2)
    assert len(found.failed) == 1
    assert len(alone) <= 4


def test_what_waits_is_cancelled_when_a_sweep_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures: list[Future[Any]] = []

    class Remembering(ThreadPoolExecutor):
        def submit(self, *args: Any, **more: Any) -> Future[Any]:
            futures.append(super().submit(*args, **more))
            return futures[-1]

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    given = {"a": {"folder": str(tmp_path), "seconds": 0.02}}
    with Remembering(1) as pool:
        with pytest.raises(SweepStopped, match="after 1 of 50 runs"):
            sweep(slow, given, seeds=50, executor=pool, out=tmp_path / "runs.jsonl")
        assert len([future for future in futures if future.cancelled()]) > 25
        assert pool.submit(abs, -1).result() == 1


def test_an_executor_that_dies_says_so_and_keeps_what_was_done(tmp_path: Path) -> None:
    out = tmp_path / "runs.jsonl"
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        with pytest.raises(
            SweepStopped, match=r"stopped after 3 of 6 runs: .*ProcessPool.* died: "
        ):
            sweep(deadly, {"a": {"bad": (3,)}}, seeds=6, executor=pool, out=out)
        with pytest.raises(
            SweepStopped, match=r"stopped after 3 of 6 runs: .*terminated abrupt"
        ) as e:
            sweep(deadly, {"a": {"bad": (3,)}}, seeds=6, executor=pool, out=out)
    assert [run.seed for run in e.value.results.runs] == [0, 1, 2]
    assert out.read_text().count("\n") == 3


def test_an_executor_that_was_shut_down_is_dead() -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(SweepStopped, match=r"after 0 of 1 runs: <.*ThreadPool.* died: .*shutdown"):
        sweep(number, [{}], seeds=1, executor=pool)


def test_an_executor_that_cancels_is_dead(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        threading.Timer(0.2, lambda: pool.shutdown(wait=False, cancel_futures=True)).start()
        given = {"a": {"folder": str(tmp_path), "seconds": 0.1}}
        with pytest.raises(SweepStopped, match="a run was cancelled"):
            sweep(slow, given, seeds=50, executor=pool)


class Moody:
    """An executor that has its own trouble with one run, as Dask with one that kills workers."""

    def submit(self, function: Any, /, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if args[-1] == 1:
            future.set_exception(LookupError("lost it"))
        else:
            future.set_result(function(*args))
        return future


def test_what_an_executor_says_of_one_run_is_recorded() -> None:
    moody: Any = Moody()
    found = sweep(number, [{}], seeds=3, executor=moody)
    assert [run.seed for run in found.failed] == [1]
    assert found.failed[0].reason == "LookupError: lost it"


@pytest.mark.parametrize(
    ("executor", "workers", "kind", "message"),
    [
        ("threads", None, ValueError, "executor must be None .*, 'serial' or .*; it is 'threads'"),
        (3, None, TypeError, "executor must have a method submit; it is 3"),
        (ThreadPoolExecutor, None, TypeError, "executor must have a method submit; it is <class"),
        ("serial", 2, ValueError, "workers is for the processes of executor=None"),
        (None, 0, ValueError, "workers must be at least 1; it is 0"),
        (None, 1.5, TypeError, "workers must be a whole number; it is 1.5"),
    ],
)
def test_bad_executors_are_named(
    executor: Any, workers: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        sweep(number, [{}], seeds=1, executor=executor, workers=workers)


def test_processes_have_one_blas_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "5")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    assert sweep(threads, [{}], seeds=1, workers=1).runs[0].fields == {"value": 1.0}
    assert {name: os.environ.get(name) for name in ONE_THREAD} == before


@pytest.mark.parametrize("executor", ["serial", None])
def test_a_bar_ticks_once_a_run(
    executor: str | None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sweep(number, [{}], seeds=3, executor="serial", out=tmp_path / "runs.jsonl")
    assert capsys.readouterr().err == ""
    sweep(number, [{}], seeds=5, executor=executor, out=tmp_path / "runs.jsonl", progress=True)
    shown = capsys.readouterr().err
    assert "5/5" in shown
    assert "3/5" in shown  # what was done before counts


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    import multiprocessing

    yield
    assert multiprocessing.active_children() == []
