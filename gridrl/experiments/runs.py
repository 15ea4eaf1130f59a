"""One run: an experiment, its arguments and a seed; what it found, or how it failed.

Every run gets a fresh copy of the experiment, in whichever process or thread it is. What one run
does to a list it was given, no other run sees; and functions written in a notebook travel as well.
"""

from __future__ import annotations

import reprlib
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np

from gridrl.experiments.settings import COLUMNS, Experiment, Setting, arguments
from gridrl.tables import Array, read_only

Fields = Mapping[str, float | Array]


@dataclass(frozen=True, eq=False)
class Run:
    """What one run found, or how it failed.

    Attributes:
        setting: its name.
        seed: the seed it was called with.
        fields: numbers and curves (T,) by name, "value" if it has none; None if it failed.
        error: the traceback if it failed, else None.
    """

    setting: str
    seed: int
    fields: Fields | None
    error: str | None

    def __post_init__(self) -> None:
        for value in (self.fields or {}).values():
            if isinstance(value, np.ndarray):
                read_only(value)

    def __reduce__(self) -> tuple[type[Run], tuple[Any, ...]]:
        return Run, (self.setting, self.seed, self.fields, self.error)

    @property
    def reason(self) -> str:
        """The last line of the traceback."""
        return (self.error or "").strip().rpartition("\n")[2]

    def __repr__(self) -> str:
        found = ", ".join(self.fields) if self.fields is not None else self.reason
        return f"Run({self.setting!r}, seed {self.seed}: {found})"


def pack(experiment: Experiment, setting: Setting, name: str) -> bytes:
    """What travels to a worker: the experiment and its arguments, pickled by value.

    Raises:
        TypeError: they cannot be pickled.
    """
    try:
        return cloudpickle.dumps((experiment, dict(setting)))
    except Exception as error:  # pickling raises whatever an object's own methods raise
        raise TypeError(
            f"experiment and settings[{name!r}] must be picklable, to travel to a worker: {error}"
        ) from error


def perform(payload: bytes, setting: str, seed: int) -> Run:
    """Call the experiment that was packed, with its arguments and a seed; never raises for it."""
    try:
        experiment, given = cloudpickle.loads(payload)
        first, named = arguments(experiment, seed, given)
        return Run(setting, seed, fields_of(experiment(*first, **named), given), None)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit() in an experiment is a failed run as well
        return Run(setting, seed, None, written(error))


def written(error: BaseException) -> str:
    """The traceback as text, without the line in which it was caught."""
    below = error.__traceback__.tb_next if error.__traceback__ is not None else None
    return "".join(traceback.format_exception(type(error), error, below))


def fields_of(found: Any, given: Iterable[str] = ()) -> dict[str, float | Array]:
    """Name what an experiment returned: floats, and curves (T,) in float64.

    >>> fields_of(1), fields_of({"reward": [1, 2]})
    ({'value': 1.0}, {'reward': array([1., 2.])})

    Raises:
        TypeError: something else than numbers, or a name that is no text.
        ValueError: nothing, a table, or a name that an argument or a column has already.
    """
    named = dict(found) if isinstance(found, Mapping) else {"value": found}
    if not named:
        raise ValueError("experiment must return a number, a curve, or a dict of them; it is {}")
    taken = {*COLUMNS, *given}
    for name in named:
        if not isinstance(name, str):
            raise TypeError(f"experiment must return fields named by text; one is {name!r}")
        if name in taken:
            raise ValueError(f"experiment must not return a field {name!r}: the name is taken")
    return {name: _numbers(value, name) for name, value in named.items()}


def _numbers(value: Any, name: str) -> float | Array:
    try:
        raw = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"experiment must return one curve as {name!r}, not a table") from error
    if raw.dtype.kind not in "biuf":
        raise TypeError(
            f"experiment must return a number, a curve, or a dict of them;"
            f" {name!r} is {reprlib.repr(value)}"
        )
    if raw.ndim > 1 or raw.size == 0:
        raise ValueError(
            f"experiment must return a number or a curve (T,) as {name!r}; it has shape {raw.shape}"
        )
    return np.array(raw, np.float64) if raw.ndim else float(raw)
