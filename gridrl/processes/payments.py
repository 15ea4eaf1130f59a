"""How a world pays: every form in which a reward may be given, its expectation, and a draw of it.

Each form answers two questions: `expected(P)`, the table R[s, a] = E[r | s, a] of the book (S, A),
and `draw(s, a, s_next, uniform)`, one reward a step for arrays of steps (n,). A reward process is
the case A = 1. A form is kept as it was given, so that simulation never draws an expectation.

Symbols: S, A, K numbers of states, actions and possible rewards; r a reward, in reward units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array, issparse

from gridrl.processes.transitions import (
    SparseTransitions,
    Transitions,
    dense,
    entries,
    sparse_table,
    stacked,
)
from gridrl.tables import Array, Indices, distributions, draw, read_only, restore, table


class Payment(Protocol):
    """What every form of a reward can do."""

    def expected(self, P: Transitions) -> Array:
        """E[r | s, a], shape (S, A)."""

    def power(self, p: int, P: Transitions) -> Array:
        """E[r^p | s, a, s'], shape (S, A, S): what variances are made of."""

    def draw(self, s: Indices, a: Indices, s_next: Indices, uniform: Array) -> Array:
        """One reward for each step, shape (n,), given uniform numbers in [0, 1), (n,)."""


@dataclass(frozen=True, eq=False)
class SquareReward:
    """One reward a state, (S,), paid on leaving it or on arriving there; see `leave`, `arrive`."""

    values: Array
    on_arrival: bool

    __setstate__ = restore

    def expected(self, P: Transitions) -> Array:
        """R(s) of the state left, or sum_s' P(s'|s,a) R(s') of the state reached, (S, A)."""
        return P @ self.values if self.on_arrival else _for_each_action(self.values, P)

    def power(self, p: int, P: Transitions) -> Array:
        """The known reward to the power p, (S, A, S)."""
        along = self.values if self.on_arrival else self.values[:, None, None]
        return np.broadcast_to(along**p, P.shape)

    def draw(self, s: Indices, a: Indices, s_next: Indices, uniform: Array) -> Array:
        """The reward of the state left, or of the state reached."""
        return self.values[s_next if self.on_arrival else s]


def leave(R: ArrayLike) -> SquareReward:
    """Pay R(s) on leaving s: r_{t+1} = R(s_t), the lecture's convention. R has shape (S,).

    For one and the same R, V_leave(s) = R(s) + gamma V_arrive(s): the same policies are optimal.

    >>> leave([0.0, 1.0])
    SquareReward(values=array([0., 1.]), on_arrival=False)
    """
    return SquareReward(table(R, "R"), on_arrival=False)


def arrive(R: ArrayLike) -> SquareReward:
    """Pay R(s') on arriving in s': r_{t+1} = R(s_{t+1}). R has shape (S,).

    >>> arrive([0.0, 1.0])
    SquareReward(values=array([0., 1.]), on_arrival=True)
    """
    return SquareReward(table(R, "R"), on_arrival=True)


@dataclass(frozen=True, eq=False)
class RewardTable:
    """A known reward a step: R(s, a) as (S, A), R(s, a, s') as (S, A, S) or CSR (S * A, S)."""

    values: Array | csr_array

    __setstate__ = restore

    def expected(self, P: Transitions) -> Array:
        """R(s,a), or sum_s' P(s'|s,a) R(s,a,s'), (S, A)."""
        S, A, _ = P.shape
        if self.values.shape == (S, A) and not issparse(self.values):
            return self.values
        values = self.values if issparse(self.values) else self.values.reshape(S * A, S)
        return np.asarray(stacked(P).multiply(values).sum(axis=1)).reshape(S, A)

    def power(self, p: int, P: Transitions) -> Array:
        """The known reward to the power p, (S, A, S)."""
        values: Any = self.values
        values = values.toarray().reshape(P.shape) if issparse(values) else values
        return np.broadcast_to(values[(...,) + (None,) * (3 - values.ndim)] ** p, P.shape)

    def draw(self, s: Indices, a: Indices, s_next: Indices, uniform: Array) -> Array:
        """The reward of that step."""
        if issparse(self.values):
            A = self.values.shape[0] // self.values.shape[1]
            return np.asarray(self.values[s * A + a, s_next]).ravel()
        return self.values[(s, a, s_next)[: self.values.ndim]]


@dataclass(frozen=True, eq=False, init=False)
class RewardDistribution:
    """Pr(r|s), Pr(r|s,a) or Pr(r|s,a,s') over finitely many rewards.

    Attributes:
        values: the rewards that there are, (K,), in reward units.
        probs: their probabilities, (S, K), (S, A, K) or (S, A, S, K), each row a distribution.

    >>> coin = RewardDistribution([0, 1], [[0.5, 0.5], [0.75, 0.25]])
    >>> coin.mean()
    array([0.5 , 0.25])

    Raises:
        ValueError: a row of `probs` that is not a distribution; the first is named.
    """

    values: Array
    probs: Array

    def __init__(self, values: ArrayLike, probs: ArrayLike) -> None:
        object.__setattr__(self, "values", table(values, "values"))
        object.__setattr__(self, "probs", distributions(probs, "probs"))
        if self.values.ndim != 1 or self.probs.shape[-1] != len(self.values):
            raise ValueError(
                f"probs must have an entry for each of values {self.values.shape} on its last"
                f" axis; it has shape {self.probs.shape}"
            )

    def mean(self) -> Array:
        """sum_k Pr(r_k|...) r_k, the shape of `probs` without its last axis."""
        return self.probs @ self.values

    __setstate__ = restore

    def expected(self, P: Transitions) -> Array:
        """E[r | s, a], (S, A)."""
        mean = self.mean()
        return RewardTable(_for_each_action(mean, P) if mean.ndim == 1 else mean).expected(P)

    def power(self, p: int, P: Transitions) -> Array:
        """sum_k Pr(r_k|s,a,s') r_k^p, (S, A, S)."""
        mean = self.probs @ self.values**p
        return np.broadcast_to(mean[(...,) + (None,) * (3 - mean.ndim)], P.shape)

    def draw(self, s: Indices, a: Indices, s_next: Indices, uniform: Array) -> Array:
        """One of `values`, by its probability on that step."""
        return self.values[draw(self.probs[(s, a, s_next)[: self.probs.ndim - 1]], uniform)]


@dataclass(frozen=True, eq=False)
class PolicyReward:
    """What a decision process pays under a policy: the action is drawn given the step made.

    Pr(a | s, s') = pi(a|s) P(s'|s,a) / sum_b pi(b|s) P(s'|s,b), and then the reward of (s, a, s').

    Attributes:
        payment: how the decision process pays.
        P, R: its tables, (S, A, S) and (S, A).
        policy: (T * S, A); row t * S + s for state s at time t (T = 1: at any time).
    """

    payment: Payment
    P: Transitions
    R: Array
    policy: Array

    __setstate__ = restore

    def expected(self, P: Transitions) -> Array:
        """sum_a pi(a|s) R(s,a), shape (T * S, 1)."""
        R = np.resize(self.R, self.policy.shape)
        return (self.policy * R).sum(axis=1, keepdims=True)

    def power(self, p: int, P: Transitions) -> Array:
        """E[r^p | s, s'] = sum_a Pr(a|s,s') E[r^p|s,a,s'], (T * S, 1, T * S), for T = 1."""
        joint = self.policy[:, :, None] * dense(self.P)
        mean = (joint * self.payment.power(p, self.P)).sum(axis=1)
        weight = joint.sum(axis=1)
        return np.where(weight > 0, mean / np.where(weight > 0, weight, 1.0), 0.0)[:, None, :]

    def draw(self, s: Indices, a: Indices, s_next: Indices, uniform: Array) -> Array:
        """Draw the action, and with what is left of the uniform number the reward."""
        S, A, _ = self.P.shape
        to = s_next % S
        joint = entries(self.P, (s % S)[:, None], np.arange(A), to[:, None])  # (n, A)
        weight = self.policy[s] * joint
        edges = weight.cumsum(axis=1) / weight.sum(axis=1, keepdims=True)
        a = draw(weight, uniform)
        k = np.arange(len(s))
        low = np.where(a > 0, edges[k, a - 1], 0.0)
        rest = np.clip((uniform - low) / (edges[k, a] - low), 0, np.nextafter(1, 0))
        return self.payment.draw(s % S, a, to, rest)


@dataclass(frozen=True, eq=False)
class ShapedReward:
    """r + gamma Phi(s') - Phi(s): another reward, and a potential's difference on every step.

    Attributes:
        payment: the reward that is shaped.
        potential: Phi, (S,), in reward units; 0 where an episode is over.
        gamma: the discount of the process.
    """

    payment: Payment
    potential: Array
    gamma: float

    __setstate__ = restore

    def expected(self, P: Transitions) -> Array:
        """R(s,a) + gamma sum_s' P(s'|s,a) Phi(s') - Phi(s), (S, A)."""
        change: Array = self.gamma * (P @ self.potential) - self.potential[:, None]
        return self.payment.expected(P) + change

    def power(self, p: int, P: Transitions) -> Array:
        """E[(r + F)^p | s, a, s'] by the binomial theorem, (S, A, S)."""
        F = (self.gamma * self.potential - self.potential[:, None])[:, None, :]
        return sum(
            (math.comb(p, j) * F ** (p - j) * self.payment.power(j, P) for j in range(p + 1)),
            np.zeros(P.shape),
        )

    def draw(self, s: Indices, a: Indices, s_next: Indices, uniform: Array) -> Array:
        """The reward that is drawn, and the potential's difference."""
        change = self.gamma * self.potential[s_next] - self.potential[s]
        return self.payment.draw(s, a, s_next, uniform) + change


def payment(R: Any, P: Transitions, *, decides: bool) -> Payment:
    """Read a reward in any form, and check its shape against `P`; `decides`: somebody acts."""
    S, A, _ = P.shape
    if isinstance(R, PolicyReward | ShapedReward):
        return R
    if isinstance(R, RewardTable):
        R = R.values
        if not issparse(R) and not decides:
            R = R[:, 0]
    if isinstance(R, SquareReward):
        table(R.values, "R", (S,))
        return R
    if isinstance(R, RewardDistribution):
        K = len(R.values)
        shapes = [(S, K), (S, A, K), (S, A, S, K)] if decides else [(S, K)]
        table(R.probs, "probs", *shapes)
        return R
    if issparse(R) or isinstance(R, SparseTransitions):
        values = sparse_table(R.matrix if isinstance(R, SparseTransitions) else R, "R")
        if values.shape != (S * A, S):
            raise ValueError(f"R, sparse, must have shape {(S * A, S)}; it has {values.shape}")
        table(values.data, "R.data")
        return RewardTable(values)
    values = table(R, "R", *([(S,), (S, A), (S, A, S)] if decides else [(S,), (S, S)]))
    if values.ndim == 1:
        return SquareReward(values, on_arrival=False)
    return RewardTable(values if decides else read_only(values[:, None, :]))


def _for_each_action(values: Array, P: Transitions) -> Array:
    return np.repeat(values[:, None], P.shape[1], axis=1)


def paid_on_leaving(paid: Payment, P: Transitions) -> Array:
    """What a process was told to pay for leaving each state, (S, A); 0 where it pays on arrival."""
    elsewhere = isinstance(paid, PolicyReward)  # the decision process says it
    elsewhere |= isinstance(paid, SquareReward) and paid.on_arrival
    return np.zeros(P.shape[:2]) if elsewhere else paid.expected(P)
