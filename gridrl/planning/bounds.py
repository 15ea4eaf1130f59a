"""The value at the start, closed in from both sides.

Below, plans (see `alpha_vectors`); above, a sawtooth (see `sawtooth`). A trial walks from the
start, always by the action that may be the best and to the observation behind which most is open,
and backs up both bounds on its way and on its way back.

Symbols: b[s] a belief; the rest as in `beliefs`.

Reading: Smith & Simmons (2004, 2005), heuristic search value iteration; Kurniawati, Hsu & Lee
(2008).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gridrl.errors import NotConverged
from gridrl.iterates import algorithm
from gridrl.planning.alpha_vectors import (
    blind_vectors,
    lookahead,
    plain,
    plans_html,
    point_backup,
)
from gridrl.planning.beliefs import Steps, belief_table, first_beliefs, steps_of
from gridrl.planning.dynamic_programming import policy_iteration
from gridrl.planning.endings import is_over, longest_episode
from gridrl.planning.pomdp_solvers import fast_informed_bound
from gridrl.planning.sawtooth import TINY, Sawtooth
from gridrl.processes import MDP, POMDP
from gridrl.tables import Array, Indices, read_only, restore, tolerance, whole

DEPTH = 500  # steps of a trial
NARROWER = 0.6  # a trial that closes in on this part of the gap is worth its time
SWEEPS = 5000  # of the bound to begin with


@dataclass(frozen=True, eq=False)
class BeliefBounds:
    """What is known of the value so far.

    Attributes:
        lower, upper: lower <= J* <= upper at the start, in reward units, the first observation
            counted where O has two axes.
        alpha_vectors, actions: the plans below, (n, S) and (n,).
        above: the bound above, in every belief.
        backups: number of beliefs backed up so far.
        trial: the beliefs of the last walk, (k, S).
        pomdp: the model.
    """

    lower: float
    upper: float
    alpha_vectors: Array
    actions: Indices
    above: Sawtooth = field(repr=False)
    backups: int
    trial: Array
    pomdp: POMDP = field(repr=False)

    def __post_init__(self) -> None:
        arrays: tuple[Any, ...] = (self.alpha_vectors, self.actions, self.trial)
        for values in arrays:
            read_only(values)

    __setstate__ = restore

    def V(self, b: ArrayLike) -> Any:
        """The lower bound at a belief (S,), a number, or at beliefs (n, S)."""
        return plain((belief_table(self.pomdp, b) @ self.alpha_vectors.T).max(axis=-1))

    def V_upper(self, b: ArrayLike) -> Any:
        """The upper bound at a belief (S,), a number, or at beliefs (n, S)."""
        beliefs = belief_table(self.pomdp, b)
        return plain(self.above.V(np.atleast_2d(beliefs)).reshape(beliefs.shape[:-1]))

    def Q(self, b: ArrayLike) -> Array:
        """What each action is worth, at least, by one lookahead: (A,) or (n, A)."""
        V = self.alpha_vectors.T
        beliefs = belief_table(self.pomdp, b)
        return lookahead(steps_of(self.pomdp), beliefs, lambda x: (x @ V).max(axis=-1))

    def action(self, b: ArrayLike) -> Any:
        """The action with the largest lower bound, by one lookahead."""
        return plain(self.Q(b).argmax(axis=-1))

    def __repr__(self) -> str:
        known = f"{len(self.actions)} vectors, {len(self.above.drops)} points"
        bounds = f"{self.lower:.6g} <= J* <= {self.upper:.6g}"
        return f"BeliefBounds({bounds}, {known}, backups={self.backups})"

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{plans_html(self.pomdp, self.alpha_vectors, self.actions)}"


@algorithm
def belief_bounds(
    pomdp: POMDP, *, tol: float = 1e-3, max_backups: int = 20_000
) -> Iterator[BeliefBounds]:
    """Raise a lower and lower an upper bound on the value at the start until they meet to `tol`.

    Heuristic search value iteration, from blind plans and the fast informed bound. One snapshot a
    trial; both bounds hold in each, also above and below every belief.  [Smith & Simmons 2005]

    Args:
        pomdp: the model.
        tol: promise on upper - lower at the start, in reward units. With O[s', o] that is J, the
            expectation over the first observation; with O[a, s', o] V at the start distribution.
        max_backups: the budget, in beliefs backed up; a trial is finished first.

    >>> from gridrl.worlds import tiger
    >>> answer = belief_bounds(tiger(), tol=1e-3)
    >>> answer.lower <= 19.371368 <= answer.upper, answer.upper - answer.lower <= 1e-3
    (True, True)

    Raises:
        TypeError: `pomdp` is none.
        ValueError: gamma = 1 and acting at random is paid for ever.
        NotConverged: the gap is still above `tol`; the bounds are in `lower` and `upper`, the last
            snapshot in `so_far`.
    """
    tol, budget = tolerance(tol), whole(max_backups, "max_backups", least=1)
    steps, (probability, first) = steps_of(pomdp), first_beliefs(pomdp)
    search = _begin(pomdp, tol, first)
    while True:
        yield (answer := _snapshot(pomdp, search, probability))
        gap = answer.upper - answer.lower
        if gap <= tol:
            return
        if search.backups >= budget:
            break
        small = max(0.9 * tol, NARROWER * gap)
        excess = search.above.V(first) - search.V(first) - small * (first @ search.weights)
        search = _trial(steps, search, first[(probability * excess).argmax()], small)
    raise NotConverged(
        f"upper - lower is still {gap:.3g} > tol = {tol:.3g} after {search.backups} backups:"
        f" {answer.lower:.6g} <= J* <= {answer.upper:.6g} (more max_backups, or a larger tol)",
        so_far=answer,
        lower=answer.lower,
        upper=answer.upper,
    )


@dataclass(frozen=True, eq=False)
class Search:
    """Both bounds, and the account of what was spent.

    Attributes:
        alpha, actions: plans, (m, S) and (m,).
        above: the sawtooth.
        least: a gain smaller than this, times the weight of b, is not worth a vector or a point.
        weights: (S,), how long an episode may last from a state, the longest being 1.
        shrink: what a step leaves of that; gamma below 1, where all weights are 1.
        first: what can be known at the start, (k, S).
        backups: beliefs backed up so far.
        trial: the beliefs of the last walk, (k, S).
        size: vectors and points after the last pruning.
    """

    alpha: Array
    actions: Indices
    above: Sawtooth
    least: float
    weights: Array
    shrink: float
    first: Array
    trial: Array
    backups: int = 0
    size: int = 0

    def V(self, b: Array) -> Array:
        """The lower bound at beliefs (n, S)."""
        return (b @ self.alpha.T).max(axis=1)


def _begin(pomdp: POMDP, tol: float, first: Array) -> Search:
    (alpha, actions), Q = blind_vectors(pomdp), _informed(pomdp)
    nothing = np.zeros((0, pomdp.n_states))
    horizon = longest_episode(pomdp.mdp)
    least = max(tol / (100 * horizon), 1e-12 * float(np.abs(Q).max()))
    above = Sawtooth(Q, ~pomdp.terminal, nothing, nothing, np.zeros(0))
    weights, shrink = _weights(pomdp.mdp, horizon), 1 - 1 / horizon
    return Search(alpha, actions, above, least, weights, shrink, first, nothing)


def _weights(mdp: MDP, horizon: float) -> Array:
    """The longest expected time to the end from each state, as a part of the longest of all."""
    if mdp.gamma < 1 or horizon == np.inf:
        return np.ones(mdp.n_states)
    return policy_iteration(mdp.replace(R=(~is_over(mdp)).astype(float))).V / horizon


def _informed(pomdp: POMDP) -> Array:
    """FIB's Q, or what its sweeps have come to: each is an upper bound."""
    try:
        return fast_informed_bound(pomdp, max_sweeps=SWEEPS).Q
    except NotConverged as error:
        return np.asarray(error.so_far.Q)


def _trial(steps: Steps, search: Search, b: Array, gap: float) -> Search:
    """Walk from `b` until what is open matters less than `gap` at the start; back up, and back."""
    walk = []
    for depth in range(1, DEPTH + 1):
        search, Q = _backup(steps, search, b)
        walk.append(b)
        a = int(Q.argmax())
        joint = steps.joint(b, a)
        probability = joint.sum(axis=1)
        after = joint / np.maximum(probability, TINY)[:, None]
        small = gap / max(search.shrink**depth, TINY) * (joint @ search.weights)
        excess = probability * (search.above.V(after) - search.V(after)) - small
        o = int(excess.argmax())
        if excess[o] <= 0:
            break
        b = after[o]
    for b in reversed(walk[:-1]):
        search, _ = _backup(steps, search, b)
    search = replace(search, trial=np.array(walk))
    if len(search.alpha) + len(search.above.drops) > 1.2 * search.size + 20:
        search = _pruned(search)
    return search


def _backup(steps: Steps, search: Search, b: Array) -> tuple[Search, Array]:
    """Both bounds after a backup at `b`, and the upper bounds on Q(b,a), (A,)."""
    vectors, actions = point_backup(steps, search.alpha, b[None])
    least = search.least * float(b @ search.weights)
    if vectors[0] @ b > search.V(b[None])[0] + least:
        search = replace(
            search,
            alpha=np.concatenate([search.alpha, vectors]),
            actions=np.concatenate([search.actions, actions]),
        )
    Q = lookahead(steps, b, search.above.V)
    if Q.max() < search.above.V(b[None])[0] - least:
        search = replace(search, above=search.above.with_point(b, float(Q.max())))
    return replace(search, backups=search.backups + 1), Q


def _pruned(search: Search) -> Search:
    """Without points that others make needless, and vectors that are the best at none of them."""
    above = search.above.pruned()
    beliefs = np.concatenate([above.points, search.trial, search.first])
    kept = np.unique((beliefs @ search.alpha.T).argmax(axis=1))
    size = len(kept) + len(above.drops)
    return replace(
        search, alpha=search.alpha[kept], actions=search.actions[kept], above=above, size=size
    )


def _snapshot(pomdp: POMDP, search: Search, probability: Array) -> BeliefBounds:
    lower = probability @ search.V(search.first)
    upper = probability @ search.above.V(search.first)
    return BeliefBounds(
        float(lower),
        max(float(lower), float(upper)),  # where they meet, rounding may cross them
        search.alpha.copy(),
        search.actions.copy(),
        search.above,
        search.backups,
        search.trial.copy(),
        pomdp,
    )
