"""Which plans are needed: those that are the best in some belief, by more than a margin.

A vector is needed if there is a belief b, its witness, in which it beats all others by more than
`margin`. The largest such gain is a linear program:

    max_{b, d} d   with   b . (alpha - beta) >= d for all other beta,   b >= 0,   sum_s b(s) = 1.

Its dual mixes the others into one vector, and d is the most by which alpha exceeds that mixture in
any state. A vector is only dropped on the strength of such a mixture, computed in plain arithmetic,
so whatever the solver's rounding, what is lost in any belief is at most `margin`.

Without a margin, vectors that only touch the others at one belief would stay, by rounding.

Reading: Cassandra, Littman & Zhang (1997); Lark's filter in White (1991).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from gridrl.tables import Array, Indices

EXACT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
TIED = 1e-13  # relative; vectors that differ by less at a belief differ by rounding


def prune(alpha: Array, beliefs: Array, margin: float) -> tuple[Indices, Array]:
    """Choose vectors whose maximum is nowhere more than `margin` below that of all.  [Lark]

    Args:
        alpha: (n, S).
        beliefs: (k, S), to look at first: what is best there needs no linear program.
        margin: what may be lost, in reward units; at least rounding.

    Returns:
        the chosen, (m,), and for each a belief in which it is the best, (m, S).
    """
    margin = max(margin, TIED * float(np.abs(alpha).max()))
    kept, witnesses = _best_at(alpha, beliefs, margin)
    waiting = np.array([i for i in _undominated(alpha) if i not in set(kept)], np.intp)
    while len(waiting):
        gain, b, mixture = largest_gain(alpha[waiting[0]], alpha[kept], margin)
        if gain <= margin:  # and what else the mixture is as good as
            waiting = waiting[1:][(alpha[waiting[1:]] - mixture).max(axis=1) > margin]
            continue
        i = _first_best(alpha[waiting], b)
        kept, witnesses = [*kept, int(waiting[i])], [*witnesses, b]
        waiting = np.delete(waiting, i)
    return np.array(kept, np.intp), np.array(witnesses)


def largest_gain(
    alpha: Array, others: Array, enough: float = -np.inf
) -> tuple[float, Array, Array]:
    """The most by which `alpha` exceeds the best of `others` (m, S) in any belief; where; and why.

    Returns:
        the gain, an upper bound that holds: alpha - mixture at its largest; the belief (S,) where
        it is reached; and the mixture of the others, (S,), weights that sum to one. If one of the
        others alone will do for a gain of at most `enough`, it is that one.
    """
    nearest = (alpha - others).max(axis=1)
    best = others[nearest.argmin()]
    if (gain := float(nearest.min())) <= enough:
        return gain, np.full(len(alpha), 1 / len(alpha)), best
    S, unit = len(alpha), max(float(np.abs(alpha - others).max()), 1e-300)
    cost = np.zeros(S + 1)
    cost[-1] = -1.0
    solved = linprog(
        cost,
        A_ub=np.column_stack([(others - alpha) / unit, np.ones(len(others))]),
        b_ub=np.zeros(len(others)),
        A_eq=np.append(np.ones(S), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * S + [(None, None)],
        method="highs",
        options=EXACT,
    )
    if solved.x is None:  # the solver gave up: nothing is claimed, so nothing is dropped
        return gain, np.eye(S)[(alpha - best).argmax()], best
    weights = np.maximum(-solved.ineqlin.marginals, 0)
    mixture = weights @ others / max(weights.sum(), 1e-300)
    b = np.maximum(solved.x[:-1], 0)
    return float((alpha - mixture).max()), b / b.sum(), mixture


def cross_sum(first: Array, second: Array) -> Array:
    """Every sum of one vector of each, (n m, S)."""
    return (first[:, None] + second[None]).reshape(-1, first.shape[1])


def distance(first: Array, second: Array, enough: float) -> float:
    """At most how far two maxima are apart in any belief; not refined once below `enough`."""
    pairs = [(alpha, second) for alpha in first] + [(alpha, first) for alpha in second]
    return max(0.0, *(largest_gain(alpha, others, enough)[0] for alpha, others in pairs))


def _best_at(alpha: Array, beliefs: Array, margin: float) -> tuple[list[int], list[Array]]:
    """The best at each belief, if it adds more than `margin` to those before."""
    kept: list[int] = []
    witnesses: list[Array] = []
    scores = beliefs @ alpha.T
    for b, score in zip(beliefs, scores, strict=True):
        if not kept or score.max() - score[kept].max() > margin:
            kept, witnesses = [*kept, _first_best(alpha, b)], [*witnesses, b]
    return kept, witnesses


def _first_best(alpha: Array, b: Array) -> int:
    """The best vector at `b`; of those that tie the largest in the first state, then the second.

    A vector that only touches the others at `b` is never the one.
    """
    score = alpha @ b
    tied = np.flatnonzero(score >= score.max() - TIED * np.abs(alpha).max())
    for s in range(alpha.shape[1]):
        column = alpha[tied, s]
        tied = tied[column >= column.max() - TIED * np.abs(alpha).max()]
        if len(tied) == 1:
            break
    return int(tied[0])


def _undominated(alpha: Array) -> list[int]:
    """One of each, without those that another is at least as good as in every state."""
    _, unique = np.unique(alpha, axis=0, return_index=True)
    order = unique[np.argsort(-alpha[unique].sum(axis=1), kind="stable")]
    kept: list[int] = []
    for i in order.tolist():
        if not kept or (alpha[kept] < alpha[i]).any(axis=1).all():
            kept.append(i)
    return kept
