"""Dynamic programming: the best policy, by sweeps over all states with the model in hand.

Every algorithm yields a `Sweep` an iteration; its `bound` is a promise on |V - V*|, see `promises`.

Reading: Sutton & Barto (2018), chapter 4; Puterman, Markov Decision Processes (1994), chapter 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from gridrl.iterates import algorithm
from gridrl.planning.bellman import action_values, state_values, stationary_policy
from gridrl.planning.endings import ending_policy, longest_episode, refuse_endless_loops
from gridrl.planning.policies import greedy, uniform_policy
from gridrl.planning.promises import (
    Sweep,
    error_bound,
    first_values,
    largest,
    not_converged,
    with_ties,
)
from gridrl.processes import MDP
from gridrl.processes.transitions import stacked
from gridrl.tables import Array, Indices, tolerance, whole

ROUNDING = 1e-12  # a gain smaller than this, relative to values and rewards, is none


@algorithm
def policy_evaluation(
    mdp: MDP,
    policy: ArrayLike,
    *,
    tol: float = 1e-8,
    in_place: bool = False,
    max_sweeps: int = 1_000_000,
) -> Iterator[Sweep]:
    """V(s) <- sum_a pi(a|s) [R(s,a) + gamma sum_s' P(s'|s,a) V(s')] until |V - V^pi| <= tol.

    [Sutton & Barto 2018, sec. 4.1]

    Args:
        mdp: the model.
        policy: pi(a|s), (S, A).
        tol: promise on |V - V^pi|, in reward units.
        in_place: sweep state by state, using new values at once, instead of all states together.
        max_sweeps: the budget.

    >>> from gridrl.worlds import sutton_4x4
    >>> mdp = sutton_4x4().mdp(gamma=1)
    >>> [sweep.V[1:3] for sweep in policy_evaluation.iterates(mdp, uniform_policy(mdp))][:2]
    [array([-1., -1.]), array([-1.75, -2.  ])]

    Raises:
        ValueError: gamma = 1 and some states are paid for ever under `policy`; they are named.
        NotConverged: the bound is still above `tol` after `max_sweeps`.
    """
    pi, tol = stationary_policy(mdp, policy), tolerance(tol)
    horizon, V = _expected_steps(mdp, pi), np.zeros(mdp.n_states)
    for sweep in range(1, whole(max_sweeps, "max_sweeps", least=1) + 1):
        V_old, Q = V, action_values(mdp, V)
        V = (pi * Q).sum(axis=1) if not in_place else _in_place(mdp, V, lambda s, q: pi[s] @ q)
        bound = mdp.gamma * horizon * largest(V - V_old)
        yield Sweep(
            V, Q, pi, bound, sweep * Q.size, mdp, V_old, averaged_over=pi, in_place=in_place
        )
        if bound <= tol:
            return
    raise not_converged(bound, tol, f"{max_sweeps} sweeps")


@algorithm
def value_iteration(mdp: MDP, *, tol: float = 1e-8, max_sweeps: int = 1_000_000) -> Iterator[Sweep]:
    """V(s) <- max_a [R(s,a) + gamma sum_s' P(s'|s,a) V(s')] until |V - V*| <= tol.  [sec. 4.4]

    >>> from gridrl.worlds import forest
    >>> value_iteration(forest()).V.round(4)
    array([26.244, 29.484, 33.484])

    Raises:
        ValueError: gamma = 1 and values are not finite; the states that never end are named.
        NotConverged: the bound is still above `tol` after `max_sweeps`.
    """
    tol, error, V = tolerance(tol), error_bound(mdp, tol, max_sweeps), first_values(mdp)
    for sweep in range(1, whole(max_sweeps, "max_sweeps", least=1) + 1):
        Q = action_values(mdp, V)
        V, V_old = Q.max(axis=1), V
        bound = error(V, V_old)
        yield Sweep(V, Q, greedy(Q), bound, sweep * Q.size, mdp, V_old)
        if bound <= tol:
            return
    raise not_converged(bound, tol, f"{max_sweeps} sweeps")


@algorithm
def policy_iteration(mdp: MDP, *, max_iterations: int = 1000) -> Iterator[Sweep]:
    """Evaluate a policy exactly, make it greedy where that gains, until nothing does.  [sec. 4.3]

    Starts from the uniform policy; at gamma = 1 from one that surely ends, which keeps all that
    follow from running for ever. A snapshot holds V and Q of the policy evaluated, and the greedy
    one; in the last they agree, so its V is V* up to the rounding of a linear solve.

    >>> from gridrl.worlds import frozen_lake
    >>> round(float(policy_iteration(frozen_lake().mdp(gamma=1)).V[0]), 6), round(14 / 17, 6)
    (0.823529, 0.823529)

    Raises:
        ValueError: gamma = 1 and values are not finite; the states that never end are named.
        NotConverged: something still gains after `max_iterations`.
    """
    horizon = longest_episode(mdp)
    policy = uniform_policy(mdp) if mdp.gamma < 1 else ending_policy(mdp)
    scale, V_before = largest(mdp.R), np.full(mdp.n_states, -np.inf)
    for iteration in range(1, whole(max_iterations, "max_iterations", least=1) + 1):
        V = state_values(mdp, policy)
        Q = action_values(mdp, V)
        gain = Q.max(axis=1) - (policy * Q).sum(axis=1)
        rounding = ROUNDING * max(scale, largest(V))
        better = gain > rounding
        done = not better.any() or (V - V_before).max() <= rounding
        bound = largest(gain) * (1.0 if done and horizon == np.inf else horizon)
        shown = with_ties(mdp, Q, V, policy) if done else greedy(Q)
        yield Sweep(V, Q, shown, bound, iteration * Q.size, mdp, V, averaged_over=policy)
        if done:
            refuse_endless_loops(mdp, V, Q)
            return
        policy, V_before = np.where(better[:, None], first_best(Q), policy), V
    raise not_converged(bound, 0.0, f"{max_iterations} iterations")


@algorithm
def modified_policy_iteration(
    mdp: MDP, *, sweeps: int = 5, tol: float = 1e-8, max_iterations: int = 1_000_000
) -> Iterator[Sweep]:
    """One sweep of value iteration, then `sweeps` sweeps of evaluation of its greedy policy.

    sweeps = 0 is value iteration; many sweeps, policy iteration.  [Puterman 1994, sec. 6.5]

    >>> from gridrl.worlds import forest
    >>> modified_policy_iteration(forest()).V.round(4)
    array([26.244, 29.484, 33.484])

    Raises:
        ValueError, NotConverged: as `value_iteration`.
    """
    tol, m = tolerance(tol), whole(sweeps, "sweeps", least=0)
    error = error_bound(mdp, tol, max_iterations)
    V, backups = first_values(mdp, below=True), 0
    for _ in range(whole(max_iterations, "max_iterations", least=1)):
        Q = action_values(mdp, V)
        V, V_old, policy = Q.max(axis=1), V, greedy(Q)
        backups, bound = backups + Q.size, error(V, V_old)
        yield Sweep(V, Q, policy, bound, backups, mdp, V_old)
        if bound <= tol:
            return
        chain = mdp.under(policy)
        for _ in range(m):
            V = chain.R + mdp.gamma * (chain.P @ V)
            backups += mdp.n_states
    raise not_converged(bound, tol, f"{max_iterations} iterations")


@algorithm
def gauss_seidel(mdp: MDP, *, tol: float = 1e-8, max_sweeps: int = 1_000_000) -> Iterator[Sweep]:
    """Value iteration in place: state by state, each backup sees the new values of the ones before.

    [Puterman 1994, sec. 6.3.3; Sutton & Barto 2018, sec. 4.5]

    >>> from gridrl.worlds import forest
    >>> gauss_seidel(forest()).V.round(4)
    array([26.244, 29.484, 33.484])

    Raises:
        ValueError, NotConverged: as `value_iteration`.
    """
    tol, error, V = tolerance(tol), error_bound(mdp, tol, max_sweeps), first_values(mdp)
    for sweep in range(1, whole(max_sweeps, "max_sweeps", least=1) + 1):
        V, V_old = _in_place(mdp, V, lambda s, q: q.max()), V
        Q, bound = action_values(mdp, V), error(V, V_old)
        yield Sweep(V, Q, greedy(Q), bound, sweep * Q.size, mdp, V_old, in_place=True)
        if bound <= tol:
            return
    raise not_converged(bound, tol, f"{max_sweeps} sweeps")


@algorithm
def prioritized_sweeping(
    mdp: MDP, *, tol: float = 1e-8, max_backups: int = 1_000_000
) -> Iterator[Sweep]:
    """Always back up the state whose value is furthest from its backup; one snapshot a backup.

    The queue of the book is an array of gaps |max_a Q(s,a) - V(s)|, kept exact: a backup of s
    changes Q only where s may follow.  [Sutton & Barto 2018, sec. 8.4, with the model known]

    >>> from gridrl.worlds import forest
    >>> prioritized_sweeping(forest()).V.round(4)
    array([26.244, 29.484, 33.484])

    Raises:
        ValueError: as `value_iteration`.
        NotConverged: the bound is still above `tol` after `max_backups`, or when no gap is left.
    """
    tol = tolerance(tol)
    error = error_bound(mdp, tol, max_backups, of_gaps=True)
    before, V = _predecessors(mdp), first_values(mdp).copy()
    Q, V_old, s = action_values(mdp, V), V.copy(), None
    policy, gap, backups = greedy(Q), np.abs(Q.max(axis=1) - V), Q.size
    for _ in range(whole(max_backups, "max_backups", least=1)):
        bound = error(V, V + gap)
        yield Sweep(V.copy(), Q.copy(), policy.copy(), bound, backups, mdp, V_old, state=s)
        if bound <= tol:
            return
        s, V_old = int(gap.argmax()), V.copy()
        V[s], changed = Q[s].max(), before[s]
        Q[changed] = mdp.R[changed] + mdp.gamma * (mdp.P[changed] @ V)
        policy[changed], gap[s] = greedy(Q[changed]), 0.0
        gap[changed] = np.abs(Q[changed].max(axis=1) - V[changed])
        backups += Q[changed].size
    raise not_converged(bound, tol, f"{max_backups} backups")


def first_best(Q: Array) -> Array:
    """One of the best actions in each state, the first: no tie can bring in a worse one, (S, A)."""
    return np.eye(Q.shape[1])[Q.argmax(axis=1)]


def _in_place(mdp: MDP, V: Array, backup: Callable[[int, Array], float]) -> Array:
    V = V.copy()
    for s in range(mdp.n_states):
        V[s] = backup(s, mdp.R[s] + mdp.gamma * (mdp.P[s] @ V))
    return V


def _predecessors(mdp: MDP) -> list[Indices]:
    """The states from which some action may lead to s, for each s."""
    edges = stacked(mdp.P).tocsc()
    edges.eliminate_zeros()
    return [
        np.unique(rows // mdp.n_actions) for rows in np.split(edges.indices, edges.indptr[1:-1])
    ]


def _expected_steps(mdp: MDP, policy: Array) -> float:
    """1 / (1 - gamma); at gamma = 1 the largest expected number of steps under `policy`."""
    if mdp.gamma < 1:
        return 1 / (1 - mdp.gamma)
    process = mdp.under(policy)
    process.values()  # refuses what never ends
    return float(process.hitting_times(np.flatnonzero(process.over())).max())
