"""Temporal differences: learning a guess from a guess, after every step.

Every learner is the book's box, with an axis more: K runs step in lock-step. The model is used to
draw the next state and reward, nothing else. Learners refer to `Lockstep` for what runs share.

Symbols: Q (K, S, A), V (K, S) estimates; N visits so far; alpha step size, epsilon exploration,
each a number or a function of the visit, or episode, count; delta the TD error.

Reading: Sutton & Barto (2018), chapter 6.
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
    begin_control,
    control,
    exploring,
    first_values,
    prediction,
)
from gridrl.tables import whole


@algorithm
def td0(
    mdp: World,
    policy: ArrayLike,
    *,
    episodes: int,
    alpha: Rate = 0.1,
    initial: float = 0.0,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Prediction]:
    """V(s) <- V(s) + alpha [r + gamma V(s') - V(s)], following `policy`.  [sec. 6.1]

    >>> from gridrl.planning import uniform_policy
    >>> from gridrl.worlds import random_walk
    >>> walk = random_walk().mdp(gamma=1)
    >>> V = td0(walk, uniform_policy(walk), episodes=2000, alpha=lambda n: 1 / n**0.7, rng=0).V
    >>> bool(np.abs(V[1:-1] - np.arange(1, 6) / 6).max() < 0.05)
    True

    Args:
        mdp: the world.
        policy: pi(a|s), (S, A).
        episodes: how many; one snapshot each.
        alpha: step size, or a function of how often the state was visited.
        initial: V of the states that are not terminal, before the first episode.
        steps: time limit of an episode; None needs an end that can be reached.
        runs: learners at once; None is one, without the axis.
        rng: a seed, a Generator, or None for fresh chance.

    Raises:
        ValueError: alpha outside [0, 1], no episodes, no end and no time limit.
    """
    pi = policy_of(mdp, policy)
    world = Lockstep(mdp, runs, rng, steps, policy=pi)
    step_size, V = rate(alpha, "alpha"), first_values(world, initial)
    N = np.zeros_like(V)
    for _ in range(whole(episodes, "episodes", least=1)):
        s, sizes = world.begin(), np.zeros(len(V))
        while len(k := world.k):
            s_next, r = world.step(s, world.choose(pi[s]))
            N[k, s] += 1
            delta = r + mdp.gamma * V[k, s_next] - V[k, s]
            V[k, s] += step_size(N[k, s]) * delta
            sizes[k] += np.abs(delta)
            s = world.going_on(s_next)
        yield prediction(world, V, sizes)


@algorithm
def sarsa(
    mdp: World,
    *,
    episodes: int,
    alpha: Rate = 0.1,
    epsilon: Rate = 0.1,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Control]:
    """Q(s,a) <- Q(s,a) + alpha [r + gamma Q(s',a') - Q(s,a)], a' the action taken next.  [sec. 6.4]

    >>> from gridrl.worlds import cliff_walking
    >>> learned = sarsa(cliff_walking().mdp(gamma=1), episodes=300, alpha=0.5, runs=20, rng=0)
    >>> learned
    Control(38 states, 4 actions, 20 runs)

    Args, Raises: as `q_learning`.
    """
    world, Q, N, step_size, explore = begin_control(mdp, alpha, epsilon, steps, runs, rng)
    for episode in range(1, whole(episodes, "episodes", least=1) + 1):
        s, sizes, eps = world.begin(), np.zeros(len(Q)), explore(episode)
        a = world.choose(exploring(at(Q, world.k, s), eps))
        while len(k := world.k):
            s_next, r = world.step(s, a)
            a_next = world.choose_next(exploring(at(Q, k, s_next), eps))
            N[k, s, a] += 1
            delta = r + mdp.gamma * Q[k, s_next, a_next] - Q[k, s, a]
            Q[k, s, a] += step_size(N[k, s, a]) * delta
            sizes[k] += np.abs(delta)
            s, a = world.going_on(s_next, a_next)
        yield control(world, Q, sizes)


@algorithm
def expected_sarsa(
    mdp: World,
    *,
    episodes: int,
    alpha: Rate = 0.1,
    epsilon: Rate = 0.1,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Control]:
    """Q(s,a) <- Q(s,a) + alpha [r + gamma sum_a' pi(a'|s') Q(s',a') - Q(s,a)].  [eq. 6.9]

    Args, Raises: as `q_learning`.

    >>> from gridrl.worlds import cliff_walking
    >>> cliff = cliff_walking().mdp(gamma=1)
    >>> learned = expected_sarsa(cliff, episodes=500, alpha=1.0, epsilon=0, rng=0)
    >>> float(learned.V[36])  # greedy: the best way, as q_learning
    -13.0
    """
    world, Q, N, step_size, explore = begin_control(mdp, alpha, epsilon, steps, runs, rng)
    for episode in range(1, whole(episodes, "episodes", least=1) + 1):
        s, sizes, eps = world.begin(), np.zeros(len(Q)), explore(episode)
        while len(k := world.k):
            a = world.choose(exploring(at(Q, k, s), eps))
            s_next, r = world.step(s, a)
            Q_next = at(Q, k, s_next)
            ahead = (exploring(Q_next, eps) * Q_next).sum(axis=1)
            N[k, s, a] += 1
            delta = r + mdp.gamma * ahead - Q[k, s, a]
            Q[k, s, a] += step_size(N[k, s, a]) * delta
            sizes[k] += np.abs(delta)
            s = world.going_on(s_next)
        yield control(world, Q, sizes)


@algorithm
def q_learning(
    mdp: World,
    *,
    episodes: int,
    alpha: Rate = 0.1,
    epsilon: Rate = 0.1,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Control]:
    """Q(s,a) <- Q(s,a) + alpha [r + gamma max_a' Q(s',a') - Q(s,a)].  [sec. 6.5]

    >>> from gridrl.worlds import cliff_walking
    >>> learned = q_learning(cliff_walking().mdp(gamma=1), episodes=500, alpha=1.0, rng=0)
    >>> float(learned.V[36])  # the best way pays -13, and here nothing is left to chance
    -13.0

    Args:
        mdp: the world.
        episodes: how many; one snapshot each, when the slowest run is through.
        alpha: step size, or a function of how often the pair (s, a) was visited.
        epsilon: exploration, or a function of the episode's number, from 1.
        steps: time limit of an episode; None needs an end that can be reached.
        runs: learners at once; None is one, without the axis.
        rng: a seed, a Generator, or None for fresh chance.

    Raises:
        ValueError: alpha or epsilon outside [0, 1], no episodes, no end and no time limit.
    """
    world, Q, N, step_size, explore = begin_control(mdp, alpha, epsilon, steps, runs, rng)
    for episode in range(1, whole(episodes, "episodes", least=1) + 1):
        s, sizes, eps = world.begin(), np.zeros(len(Q)), explore(episode)
        while len(k := world.k):
            a = world.choose(exploring(at(Q, k, s), eps))
            s_next, r = world.step(s, a)
            N[k, s, a] += 1
            delta = r + mdp.gamma * at(Q, k, s_next).max(axis=1) - Q[k, s, a]
            Q[k, s, a] += step_size(N[k, s, a]) * delta
            sizes[k] += np.abs(delta)
            s = world.going_on(s_next)
        yield control(world, Q, sizes)
