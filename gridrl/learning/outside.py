"""Worlds without tables: somebody else's environment, tried one episode at a time.

`gridrl.envs.as_process(env, gamma)` makes one of any discrete Gymnasium environment; learners take
it in the place of an MDP. There is no exact answer to such a world, and only one run at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gridrl.planning.bellman import stationary_policy
from gridrl.processes import MDP
from gridrl.processes.transitions import Sampler
from gridrl.tables import Array, Indices, Mask, distributions, index, number


@dataclass(frozen=True, eq=False)
class SampledProcess:
    """A decision process that can be tried, and not looked up.

    Attributes:
        reset: begins an episode: a seed, or None to go on with the same chance -> s_0.
        step: does an action -> s', reward, terminated, truncated.
        n_states: S, the end included: the last state, entered whenever an episode terminates.
        n_actions: A.
        gamma: discount per step.
        labels, action_labels: names of states and actions.
    """

    reset: Callable[[int | None], int]
    step: Callable[[int], tuple[int, float, bool, bool]]
    n_states: int
    n_actions: int
    gamma: float
    labels: tuple[str, ...]
    action_labels: tuple[str, ...]

    @property
    def terminal(self) -> Mask:
        """True for the last state, the end, (S,)."""
        return np.arange(self.n_states) == self.n_states - 1

    def __repr__(self) -> str:
        size = f"{self.n_states} states, {self.n_actions} actions"
        return f"SampledProcess({size}, gamma={self.gamma:g})"


World = MDP | SampledProcess


class Tables:
    """First states, next states and rewards of K runs, drawn from what an MDP was given."""

    def __init__(self, mdp: MDP) -> None:
        self.starts, self.moves, self.payment = (
            Sampler(mdp.start[None]),
            Sampler(mdp.P),
            mdp.payment,
        )
        self.n_actions, self.cut = mdp.n_actions, np.False_

    def first(self, uniform: Array) -> Indices:
        """s_0 for each run, (K,)."""
        return self.starts.draw(np.zeros(len(uniform), np.intp), uniform)

    def next(self, s: Indices, a: Indices, uniform: Array) -> tuple[Indices, Array]:
        """s' and r for each run, (n,), given uniforms for the move and the reward, (2, n)."""
        s_next = self.moves.draw(s * self.n_actions + a, uniform[0])
        return s_next, self.payment.draw(s, a, s_next, uniform[1])


class Trial:
    """The same, of a single run, asked of a world that has chance of its own."""

    def __init__(self, process: SampledProcess, seed: int) -> None:
        self.process = process
        self.seed: int | None = seed
        self.cut = False  # the last step was cut off: truncated, not terminated

    def first(self, uniform: Array) -> Indices:
        """s_0, (1,); the first episode is seeded, the others go on from there."""
        s, self.seed, self.cut = self.process.reset(self.seed), None, False
        return np.array([index(s, "the state of reset()", self.process.n_states)])

    def next(self, s: Indices, a: Indices, uniform: Array) -> tuple[Indices, Array]:
        """s' and r, (1,)."""
        s_next, r, over, self.cut = self.process.step(int(a[0]))
        end = self.process.n_states - 1
        s_next = end if over else index(s_next, "the state of step()", end)
        return np.array([s_next]), np.array([number(r, "the reward of step()")])


def policy_of(mdp: World, policy: ArrayLike) -> Array:
    """Check a policy that does not depend on the time, (S, A)."""
    if isinstance(mdp, SampledProcess):
        return distributions(policy, "policy", (mdp.n_states, mdp.n_actions))
    return stationary_policy(mdp, policy)
