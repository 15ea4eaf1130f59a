"""Who comes to an end, and when: what makes values finite at gamma = 1, and bounds mean something.

At gamma < 1 a sweep shrinks every error by gamma, so a residual |T V - V| bounds |V - V*| by
residual / (1 - gamma). At gamma = 1 the place of 1 / (1 - gamma) is taken by the longest episode:
the largest expected number of steps that any policy can take before all is over. If some policy
never ends (slippery FrozenLake: one can stay in the top row), fixed points are not unique, and no
residual bounds anything: then one solves exactly, from a policy that ends.

Reading: Bertsekas & Tsitsiklis, Neuro-Dynamic Programming (1996), section 2.2; de Alfaro, Formal
Verification of Probabilistic Systems (1997), chapter 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gridrl.processes import MDP, MarkovProcess
from gridrl.processes.decision import an_mdp
from gridrl.processes.structure import reachable
from gridrl.processes.transitions import average_over_actions, chosen, solve_linear
from gridrl.tables import Array, Indices, Mask


def longest_episode(mdp: MDP) -> float:
    """1 / (1 - gamma); at gamma = 1 the largest expected number of steps any policy takes, or inf.

    It solves h(s) = 1 + max_a sum_s' P(s'|s,a) h(s'), by policy iteration.

    >>> from gridrl.worlds import frozen_lake, sutton_4x4
    >>> longest_episode(sutton_4x4().mdp(gamma=0.9)), longest_episode(frozen_lake().mdp(gamma=1))
    (10.000000000000002, inf)
    """
    if an_mdp(mdp).gamma < 1:
        return 1 / (1 - mdp.gamma)
    over = is_over(mdp)
    if _can_stay(mdp, ~over, np.ones(mdp.R.shape, bool)).any():
        return np.inf
    alive = np.flatnonzero(~over)
    actions, h = np.zeros(len(alive), np.intp), np.zeros(mdp.n_states)
    while True:
        P = chosen(mdp.P, alive, actions)[:, alive]
        h[alive] = solve_linear(P, np.ones(len(alive)))
        ahead = (mdp.P @ h)[alive]
        better = ahead.max(axis=1) > (1 + 1e-12) * ahead[np.arange(len(alive)), actions]
        if not better.any():
            return float(h.max(initial=1.0))
        actions[better] = ahead.argmax(axis=1)[better]


def is_over(mdp: MDP) -> Mask:
    """Say in which states nothing is paid any more, whatever one does, (S,)."""
    never_leaves = np.asarray(pays_nothing(mdp).all(axis=1))
    while True:
        stays = never_leaves & np.asarray(stays_in(mdp, never_leaves).all(axis=1))
        if (stays == never_leaves).all():
            return stays
        never_leaves = stays


def stays_in(mdp: MDP, states: Mask) -> Mask:
    """Say which pairs surely lead into `states`, (S, A)."""
    out = mdp.P @ (~states).astype(float)
    return np.asarray(out <= 0, dtype=bool)


def pays_nothing(mdp: MDP) -> Mask:
    """Say which pairs pay nothing, up to rounding, (S, A)."""
    rounding = 1e-12 * float(np.abs(mdp.R).max(initial=0))
    return np.asarray(np.abs(mdp.R) <= rounding, dtype=bool)


def ending_policy(mdp: MDP) -> Array:
    """A policy that surely comes to an end: to states where one can stay for ever, paid nothing.

    Raises:
        ValueError: there is none from some states; they are named.
    """
    idle = can_rest(mdp)
    resting = pays_nothing(mdp) & stays_in(mdp, idle)
    able = np.ones(mdp.n_states, bool)
    while True:
        usable = stays_in(mdp, able)
        usable[idle] = resting[idle]
        reach = reachable(average_over_actions(mdp.P, _even(usable)).T, np.flatnonzero(idle)) & able
        if (reach == able).all():
            break
        able = reach
    if not able.all():
        raise endless(mdp, np.flatnonzero(~able), "no end is reachable")
    return _even(usable)


def can_rest(mdp: MDP) -> Mask:
    """Say in which states one can stay for ever, paid nothing, if one likes, (S,)."""
    return _can_stay(mdp, np.ones(mdp.n_states, bool), pays_nothing(mdp))


def stays_for_ever(mdp: MDP) -> Mask:
    """Say from which states some policy can keep clear of every end, (S,)."""
    return _can_stay(mdp, ~mdp.terminal, np.ones(mdp.R.shape, bool))


def refuse_endless_loops(mdp: MDP, V: Array, Q: Array) -> None:
    """Raise where, at gamma = 1, going round for ever comes to nothing and beats every end.

    In a loop whose rewards cancel, V(s) = r + V(s') holds for any end that is paid for later; if V
    is negative all the way round, never to end is better, and has no value.
    """
    if mdp.gamma < 1:
        return
    small = 1e-9 * max(float(np.abs(V).max()), float(np.abs(mdp.R).max()))
    loops = _can_stay(mdp, V < -small, V[:, None] - small <= Q)
    if loops.any():
        raise endless(mdp, np.flatnonzero(loops), "no end is as good as going round for ever")


def endless(mdp: MDP | MarkovProcess, states: Sequence[int] | Indices, why: str) -> ValueError:
    """The error that says which states never end."""
    return ValueError(
        f"values are not finite at gamma = 1: {why} from states {mdp.named(states)},"
        " where rewards go on for ever (a gamma below 1, or a finite horizon, is legal)"
    )


def _can_stay(mdp: MDP, among: Mask, using: Mask) -> Mask:
    """The states from which some policy stays `among` for ever with the pairs of `using`, (S,)."""
    while True:
        inside = using & stays_in(mdp, among)
        stay = among & inside.any(axis=1)
        if (stay == among).all():
            return stay
        among = stay


def _even(pairs: Mask) -> Array:
    """Evenly over the pairs that are allowed, (S, A); a row without any is all zeros."""
    return pairs / np.maximum(pairs.sum(axis=1, keepdims=True), 1)
