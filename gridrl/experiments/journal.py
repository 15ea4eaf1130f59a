"""The file of a sweep: a line of JSON for each run, written as soon as the run is over.

Lines are only ever appended, and are on the disk before the next run is counted. If the computer
dies in the middle of a line, that line alone is lost: it is dropped when the file is opened again,
and its run is done again. Only the process that called `sweep` writes; one sweep to a file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gridrl.experiments.runs import Run
from gridrl.experiments.settings import Experiment, Setting

BEGINNING = b'{"experiment": '  # of every line: what else a file holds is not ours to cut


class Journal:
    """Open, or go on with, the file of a sweep; used in a `with` block.

    Attributes:
        done: runs that the file holds and that did not fail, by (setting, seed).

    Raises:
        OSError: it cannot be opened.
        TypeError: an argument of a setting cannot be written.
        ValueError: the file holds something else, or runs of another sweep.
    """

    def __init__(
        self, path: str | os.PathLike[str], experiment: Experiment, settings: Mapping[str, Setting]
    ) -> None:
        self.path = Path(path)
        self.experiment = str(getattr(experiment, "__qualname__", type(experiment).__qualname__))
        self.given = {
            name: {key: _plain(value, f"settings[{name!r}][{key!r}]") for key, value in s.items()}
            for name, s in settings.items()
        }
        self.stream = open(self.path, "a+b", buffering=0)  # noqa: SIM115 - closed by __exit__
        try:
            self.done = self._read()
        except BaseException:
            self.stream.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def append(self, run: Run) -> None:
        """Write a run and wait until it is on the disk; all of the line or nothing of it."""
        whole_lines = os.fstat(self.stream.fileno()).st_size
        line = memoryview(self._line(run))
        try:
            while line:
                line = line[self.stream.write(line) :]
            os.fsync(self.stream.fileno())
        except BaseException as error:
            if line:
                self.stream.truncate(whole_lines)
            if isinstance(error, OSError):
                raise OSError(error.errno, error.strerror, str(self.path)) from error
            raise

    def _line(self, run: Run) -> bytes:
        fields = None if run.fields is None else {k: _plain(v, k) for k, v in run.fields.items()}
        entry: dict[str, Any] = {"experiment": self.experiment, "setting": run.setting}
        entry |= {"given": self.given[run.setting], "seed": run.seed, "fields": fields}
        return json.dumps(entry | {"error": run.error}).encode() + b"\n"

    def _read(self) -> dict[tuple[str, int], Run]:
        self.stream.seek(0)
        *lines, torn = self.stream.read().split(b"\n")
        runs = [self._run(line, k) for k, line in enumerate(lines, start=1)]
        if not (torn.startswith(BEGINNING) or BEGINNING.startswith(torn)):
            raise self._strange(len(lines) + 1)
        self.stream.truncate(sum(len(line) + 1 for line in lines))
        return {(run.setting, run.seed): run for run in runs if run.error is None}

    def _run(self, line: bytes, k: int) -> Run:
        try:
            entry = json.loads(line)
            name, seed, fields = entry["setting"], entry["seed"], entry["fields"]
            given, experiment, error = entry["given"], entry["experiment"], entry["error"]
        except (ValueError, KeyError, TypeError) as bad:
            raise self._strange(k) from bad
        where = f"out holds another sweep: line {k} of {self.path} "
        if experiment != self.experiment:
            raise ValueError(f"{where}is of experiment {experiment!r}, not {self.experiment!r}")
        if name not in self.given:
            raise ValueError(f"{where}is of a setting {name!r}; here are {sorted(self.given)}")
        if json.dumps(given, sort_keys=True) != json.dumps(self.given[name], sort_keys=True):
            raise ValueError(f"{where}has {name!r} as {given}, not {self.given[name]}")
        return Run(name, seed, None if fields is None else _back(fields), error)

    def _strange(self, k: int) -> ValueError:
        return ValueError(f"out must be a file of a sweep; line {k} of {self.path} is no run")


def _back(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {k: np.array(v, np.float64) if isinstance(v, list) else v for k, v in fields.items()}


def _plain(value: Any, name: str) -> Any:
    """What JSON can hold; functions and classes by their names."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufU":
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(entry, f"{name}[{i}]") for i, entry in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(entry, f"{name}[{key!r}]") for key, entry in value.items()}
    title = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '<')}"
    if "<" in title:
        raise TypeError(
            f"{name} must be something that out can hold: numbers, text, lists, functions with a"
            f" name; it is {value!r}. Make it inside the experiment"
        )
    return title
