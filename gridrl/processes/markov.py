"""Markov processes: states, and the probability of the next one given this one.

Symbols: s, s' state and next state, counted from 0 in code and from 1 on pictures; P[s, s'] =
Pr(s'|s); S number of states; mu a distribution over states, a row vector: one step on is mu P.

Reading: the lecture's slides on Markov processes; Kemeny & Snell, Finite Markov Chains (1960),
chapters 2 to 5; Sutton & Barto (2018), section 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array, issparse

from gridrl.processes import structure
from gridrl.processes.checks import Finding, check_chain
from gridrl.processes.html import ROWS, html_table
from gridrl.processes.trajectories import Trajectories
from gridrl.processes.transitions import Chain, Sampler, chain_table, dense
from gridrl.tables import (
    SUM_TOLERANCE,
    Array,
    Indices,
    Mask,
    distributions,
    generator,
    index,
    indices,
    mask,
    names,
    number,
    read_only,
    restore,
    table,
    whole,
)


@dataclass(frozen=True, eq=False, init=False, repr=False)
class MarkovProcess:
    """States and Pr(s'|s), the first lens.

    Args:
        P: Pr(s'|s), shape (S, S), each row a distribution; an array or any SciPy sparse matrix.
        start: distribution of the first state, (S,), or one state's index; None is uniform over
            the states that are not terminal.
        terminal: True where an episode is over, (S,); such a state absorbs, whatever its row says.
        labels: the states' names on pictures; None counts from 1.

    Raises:
        TypeError, ValueError: what must hold and the first index where it does not.

    >>> weather = MarkovProcess([[0.9, 0.1], [0.5, 0.5]], labels=["sun", "rain"])
    >>> weather
    MarkovProcess(2 states)
    >>> weather.stationary().round(3)
    array([0.833, 0.167])
    """

    P: Chain
    start: Array
    terminal: Mask
    labels: tuple[str, ...]

    def __init__(
        self,
        P: ArrayLike | csr_array,
        *,
        start: ArrayLike | None = None,
        terminal: ArrayLike | None = None,
        labels: Sequence[str | int] | None = None,
    ) -> None:
        S = _square(P)
        ends = mask(terminal, "terminal", S)
        fields = {
            "P": chain_table(P, ends),
            "terminal": ends,
            "start": start_table(start, ends),
            "labels": names(labels, "labels", S),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_columns(
        cls, C: ArrayLike, *, tol: float = 1e-8, renormalise: bool = False, **fields: Any
    ) -> Self:
        """Read a matrix laid out as on the slides: column s_t, row s_{t+1}.

        A matrix printed to two decimals has columns that sum to 0.99 or 1.01. They are refused
        unless `tol` allows for it (0.02, say) and `renormalise` lets each be divided by its sum.

        >>> MarkovProcess.from_columns([[0, 0.33], [0.5, 0.33], [0.5, 0.33]])
        Traceback (most recent call last):
        ValueError: C must be square, a row and a column for each state; it has shape (3, 2)
        >>> thirds = [[0.33, 0, 0.5], [0.33, 0, 0.5], [0.33, 1, 0]]
        >>> MarkovProcess.from_columns(thirds)
        Traceback (most recent call last):
        ValueError: C[:, 0], the column of state 1, must sum to 1 within 1e-08; it sums to 0.99 \
(printed with rounding? tol=0.02, renormalise=True)
        >>> MarkovProcess.from_columns(thirds, tol=0.02, renormalise=True).P[0].round(4)
        array([0.3333, 0.3333, 0.3333])
        """
        columns = table(C, "C")
        if columns.ndim != 2 or columns.shape[0] != columns.shape[1]:
            raise ValueError(
                f"C must be square, a row and a column for each state; it has shape {columns.shape}"
            )
        if len(negative := np.argwhere(columns < 0)):
            at = f"C[{negative[0][0]}, {negative[0][1]}]"
            raise ValueError(f"{at} must not be negative; it is {columns[tuple(negative[0])]:.6g}")
        tol, sums = number(tol, "tol", 0, 1), columns.sum(axis=0)
        allowed = tol if renormalise else min(tol, SUM_TOLERANCE)
        if len(bad := np.flatnonzero((np.abs(sums - 1) > allowed) | (sums <= 0))):
            s = bad[0]
            label = names(fields.get("labels"), "labels", len(sums))[s]
            raise ValueError(
                f"C[:, {s}], the column of state {label}, must sum to 1 within {allowed:g};"
                f" it sums to {sums[s]:.6g} (printed with rounding? tol=0.02, renormalise=True)"
            )
        return cls((columns / sums if renormalise else columns).T, **fields)

    @property
    def n_states(self) -> int:
        """S, terminal states included."""
        return len(self.labels)

    @property
    def columns(self) -> Array:
        """The slides' layout: `columns[s', s]` = Pr(s'|s), each column a distribution."""
        return read_only(dense(self.P).T.copy())

    def replace(self, **fields: Any) -> Self:
        """Return a copy with other `fields`, checked again."""
        return type(self)(**(self._fields() | fields))

    def _fields(self) -> dict[str, Any]:
        return {
            "P": self.P, "start": self.start, "terminal": self.terminal, "labels": self.labels
        }  # fmt: skip

    # --- what happens -------------------------------------------------------------------------

    def simulate(
        self,
        steps: int,
        *,
        episodes: int | None = None,
        rng: int | np.random.Generator | None = None,
    ) -> Trajectories:
        """Draw s_0 from `start` and then s_{t+1} from Pr(.|s_t), for at most `steps` steps.

        Args:
            steps: T, the time limit; an episode that reaches it is cut off, not terminated.
            episodes: n of them at once, fields with a leading axis; None is one, without the axis.
            rng: a seed, a Generator, or None for a fresh one.

        >>> MarkovProcess([[0, 1], [1, 0]], start=0).simulate(4).states
        array([0, 1, 0, 1, 0])
        """
        T, n = whole(steps, "steps", least=0), whole(episodes or 1, "episodes", least=1)
        if episodes == 0:
            raise ValueError("episodes must be at least 1; it is 0")
        chance, sampler = generator(rng), Sampler(self.P)
        states = np.empty((n, T + 1), np.intp)
        states[:, 0] = Sampler(self.start[None]).draw(np.zeros(n, np.intp), chance.random(n))
        for t in range(T):
            states[:, t + 1] = sampler.draw(states[:, t], chance.random(n))
        lengths = (~self.terminal[states[:, :-1]]).sum(axis=1)
        paid = self._rewards_along(states, chance)
        batch = Trajectories(
            states, np.full((n, T), -1), paid, lengths, self.terminal[states[:, -1]]
        )
        return batch if episodes is not None else _squeezed(batch)

    def _rewards_along(self, states: Indices, chance: np.random.Generator) -> Array:
        return np.zeros((len(states), states.shape[1] - 1))

    def distribution(self, t: int) -> Array:
        """mu_t = mu_0 P^t: where one is after `t` steps, shape (S,).

        >>> MarkovProcess([[0, 1], [1, 0]], start=0).distribution(3)
        array([0., 1.])
        """
        mu = self.start
        for _ in range(whole(t, "t", least=0)):
            mu = mu @ self.P
        return mu

    # --- where it leads -----------------------------------------------------------------------

    def classes(self) -> tuple[tuple[int, ...], ...]:
        """Communicating classes: states that reach each other, in the order of their first state.

        >>> MarkovProcess([[0.5, 0.5, 0], [0.5, 0.25, 0.25], [0, 0, 1]]).classes()
        ((0, 1), (2,))
        """
        return structure.classes(self.P)

    def closed_classes(self) -> tuple[tuple[int, ...], ...]:
        """The classes nobody leaves, where every path ends up: the recurrent ones."""
        return structure.closed_classes(self.P)

    def period(self) -> int:
        """The least d such that P^(n d) converges: the gcd of all cycle lengths, 1 if aperiodic.

        With several closed classes, the least common multiple of their periods.

        >>> MarkovProcess([[0, 1], [1, 0]]).period()
        2
        """
        return math.lcm(*(structure.period(self.P, c) for c in self.closed_classes()))

    def stationary(self) -> Array:
        """The distribution that one step leaves as it is: mu = mu P, shape (S,), by a linear solve.

        Never by powers of P: with period 2 (the penguin's ice) they swing for ever.

        Raises:
            ValueError: more than one closed class, so there is more than one; they are named.

        >>> MarkovProcess([[0, 1], [1, 0]]).stationary()
        array([0.5, 0.5])
        """
        closed = self.closed_classes()
        if len(closed) > 1:
            raise ValueError(
                f"the stationary distribution is not unique: {len(closed)} closed classes,"
                f" {self.named(closed[0])} and {self.named(closed[1])} among them"
            )
        mu = np.zeros(self.n_states)
        mu[list(closed[0])] = structure.stationary(self.P, closed[0])
        return mu

    def absorption_probabilities(self) -> Array:
        """Pr(end up in class c | start in s), shape (S, n_classes), a column a closed class.

        B = (I - P_TT)^-1 P_TC, T the states that are left for good.  [Kemeny & Snell 1960, 3.3.7]

        >>> coin = [[1, 0, 0, 0], [0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5], [0, 0, 0, 1]]
        >>> MarkovProcess(coin).absorption_probabilities()[1:3].round(4)
        array([[0.6667, 0.3333],
               [0.3333, 0.6667]])
        """
        return structure.absorption_probabilities(self.P, self.closed_classes())

    def hitting_times(self, targets: ArrayLike) -> Array:
        """Expected number of steps until one of `targets` is reached, (S,); inf if it may not be.

        h = 0 on the targets, h(s) = 1 + sum_s' Pr(s'|s) h(s') elsewhere.  [Norris 1997, th. 1.3.5]

        Args:
            targets: the index of a state, or several.

        >>> MarkovProcess([[0.5, 0.5], [0, 1]]).hitting_times(1)
        array([2., 0.])
        """
        at = np.unique(indices(targets, "targets", self.n_states))
        if not len(at):
            raise ValueError("targets must name at least one state; it is empty")
        return structure.hitting_times(self.P, at)

    # --- looking at it ------------------------------------------------------------------------

    def check(self) -> list[Finding]:
        """What is odd about it, if anything: unreachable states, absorbing classes, the period."""
        return check_chain(self)

    def named(self, states: Sequence[int] | Indices) -> str:
        """Write a set of states by their labels, the first eight of them."""
        return named(self.labels, states)

    __setstate__ = restore

    def __repr__(self) -> str:
        ends = int(self.terminal.sum())
        return f"MarkovProcess({self.n_states} states{f', {ends} terminal' * bool(ends)})"

    def _repr_html_(self) -> str:
        head = "s<sub>t+1</sub> \\ s<sub>t</sub>"
        body = html_table("CORNER", self.labels, self.labels, top_left(self.P).T, shade=True)
        return f"<p>{self!r}: Pr(s<sub>t+1</sub> | s<sub>t</sub>)</p>" + body.replace(
            "CORNER", head, 1
        )


def named(labels: Sequence[str], states: Sequence[int] | Indices) -> str:
    """Write a set of states by their labels, the first eight of them."""
    return "{" + ", ".join(labels[s] for s in states[:8]) + ", ..." * (len(states) > 8) + "}"


def top_left(P: Chain) -> Array:
    """The part of a table that is shown, dense."""
    return dense(P[:ROWS][:, :ROWS])


def start_table(start: ArrayLike | None, terminal: Mask) -> Array:
    """The distribution of the first state, (S,), from any of its forms."""
    S = len(terminal)
    if start is None:
        alive = ~terminal if not terminal.all() else np.ones(S, bool)
        return read_only(alive / alive.sum())
    if np.ndim(start) == 0:
        return read_only(np.eye(S)[index(start, "start", S)])
    return distributions(start, "start", (S,))


def _square(P: Any) -> int:
    shape = P.shape if issparse(P) else table(P, "P").shape
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] == 0:
        raise ValueError(f"P must have shape (S, S), one row a state; it has {shape}")
    return int(shape[0])


def _squeezed(batch: Trajectories) -> Trajectories:
    return Trajectories(
        batch.states[0], batch.actions[0], batch.rewards[0], batch.lengths[0], batch.terminated[0]
    )
