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
from gridrl.learning.outside import World, policy_of
from gridrl.learning.snapshots import (
    Control,
    Prediction,
    at,
    control,
    exploring,
    first_values,
    prediction,
)
from gridrl.planning.endings import stays_for_ever
from gridrl.processes import MDP
from gridrl.processes.decision import an_mdp
from gridrl.tables import Array, Indices, distributions, table, whole


@algorithm
def mc_prediction(
    mdp: World,
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
    pi = policy_of(mdp, policy)
    world = Lockstep(mdp, runs, rng, steps, policy=pi)
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
    mdp: World,
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
    Q = np.zeros((len(world.streams), mdp.n_states, mdp.n_actions))
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


@algorithm
def mc_exploring_starts(
    mdp: MDP,
    *,
    episodes: int,
    starts: ArrayLike | None = None,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Control]:
    """Q(s,a) <- the mean of the returns after first visits, acting greedily but for the start.

    Every episode begins with a pair (s, a) drawn from `starts`, and goes on with the greedy policy
    of the moment: it explores by where it begins.  [Monte Carlo ES, sec. 5.3]

    >>> from gridrl.worlds import sutton_4x4
    >>> mc_exploring_starts(sutton_4x4().mdp(gamma=1), episodes=50, steps=50, runs=10, rng=0)
    Control(16 states, 4 actions, 10 runs)

    Args:
        mdp: the world.
        episodes: how many; one snapshot each.
        starts: Pr(s_0, a_0), (S, A), not 0 where one can act; None is uniform over those pairs.
        steps: time limit of an episode, whose return is then cut short. A greedy policy may go
            round in circles: None is refused unless every policy ends.
        runs: learners at once; None is one, without the axis.
        rng: a seed, a Generator, or None for fresh chance.

    Raises:
        ValueError: a pair that is never a start (it is named); no episodes; no time limit, and a
            policy that never ends from some state (it is named).
    """
    pairs = _exploring_starts(mdp, starts)
    if steps is None and (loops := stays_for_ever(mdp)).any():
        raise ValueError(
            "steps must be given: there is a policy that never ends from states"
            f" {mdp.named(np.flatnonzero(loops))}, and a greedy one may be it"
        )
    world = Lockstep(mdp.replace(start=pairs.sum(axis=1)), runs, rng, steps)
    first = pairs / np.where(mdp.terminal, 1.0, pairs.sum(axis=1))[:, None]  # Pr(a_0|s_0)
    Q = np.zeros((len(world.streams), *mdp.R.shape))
    N, rows = np.zeros_like(Q), (len(Q), -1)
    for _ in range(whole(episodes, "episodes", least=1)):
        episode, s = Episode(len(Q)), world.begin()
        a = world.choose(first[s])
        while len(k := world.k):
            s_next, r = world.step(s, a)
            episode.add(k, s * mdp.n_actions + a, r)
            a_next = world.choose_next(exploring(at(Q, k, s_next), np.zeros(())))
            s, a = world.going_on(s_next, a_next)
        sizes = episode.average_into(Q.reshape(rows), N.reshape(rows), mdp.gamma)
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


def _exploring_starts(mdp: MDP, starts: ArrayLike | None) -> Array:
    """Pr(s_0, a_0), (S, A), checked: every pair where one can act has a chance."""
    acts = ~an_mdp(mdp).terminal
    if starts is None and not acts.any():
        return np.repeat(mdp.start[:, None] / mdp.n_actions, mdp.n_actions, axis=1)
    if starts is None:
        return np.repeat(acts[:, None] / (acts.sum() * mdp.n_actions), mdp.n_actions, axis=1)
    pairs = table(starts, "starts", mdp.R.shape)
    distributions(pairs.ravel(), "starts, all of it,")
    missing = np.argwhere((pairs == 0) & acts[:, None])
    if len(missing):
        s, a = missing[0]
        raise ValueError(
            f"starts must give every pair a chance; starts[{s}, {a}] is 0:"
            f" {mdp.action_labels[a]!r} in state {mdp.labels[s]} is never explored"
        )
    return pairs
