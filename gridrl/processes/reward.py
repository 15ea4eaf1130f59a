"""Reward processes: a Markov process that pays, and what each state is worth.

Symbols: R[s] = E[r_{t+1} | s_t = s]; gamma discount per step; G_t = sum_k gamma^k r_{t+k+1} the
return; V[s] = E[G_t | s_t = s].

Reading: the lecture's slides on Markov reward processes; Sutton & Barto (2018), section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array, issparse

from gridrl.processes.checks import Finding, check_chain, check_rewards
from gridrl.processes.html import html_table
from gridrl.processes.markov import MarkovProcess
from gridrl.processes.payments import (
    Payment,
    PolicyReward,
    RewardDistribution,
    SquareReward,
    paid_on_leaving,
    payment,
)
from gridrl.processes.transitions import Chain, SparseTransitions, Transitions, solve_linear
from gridrl.tables import Array, Indices, Mask, number, read_only


@dataclass(frozen=True, eq=False, init=False, repr=False)
class RewardProcess(MarkovProcess):
    """A Markov process that pays, the second lens.

    Args:
        P, start, terminal, labels: as for `MarkovProcess`.
        R: (S,) paid on leaving s, the lecture's convention; (S, S) for R(s, s'); `leave(R)` or
            `arrive(R)`; or a `RewardDistribution` over Pr(r|s). In terminal states nothing is paid.
        gamma: discount per step, in [0, 1].

    The field `R` is always the expectation, (S,); `payment` is what was given, and simulation
    draws that.

    >>> fish = RewardProcess([[0.5, 0.5], [0.5, 0.5]], [0, 1], 0.5)
    >>> fish.values()
    array([0.5, 1.5])
    """

    R: Array
    gamma: float
    payment: Payment

    def __init__(
        self,
        P: ArrayLike | csr_array,
        R: ArrayLike | SquareReward | RewardDistribution | PolicyReward,
        gamma: float,
        *,
        start: ArrayLike | None = None,
        terminal: ArrayLike | None = None,
        labels: Sequence[str | int] | None = None,
    ) -> None:
        super().__init__(P, start=start, terminal=terminal, labels=labels)
        with_one_action = one_action(self.P)
        paid = payment(R, with_one_action, decides=False)
        expected = np.where(self.terminal, 0.0, paid.expected(with_one_action)[:, 0])
        object.__setattr__(self, "R", read_only(expected))
        object.__setattr__(self, "gamma", number(gamma, "gamma", 0, 1))
        object.__setattr__(self, "payment", paid)

    def _fields(self) -> dict[str, Any]:
        return super()._fields() | {"R": self.payment, "gamma": self.gamma}

    def replace(self, **fields: Any) -> RewardProcess:
        """Return a copy with other `fields`, checked again.

        Raises:
            ValueError: another `P` for the rewards of a policy, which belong to the old one.
        """
        if "P" in fields and "R" not in fields and isinstance(self.payment, PolicyReward):
            raise ValueError(
                "R must be given with another P: these rewards are a policy's, under its own P;"
                " take .under(policy) of another MDP instead"
            )
        return super().replace(**fields)

    def values(self) -> Array:
        """V = (I - gamma P)^-1 R, which solves V = R + gamma P V, (S,).  [Silver 2015, lecture 2]

        Raises:
            ValueError: gamma = 1 and an episode may never end while it pays; the states are named.
        """
        if self.gamma < 1:
            return solve_linear(self.P, self.R, gamma=self.gamma)
        over = self.over()
        closed = np.concatenate([np.array(c) for c in self.closed_classes()])
        if len(endless := closed[~over[closed]]):
            raise ValueError(
                "values are not finite at gamma = 1: rewards go on for ever in states"
                f" {self.named(np.sort(endless))}, which lead to no end"
                " (under this policy, if somebody acts)"
            )
        V, alive = np.zeros(self.n_states), np.flatnonzero(~over)
        if len(alive):
            V[alive] = solve_linear(self.P[alive][:, alive], self.R[alive])
        return V

    def over(self) -> Mask:
        """Say in which states nothing is paid any more, whatever happens: V = 0 there, (S,)."""
        small = 1e-12 * np.abs(self.R).max(initial=0)
        over = np.zeros(self.n_states, bool)
        for states in self.closed_classes():
            over[list(states)] = (np.abs(self.R[list(states)]) <= small).all()
        return over

    def _rewards_along(self, states: Indices, chance: np.random.Generator) -> Array:
        s, s_next = states[:, :-1].ravel(), states[:, 1:].ravel()
        rewards, alive = np.zeros(s.shape), np.flatnonzero(~self.terminal[s])
        uniform = chance.random(len(s))[alive]
        s, s_next = s[alive], s_next[alive]
        rewards[alive] = self.payment.draw(s, np.zeros_like(s), s_next, uniform)
        return rewards.reshape(len(states), -1)

    def check(self) -> list[Finding]:
        """What is odd about it: as for `MarkovProcess`, and rewards where an episode is over."""
        return check_chain(self) + check_rewards(
            self, paid_on_leaving(self.payment, one_action(self.P))
        )

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, gamma={self.gamma:g})".replace("Markov", "Reward")

    def _repr_html_(self) -> str:
        R = html_table("s", ["R(s)"], self.labels, self.R[:, None])
        return f"<details><summary>{self!r}</summary>{super()._repr_html_()}</details>{R}"


def one_action(P: Chain) -> Transitions:
    """The same table with an action axis of length 1."""
    return SparseTransitions(P, 1) if issparse(P) else P[:, None, :]
