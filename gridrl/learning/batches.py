"""Batches of episodes: n of each of K runs, side by side, each run under a policy of its own.

Policies are softmax tables over what is seen: states of an MDP, observations of a POMDP. The first
axes are always (K, n): run, episode. After an episode's end: action 0, reward 0, `alive` False.

Symbols: K runs, n episodes, T steps of the longest, Z things to see (states or observations).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gridrl.learning.lockstep import Lockstep
from gridrl.learning.outside import SampledProcess, World
from gridrl.learning.simulation import behind
from gridrl.processes import POMDP
from gridrl.tables import Array, Indices, Mask, draw, table, whole

Estimate = Callable[[Array, Array, float], Array]  # (rewards, values, gamma) -> advantages


@dataclass(frozen=True, eq=False)
class Experience:
    """What happened in a batch.

    Attributes:
        seen: o_t, or s_t where states are seen, (K, n, T + 1).
        actions: a_t, (K, n, T).
        rewards: R_{t+1}, (K, n, T), in reward units.
        alive: True where a step was made, (K, n, T).
        cut: True at the last step of an episode that was cut off, not terminated, (K, n, T).
        uniforms: numbers in [0, 1) for whoever shuffles the steps, (K, n, T, dreams).
        gamma: discount per step.
    """

    seen: Indices
    actions: Indices
    rewards: Array
    alive: Mask
    cut: Mask
    uniforms: Array
    gamma: float

    @property
    def weights(self) -> Array:
        """gamma^t where a step was made, else 0, (K, n, T)."""
        return self.alive * self.gamma ** np.arange(self.alive.shape[2])

    @property
    def returns(self) -> Array:
        """Discounted return of each run's episodes, on average, (K,)."""
        return (self.weights * self.rewards).sum(axis=2).mean(axis=1)

    def advantages(self, V: Array, estimate: Estimate) -> Array:
        """An estimate of A(o_t, a_t) with the critic V (K, Z), 0 after the end, (K, n, T).

        An episode that was cut off goes on in the critic's eyes: its last reward is followed by
        gamma V(o_T); one that terminated by nothing.
        """
        values = V[np.arange(len(V))[:, None, None], self.seen]
        rewards = self.rewards + self.gamma * values[..., 1:] * self.cut
        values *= np.concatenate([self.alive, np.zeros((*self.alive.shape[:2], 1), bool)], axis=2)
        return np.where(self.alive, estimate(rewards, values, self.gamma), 0.0)

    @property
    def lengths(self) -> Array:
        """Steps of each run's episodes, on average, (K,)."""
        return self.alive.sum(axis=2).mean(axis=1)


class Batches:
    """Draws one batch after the other, as K learners meet the world.

    Args:
        mdp: the world: an MDP, a POMDP whose states show something, or a `SampledProcess`.
        episodes: n, of each run.
        steps: time limit of an episode; None needs an end that can be reached from everywhere.
        runs: K; None is one run, whose axis `squeeze` drops.
        rng: a seed, a Generator (which gives one), or None for fresh chance.
        dreams: uniforms for each step, for whoever shuffles them.
    """

    def __init__(
        self,
        mdp: World | POMDP,
        episodes: int,
        steps: int | None,
        runs: int | None,
        rng: int | np.random.Generator | None,
        *,
        dreams: int = 0,
    ) -> None:
        model, self.O = behind(mdp)
        self.squeezed, self.n = runs is None, whole(episodes, "episodes", least=1)
        self.K = whole(1 if runs is None else runs, "runs", least=1)
        if isinstance(model, SampledProcess):  # which knows one episode at a time
            self.together, slots = 1, runs
        else:
            self.together, slots = self.n, self.K * self.n
        self.world = Lockstep(model, slots, rng, steps, dreams=dreams, block=32)
        self.shape = model.n_states if self.O is None else self.O.shape[1], model.n_actions

    def first_logits(self, theta: ArrayLike | None) -> Array:
        """theta for each run, (K, Z, A): as given, (Z, A), or 0, which is uniform."""
        first = np.zeros(self.shape) if theta is None else table(theta, "theta", self.shape)
        return np.tile(first, (self.K, 1, 1))

    def collect(self, pi: Array) -> Experience:
        """Draw n episodes of every run under its policy, `pi` (K, Z, A)."""
        world, steps = self.world, []
        for i in range(0, self.n, self.together):
            s, t = world.begin(), 0
            o = self._look(s, world.opening[world.k])
            while len(k := world.k):
                a = world.choose(pi[k // self.together, o])
                s_next, r = world.step(s, a)
                o_next = self._look(s_next, world.chance[3])
                over = world.terminal[s_next]
                steps.append((k + i, np.full(len(k), t), o, a, r, o_next, over, world.dreams.T))
                s, o = world.going_on(s_next, o_next)
                t += 1
        return self._side_by_side(steps)

    def squeeze(self, values: Array) -> Array:
        """A copy for a snapshot, without the runs' axis if nobody asked for one."""
        return values[0].copy() if self.squeezed else values.copy()

    def _look(self, s: Indices, uniform: Array) -> Indices:
        """What is seen in the states s: themselves, or something drawn from O."""
        return s if self.O is None else draw(self.O[s], uniform)

    def _side_by_side(self, steps: list[tuple[Any, ...]]) -> Experience:
        columns = [np.concatenate(column) for column in zip(*steps, strict=True)] if steps else []
        k, t, o, a, r, o_next, over, uniforms = columns or [np.zeros(0, np.intp)] * 8
        slots, T = self.K * self.n, 1 + int(t.max(initial=-1))

        def placed(column: Array, more: int = 0) -> Any:
            table = np.zeros((slots, T + more, *column.shape[1:]), column.dtype)
            table[k, t] = column
            return table.reshape(self.K, self.n, *table.shape[1:])

        seen, alive = placed(o, 1), placed(np.ones(len(t), bool))
        seen.reshape(slots, T + 1)[k, t + 1] = o_next
        last = alive.reshape(slots, T).sum(axis=1)[k] == t + 1
        cut = placed(last & ~over.astype(bool))
        return Experience(
            seen, placed(a), placed(r), alive, cut, placed(uniforms), self.world.mdp.gamma
        )
