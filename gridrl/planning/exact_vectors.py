"""The exact plans: value iteration on sets of alpha vectors, with only those kept that are needed.

Reading: Kaelbling, Littman & Cassandra (1998), section 4; Cassandra, Littman & Zhang (1997);
Zhang & Zhang (2001).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from gridrl.errors import NotConverged
from gridrl.iterates import algorithm
from gridrl.planning.alpha_vectors import AlphaVectors, blind_vectors, point_backup
from gridrl.planning.beliefs import Steps, a_pomdp, first_beliefs, steps_of
from gridrl.planning.endings import endless, longest_episode, stays_for_ever
from gridrl.planning.horizons import backward_induction
from gridrl.planning.pomdp_solvers import at_witnesses, fast_informed_bound, improve
from gridrl.planning.promises import largest
from gridrl.planning.pruning import cross_sum, distance, prune
from gridrl.processes import POMDP
from gridrl.tables import Array, Indices, tolerance, whole

LOOSE = 0.05  # part of the present bound that pruning may lose: far from V* there is no hurry
SOME = 300  # beliefs at which plans are made longer when the exact method gives up
STATES = 1000  # a linear program over more states, thousands of times, is no way to go


@algorithm
def incremental_pruning(
    pomdp: POMDP,
    *,
    tol: float = 1e-3,
    horizon: int | None = None,
    most: int = 2000,
    sweeps: int = 100,
    max_backups: int = 1000,
) -> Iterator[AlphaVectors]:
    """The plans of V*, exactly: V <- max_a [R + gamma sum_o best of V after a and o], as vectors.

    For each action the vectors behind each observation are added up, every one of one observation
    with every one of the next, and after each addition only those are kept that are the best in
    some belief.  [Cassandra, Littman & Zhang 1997]

    With a horizon, backups from 0, a snapshot each: V with 1, 2, ... steps to go. For ever, backups
    from plans that look at nothing, until the change bounds the distance to V*; between two of them
    cheap backups at the witnesses alone.  [Zhang & Zhang 2001]

    Args:
        pomdp: the model.
        tol: promise on |V(b) - V*(b)| in every belief, pruning included, in reward units.
        horizon: number of steps; None: for ever.
        most: largest number of vectors to be pruned at once.
        sweeps: cheap backups at the witnesses between two exact ones; 0 for none.
        max_backups: the budget of exact backups.

    >>> from gridrl.worlds import tiger
    >>> [round(V.V([0.5, 0.5]), 4) for V in incremental_pruning.iterates(tiger(), horizon=3)]
    [-1.0, -1.95, 2.3098]

    Raises:
        TypeError: `pomdp` is none.
        ValueError: too many states for the exact method; gamma = 1 and some policy never ends.
        NotConverged: more than `most` vectors, or `max_backups` were not enough; the last snapshot
            is in `so_far`, bounds on the value at the start in `lower` and `upper`.
    """
    tol, most = tolerance(tol), whole(most, "most", least=1)
    whole(sweeps, "sweeps", least=0)
    whole(max_backups, "max_backups", least=1)
    _refuse_large(pomdp)
    if horizon is None:
        yield from _for_ever(pomdp, tol, Budget(most, sweeps, max_backups))
        return
    T = whole(horizon, "horizon", least=1)
    yield from _to_horizon(pomdp, tol, T, most)


def _to_horizon(pomdp: POMDP, tol: float, horizon: int, most: int) -> Iterator[AlphaVectors]:
    steps, losses, error = steps_of(pomdp), 2 * pomdp.n_observations, 0.0
    margin = tol / (losses * sum(pomdp.gamma**t for t in range(horizon)))
    nothing, start = np.zeros((1, pomdp.n_states)), pomdp.start[None].copy()
    so_far = AlphaVectors(nothing, np.zeros(1, np.intp), start, 0.0, 0, pomdp)
    for t in range(1, horizon + 1):
        unfinished = partial(_unfinished_horizon, so_far, horizon)
        vectors = _exact_backup(steps, so_far, margin, most, unfinished)
        error = losses * margin + pomdp.gamma * error
        yield (so_far := AlphaVectors(*vectors, error, t, pomdp))


@dataclass(frozen=True)
class Budget:
    """What `incremental_pruning` may spend: vectors at once, cheap sweeps, exact backups."""

    most: int
    sweeps: int
    max_backups: int


def _for_ever(pomdp: POMDP, tol: float, budget: Budget) -> Iterator[AlphaVectors]:
    horizon = longest_episode(pomdp.mdp)
    if horizon == np.inf:
        raise endless(pomdp.mdp, np.flatnonzero(stays_for_ever(pomdp.mdp)), "some policy stays")
    steps = steps_of(pomdp)
    losses = 2 * pomdp.n_observations  # prunings in a backup, each of which loses a margin
    bound = horizon * largest(pomdp.R)
    answer = so_far = at_witnesses(pomdp, *blind_vectors(pomdp), np.eye(pomdp.n_states))
    for _ in range(budget.max_backups):
        margin = max(tol / 2, LOOSE * bound) / (losses * horizon)
        alpha, actions, witnesses = _exact_backup(
            steps, so_far, margin, budget.most, partial(_unfinished, answer)
        )
        change = distance(alpha, so_far.alpha_vectors, tol / (2 * horizon))
        bound = horizon * (pomdp.gamma * change + losses * margin)
        yield (answer := AlphaVectors(alpha, actions, witnesses, bound, None, pomdp))
        if bound <= tol:
            return
        so_far = _with_sweeps(steps, answer, tol / (8 * horizon), margin, budget.sweeps)
    message = f"|V - V*| may still be {bound:.3g} > tol = {tol:.3g} after {budget.max_backups}"
    raise _unfinished(answer, f"{message} backups: use belief_bounds or pbvi")


def _with_sweeps(
    steps: Steps, found: AlphaVectors, tol: float, margin: float, sweeps: int
) -> AlphaVectors:
    """The vectors found and better ones at their witnesses, those needed by more than `margin`."""
    alpha, actions, b = found.alpha_vectors, found.actions, found.witnesses
    better, acts = improve(steps, alpha, actions, b, tol, sweeps)
    alpha, actions = np.concatenate([alpha, better]), np.concatenate([actions, acts])
    kept, witnesses = prune(alpha, b, margin)
    return AlphaVectors(alpha[kept], actions[kept], witnesses, np.inf, None, found.pomdp)


def _exact_backup(
    steps: Steps,
    before: AlphaVectors,
    margin: float,
    most: int,
    unfinished: Callable[[str], NotConverged],
) -> tuple[Array, Indices, Array]:
    """Every vector that one step and then a vector of `before` can make, and is needed."""
    S, A = steps.R.shape
    beliefs = np.concatenate([before.witnesses, np.eye(S), np.full((1, S), 1 / S)])
    made = []
    for a in range(A):
        total = steps.R[None, :, a]
        for seen in steps.O[a][steps.O[a].any(axis=1)]:
            behind = steps.back(a, seen * before.alpha_vectors)
            behind = behind[prune(behind, beliefs, margin)[0]]
            if (count := len(total) * len(behind)) > most:
                raise unfinished(_too_many(count, most, before.pomdp))
            total = cross_sum(total, behind)
            total = total[prune(total, beliefs, margin)[0]]
        made.append(total)
    alpha, actions = np.concatenate(made), np.repeat(np.arange(A), [len(x) for x in made])
    kept, witnesses = prune(alpha, beliefs, margin)
    return alpha[kept], actions[kept], witnesses


def _unfinished(so_far: AlphaVectors, message: str) -> NotConverged:
    """The error, with bounds for ever: plans are worth what they are, and FIB is above V*."""
    lower, upper = so_far.value, fast_informed_bound(so_far.pomdp).value
    upper = min(upper, lower + so_far.bound)
    return NotConverged(message, so_far=so_far, lower=lower, upper=upper)


def _unfinished_horizon(so_far: AlphaVectors, horizon: int, message: str) -> NotConverged:
    """The error, with bounds for `horizon` steps: plans made longer, and seeing the state."""
    pomdp, left = so_far.pomdp, horizon - (so_far.horizon or 0)
    (probability, first), alpha = first_beliefs(pomdp), so_far.alpha_vectors
    beliefs = np.concatenate([first, so_far.witnesses[:SOME]])
    for _ in range(left):
        alpha, _ = point_backup(steps_of(pomdp), alpha, beliefs)
    lower = float(probability @ (first @ alpha.T).max(axis=1))
    upper = float(pomdp.start @ backward_induction(pomdp.mdp, horizon).V[0])
    return NotConverged(message, so_far=so_far, lower=lower, upper=upper)


def _too_many(count: int, most: int, pomdp: POMDP) -> str:
    return (
        f"{count} vectors to prune at once, more than most = {most}, on a model of"
        f" {_sizes(pomdp)}: use belief_bounds or pbvi"
    )


def _refuse_large(pomdp: POMDP) -> None:
    if a_pomdp(pomdp).n_states > STATES:
        raise ValueError(
            f"pomdp must have at most {STATES} states for the exact method; it has"
            f" {_sizes(pomdp)}: use belief_bounds or pbvi"
        )


def _sizes(pomdp: POMDP) -> str:
    return (
        f"{pomdp.n_states} states, {pomdp.n_actions} actions, {pomdp.n_observations} observations"
    )
