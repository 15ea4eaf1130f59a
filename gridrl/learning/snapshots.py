"""What learners know, and what they all start with: snapshots, first guesses, exploration.

Symbols: V (K, S), Q (K, S, A) estimates of K runs; N visits so far; epsilon exploration; delta the
TD error. In a snapshot of a single run the first axis is dropped.

Reading: Sutton & Barto (2018), sections 2.2 and 5.4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gridrl.learning.lockstep import Lockstep, Rate, Schedule, rate
from gridrl.learning.outside import World
from gridrl.planning.policies import greedy
from gridrl.tables import Array, Indices, best, number, read_only, restore


@dataclass(frozen=True, eq=False)
class Prediction:
    """What every run believes after an episode; without the first axis for a single run.

    Attributes:
        V: estimated state values, (K, S), in reward units.
        returns: discounted return of the episode, (K,).
        lengths: its number of steps, (K,).
        td_error: mean size of delta over the episode, (K,), in reward units.
    """

    V: Array
    returns: Array
    lengths: Array
    td_error: Array

    def __post_init__(self) -> None:
        for values in (self.V, self.returns, self.lengths, self.td_error):
            read_only(np.asarray(values))

    __setstate__ = restore

    def __repr__(self) -> str:
        return f"Prediction({self.V.shape[-1]} states, {_runs(self.V, 1)})"


@dataclass(frozen=True, eq=False)
class Control:
    """What every run knows after an episode; without the first axis for a single run.

    Attributes:
        Q: estimated action values, (K, S, A), in reward units.
        returns: discounted return of the episode, (K,).
        lengths: its number of steps, (K,).
        td_error: mean size of delta over the episode, (K,), in reward units.
    """

    Q: Array
    returns: Array
    lengths: Array
    td_error: Array

    def __post_init__(self) -> None:
        for values in (self.Q, self.returns, self.lengths, self.td_error):
            read_only(np.asarray(values))

    __setstate__ = restore

    @property
    def policy(self) -> Array:
        """Greedy with respect to Q, ties split, (K, S, A)."""
        return greedy(self.Q)

    @property
    def V(self) -> Array:
        """max_a Q(s,a), (K, S)."""
        return self.Q.max(axis=-1)

    def __repr__(self) -> str:
        S, A = self.Q.shape[-2:]
        return f"Control({S} states, {A} actions, {_runs(self.Q, 2)})"


def rms_error(estimate: ArrayLike, exact: ArrayLike) -> Array:
    """sqrt(mean over the last axes of (estimate - exact)^2): (K, S) against (S,) -> (K,).

    >>> round(float(rms_error([0.5] * 5, np.arange(1, 6) / 6)), 8)  # Sutton & Barto, ex. 6.2
    0.23570226
    """
    truth = np.asarray(exact, dtype=np.float64)
    error = np.asarray(estimate, dtype=np.float64) - truth
    return np.sqrt((error**2).mean(axis=tuple(range(-truth.ndim, 0))))


def first_values(world: Lockstep, initial: float) -> Array:
    """V before the first episode: `initial`, and 0 where an episode is over, (K, S)."""
    V = np.where(world.terminal, 0.0, number(initial, "initial"))
    return np.tile(V, (len(world.streams), 1))


def begin_control(
    mdp: World,
    alpha: Rate,
    epsilon: Rate,
    steps: int | None,
    runs: int | None,
    rng: int | np.random.Generator | None,
    *,
    dreams: int = 0,
) -> tuple[Lockstep, Array, Array, Schedule, Schedule]:
    """What every control learner starts with: the world, Q = 0, no visits, alpha and epsilon."""
    world = Lockstep(mdp, runs, rng, steps, dreams=dreams)
    Q = np.zeros((len(world.streams), mdp.n_states, mdp.n_actions))
    return world, Q, np.zeros_like(Q), rate(alpha, "alpha"), rate(epsilon, "epsilon")


def at(Q: Array, k: Indices, s: Indices) -> Array:
    """Q(s,.) of the runs k in their states s, (n, A), stored action by action: that is fast."""
    K, S, A = Q.shape
    return np.asfortranarray(Q.reshape(K * S, A).take(k * S + s, axis=0))


def exploring(Q: Array, epsilon: Array) -> Array:
    """epsilon / A, and the rest evenly over the best: ties are broken at random, (K, A)."""
    top = best(Q)
    return top * ((1 - epsilon) / top.sum(axis=1, keepdims=True)) + epsilon / Q.shape[1]


def prediction(world: Lockstep, V: Array, sizes: Array) -> Prediction:
    """A snapshot of V after an episode; `sizes` sums up |delta|, (K,)."""
    squeeze = world.squeeze
    mean = sizes / np.maximum(world.lengths, 1)
    return Prediction(squeeze(V), squeeze(world.returns), squeeze(world.lengths), squeeze(mean))


def control(world: Lockstep, Q: Array, sizes: Array) -> Control:
    """A snapshot of Q after an episode; `sizes` sums up |delta|, (K,)."""
    squeeze = world.squeeze
    mean = sizes / np.maximum(world.lengths, 1)
    return Control(squeeze(Q), squeeze(world.returns), squeeze(world.lengths), squeeze(mean))


def _runs(values: Array, own_axes: int) -> str:
    return "1 run" if values.ndim == own_axes else f"{len(values)} runs"
