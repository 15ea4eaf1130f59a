"""Off-policy prediction: learning about one policy from the experience of another.

The return of an episode counts as much as it is likelier under the target than under the behaviour:
rho_{t:T} = prod_{i=t}^{T-1} pi(a_i|s_i) / b(a_i|s_i).

Reading: Sutton & Barto (2018), sections 5.5 to 5.7.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from gridrl.iterates import algorithm
from gridrl.learning.lockstep import Lockstep
from gridrl.learning.monte_carlo import Episode
from gridrl.learning.outside import World, policy_of
from gridrl.learning.snapshots import Prediction, first_values, prediction
from gridrl.tables import Array, whole


@algorithm
def off_policy_mc(
    mdp: World,
    target: ArrayLike,
    behaviour: ArrayLike,
    *,
    episodes: int,
    weighted: bool = True,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Prediction]:
    """V(s) <- sum rho G / sum rho over first visits; not `weighted`, sum rho G / N.  [eq. 5.5, 5.6]

    Ordinary importance sampling (weighted=False) is unbiased, its variance may be infinite;
    weighted is biased at first, and mostly far better.

    >>> from gridrl.planning import deterministic_policy, uniform_policy
    >>> from gridrl.worlds import random_walk
    >>> walk = random_walk(3).mdp(gamma=0.9)
    >>> right = deterministic_policy([1] * 5, n_actions=2)
    >>> V = off_policy_mc(walk, right, uniform_policy(walk), episodes=500, rng=0).V
    >>> V[1:-1].round(2)  # always right: 0.9^2, 0.9, 1
    array([0.81, 0.9 , 1.  ])

    Args:
        mdp: the world.
        target: pi(a|s), (S, A), whose values are estimated.
        behaviour: b(a|s), (S, A), which acts; it must try whatever the target does.
        episodes: how many; one snapshot each.
        weighted: divide by the weights rather than by the visits.
        steps: time limit of an episode, whose return is then cut short; None needs an end.
        runs: learners at once; None is one, without the axis.
        rng: a seed, a Generator, or None for fresh chance.

    Raises:
        ValueError: the behaviour never takes an action that the target takes (it is named); no
            episodes; no end and no time limit.
    """
    pi, b = policy_of(mdp, target), policy_of(mdp, behaviour)
    _check_coverage(mdp, pi, b)
    world = Lockstep(mdp, runs, rng, steps, policy=b)
    V, ratio = first_values(world, 0.0), pi / np.where(b > 0, b, 1.0)
    C = np.zeros_like(V)  # the weights, or the visits, so far
    for _ in range(whole(episodes, "episodes", least=1)):
        episode, rhos, s = Episode(len(V)), [], world.begin()
        while len(world.k):
            a = world.choose(b[s])
            s_next, r = world.step(s, a)
            episode.add(world.k, s, r)
            rhos.append(ratio[s, a])
            s = world.going_on(s_next)
        sizes = _fold(episode, rhos, V, C, mdp.gamma, weighted=weighted)
        yield prediction(world, V, sizes)


def _fold(
    episode: Episode, rhos: list[Array], V: Array, C: Array, gamma: float, *, weighted: bool
) -> Array:
    """Backwards through the episode: the return, its weight, and the mean they move."""
    G, rho, sizes = np.zeros(len(V)), np.ones(len(V)), np.zeros(len(V))
    first = episode.first_visits(V.shape[1])
    for t in reversed(range(len(rhos))):
        k, s, r = episode.steps[t]
        G[k], rho[k] = r + gamma * G[k], rhos[t] * rho[k]
        k, s = k[first[t]], s[first[t]]
        C[k, s] += rho[k] if weighted else 1.0
        share = rho[k] / np.where(C[k, s] > 0, C[k, s], 1.0)
        delta = share * G[k] - (share if weighted else 1 / C[k, s]) * V[k, s]
        V[k, s] += delta
        sizes[k] += np.abs(delta)
    return sizes


def _check_coverage(mdp: World, pi: Array, b: Array) -> None:
    missing = np.argwhere((pi > 0) & (b == 0) & ~mdp.terminal[:, None])
    if len(missing):
        s, a = missing[0]
        raise ValueError(
            f"behaviour must try whatever target does; behaviour[{s}, {a}] is 0 where target takes"
            f" {mdp.action_labels[a]!r} in state {mdp.labels[s]}"
        )
