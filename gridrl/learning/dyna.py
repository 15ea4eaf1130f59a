"""Dyna: learn a model on the way, and practise in it between the steps.

Reading: Sutton & Barto (2018), section 8.2.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gridrl.iterates import algorithm
from gridrl.learning.lockstep import Rate
from gridrl.learning.outside import World
from gridrl.learning.snapshots import Control, at, begin_control, control, exploring
from gridrl.tables import Array, Indices, whole


@algorithm
def dyna_q(
    mdp: World,
    *,
    episodes: int,
    planning: int = 10,
    alpha: Rate = 0.1,
    epsilon: Rate = 0.1,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Control]:
    """Q-learning, and after each step `planning` more updates from what was seen last.  [sec. 8.2]

    The model remembers, for each pair tried, the next state and the reward of the last time: right
    where nothing is left to chance. planning = 0 is `q_learning`.

    >>> from gridrl.worlds import dyna_maze
    >>> maze = dyna_maze().mdp(gamma=0.95)
    >>> last = dyna_q(maze, episodes=10, planning=50, runs=10, rng=0)
    >>> bool(last.lengths.mean() < 40)  # 14 is the shortest way
    True

    Args:
        mdp: the world.
        episodes: how many; one snapshot each.
        planning: updates from the model after each step.
        alpha: step size, or a function of how often the pair (s, a) was updated.
        epsilon: exploration, or a function of the episode's number, from 1.
        steps: time limit of an episode; None needs an end that can be reached.
        runs: learners at once; None is one, without the axis.
        rng: a seed, a Generator, or None for fresh chance.

    Raises:
        ValueError: alpha or epsilon outside [0, 1], no episodes, no end and no time limit.
    """
    dreams = whole(planning, "planning", least=0)
    world, Q, N, step_size, explore = begin_control(
        mdp, alpha, epsilon, steps, runs, rng, dreams=dreams
    )
    model = _Model(len(Q), Q[0].size)
    for episode in range(1, whole(episodes, "episodes", least=1) + 1):
        s, sizes, eps = world.begin(), np.zeros(len(Q)), explore(episode)
        while len(k := world.k):
            a = world.choose(exploring(at(Q, k, s), eps))
            s_next, r = world.step(s, a)
            delta = r + mdp.gamma * at(Q, k, s_next).max(axis=1) - Q[k, s, a]
            N[k, s, a] += 1
            Q[k, s, a] += step_size(N[k, s, a]) * delta
            model.remember(k, s * mdp.n_actions + a, s_next, r)
            for uniform in world.dreams:
                pair, to, paid = model.recall(k, uniform)
                was = pair // mdp.n_actions, pair % mdp.n_actions
                target = paid + mdp.gamma * at(Q, k, to).max(axis=1)
                N[k, *was] += 1
                Q[k, *was] += step_size(N[k, *was]) * (target - Q[k, *was])
            sizes[k] += np.abs(delta)
            s = world.going_on(s_next)
        yield control(world, Q, sizes)


class _Model:
    """What each run remembers of every pair s * A + a that it tried: (K, S * A)."""

    def __init__(self, K: int, pairs: int) -> None:
        self.s_next, self.r = np.zeros((K, pairs), np.intp), np.zeros((K, pairs))
        self.tried, self.known = np.zeros((K, pairs), np.intp), np.zeros((K, pairs), bool)
        self.count = np.zeros(K, np.intp)

    def remember(self, k: Indices, pair: Indices, s_next: Indices, r: Array) -> None:
        """Keep what a pair led to; a new one is put at the end of the list of those tried."""
        new = ~self.known[k, pair]
        self.tried[k[new], self.count[k[new]]] = pair[new]
        self.count[k[new]] += 1
        self.known[k, pair], self.s_next[k, pair], self.r[k, pair] = True, s_next, r

    def recall(self, k: Indices, uniform: Array) -> tuple[Indices, Indices, Array]:
        """Draw one of the pairs tried, evenly: the pair, where it led, what it paid."""
        pair = self.tried[k, (uniform * self.count[k]).astype(np.intp)]
        return pair, self.s_next[k, pair], self.r[k, pair]
