"""What a sweep found: runs, records, bands."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridrl.experiments.intervals import Band, band
from gridrl.experiments.runs import Run
from gridrl.experiments.settings import Setting, told_apart
from gridrl.processes.html import html_table
from gridrl.tables import Array, generator, number


@dataclass(frozen=True, eq=False)
class Results:
    """The runs of a sweep, settings x seeds in the order they were given.

    Attributes:
        settings: the arguments of each setting, by name.
        runs: what each run found, those that failed among them.
    """

    settings: Mapping[str, Setting]
    runs: Sequence[Run]

    @property
    def failed(self) -> list[Run]:
        """The runs that raised an error, or whose process died."""
        return [run for run in self.runs if run.error is not None]

    @property
    def fields(self) -> list[str]:
        """The names of what runs found."""
        return list(dict.fromkeys(name for run in self.runs for name in run.fields or ()))

    def to_records(self) -> list[dict[str, Any]]:
        """One dict a run: setting, its arguments, seed, fields (None if it failed), error."""
        empty = dict.fromkeys(self.fields or ["value"])
        return [
            {"setting": run.setting, **self.settings[run.setting], "seed": run.seed}
            | {**empty, **(run.fields or {}), "error": run.error}
            for run in self.runs
        ]

    def to_pandas(self) -> Any:
        """The records as a pandas.DataFrame; pandas must be there."""
        return importlib.import_module("pandas").DataFrame(self.to_records())

    def bands(
        self,
        field: str | None = None,
        *,
        along: str | None = None,
        level: float = 0.95,
        resamples: int = 1000,
        rng: int | np.random.Generator | None = 0,
    ) -> dict[str, Band]:
        """The mean over seeds and its percentile bootstrap interval, point by point of a curve.

        Failed runs are left out; `Band.n` says how many are left. With few runs the interval is
        too narrow: of normal numbers, 95 % are 84 % for n = 5, 90 % for 10, 92 % for 20. It holds
        at each point, not for a whole curve at once.

        Args:
            field: what to average; None if runs found one thing only.
            along: an argument to put on the x axis: numbers of settings that differ in nothing
                else become one curve.
            level: how often the interval is meant to hold the true mean.
            resamples: how many times the runs are redrawn.
            rng: a seed, a Generator, or None for fresh chance.

        Raises:
            ValueError: no such field; curves of different lengths; every run failed.

        Warns:
            UserWarning: a setting is left out, since every run of it failed.
        """
        field, rng = self._field(field), generator(rng)
        if along is not None:
            self._check_along(along)
        found: dict[str, Band] = {}
        for name in self.settings:
            values = self._values(name, field)
            if values is None:
                warnings.warn(f"no run of {name!r} has {field!r}; it is left out", stacklevel=2)
            else:
                found[name] = band(values, level=level, resamples=resamples, rng=rng)
        return found if along is None else self._joined(found, along, field)

    def _field(self, field: str | None) -> str:
        if not self.fields:
            why = f"every run failed, the first with {self.failed[0].reason}" if self.runs else ""
            raise ValueError(f"there is nothing to average: {why or 'no run was made'}")
        if field is None and len(self.fields) == 1:
            return self.fields[0]
        if field not in self.fields:
            raise ValueError(f"field must be one of {self.fields}; it is {field!r}")
        return field

    def _check_along(self, along: str) -> None:
        for name, setting in self.settings.items():
            if along not in setting:
                raise ValueError(f"along must be an argument of every setting; {name!r} has none")
            number(setting[along], f"settings[{name!r}][{along!r}]")

    def _values(self, name: str, field: str) -> Array | None:
        """What the runs of a setting found, (n,) or (n, T)."""
        runs = [run for run in self.runs if run.setting == name and field in (run.fields or ())]
        rows = [np.asarray(run.fields[field]) for run in runs if run.fields is not None]
        for run, row in zip(runs, rows, strict=True):
            if row.shape != rows[0].shape:
                raise ValueError(
                    f"{field!r} of {name!r} must have one shape: seed {runs[0].seed} has"
                    f" {rows[0].shape}, seed {run.seed} has {row.shape}"
                )
        return np.array(rows) if rows else None

    def _joined(self, found: Mapping[str, Band], along: str, field: str) -> dict[str, Band]:
        """Bands of single numbers, put together to curves along an argument."""
        for name, one in found.items():
            if one.mean.ndim:
                raise ValueError(f"along needs single numbers; {field!r} of {name!r} is a curve")
        rests = [{k: v for k, v in self.settings[n].items() if k != along} for n in found]
        curves: dict[str, list[tuple[float, Band]]] = {}
        for name, label in zip(found, told_apart(rests), strict=True):
            x = float(self.settings[name][along])
            curves.setdefault(label or field, []).append((x, found[name]))
        return {label: _curve(sorted(ps, key=lambda p: p[0])) for label, ps in curves.items()}

    def __repr__(self) -> str:
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return f"Results({_count(self.settings, 'setting')}, {_count(self.runs, 'run')}{failed})"

    def _repr_html_(self) -> str:
        tables = [self._html_of(field) for field in self.fields]
        return f"<p>{self!r}; mean and 95 % interval</p>{''.join(tables)}"

    def _html_of(self, field: str) -> str:
        rows, cells = [], []
        for name in self.settings:
            runs = [r.fields[field] for r in self.runs if r.setting == name and r.fields
                    and field in r.fields]  # fmt: skip
            if runs:
                ends = np.array([np.atleast_1d(value)[-1] for value in runs])
                one = band(ends, level=0.95, resamples=1000, rng=np.random.default_rng(0))
                rows.append(name)
                cells.append([one.mean, one.low, one.high, one.n])
        curves = any(np.ndim((run.fields or {}).get(field, 0.0)) for run in self.runs)
        corner = f"{field}, last point" if curves else field
        return html_table(corner, ["mean", "low", "high", "n"], rows, np.array(cells))


class SweepStopped(RuntimeError):
    """A sweep could not go on: its executor died, or its file could not be written.

    Attributes:
        results: what had been computed by then, a `Results`.
    """

    def __init__(self, message: str, results: Results) -> None:
        super().__init__(message, results)
        self.results = results

    def __str__(self) -> str:
        return str(self.args[0])


def _curve(points: Sequence[tuple[float, Band]]) -> Band:
    x, mean, low, high = (
        np.array(column, np.float64)
        for column in zip(*((x, b.mean, b.low, b.high) for x, b in points), strict=True)
    )
    return Band(mean, low, high, min(b.n for _, b in points), x)


def _count(things: Mapping[str, Setting] | Sequence[Run], name: str) -> str:
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"
