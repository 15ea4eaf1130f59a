"""Monte Carlo: wait for the end of the episode, and average the returns.

Symbols: G return from a visit on; V, Q running means over the returns of N visits.

Reading: Sutton & Barto (2018), chapter 5.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from gridrl.iterates import algorithm
from gridrl.learning.lockstep import Lockstep, Rate, rate
from gridrl.learning.snapshots import (
    Control,
    Prediction,
    at,
    control,
    exploring,
    first_values,
    prediction,
)
from gridrl.planning.bellman import stationary_policy
from gridrl.processes import MDP
from gridrl.tables import Array, Indices, whole


@algorithm
def mc_prediction(
    mdp: MDP,
    policy: ArrayLike,
    *,
    episodes: int,
    first_visit: bool = True,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Prediction]:
    """V(s) <- the mean of the returns that followed visits to s.  [sec. 5.1]

    >>> from gridrl.planning import uniform_policy
    >>> from gridrl.worlds import random_walk
    >>> walk = random_walk().mdp(gamma=1)
    >>> V = mc_prediction(walk, uniform_policy(walk), episodes=3000, rng=0).V
    >>> bool(np.abs(V[1:-1] - np.arange(1, 6) / 6).max() < 0.05)
    True

    Args:
        mdp: the world.
        policy: pi(a|s), (S, A).
        episodes: how many; one snapshot each.
        first_visit: count only the first visit of an episode to each state; else every visit.
        steps: time limit of an episode, whose return is then cut short; None needs an end.
        runs: learners at once; None is one, without the axis.
        rng: a seed, a Generator, or None for fresh chance.

    Raises:
        ValueError: no episodes, no end and no time limit.
    """
    world, pi = Lockstep(mdp, runs, rng, steps), stationary_policy(mdp, policy)
    V = first_values(world, 0.0)
    N = np.zeros_like(V)
    for _ in range(whole(episodes, "episodes", least=1)):
        episode = Episode(len(V))
        s = world.begin()
        while len(k := world.k):
            s_next, r = world.step(s, world.choose(pi[s]))
            episode.add(k, s, r)
            s = world.going_on(s_next)
        sizes = episode.average_into(V, N, mdp.gamma, first_visit=first_visit)
        yield prediction(world, V, sizes)


@algorithm
def mc_control(
    mdp: MDP,
    *,
    episodes: int,
    epsilon: Rate = 0.1,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Control]:
    """Q(s,a) <- the mean of the returns after first visits, acting epsilon-greedily.  [sec. 5.4]

    >>> from gridrl.worlds import sutton_4x4
    >>> learned = mc_control(sutton_4x4().mdp(gamma=1), episodes=20, epsilon=0.5, runs=10, rng=0)
    >>> learned
    Control(16 states, 4 actions, 10 runs)

    Args, Raises: as `q_learning`, without alpha.
    """
    world, explore = Lockstep(mdp, runs, rng, steps), rate(epsilon, "epsilon")
    Q = np.zeros((len(world.streams), *mdp.R.shape))
    N, pairs = np.zeros_like(Q), (len(Q), -1)
    for number in range(1, whole(episodes, "episodes", least=1) + 1):
        episode, eps = Episode(len(Q)), explore(number)
        s = world.begin()
        while len(k := world.k):
            a = world.choose(exploring(at(Q, k, s), eps))
            s_next, r = world.step(s, a)
            episode.add(k, s * mdp.n_actions + a, r)
            s = world.going_on(s_next)
        sizes = episode.average_into(Q.reshape(pairs), N.reshape(pairs), mdp.gamma)
        yield control(world, Q, sizes)


class Episode:
    """What happened in every run, step by step: the index visited (state or pair), the reward."""

    def __init__(self, K: int) -> None:
        self.K = K
        self.steps: list[tuple[Indices, Indices, Array]] = []

    def add(self, k: Indices, visited: Indices, r: Array) -> None:
        """Note a step of the runs k."""
        self.steps.append((k, visited, r))

    def average_into(
        self, mean: Array, N: Array, gamma: float, *, first_visit: bool = True
    ) -> Array:
        """Fold the returns into `mean` (K, n) of `N` visits; return the sum of |G - mean|, (K,)."""
        sizes, G = np.zeros(self.K), np.zeros(self.K)
        first = self.first_visits(mean.shape[1])
        for t in reversed(range(len(self.steps))):
            k, visited, r = self.steps[t]
            G[k] = r + gamma * G[k]
            counts = first[t] if first_visit else slice(None)
            k, visited = k[counts], visited[counts]
            N[k, visited] += 1
            delta = G[k] - mean[k, visited]
            mean[k, visited] += delta / N[k, visited]
            sizes[k] += np.abs(delta)
        return sizes

    def first_visits(self, n: int) -> list[Array]:
        """True where a run is at an index for the first time, for each step."""
        seen, first = np.zeros((self.K, n), bool), []
        for k, visited, _ in self.steps:
            first.append(~seen[k, visited])
            seen[k, visited] = True
        return first
