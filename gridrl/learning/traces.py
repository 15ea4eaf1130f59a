"""Eligibility traces: one TD error teaches every state on the way to it.

The trace e says how much each state, or pair, is to be held responsible; it fades by gamma lambda a
step and is set anew by `traces`, which is told the old trace of what is visited now.

Reading: Sutton & Barto (2018), chapter 12; in tables, the first edition's sections 7.3 to 7.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

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
from gridrl.tables import Array, number, whole

Traces = Callable[[Array], Array]


def accumulating(e: Array) -> Array:
    """e(s) <- e(s) + 1 on a visit.  [Sutton & Barto 2018, sec. 12.2]

    >>> accumulating(np.array([0.0, 0.5, 1.0]))
    array([1. , 1.5, 2. ])
    """
    return e + 1


def replacing(e: Array) -> Array:
    """e(s) <- 1 on a visit.  [Singh & Sutton 1996]

    >>> replacing(np.array([0.0, 0.5, 1.0]))
    array([1., 1., 1.])
    """
    return np.ones_like(e)


@algorithm
def td_lambda(
    mdp: World,
    policy: ArrayLike,
    *,
    episodes: int,
    lambda_: float,
    alpha: Rate = 0.1,
    traces: Traces = accumulating,
    initial: float = 0.0,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Prediction]:
    """V(s) <- V(s) + alpha delta e(s) for every s; lambda = 0 is `td0`.  [sec. 12.2]

    >>> from gridrl.planning import uniform_policy
    >>> from gridrl.worlds import random_walk
    >>> walk = random_walk().mdp(gamma=1)
    >>> td_lambda(walk, uniform_policy(walk), episodes=50, lambda_=0.8, runs=100, rng=0)
    Prediction(7 states, 100 runs)

    Args:
        mdp: the world.
        policy: pi(a|s), (S, A).
        episodes: how many; one snapshot each.
        lambda_: how slowly traces fade, in [0, 1].
        alpha: step size, or a function of how often the state visited now was visited.
        traces: `accumulating` or `replacing`, or another function of the old trace.
        initial: V of the states that are not terminal, before the first episode.
        steps: time limit of an episode; None needs an end that can be reached.
        runs: learners at once; None is one, without the axis.
        rng: a seed, a Generator, or None for fresh chance.

    Raises:
        ValueError: alpha or lambda outside [0, 1], no episodes, no end and no time limit.
    """
    pi = policy_of(mdp, policy)
    world = Lockstep(mdp, runs, rng, steps, policy=pi)
    step_size, fade = rate(alpha, "alpha"), mdp.gamma * number(lambda_, "lambda_", 0, 1)
    V = first_values(world, initial)
    N = np.zeros_like(V)
    for _ in range(whole(episodes, "episodes", least=1)):
        s, sizes, e = world.begin(), np.zeros(len(V)), np.zeros_like(V)
        while len(k := world.k):
            s_next, r = world.step(s, world.choose(pi[s]))
            N[k, s] += 1
            delta = r + mdp.gamma * V[k, s_next] - V[k, s]
            e[k] *= fade
            e[k, s] = traces(e[k, s])
            V[k] += (step_size(N[k, s]) * delta)[:, None] * e[k]
            sizes[k] += np.abs(delta)
            s = world.going_on(s_next)
        yield prediction(world, V, sizes)


@algorithm
def sarsa_lambda(
    mdp: World,
    *,
    episodes: int,
    lambda_: float,
    alpha: Rate = 0.1,
    epsilon: Rate = 0.1,
    traces: Traces = accumulating,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Control]:
    """Q(s,a) <- Q(s,a) + alpha delta e(s,a) for every pair; lambda = 0 is `sarsa`.  [sec. 12.7]

    >>> from gridrl.worlds import dyna_maze
    >>> sarsa_lambda(dyna_maze().mdp(gamma=0.95), episodes=5, lambda_=0.9, runs=10, rng=0)
    Control(47 states, 4 actions, 10 runs)

    Args, Raises: as `q_learning` and `td_lambda`.
    """
    world, Q, N, step_size, explore = begin_control(mdp, alpha, epsilon, steps, runs, rng)
    fade = mdp.gamma * number(lambda_, "lambda_", 0, 1)
    for episode in range(1, whole(episodes, "episodes", least=1) + 1):
        s, sizes, eps = world.begin(), np.zeros(len(Q)), explore(episode)
        a, e = world.choose(exploring(at(Q, world.k, s), eps)), np.zeros_like(Q)
        while len(k := world.k):
            s_next, r = world.step(s, a)
            a_next = world.choose_next(exploring(at(Q, k, s_next), eps))
            N[k, s, a] += 1
            delta = r + mdp.gamma * Q[k, s_next, a_next] - Q[k, s, a]
            e[k] *= fade
            e[k, s, a] = traces(e[k, s, a])
            Q[k] += (step_size(N[k, s, a]) * delta)[:, None, None] * e[k]
            sizes[k] += np.abs(delta)
            s, a = world.going_on(s_next, a_next)
        yield control(world, Q, sizes)
