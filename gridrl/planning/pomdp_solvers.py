"""Acting on beliefs: upper bounds, and point-based lower bounds.

On every model, in every belief,

    pbvi <= V* <= fast_informed_bound <= qmdp <= seeing the state from now on,

`exact_vectors` has V* itself, up to its `bound`; `bounds` closes in on the value at the start from
both sides, and is the one to use where the exact method is too slow.

Reading: Hauskrecht (2000); Pineau, Gordon & Thrun (2003).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gridrl.errors import NotConverged
from gridrl.iterates import algorithm
from gridrl.planning.alpha_vectors import AlphaVectors, UpperBound, blind_vectors, point_backup
from gridrl.planning.beliefs import Steps, a_pomdp, first_beliefs, steps_of
from gridrl.planning.dynamic_programming import policy_iteration
from gridrl.planning.endings import longest_episode
from gridrl.planning.promises import largest
from gridrl.processes import POMDP
from gridrl.tables import Array, Indices, generator, tolerance, whole

STILL = 1e-13  # relative; a change smaller than this is rounding


@algorithm
def qmdp(pomdp: POMDP) -> Iterator[UpperBound]:
    """Q*(s,a) of the process behind: as if all were seen after the next action.

    V*(b) <= max_a sum_s b(s) Q(s,a). Acting on it never looks before it leaps: to listen is worth
    nothing to one who will see.  [Littman, Cassandra & Kaelbling 1995, sec. 4]

    >>> from gridrl.worlds import tiger
    >>> round(qmdp(tiger()).V([0.5, 0.5]), 6)
    189.0

    Raises:
        TypeError: `pomdp` is none.
        ValueError, NotConverged: as `policy_iteration`.
    """
    answer = policy_iteration(a_pomdp(pomdp).mdp)
    yield UpperBound(answer.Q.copy(), answer.bound, pomdp)


@algorithm
def fast_informed_bound(
    pomdp: POMDP, *, tol: float = 1e-8, max_sweeps: int = 100_000
) -> Iterator[UpperBound]:
    """Q(s,a) <- R(s,a) + gamma sum_o max_a' sum_s' P(s'|s,a) O(o|a,s') Q(s',a').

    As if the state before were seen, but not the present one. Sweeps from QMDP's Q down, so every
    snapshot is an upper bound: V*(b) <= max_a sum_s b(s) Q(s,a).  [Hauskrecht 2000, sec. 4.3]

    Args:
        pomdp: the model.
        tol: promise on the distance to the fixed point, in reward units. None is made at gamma = 1
            where some policy never ends (bound = inf): the sweeps then stop where they stand still.
        max_sweeps: the budget.

    >>> from gridrl.worlds import tiger
    >>> round(fast_informed_bound(tiger()).V([0.5, 0.5]), 6)
    87.179487

    Raises:
        TypeError, ValueError: as `qmdp`.
        NotConverged: the bound is still above `tol` after `max_sweeps`; the last Q is in `so_far`.
    """
    tol, Q, steps = tolerance(tol), qmdp(pomdp).Q, steps_of(pomdp)
    horizon = longest_episode(pomdp.mdp)
    for _ in range(whole(max_sweeps, "max_sweeps", least=1)):
        Q, Q_old = np.minimum(Q, _informed(steps, Q)), Q
        change = largest(Q - Q_old)
        bound = steps.gamma * horizon * change if change or horizon < np.inf else np.inf
        yield (answer := UpperBound(Q, bound, pomdp))
        if bound <= tol or change <= STILL * largest(Q):
            return
    raise NotConverged(
        f"Q may still be {bound:.3g} > tol = {tol:.3g} above the fixed point after {max_sweeps}"
        " sweeps",
        so_far=answer,
        upper=answer.value,
    )


@algorithm
def pbvi(
    pomdp: POMDP,
    *,
    expansions: int = 8,
    most: int = 500,
    tol: float = 1e-4,
    max_sweeps: int = 500,
    rng: int | np.random.Generator | None = None,
) -> Iterator[AlphaVectors]:
    """Point-based value iteration: backups at beliefs that can occur, more of them each round.

    Sweeps over a set of beliefs until no value there gains more than `tol`; then each belief tries
    every action in a simulated step, and adds the outcome that is farthest from the set; where
    chance brings nothing new, what it left out is tried too, so that only a set from which no
    other belief can be reached ends the rounds early. Starts
    from plans that look at nothing, and every vector is a plan's exact worth: V(b) <= V*(b) in
    every belief. One snapshot a round.  [Pineau, Gordon & Thrun 2003]

    Args:
        pomdp: the model.
        expansions: number of rounds after the first; the set at most doubles in each.
        most: largest number of beliefs.
        tol: a sweep that gains less everywhere is the round's last; no promise on V*.
        max_sweeps: the most sweeps in a round.
        rng: a seed, a Generator, or None for fresh chance.

    >>> from gridrl.worlds import tiger
    >>> round(pbvi(tiger(), rng=0).V([0.5, 0.5]), 2)
    19.37

    Raises:
        TypeError: `pomdp` is none.
        ValueError: gamma = 1 and acting at random is paid for ever.
    """
    steps, chance, tol = steps_of(pomdp), generator(rng), tolerance(tol)
    rounds, limit = whole(expansions, "expansions", least=0), whole(most, "most", least=1)
    sweeps = whole(max_sweeps, "max_sweeps", least=1)
    b, (alpha, actions) = first_beliefs(pomdp)[1], blind_vectors(pomdp)
    for k in range(rounds + 1):
        alpha, actions = improve(steps, alpha, actions, b, tol, sweeps)
        yield at_witnesses(pomdp, alpha, actions, b)
        grown = _expand(steps, b, limit, chance) if k < rounds else b
        if len(grown) == len(b):
            return
        b = grown


def improve(
    steps: Steps, alpha: Array, actions: Indices, b: Array, tol: float, sweeps: int
) -> tuple[Array, Indices]:
    """Backups at beliefs `b`, each keeping its old vector where that is better, while they gain."""
    for _ in range(sweeps):
        scores = b @ alpha.T
        best, V_old = scores.argmax(axis=1), scores.max(axis=1)
        made, acts = point_backup(steps, alpha, b)
        V = (made * b).sum(axis=1)
        better = V > V_old
        alpha = np.where(better[:, None], made, alpha[best])
        actions = np.where(better, acts, actions[best])
        alpha, first = np.unique(alpha, axis=0, return_index=True)
        actions = actions[first]
        if (V - V_old).max() <= tol:
            break
    return alpha, actions


def at_witnesses(pomdp: POMDP, alpha: Array, actions: Indices, b: Array) -> AlphaVectors:
    """The vectors that are the best at one of the beliefs `b`."""
    kept, witness = np.unique((b @ alpha.T).argmax(axis=1), return_index=True)
    return AlphaVectors(alpha[kept], actions[kept], b[witness], np.inf, None, pomdp)


def _expand(steps: Steps, b: Array, most: int, chance: np.random.Generator) -> Array:
    """Add to each belief the farthest of its simulated successors, if it is new.  [sec. 3.2]

    Where no simulation brings one, all that can be seen is looked at.
    """
    grown = _farthest(b, _simulated(steps, b, chance), most)
    if len(grown) > len(b):
        return grown
    for o in range(steps.O.shape[1]):
        grown = _farthest(grown, _seeing(steps, b, o), most)
    return grown


def _simulated(steps: Steps, b: Array, chance: np.random.Generator) -> Array:
    """The belief after each action and an observation that is drawn, (A, n, S)."""
    n, A = len(b), steps.R.shape[1]
    after = np.empty((A, *b.shape))
    for a in range(A):
        joint = steps.joint(b, a)  # (n, Z, S)
        sums = joint.sum(axis=2).cumsum(axis=1)
        o = (chance.random((n, 1)) * sums[:, -1:] >= sums).sum(axis=1)
        after[a] = joint[np.arange(n), np.minimum(o, sums.shape[1] - 1)]
    return after / np.maximum(after.sum(axis=2, keepdims=True), 1e-300)


def _seeing(steps: Steps, b: Array, o: int) -> Array:
    """The belief after each action and observation `o`, (A, n, S); where that cannot be, `b`."""
    after = np.stack([steps.joint(b, a)[:, o] for a in range(steps.R.shape[1])])
    seen = after.sum(axis=2, keepdims=True)
    return np.where(seen > 1e-12, after / np.maximum(seen, 1e-300), b)


def _farthest(b: Array, after: Array, most: int) -> Array:
    """`b` and, of each column of `after` (A, n, S), the belief farthest from all, if it is new."""
    for k in range(after.shape[1]):
        far = np.abs(after[:, k, None] - b).sum(axis=2).min(axis=1)  # (A,)
        if far.max() > 1e-9 and len(b) < most:
            b = np.concatenate([b, after[None, far.argmax(), k]])
    return b


def _informed(steps: Steps, Q: Array) -> Array:
    """R(s,a) + gamma sum_o max_a' sum_s' P(s'|s,a) O(o|a,s') Q(s',a'), (S, A)."""
    informed, (S, A) = steps.R.copy(), steps.R.shape
    for a in range(A):
        seen = (steps.O[a].T[:, :, None] * Q[:, None, :]).reshape(S, -1)  # (S', Z * A)
        ahead = np.asarray(steps.P[a] @ seen).reshape(S, -1, A)
        informed[:, a] += steps.gamma * ahead.max(axis=2).sum(axis=1)
    return informed
