"""An algorithm is a generator of snapshots; calling it gives the last one."""

from __future__ import annotations

import functools
import inspect
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, ParamSpec, TypeVar

from gridrl.errors import NotConverged

Arguments = ParamSpec("Arguments")
Snapshot = TypeVar("Snapshot")


class algorithm(Generic[Arguments, Snapshot]):
    """Turn a generator of snapshots into a function that returns the last.

    `.iterates(...)` streams all of them. Both understand `progress=True`, a bar on stderr that
    ticks once a snapshot.

    >>> @algorithm
    ... def halve(x, *, times):
    ...     for _ in range(times):
    ...         yield (x := x / 2)
    >>> halve(8, times=3), list(halve.iterates(8, times=3))
    (1.0, [4.0, 2.0, 1.0])
    """

    __name__: str
    __wrapped__: Callable[Arguments, Iterator[Snapshot]]

    def __init__(self, steps: Callable[Arguments, Iterator[Snapshot]]) -> None:
        functools.update_wrapper(self, steps)
        self._steps = steps
        self.__signature__ = _with_progress(inspect.signature(steps))

    def iterates(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Iterator[Snapshot]:
        """Yield one frozen snapshot an iteration, for films, sliders, early stops and histories."""
        progress = kwargs.pop("progress", False)
        steps = self._steps(*args, **kwargs)
        if not progress:
            return steps
        from tqdm.auto import tqdm

        return iter(tqdm(steps, desc=self._steps.__name__))

    def __call__(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Snapshot:
        """Run to the end and return the last snapshot.

        Raises:
            NotConverged: with the last snapshot, whose bounds hold, as `.so_far`.
        """
        last: deque[Snapshot] = deque(maxlen=1)
        try:
            last.extend(self.iterates(*args, **kwargs))
        except NotConverged as error:
            if error.so_far is None and last:
                error.so_far = last[0]
            raise
        return last[0]

    def __repr__(self) -> str:
        return f"<algorithm {self._steps.__name__}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        if self.__module__ == "__main__":  # a notebook's: by value, as cloudpickle can
            return algorithm, (self._steps,)
        return self._steps.__qualname__


def _with_progress(signature: inspect.Signature) -> inspect.Signature:
    progress = inspect.Parameter(
        "progress", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=bool
    )
    return signature.replace(parameters=[*signature.parameters.values(), progress])
