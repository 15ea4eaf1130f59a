"""Returns: what an episode was worth, and how likely it was.

Symbols: rewards[..., t] is the book's R_{t+1}; G_t the return from time t; values[..., t] = V(s_t),
one more than rewards: the last one stands for all that comes after (0 where the episode is over).

Reading: lecture 004 (objective, trajectories); Sutton & Barto (2018), sections 3.3 and 12.1;
Schulman et al. (2016), arXiv:1506.02438, section 3.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from gridrl.processes import MDP
from gridrl.processes.decision import an_mdp, policy_table
from gridrl.processes.transitions import entries
from gridrl.tables import Array, Indices, indices, number, table, whole


def discounted_return(rewards: ArrayLike, gamma: float) -> Array:
    """G_0 = sum_t gamma^t R_{t+1}: (T,) -> a number, (n, T) -> (n,).  [Sutton & Barto, eq. 3.8]

    >>> float(discounted_return([0, 0, 0, 0, 1, 0, 1, 0], gamma=0.9))  # the slides' G_1
    1.187541
    """
    r, gamma = _sequence(rewards, "rewards"), number(gamma, "gamma", 0, 1)
    return np.asarray(r @ gamma ** np.arange(r.shape[-1]))[()]


def returns_to_go(rewards: ArrayLike, gamma: float) -> Array:
    """G_t = R_{t+1} + gamma G_{t+1} for every t, the shape of `rewards`.  [Sutton & Barto, eq. 3.9]

    >>> returns_to_go([1.0, 1.0, 1.0], gamma=0.5)
    array([1.75, 1.5 , 1.  ])
    """
    r = _sequence(rewards, "rewards")
    return lambda_returns(r, np.zeros((*r.shape[:-1], r.shape[-1] + 1)), gamma, 1.0)


def lambda_returns(rewards: ArrayLike, values: ArrayLike, gamma: float, lambda_: float) -> Array:
    """G_t = R_{t+1} + gamma [(1 - lambda) V(s_{t+1}) + lambda G_{t+1}], backwards from V(s_T).

    lambda = 0 is the TD target, lambda = 1 the return.  [Sutton & Barto 2018, eq. 12.2]

    Args:
        rewards: (..., T).
        values: (..., T + 1), the last one bootstraps.
        gamma: discount per step, in [0, 1].
        lambda_: in [0, 1].

    >>> lambda_returns([1.0, 1.0], [0.0, 2.0, 4.0], gamma=0.5, lambda_=0.0)
    array([2., 3.])
    """
    r, V = _with_values(rewards, values)
    gamma, lambda_ = number(gamma, "gamma", 0, 1), number(lambda_, "lambda_", 0, 1)
    G, after = np.empty_like(r), V[..., -1]
    for t in reversed(range(r.shape[-1])):
        after = G[..., t] = r[..., t] + gamma * ((1 - lambda_) * V[..., t + 1] + lambda_ * after)
    return G


def gae(rewards: ArrayLike, values: ArrayLike, gamma: float, lambda_: float) -> Array:
    """A_t = sum_k (gamma lambda)^k delta_{t+k}, delta_t = R_{t+1} + gamma V(s_{t+1}) - V(s_t).

    Generalised advantage estimation, (..., T); it equals `lambda_returns` minus V(s_t).
    [arXiv:1506.02438, eq. 16]

    >>> gae([1.0, 1.0], [0.0, 2.0, 4.0], gamma=0.5, lambda_=1.0)
    array([2.5, 1. ])
    """
    r, V = _with_values(rewards, values)
    gamma, lambda_ = number(gamma, "gamma", 0, 1), number(lambda_, "lambda_", 0, 1)
    delta = r + gamma * V[..., 1:] - V[..., :-1]
    return returns_to_go(delta, gamma * lambda_)


def n_step_advantages(rewards: ArrayLike, values: ArrayLike, gamma: float, n: int) -> Array:
    """A_t = R_{t+1} + ... + gamma^{n-1} R_{t+n} + gamma^n V(s_{t+n}) - V(s_t), (..., T).

    Where less than n steps are left, the last of `values` takes the place of V(s_{t+n}).
    [Sutton & Barto 2018, eq. 7.1; Mnih et al. 2016, arXiv:1602.01783, sec. 4]

    >>> n_step_advantages([1.0, 1.0], [0.0, 2.0, 4.0], gamma=0.5, n=1)
    array([2., 1.])
    """
    r, V = _with_values(rewards, values)
    gamma, T = number(gamma, "gamma", 0, 1), r.shape[-1]
    A = -V[..., :-1].copy()
    for j in range(min(whole(n, "n", least=1), T)):
        A[..., : T - j] += gamma**j * r[..., j:]
    reach = np.minimum(n, T - np.arange(T))
    return A + gamma**reach * V[..., np.arange(T) + reach]


def trajectory_probability(
    mdp: MDP, policy: ArrayLike, states: ArrayLike, actions: ArrayLike
) -> float:
    """P(tau|pi) = rho_0(s_0) prod_t pi(a_t|s_t) P(s_{t+1}|s_t,a_t).  [lecture 004]

    Args:
        mdp: rho_0 is its `start`.
        policy: (S, A), or (T, S, A) for a time-dependent one.
        states: s_0 .. s_T, (T + 1,).
        actions: a_0 .. a_{T-1}, (T,).

    >>> from gridrl.planning import uniform_policy
    >>> from gridrl.worlds import penguin_world
    >>> mdp = penguin_world().mdp(gamma=0.9)
    >>> trajectory_probability(mdp, uniform_policy(mdp), [0, 1, 5], [1, 2])
    0.015625
    """
    s, a = (
        indices(states, "states", an_mdp(mdp).n_states),
        indices(actions, "actions", mdp.n_actions),
    )
    if s.ndim != 1 or a.shape != (len(s) - 1,):
        raise ValueError(
            f"states must have shape (T + 1,) and actions (T,); they have {s.shape} and {a.shape}"
        )
    pi = policy_table(mdp, policy)
    if pi.ndim == 3 and len(pi) < len(a):
        raise ValueError(f"policy must cover {len(a)} steps; it has {len(pi)}")
    chosen = pi[s[:-1], a] if pi.ndim == 2 else pi[np.arange(len(a)), s[:-1], a]
    return float(mdp.start[s[0]] * np.prod(chosen * entries(mdp.P, s[:-1], a, s[1:])))


def enumerate_trajectories(
    mdp: MDP, policy: ArrayLike, horizon: int
) -> Iterator[tuple[Indices, Indices, float]]:
    """Yield every (states, actions, P(tau|pi)) of `horizon` steps that is not impossible.

    There may be S^(T+1) A^T of them: for tiny worlds, where V and Q can be had by definition.

    >>> from gridrl.worlds import random_mdp
    >>> mdp = random_mdp(2, 2, rng=0)
    >>> everything = enumerate_trajectories(mdp, [[0.5, 0.5], [1, 0]], horizon=2)
    >>> round(sum(probability for _, _, probability in everything), 12)
    1.0
    """
    T, pi = whole(horizon, "horizon", least=0), policy_table(mdp, policy)
    if pi.ndim == 3 and len(pi) < T:
        raise ValueError(f"policy must cover {T} steps; it has {len(pi)}")
    for s in np.flatnonzero(mdp.start):
        yield from _continuations(mdp, pi, T, [int(s)], [], float(mdp.start[s]))


def _continuations(
    mdp: MDP, pi: Array, T: int, states: list[int], actions: list[int], probability: float
) -> Iterator[tuple[Indices, Indices, float]]:
    """All that may happen from here to time T, depth first."""
    t, s = len(actions), states[-1]
    if t == T:
        yield np.array(states, np.intp), np.array(actions, np.intp), probability
        return
    acts = pi[s] if pi.ndim == 2 else pi[t, s]
    for a in np.flatnonzero(acts):
        row = mdp.P[s, a]
        for s_next in np.flatnonzero(row):
            p = probability * float(acts[a] * row[s_next])
            yield from _continuations(mdp, pi, T, [*states, int(s_next)], [*actions, int(a)], p)


def _sequence(rewards: ArrayLike, name: str) -> Array:
    r = table(rewards, name)
    if r.ndim == 0:
        raise ValueError(f"{name} must have shape (..., T); it is a single number")
    return r


def _with_values(rewards: ArrayLike, values: ArrayLike) -> tuple[Array, Array]:
    r = _sequence(rewards, "rewards")
    return r, table(values, "values", (*r.shape[:-1], r.shape[-1] + 1))
