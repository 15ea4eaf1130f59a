"""Settings x seeds: run all of them, keep what is done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import BrokenExecutor, Executor
from contextlib import ExitStack, closing

from gridrl.experiments.executors import runner
from gridrl.experiments.journal import Journal
from gridrl.experiments.results import Results, SweepStopped
from gridrl.experiments.runs import Run, pack
from gridrl.experiments.settings import (
    Experiment,
    Setting,
    Settings,
    check_call,
    listed_seeds,
    named_settings,
)

Done = dict[tuple[str, int], Run]


def sweep(
    experiment: Experiment,
    settings: Settings,
    *,
    seeds: int | Iterable[int],
    executor: Executor | str | None = None,
    workers: int | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Results:
    """Call `experiment(seed=seed, **setting)` for each setting and each seed.

    >>> import numpy as np
    >>> def noisy(seed, size):
    ...     return np.random.default_rng(seed).normal(scale=size, size=3)
    >>> found = sweep(noisy, [{"size": 1}, {"size": 2}], seeds=10, executor="serial")
    >>> found, found.bands()["size=1"]
    (Results(2 settings, 20 runs), Band(3 points, n = 10))

    A seed gives the same result on every executor, if chance comes from that seed only. A run that
    fails is recorded with its traceback; the others go on. Ctrl-C stops what is under way.

    Args:
        experiment: a function of a setting's arguments and a seed, which it gets as `seed`, or as
            `rng`, or, if it has neither, as its first argument. It returns a number, a curve
            (T,), or a dict of these. Each run gets a fresh copy of it, by pickling: functions from
            notebook cells will do, open files will not.
        settings: a dict of keyword arguments by name; or a list of such dicts, named by what
            differs: "alpha=0.1, n=2".
        seeds: a number n of seeds 0, ..., n - 1; or seeds, whole numbers.
        executor: None starts processes; "serial" is this process, for debugging and the browser;
            or any `concurrent.futures.Executor`, Dask's `client.get_executor(pure=False)` for
            example, which stays open.
        workers: how many processes None starts; None is one a core.
        out: a file that gets a line of JSON as each run ends. Called again, the sweep goes on
            where it stopped, and tries again what had failed. The file tells experiments apart by
            name, not by what they do: after a change, take a new one.
        progress: show a bar.

    Raises:
        TypeError: the experiment cannot be called or pickled, a setting cannot be written to `out`.
        ValueError: no settings, no seeds, two of one name; `out` holds something else.
        SweepStopped: the executor died or `out` cannot be written; its `.results` are what was
            computed.
    """
    given, numbers = named_settings(settings), listed_seeds(seeds)
    check_call(experiment, given)
    run_all = runner(executor, workers)
    payloads = {name: pack(experiment, setting, name) for name, setting in given.items()}
    pairs = [(name, seed) for name in given for seed in numbers]
    with ExitStack() as stack:
        log = None if out is None else stack.enter_context(Journal(out, experiment, given))
        done: Done = {} if log is None else log.done
        todo = [(payloads[name], name, seed) for name, seed in pairs if (name, seed) not in done]
        runs: Iterable[Run] = stack.enter_context(closing(run_all(todo)))
        if progress:
            runs = _bar(runs, len(pairs), len(pairs) - len(todo))
        try:
            for run in runs:
                done[run.setting, run.seed] = run
                if log is not None:
                    log.append(run)
        except (BrokenExecutor, OSError) as error:
            results = _in_order(given, pairs, done)
            stopped = f"the sweep stopped after {len(results.runs)} of {len(pairs)} runs: {error}"
            raise SweepStopped(stopped, results) from error
    return _in_order(given, pairs, done)


def _in_order(
    given: Mapping[str, Setting], pairs: Iterable[tuple[str, int]], done: Done
) -> Results:
    return Results(given, tuple(done[pair] for pair in pairs if pair in done))


def _bar(runs: Iterable[Run], total: int, initial: int) -> Iterable[Run]:
    from tqdm.auto import tqdm

    return iter(tqdm(runs, desc="sweep", total=total, initial=initial))
