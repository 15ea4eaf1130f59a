"""Bandits: one state, many arms; every pull is a chance to earn and a chance to learn.

A bandit is a decision process with one state (`gridrl.worlds.bandit`, or any other). A snapshot is
a pull. Regret is exact: what was lost in expectation by the arms pulled so far, not what luck did.

Symbols: A arms; Q[a] estimated mean, N[a] pulls so far, t number of pulls, K runs.

Reading: Sutton & Barto (2018), chapter 2; Auer, Cesa-Bianchi & Fischer (2002).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from gridrl.iterates import algorithm
from gridrl.learning.lockstep import Lockstep, Rate, rate
from gridrl.learning.snapshots import exploring
from gridrl.processes import MDP
from gridrl.processes.decision import an_mdp
from gridrl.tables import Array, number, read_only, restore, whole


@dataclass(frozen=True, eq=False)
class Pull:
    """What every run knows after a pull; without the first axis for a single run.

    Attributes:
        Q: estimated mean reward of each arm, (K, A), in reward units.
        counts: pulls of each arm, (K, A).
        regret: sum over the pulls of the best mean less the mean of the arm pulled, (K,).
        action: the arm just pulled, (K,).
    """

    Q: Array
    counts: Array
    regret: Array
    action: Array

    def __post_init__(self) -> None:
        for values in (self.Q, self.counts, self.regret, self.action):
            read_only(np.asarray(values))

    __setstate__ = restore

    def __repr__(self) -> str:
        return f"Pull({self.Q.shape[-1]} arms, after {int(self.counts.sum(axis=-1).flat[0])} pulls)"


@algorithm
def epsilon_greedy_bandit(
    bandit: MDP,
    *,
    pulls: int,
    epsilon: Rate = 0.1,
    initial: float = 0.0,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Pull]:
    """The best arm so far, and with probability epsilon any arm.  [Sutton & Barto 2018, sec. 2.4]

    >>> from gridrl.worlds import bandit
    >>> last = epsilon_greedy_bandit(bandit([0.0, 1.0]), pulls=1000, runs=100, rng=0)
    >>> bool((last.counts[:, 1] > 850).all())
    True

    Args:
        bandit: a decision process with one state.
        pulls: how many; one snapshot each.
        epsilon: exploration, or a function of the pull's number, from 1.
        initial: Q before the first pull; high values are optimistic, sec. 2.6.
        runs: learners at once; None is one, without the axis.
        rng: a seed, a Generator, or None for fresh chance.

    Raises:
        ValueError: more states than one, no pulls, epsilon outside [0, 1].
    """
    explore = rate(epsilon, "epsilon")
    return _play(bandit, pulls, runs, rng, lambda Q, N, t, _: exploring(Q, explore(t)), initial)


@algorithm
def ucb(
    bandit: MDP,
    *,
    pulls: int,
    c: float = 2.0,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Pull]:
    """argmax_a Q(a) + c sqrt(log t / N(a)), arms never pulled first.  [Sutton & Barto, eq. 2.10]

    >>> from gridrl.worlds import bandit
    >>> last = ucb(bandit([0.0, 1.0]), pulls=1000, runs=100, rng=0)
    >>> bool((last.counts[:, 1] > 850).all())
    True

    Args:
        bandit: a decision process with one state.
        pulls: how many; one snapshot each.
        c: how much uncertainty is worth, in reward units.
        runs: learners at once; None is one, without the axis.
        rng: a seed, a Generator, or None for fresh chance.

    Raises:
        ValueError: more states than one, no pulls, a negative c.
    """
    c = number(c, "c", 0)

    def choose(Q: Array, N: Array, t: int, _: Array) -> Array:
        bonus = c * np.sqrt(np.log(t) / np.maximum(N, 1))
        untried = (N == 0).any(axis=1, keepdims=True)
        return exploring(np.where(untried, (N == 0).astype(float), Q + bonus), np.zeros(()))

    return _play(bandit, pulls, runs, rng, choose, 0.0)


def gaussian_posterior(Q: Array, N: Array, uniform: Array) -> Array:
    """Draw mu_a ~ N(N Q / (N + 1), 1 / (N + 1)): rewards of variance 1, a prior N(0, 1), (K, A).

    [Russo et al. 2018, A Tutorial on Thompson Sampling, sec. 4; Agrawal & Goyal 2013]

    >>> Q, N = np.array([[0.5, 0.9]]), np.array([[3.0, 8.0]])
    >>> gaussian_posterior(Q, N, np.full((1, 2), 0.5))  # the medians
    array([[0.375, 0.8  ]])
    """
    from scipy.special import ndtri

    return (N * Q + np.sqrt(N + 1) * ndtri(uniform)) / (N + 1)


def beta_posterior(Q: Array, N: Array, uniform: Array) -> Array:
    """Draw mu_a ~ Beta(1 + N Q, 1 + N (1 - Q)): rewards 0 or 1, a uniform prior, (K, A).

    [Russo et al. 2018, A Tutorial on Thompson Sampling, sec. 3]

    >>> Q, N = np.array([[0.5, 0.9]]), np.array([[2.0, 10.0]])
    >>> beta_posterior(Q, N, np.full((1, 2), 0.5)).round(3)  # the medians
    array([[0.5  , 0.852]])

    Raises:
        ValueError: a mean outside [0, 1]: rewards were not 0 or 1.
    """
    from scipy.special import betaincinv

    if ((Q < 0) | (Q > 1)).any():
        k, a = np.argwhere((Q < 0) | (Q > 1))[0]
        raise ValueError(f"rewards must be 0 or 1 here; their mean for arm {a} is {Q[k, a]:g}")
    return np.asarray(betaincinv(1 + N * Q, 1 + N * (1 - Q), uniform))


@algorithm
def thompson(
    bandit: MDP,
    *,
    pulls: int,
    posterior: Callable[[Array, Array, Array], Array] = gaussian_posterior,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Pull]:
    """Draw a world from the posterior, and do what is best in it.  [Thompson 1933]

    An arm is pulled as often as it is likely to be the best.

    >>> from gridrl.worlds import bandit
    >>> last = thompson(bandit([0.0, 1.0]), pulls=1000, runs=100, rng=0)
    >>> bool((last.counts[:, 1] > 850).all())
    True

    Args:
        bandit: a decision process with one state.
        pulls: how many; one snapshot each.
        posterior: `gaussian_posterior`, `beta_posterior`, or another function of Q, N (K, A) and
            uniform numbers (K, A) that draws each arm's mean.
        runs: learners at once; None is one, without the axis.
        rng: a seed, a Generator, or None for fresh chance.

    Raises:
        ValueError: more states than one, no pulls, rewards that the posterior does not know.
    """

    def choose(Q: Array, N: Array, t: int, uniform: Array) -> Array:
        return exploring(posterior(Q, N, uniform), np.zeros(()))

    return _play(bandit, pulls, runs, rng, choose, 0.0, dreams=an_mdp(bandit).n_actions)


def _play(
    bandit: MDP,
    pulls: int,
    runs: int | None,
    rng: int | np.random.Generator | None,
    choose: Callable[[Array, Array, int, Array], Array],
    initial: float,
    dreams: int = 0,
) -> Iterator[Pull]:
    """Pull, and Q(a) <- Q(a) + [r - Q(a)] / N(a).  [Sutton & Barto 2018, sec. 2.4]"""
    if an_mdp(bandit).n_states != 1:
        raise ValueError(f"bandit must have one state; it has {bandit.n_states}")
    if bandit.terminal[0]:
        raise ValueError("bandit must go on after a pull; its state is terminal")
    pulls = whole(pulls, "pulls", least=1)
    world, mean = Lockstep(bandit, runs, rng, pulls + 1, dreams=dreams), bandit.R[0]
    Q = np.full((len(world.streams), len(mean)), number(initial, "initial"))
    N, regret, s = np.zeros_like(Q), np.zeros(len(Q)), world.begin()
    k, squeeze = world.k, world.squeeze
    for t in range(1, pulls + 1):
        a = world.choose(choose(Q, N, t, world.dreams.T))
        s_next, r = world.step(s, a)
        N[k, a] += 1
        Q[k, a] += (r - Q[k, a]) / N[k, a]
        regret += mean.max() - mean[a]
        s = world.going_on(s_next)
        yield Pull(squeeze(Q), squeeze(N), squeeze(regret), squeeze(a))
