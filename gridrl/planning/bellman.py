"""Bellman's equations: what states and actions are worth, under a policy and at best.

Symbols: V[s], Q[s, a] values, in reward units; pi[s, a] a policy; rho[s, a] discounted occupancy;
J the expected return from the start. A time-dependent policy (T, S, A) has V (T + 1, S) and
Q (T, S, A).

Reading: lecture 004 (value functions); Sutton & Barto (2018), sections 3.5, 3.6 and 4.1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gridrl.processes import MDP
from gridrl.processes.decision import an_mdp, policy_table
from gridrl.processes.transitions import average_over_actions, solve_linear, stacked
from gridrl.tables import Array, index, table


def action_values(mdp: MDP, V: ArrayLike) -> Array:
    """Q(s,a) = R(s,a) + gamma sum_s' P(s'|s,a) V(s'), (S, A).  [Sutton & Barto 2018, eq. 4.6]

    >>> from gridrl.worlds import forest
    >>> action_values(forest(), [0.0, 0.0, 10.0])
    array([[ 0. ,  0. ],
           [ 8.1,  1. ],
           [12.1,  2. ]])
    """
    V = table(V, "V", (an_mdp(mdp).n_states,))
    return mdp.R + mdp.gamma * (mdp.P @ V)


def state_values(mdp: MDP, policy: ArrayLike) -> Array:
    """V^pi(s) = E[sum_t gamma^t r_{t+1} | s_0 = s], in closed form, (S,).  [lecture 004]

    V = (I - gamma P_pi)^-1 R_pi. A time-dependent policy (T, S, A) has one V a time, (T + 1, S),
    the last one 0: nothing counts after its T steps.

    >>> from gridrl.planning import uniform_policy
    >>> from gridrl.worlds import sutton_4x4
    >>> mdp = sutton_4x4().mdp(gamma=1)
    >>> state_values(mdp, uniform_policy(mdp))[:4].round(9)
    array([  0., -14., -20., -22.])

    Raises:
        ValueError: gamma = 1 and under `policy` some states are paid for ever; they are named.
    """
    pi = policy_table(mdp, policy)
    if pi.ndim == 2:
        return mdp.under(pi).values()
    V = np.zeros((len(pi) + 1, mdp.n_states))
    for t in reversed(range(len(pi))):
        V[t] = (pi[t] * action_values(mdp, V[t + 1])).sum(axis=1)
    return V


def q_values(mdp: MDP, policy: ArrayLike) -> Array:
    """Q^pi(s,a) = E[sum_t gamma^t r_{t+1} | s_0 = s, a_0 = a], (S, A) or (T, S, A).  [lecture 004]

    V^pi(s) = sum_a pi(a|s) Q^pi(s,a).

    >>> from gridrl.worlds import forest
    >>> q_values(forest(), [[1, 0], [1, 0], [1, 0]]).round(3)
    array([[26.244, 23.62 ],
           [29.484, 24.62 ],
           [33.484, 25.62 ]])
    """
    V = state_values(mdp, policy)
    if V.ndim == 1:
        return action_values(mdp, V)
    return np.array([action_values(mdp, after) for after in V[1:]])


def advantages(mdp: MDP, policy: ArrayLike) -> Array:
    """A^pi(s,a) = Q^pi(s,a) - V^pi(s), and sum_a pi A = 0; shape of `policy`.  [lecture 004]

    >>> from gridrl.planning import uniform_policy
    >>> from gridrl.worlds import random_walk
    >>> walk = random_walk(3).mdp(gamma=1)
    >>> A = advantages(walk, uniform_policy(walk))
    >>> A.round(3)[1:-1]  # towards the end that pays, or away from it
    array([[-0.25,  0.25],
           [-0.25,  0.25],
           [-0.25,  0.25]])
    """
    pi, Q = policy_table(mdp, policy), q_values(mdp, policy)
    return Q - (pi * Q).sum(axis=-1, keepdims=True)


def occupancy(mdp: MDP, policy: ArrayLike) -> Array:
    """rho(s,a) = sum_t gamma^t Pr(s_t = s, a_t = a), in discounted visits; J = sum rho R.

    Shape (S, A), and it sums to 1 / (1 - gamma), the visits to terminal states included. At
    gamma = 1 visits are counted until all is over, where rho is 0. A time-dependent policy has
    (T, S, A).
    [Puterman 1994, sec. 6.9]

    >>> from gridrl.planning import uniform_policy
    >>> from gridrl.worlds import penguin_world
    >>> mdp = penguin_world().mdp(gamma=0.9)
    >>> round(float(occupancy(mdp, uniform_policy(mdp)).sum()), 9)
    10.0

    Raises:
        ValueError: gamma = 1 and under `policy` some states are paid for ever; they are named.
    """
    pi = policy_table(mdp, policy)
    if pi.ndim == 3:
        visits, rho = mdp.start, np.empty(pi.shape)
        for t in range(len(pi)):
            rho[t] = visits[:, None] * pi[t]
            visits = mdp.gamma * (rho[t].ravel() @ stacked(mdp.P))
        return rho
    P = average_over_actions(mdp.P, pi)
    if mdp.gamma < 1:
        return solve_linear(P.T, mdp.start, gamma=mdp.gamma)[:, None] * pi
    process = mdp.under(pi)
    process.values()  # refuses what never ends
    alive, visits = np.flatnonzero(~process.over()), np.zeros(mdp.n_states)
    if len(alive):
        visits[alive] = solve_linear(P[alive][:, alive].T, mdp.start[alive])
    return visits[:, None] * pi


def expected_return(mdp: MDP, policy: ArrayLike) -> float:
    """J(pi) = E[sum_t gamma^t r_{t+1}] = sum_s rho_0(s) V^pi(s).  [lecture 004]

    >>> from gridrl.planning import uniform_policy
    >>> from gridrl.worlds import penguin_world
    >>> mdp = penguin_world().mdp(gamma=0.9)
    >>> round(expected_return(mdp, uniform_policy(mdp)), 3)
    1.364
    """
    V = state_values(mdp, policy)
    return float(mdp.start @ (V if V.ndim == 1 else V[0]))


def explain_backup(
    mdp: MDP, V: ArrayLike, s: int, action: int | None = None, *, policy: ArrayLike | None = None
) -> str:
    """The arithmetic of one backup, as lines for the board: each action's sum, and the maximum.

    Args:
        mdp: the model.
        V: the values that are looked up, (S,).
        s: the state backed up, its index.
        action: only this action's line; None is all of them and the new V(s).
        policy: the last line is the average under this policy instead of the maximum, (S, A).

    >>> from gridrl.worlds import penguin_world
    >>> ice = penguin_world()
    >>> V = [0, 0, 0, 0, 0.5, 0, 0, 0, 0, 3.1, 0, 0, 1, 0, 0, 0]
    >>> print(explain_backup(ice.mdp(gamma=0.9), V, ice.index(9), action=1))  # doctest: +ELLIPSIS
    right: 1 + 0.9 (0.50 V(10) + 0.25 V(5) + 0.25 V(13)) = 1 + 0.9 (0.50 * 3.1 + ...) = 2.732
    """
    V, s = table(V, "V", (an_mdp(mdp).n_states,)), index(s, "s", mdp.n_states)
    if action is not None:
        return _explain_action(mdp, V, s, index(action, "action", mdp.n_actions))
    Q, here = action_values(mdp, V)[s], mdp.labels[s]
    lines = [_explain_action(mdp, V, s, a) for a in range(mdp.n_actions)]
    numbers = ", ".join(f"{q:.4g}" for q in Q)
    last = f"V({here}) <- max({numbers}) = {Q.max():.4g}"
    if policy is not None:
        pi = stationary_policy(mdp, policy)[s]
        terms = " + ".join(f"{chance(p)} * {q:.4g}" for p, q in zip(pi, Q, strict=True) if p > 0)
        last = f"V({here}) <- {terms} = {pi @ Q:.4g}"
    return "\n".join([*lines, last])


def chance(p: float) -> str:
    """A probability to two decimals, or to three digits where these would say something else.

    >>> [chance(p) for p in (1 / 2, 1 / 3, 1, 1 / 16, 0.999)]
    ['0.50', '0.33', '1.00', '0.0625', '0.999']
    """
    text = f"{p:.2f}"
    wrong = abs(float(text) - p) > 0.03 * p or (text == "1.00" and p != 1)
    return f"{p:.3g}" if wrong else text


def stationary_policy(mdp: MDP, policy: ArrayLike) -> Array:
    """Check a policy that does not depend on the time, (S, A)."""
    pi = policy_table(mdp, policy)
    if pi.ndim == 3:
        raise ValueError(
            f"policy must have shape {pi.shape[1:]}; a time-dependent one, {pi.shape}, has values"
            " in closed form: `state_values`"
        )
    return pi


def _explain_action(mdp: MDP, V: Array, s: int, a: int) -> str:
    p, name = mdp.P[s, a], mdp.action_labels[a]
    to = sorted(np.flatnonzero(p), key=lambda s_next: (-p[s_next], s_next))
    reward, gamma = f"{mdp.R[s, a]:.4g}", f"{mdp.gamma:g}"
    symbols = " + ".join(f"{chance(p[s_next])} V({mdp.labels[s_next]})" for s_next in to)
    numbers = " + ".join(f"{chance(p[s_next])} * {V[s_next]:.4g}" for s_next in to)
    result = f"{mdp.R[s, a] + mdp.gamma * p @ V:.4g}"
    return f"{name}: {reward} + {gamma} ({symbols}) = {reward} + {gamma} ({numbers}) = {result}"
