"""R of a .POMDP file: R(a, s, s', o), said with wildcards, and its expectation on every step.

A statement's wildcards are its pattern; within a pattern a reward is found by its key, the number
of the entry (a, s, s', o) in a table in which wildcards count as 0. Of all patterns that speak of a
step the last statement counts.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from gridrl.tables import Array, Indices
from gridrl.worlds.cassandra_text import ANY, Names, Statement

Pattern = tuple[bool, bool, bool, bool]
NUMBERS = "numbers, one for each of what is not named"


class Rewards:
    """What a file says of R(a, s, s', o); an MDP's has one observation, which nobody names."""

    def __init__(self, actions: Names, states: Names, observations: Names | None) -> None:
        self.hidden = observations is not None
        self.kinds = (actions, states, states, observations or Names("observation", (), {"*": ANY}))
        self.sizes = [max(len(kind), 1) for kind in self.kinds]
        self.weights = [math.prod(self.sizes[k:]) for k in range(1, 5)]
        self.said: dict[Pattern, tuple[array[int], array[float], array[int]]] = {}

    def read(self, statements: Sequence[Statement]) -> None:
        """Go through the statements `R` in their order."""
        for time, statement in enumerate(statements):
            places, at = statement.places(self.kinds)
            if len(places) == 1 and self.hidden:
                raise statement.wrong("'R' must name an action and a state; it names 'R: action'")
            count = self.weights[len(places) - 1]
            values = statement.numbers(at, count, "number" if count == 1 else NUMBERS)
            self._put(places, values, time)

    def _put(self, places: tuple[int, ...], values: Array, time: int) -> None:
        a, s, s_next, o = (place == ANY for place in (*places, 0, 0, 0)[:4])
        keys, paid, times = self.said.setdefault(
            (a, s, s_next, o), (array("q"), array("d"), array("q"))
        )
        first = sum(max(p, 0) * weight for p, weight in zip(places, self.weights, strict=False))
        keys.extend(range(first, first + len(values)))  # what is not named comes last in the key
        paid.extend(values.tolist())
        times.extend([time] * len(values))

    def on_steps(self, P: csr_array, O: Array | None) -> Array:  # noqa: E741
        """sum_o Pr(o|a,s') R(a,s,s',o) for each entry of P (S * A, S), in the order of its data."""
        row = np.repeat(np.arange(P.shape[0]), np.diff(P.indptr))
        s, a = np.divmod(row, self.sizes[0])
        finders = [_Finder(pattern, *said) for pattern, said in self.said.items()]
        step = (a, s, P.indices.astype(np.int64))
        first = self._found(finders, step, 0)
        R = first.copy()
        if O is not None and not all(finder.pattern[3] for finder in finders):
            for o in range(1, self.sizes[3]):  # from R(..., 0) on: what is constant stays exact
                R += O[a, step[2], o] * (self._found(finders, step, o) - first)
        return R

    def _found(self, finders: list[_Finder], step: tuple[Indices, ...], o: int) -> Array:
        R, time = np.zeros(len(step[0])), np.full(len(step[0]), -1)
        for finder in finders:
            finder.find(step, o, self.weights, R, time)
        return R


class _Finder:
    """The rewards of one pattern, sorted by key; of a key that stands twice the last."""

    def __init__(
        self, pattern: Pattern, keys: array[int], paid: array[float], times: array[int]
    ) -> None:
        self.pattern = pattern
        backwards = np.array(keys, np.int64)[::-1]
        self.keys, last = np.unique(backwards, return_index=True)
        self.paid = np.array(paid)[::-1][last]
        self.times = np.array(times, np.int64)[::-1][last]

    def find(
        self,
        step: tuple[Indices, ...],
        o: int,
        weights: list[int],
        R: Array,
        time: NDArray[np.int64],
    ) -> None:
        """Write into R and `time` where this pattern spoke of the step after `time`."""
        key = np.zeros(len(R), np.int64)
        for place, weight, wild in zip((*step, np.array([o])), weights, self.pattern, strict=True):
            key += 0 if wild else place * weight
        at = np.searchsorted(self.keys, key).clip(max=len(self.keys) - 1)
        newer = (self.keys[at] == key) & (self.times[at] > time)
        R[newer], time[newer] = self.paid[at][newer], self.times[at][newer]


def by_pair(P: csr_array, paid: Array) -> Array | None:
    """R(s, a) as (S * A,), if the rewards of a pair's steps are all the same; else None.

    Every row of P has an entry; `paid` is in the order of its data.
    """
    lowest = np.minimum.reduceat(paid, P.indptr[:-1])
    return lowest if (lowest == np.maximum.reduceat(paid, P.indptr[:-1])).all() else None
