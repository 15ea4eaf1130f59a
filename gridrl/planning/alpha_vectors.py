"""Values over beliefs: the best of finitely many planes, one for each plan.

A plan followed from a belief b is worth alpha . b: the average over the states of what it is worth
from each, alpha(s). So the best of any set of plans, V(b) = max_i alpha_i . b, is a convex function
made of flat pieces, and never more than V*(b): a lower bound in every belief.

`V(b)` is for a belief at the moment of choosing, after whatever has been seen; `value` is the value
at the start, J, the first observation counted where there is one (see `beliefs`).

Symbols: alpha[i, s], n vectors; b[k, s] beliefs; the rest as in `beliefs`.

Reading: Kaelbling, Littman & Cassandra (1998), section 4; Pineau, Gordon & Thrun (2003).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gridrl.planning.beliefs import Steps, belief_table, first_beliefs, steps_of
from gridrl.planning.bellman import action_values, state_values
from gridrl.planning.policies import deterministic_policy, uniform_policy
from gridrl.processes import POMDP
from gridrl.processes.html import html_table
from gridrl.tables import Array, Indices, read_only, restore

CELLS = 10_000_000  # numbers in the largest table that is made at once


@dataclass(frozen=True, eq=False)
class AlphaVectors:
    """Plans, what each is worth from each state, and what that makes of a belief.

    Attributes:
        alpha_vectors: (n, S), in reward units; 0 in terminal states.
        actions: (n,), what each plan does first.
        witnesses: (n, S), for each vector a belief in which it is the best.
        bound: |V(b) - V*(b)| <= bound in every belief; inf where only V(b) <= V*(b) is promised.
        horizon: number of steps to go; None: for ever.
        pomdp: the model.
    """

    alpha_vectors: Array
    actions: Indices
    witnesses: Array
    bound: float
    horizon: int | None
    pomdp: POMDP = field(repr=False)

    def __post_init__(self) -> None:
        arrays: tuple[Any, ...] = (self.alpha_vectors, self.actions, self.witnesses)
        for values in arrays:
            read_only(values)

    __setstate__ = restore

    def V(self, b: ArrayLike) -> Any:
        """max_i alpha_i . b: a number for one belief (S,), (n,) for beliefs (n, S)."""
        return plain((belief_table(self.pomdp, b) @ self.alpha_vectors.T).max(axis=-1))

    def Q(self, b: ArrayLike) -> Array:
        """What each action is worth with these values after it, one step more: (A,) or (n, A)."""
        return lookahead(steps_of(self.pomdp), belief_table(self.pomdp, b), self._values)

    def action(self, b: ArrayLike) -> Any:
        """The best action at a belief, by one lookahead; with a horizon, the best plan's first."""
        if self.horizon is None:
            return plain(self.Q(b).argmax(axis=-1))
        scores = belief_table(self.pomdp, b) @ self.alpha_vectors.T
        return plain(self.actions[scores.argmax(axis=-1)])

    @property
    def value(self) -> float:
        """J, at the start, in reward units."""
        return at_start(self.pomdp, self._values)

    def _values(self, b: Array) -> Array:
        return (b @ self.alpha_vectors.T).max(axis=-1)

    def __repr__(self) -> str:
        for_ever = "" if self.horizon is None else f"{self.horizon} steps to go, "
        sizes = f"{len(self.actions)} vectors, {self.pomdp.n_states} states"
        promise = f"|V - V*| <= {self.bound:.3g}" if self.bound < np.inf else "a lower bound"
        return f"AlphaVectors({sizes}, {for_ever}J = {self.value:.6g}, {promise})"

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{plans_html(self.pomdp, self.alpha_vectors, self.actions)}"


@dataclass(frozen=True, eq=False)
class UpperBound:
    """Action values that are too good to be true: V*(b) <= max_a sum_s b(s) Q(s,a).

    Attributes:
        Q: (S, A), in reward units.
        bound: how far Q may be from the fixed point it goes to; it is never below it.
        pomdp: the model.
    """

    Q: Array
    bound: float
    pomdp: POMDP = field(repr=False)

    def __post_init__(self) -> None:
        read_only(self.Q)

    __setstate__ = restore

    @property
    def alpha_vectors(self) -> Array:
        """One vector an action, (A, S)."""
        return self.Q.T

    @property
    def actions(self) -> Indices:
        """What each vector does first, (A,)."""
        return np.arange(self.Q.shape[1])

    def V(self, b: ArrayLike) -> Any:
        """max_a sum_s b(s) Q(s,a): a number for one belief (S,), (n,) for beliefs (n, S)."""
        return plain((belief_table(self.pomdp, b) @ self.Q).max(axis=-1))

    def action(self, b: ArrayLike) -> Any:
        """The action with the largest sum_s b(s) Q(s,a)."""
        return plain((belief_table(self.pomdp, b) @ self.Q).argmax(axis=-1))

    @property
    def value(self) -> float:
        """A bound on J, what can be had from the start, in reward units."""
        return at_start(self.pomdp, lambda b: (b @ self.Q).max(axis=-1))

    def __repr__(self) -> str:
        S, A = self.Q.shape
        return f"UpperBound({S} states, {A} actions, J* <= {self.value:.6g})"

    def _repr_html_(self) -> str:
        table = html_table("s", self.pomdp.action_labels, self.pomdp.labels, self.Q)
        return f"<p>{self!r}</p>{table}"


def at_start(pomdp: POMDP, V: Callable[[Array], Array]) -> float:
    """The expectation of V over what may be known when the first action is chosen."""
    probability, beliefs = first_beliefs(pomdp)
    return float(probability @ V(beliefs))


def lookahead(steps: Steps, b: Array, V: Callable[[Array], Array]) -> Array:
    """Q(b,a) = sum_s b(s) R(s,a) + gamma sum_o Pr(o|b,a) V(b after a, o), (..., A)."""
    Q = b @ steps.R
    for a in range(Q.shape[-1]):
        joint = steps.joint(b, a)
        probability = joint.sum(axis=-1)
        after = joint / np.where(probability > 0, probability, 1.0)[..., None]
        ahead = V(after.reshape(-1, b.shape[-1])).reshape(probability.shape)
        Q[..., a] += steps.gamma * (probability * ahead).sum(axis=-1)
    return Q


def point_backup(steps: Steps, alpha: Array, b: Array) -> tuple[Array, Indices]:
    """For each belief the best vector that one step and then a vector of `alpha` can make.

    alpha_a(s) = R(s,a) + gamma sum_o sum_s' P(s'|s,a) O(o|a,s') alpha_o(s'), alpha_o the best after
    o; of these the best a at b.  [Pineau, Gordon & Thrun 2003, sec. 2]

    Args:
        steps: the model.
        alpha: (m, S).
        b: (n, S).

    Returns:
        vectors (n, S) and their actions (n,).
    """
    made = np.array([_after_action(steps, alpha, b, a) for a in range(steps.R.shape[1])])
    actions = np.einsum("ans,ns->na", made, b).argmax(axis=1)
    return made[actions, np.arange(len(b))], actions


def _after_action(steps: Steps, alpha: Array, b: Array, a: int) -> Array:
    """The best vectors that begin with `a`, one for each belief, (n, S)."""
    after = np.empty(b.shape)
    size = max(1, CELLS // (steps.O.shape[1] * max(alpha.shape)))
    for k in range(0, len(b), size):
        best = (steps.joint(b[k : k + size], a) @ alpha.T).argmax(axis=-1)  # (size, Z)
        after[k : k + size] = (steps.O[a] * alpha[best]).sum(axis=1)
    return steps.R[:, a] + steps.back(a, after)


def blind_vectors(pomdp: POMDP) -> tuple[Array, Indices]:
    """Plans that look at nothing: one action for ever, or one and then any, (n, S) and (n,).

    Exact values of policies, so lower bounds in every belief. At gamma = 1 those that never end are
    left out.

    Raises:
        ValueError: gamma = 1 and acting at random may be paid for ever; the states are named.
    """
    mdp, A = pomdp.mdp, pomdp.n_actions
    at_random = action_values(mdp, state_values(mdp, uniform_policy(mdp))).T
    vectors, actions = list(at_random), list(range(A))
    for a in range(A):
        try:
            V = state_values(mdp, deterministic_policy(np.full(len(mdp.labels), a), A))
        except ValueError:
            continue
        vectors, actions = [*vectors, V], [*actions, a]
    return np.array(vectors), np.array(actions)


def plans_html(pomdp: POMDP, alpha: Array, actions: Indices) -> str:
    """A table of plans: what each does first, and what it is worth from each state."""
    plans = [f"{i + 1}: {pomdp.action_labels[a]}" for i, a in enumerate(actions.tolist())]
    return html_table("plan", pomdp.labels, plans, alpha)


def plain(x: Any) -> Any:
    """A Python number if it is one, else the array."""
    return x if np.ndim(x) else x.item()
