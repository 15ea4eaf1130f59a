"""Markov decision processes: somebody acts.

Symbols: P[s, a, s'] = Pr(s'|s,a); R[s, a] = E[r_{t+1} | s_t = s, a_t = a]; pi[s, a] = pi(a|s);
gamma discount per step; S, A, T numbers of states, actions, steps.

Reading: the lecture's slides on Markov decision processes; Sutton & Barto (2018), chapter 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array, issparse

from gridrl.processes.checks import Finding, check_decisions, check_rewards
from gridrl.processes.html import html_table
from gridrl.processes.markov import named, start_table
from gridrl.processes.payments import (
    Payment,
    PolicyReward,
    RewardDistribution,
    RewardTable,
    SquareReward,
    paid_on_leaving,
    payment,
)
from gridrl.processes.reward import RewardProcess
from gridrl.processes.transitions import (
    SparseTransitions,
    Transitions,
    average_over_actions,
    decision_table,
    stacked,
)
from gridrl.tables import (
    Array,
    Indices,
    Mask,
    distributions,
    mask,
    names,
    number,
    read_only,
    restore,
    table,
)


@dataclass(frozen=True, eq=False, init=False, repr=False)
class MDP:
    """A finite Markov decision process, the third lens.

    Args:
        P: Pr(s'|s,a), shape (S, A, S), each row a distribution; a dense array, `SparseTransitions`,
            or a SciPy sparse matrix (S * A, S) whose row s * A + a is Pr(.|s,a).
        R: (S,) paid on leaving s, (S, A), (S, A, S), `leave(R)` or `arrive(R)`, or a
            `RewardDistribution` over Pr(r|s,a). In terminal states nothing is paid.
        gamma: discount per step, in [0, 1].
        start: distribution of the first state, (S,), or one state's index; None is uniform over the
            states that are not terminal.
        terminal: True where an episode is over, (S,); such a state absorbs, whatever its rows say.
        labels, action_labels: names on pictures; None counts from 1.

    The field `R` is always the expectation, (S, A); `payment` is what was given, and simulation
    draws that.
    The textbook's line is `Q = mdp.R + mdp.gamma * (mdp.P @ V)`, dense or sparse.

    >>> stay_or_go = MDP([[[1, 0], [0, 1]], [[0, 1], [0, 1]]], [[0, 1], [0, 0]], 0.9)
    >>> stay_or_go
    MDP(2 states, 2 actions, gamma=0.9)
    >>> stay_or_go.under([[0.5, 0.5], [1, 0]]).values().round(3)
    array([0.909, 0.   ])

    Raises:
        TypeError, ValueError: what must hold, what was found and the first bad index.
    """

    P: Transitions
    R: Array
    gamma: float
    start: Array
    terminal: Mask
    labels: tuple[str, ...]
    action_labels: tuple[str, ...]
    payment: Payment

    def __init__(
        self,
        P: ArrayLike | SparseTransitions | csr_array,
        R: ArrayLike | SquareReward | RewardDistribution | RewardTable | SparseTransitions,
        gamma: float,
        *,
        start: ArrayLike | None = None,
        terminal: ArrayLike | None = None,
        labels: Sequence[str | int] | None = None,
        action_labels: Sequence[str | int] | None = None,
    ) -> None:
        S, A = _sizes(P)
        ends = mask(terminal, "terminal", S)
        rows = decision_table(P, ends)
        paid = payment(R, rows, decides=True)
        fields = {
            "P": rows,
            "R": read_only(np.where(ends[:, None], 0.0, paid.expected(rows))),
            "gamma": number(gamma, "gamma", 0, 1),
            "start": start_table(start, ends),
            "terminal": ends,
            "labels": names(labels, "labels", S),
            "action_labels": names(action_labels, "action_labels", A),
            "payment": paid,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def n_states(self) -> int:
        """S, terminal states included."""
        return len(self.labels)

    @property
    def n_actions(self) -> int:
        """A."""
        return len(self.action_labels)

    def replace(self, **fields: Any) -> MDP:
        """Return a copy with other `fields`, checked again: `mdp.replace(gamma=0.99)`."""
        kept = {
            "P": self.P, "R": self.payment, "gamma": self.gamma, "start": self.start,
            "terminal": self.terminal, "labels": self.labels, "action_labels": self.action_labels,
        }  # fmt: skip
        return MDP(**(kept | fields))

    def under(self, policy: ArrayLike) -> RewardProcess:
        """The reward process that a policy makes of it.  [Sutton & Barto 2018, eq. 3.6]

        Args:
            policy: pi(a|s), (S, A); or one for each time, (T, S, A), which gives a process on
                time-expanded states: state t * S + s is s at time t, and at time T all is over.
        """
        pi = policy_table(self, policy)
        if pi.ndim == 3:
            return _time_expanded(self, pi)
        return RewardProcess(
            average_over_actions(self.P, pi),
            PolicyReward(self.payment, self.P, self.R, pi),
            self.gamma,
            start=self.start,
            terminal=self.terminal,
            labels=self.labels,
        )

    def check(self) -> list[Finding]:
        """What is odd: unreachable states, absorbing classes, the period, rewards at the end."""
        return check_decisions(self) + check_rewards(self, paid_on_leaving(self.payment, self.P))

    def named(self, states: Sequence[int] | Indices) -> str:
        """Write a set of states by their labels, the first eight of them."""
        return named(self.labels, states)

    __setstate__ = restore

    def __repr__(self) -> str:
        ends = int(self.terminal.sum())
        size = (
            f"{self.n_states} states{f' ({ends} terminal)' * bool(ends)}, {self.n_actions} actions"
        )
        return (
            f"MDP({size}, gamma={self.gamma:g}{', sparse' * (not isinstance(self.P, np.ndarray))})"
        )

    def _repr_html_(self) -> str:
        R = html_table("R(s, a)", self.action_labels, self.labels, self.R)
        shown = range(self.n_actions if self.n_states <= 40 else 0)
        tables = [
            f"<details><summary>Pr(s' | s, {name})</summary>"
            + html_table("s' \\ s", self.labels, self.labels, _of_action(self.P, a).T, shade=True)
            + "</details>"
            for a, name in zip(shown, map(_escaped, self.action_labels), strict=False)
        ]
        return f"<p>{self!r}</p>{''.join(tables)}{R}"


def policy_table(mdp: MDP, policy: ArrayLike) -> Array:
    """Check a policy, (S, A) or (T, S, A), rows distributions, and return it as a table."""
    shape = (an_mdp(mdp).n_states, mdp.n_actions)
    pi = table(policy, "policy")
    time_dependent = pi.ndim == 3 and pi.shape[1:] == shape and len(pi) > 0
    return distributions(pi, "policy", pi.shape if time_dependent else shape)


def an_mdp(mdp: Any) -> MDP:
    """Return `mdp` if it is one; a TypeError says what to write instead."""
    if isinstance(mdp, MDP):
        return mdp
    inner = {"POMDP": ": use its .mdp", "GridWorld": ": use its .mdp(gamma=...)"}
    hint = inner.get(type(mdp).__name__, "")
    raise TypeError(f"mdp must be an MDP; it is a {type(mdp).__name__}{hint}")


def _time_expanded(mdp: MDP, policy: Array) -> RewardProcess:
    T, S, A = policy.shape
    steps = [average_over_actions(mdp.P, pi) for pi in policy]
    coo = [csr_array(P).tocoo() for P in steps]
    row = np.concatenate([t * S + c.row for t, c in enumerate(coo)])
    column = np.concatenate([(t + 1) * S + c.col for t, c in enumerate(coo)])
    data = np.concatenate([c.data for c in coo])
    always = np.concatenate([policy.reshape(T * S, A), policy[-1]])  # at time T nobody acts
    return RewardProcess(
        csr_array((data, (row, column)), shape=((T + 1) * S,) * 2),
        PolicyReward(mdp.payment, mdp.P, mdp.R, always),
        mdp.gamma,
        start=np.concatenate([mdp.start, np.zeros(T * S)]),
        terminal=np.concatenate([np.tile(mdp.terminal, T), np.ones(S, bool)]),
        labels=[f"{label} at {t}" for t in range(T + 1) for label in mdp.labels],
    )


def _sizes(P: Any) -> tuple[int, int]:
    shape = P.shape if isinstance(P, SparseTransitions) or issparse(P) else table(P, "P").shape
    if issparse(P) and shape[1] and shape[0] % shape[1] == 0:
        shape = shape[1], shape[0] // shape[1], shape[1]
    if len(shape) != 3 or shape[0] != shape[2] or 0 in shape:
        swapped = len(shape) == 3 and shape[1] == shape[2]
        hint = ", an action first? P.transpose(1, 0, 2)" * swapped
        raise ValueError(
            "P must have shape (S, A, S), or (S * A, S) if sparse, S and A at least 1;"
            f" it has {shape}{hint}"
        )
    return int(shape[0]), int(shape[1])


def _of_action(P: Transitions, a: int) -> Array:
    return stacked(P)[a :: P.shape[1]].toarray()


def _escaped(text: str) -> str:
    from html import escape

    return escape(text)
