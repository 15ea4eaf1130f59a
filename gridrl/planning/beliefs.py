"""Beliefs: what is known of a hidden state, as a distribution over states.

A belief is all that the past tells about the future, so a POMDP is an MDP whose states are
beliefs: from b, action a pays sum_s b(s) R(s,a) and leads to the belief after o with probability
Pr(o|b,a).

With O[s', o] (two axes) something is seen in every state, so once before the first action too; the
first belief is then the start distribution, given what was seen. With O[a, s', o] (three axes)
nothing is seen before the first action. Only observations inform: that an episode goes on tells
nothing unless O shows it.

Symbols: b[s] = Pr(s | all that was done and seen), (S,); O[a, s', o]; Z number of observations.

Reading: Kaelbling, Littman & Cassandra (1998), sections 3.3 and 3.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gridrl.errors import ImpossibleObservation
from gridrl.processes import POMDP
from gridrl.processes.transitions import Chain, SparseTransitions
from gridrl.tables import Array, Indices, distributions, index, indices


@dataclass(frozen=True, eq=False)
class Steps:
    """The model action by action: where one goes, and what one sees there.

    Attributes:
        P: Pr(s'|s) under each action, A tables (S, S), dense or sparse.
        O: Pr(o|a,s'), (A, Z, S), the state last.
        R: E[r | s, a], (S, A).
        gamma: discount per step.
    """

    P: list[Chain]
    O: Array  # noqa: E741
    R: Array
    gamma: float

    def joint(self, b: Array, a: int) -> Array:
        """Pr(o, s' | b, a) for beliefs (..., S), shape (..., Z, S)."""
        ahead = np.asarray(b @ self.P[a])
        return ahead[..., None, :] * self.O[a]

    def back(self, a: int, after: Array) -> Array:
        """gamma sum_s' P(s'|s,a) after(s'), for vectors (n, S), shape (n, S)."""
        return self.gamma * np.ascontiguousarray((self.P[a] @ after.T).T)


def steps_of(pomdp: POMDP) -> Steps:
    """Lay out a model action by action."""
    P, A = a_pomdp(pomdp).P, pomdp.n_actions
    if isinstance(P, SparseTransitions):
        moves: list[Chain] = [P.matrix[a::A] for a in range(A)]
    else:
        moves = list(np.ascontiguousarray(P.swapaxes(0, 1)))
    O = np.ascontiguousarray(pomdp.O.swapaxes(-1, -2))  # noqa: E741
    seen = np.broadcast_to(O, (A, pomdp.n_observations, pomdp.n_states))
    return Steps(moves, seen, pomdp.R, pomdp.gamma)


def a_pomdp(pomdp: Any) -> POMDP:
    """Return `pomdp` if it is one; a TypeError says what to write instead."""
    if isinstance(pomdp, POMDP):
        return pomdp
    hint = {"GridWorld": ": use its .pomdp(gamma=...)", "MDP": ": POMDP(mdp, np.eye(S)) sees all"}
    name = type(pomdp).__name__
    raise TypeError(f"pomdp must be a POMDP; it is a {name}{hint.get(name, '')}")


def belief_table(pomdp: POMDP, b: ArrayLike) -> Array:
    """Check one belief (S,) or many (n, S)."""
    shape = np.shape(b)
    S = a_pomdp(pomdp).n_states
    return distributions(b, "b", (S,), (shape[0], S) if len(shape) == 2 else (S,))


def observation_probabilities(pomdp: POMDP, b: ArrayLike, a: int) -> Array:
    """Pr(o|b,a) = sum_s' O(o|a,s') sum_s P(s'|s,a) b(s), (Z,); (n, Z) for beliefs (n, S).

    >>> from gridrl.worlds import tiger
    >>> observation_probabilities(tiger(), [0.5, 0.5], 0)
    array([0.5, 0.5])
    """
    beliefs = belief_table(pomdp, b)
    return steps_of(pomdp).joint(beliefs, index(a, "a", pomdp.n_actions)).sum(axis=-1)


def belief_update(pomdp: POMDP, b: ArrayLike, a: ArrayLike, o: ArrayLike) -> Array:
    """b'(s') = O(o|a,s') sum_s P(s'|s,a) b(s) / Pr(o|b,a).  [Kaelbling et al. 1998, sec. 3.3]

    Args:
        pomdp: the model.
        b: what is known before, (S,), or one a row, (n, S).
        a: what is done, an index, or (n,).
        o: what is then seen, an index, or (n,).

    >>> from gridrl.worlds import tiger
    >>> belief_update(tiger(), [0.5, 0.5], a=0, o=0)  # listen, hear the tiger on the left
    array([0.85, 0.15])

    Raises:
        TypeError, ValueError: b is no distribution over states; a or o does not exist.
        ImpossibleObservation: Pr(o|b,a) = 0.
    """
    beliefs = belief_table(pomdp, b)
    acts, seen = indices(a, "a", pomdp.n_actions), indices(o, "o", pomdp.n_observations)
    for name, given in {"a": acts, "o": seen}.items():
        if given.ndim and given.shape != beliefs.shape[:-1]:
            raise ValueError(
                f"{name} must be one index, or one for each belief, {beliefs.shape[:-1]};"
                f" it has shape {given.shape}"
            )
    rows = beliefs.reshape(-1, pomdp.n_states)
    n = (len(rows),)
    after = _advance(
        pomdp, steps_of(pomdp), rows, np.broadcast_to(acts, n), np.broadcast_to(seen, n)
    )
    return after.reshape(beliefs.shape)


def belief_filter(pomdp: POMDP, actions: ArrayLike, observations: ArrayLike) -> Array:
    """What is known at each time of an episode, b_0 to b_T: `belief_update`, step by step.

    Args:
        pomdp: the model.
        actions: (T,), or a batch (n, T); -1 after an episode's end keeps the belief.
        observations: (T + 1,) or (n, T + 1), the first one made before the first action, if O has
            two axes; (T,) or (n, T), one after each action, if it has three.

    Returns:
        (T + 1, S) or (n, T + 1, S); b_0 is the start distribution, given the first observation if
        there is one.

    >>> from gridrl.worlds import tiger
    >>> belief_filter(tiger(), [0, 0, 1], [0, 0, 1]).round(2)
    array([[0.5 , 0.5 ],
           [0.85, 0.15],
           [0.97, 0.03],
           [0.5 , 0.5 ]])

    Raises:
        TypeError, ValueError: shapes that do not fit, an action or observation that does not exist.
        ImpossibleObservation: what was seen cannot be; the episode and the time are named.
    """
    acts, seen = _experience(a_pomdp(pomdp), actions, observations)
    (n, T), steps = acts.shape, steps_of(pomdp)
    first = seen.shape[1] - T  # 1: something is seen before the first action
    b = np.empty((n, T + 1, pomdp.n_states))
    names = np.arange(n) if np.ndim(actions) == 2 else None
    b[:, 0] = _first(pomdp, seen[:, 0], names) if first else pomdp.start
    for t in range(T):
        go = np.flatnonzero(acts[:, t] >= 0)
        b[:, t + 1] = b[:, t]
        which = None if names is None else names[go]
        b[go, t + 1] = _advance(
            pomdp, steps, b[go, t], acts[go, t], seen[go, t + first], t + 1, which
        )
    return b if np.ndim(actions) == 2 else b[0]


def first_beliefs(pomdp: POMDP) -> tuple[Array, Array]:
    """What can be known when the first action is chosen: probabilities (k,), beliefs (k, S).

    With O[s', o] one belief for each first observation that can be made; with O[a, s', o] only the
    start distribution.

    >>> from gridrl.worlds import lost_penguin_world
    >>> probability, b = first_beliefs(lost_penguin_world().pomdp(gamma=0.9))
    >>> probability, b.argmax(axis=1)
    (array([1.]), array([0]))
    """
    if a_pomdp(pomdp).O.ndim == 3:
        return np.ones(1), pomdp.start[None].copy()
    joint = pomdp.O.T * pomdp.start
    probability = joint.sum(axis=1)
    possible = probability > 0
    return probability[possible], joint[possible] / probability[possible, None]


def _advance(
    pomdp: POMDP,
    steps: Steps,
    b: Array,
    a: Indices,
    o: Indices,
    time: int | None = None,
    episodes: Indices | None = None,
) -> Array:
    """The beliefs (n, S) after actions and observations (n,)."""
    after = np.empty_like(b)
    for act in np.unique(a):
        k = a == act
        after[k] = (b[k] @ steps.P[act]) * steps.O[act, o[k]]
    probability = after.sum(axis=1)
    if len(bad := np.flatnonzero(probability <= 0)):
        k = int(bad[0])
        raise _impossible(pomdp, b[k], int(o[k]), int(a[k]), time, episodes, k)
    return after / probability[:, None]


def _first(pomdp: POMDP, o: Indices, episodes: Indices | None) -> Array:
    joint = pomdp.O.T[o] * pomdp.start
    probability = joint.sum(axis=1)
    if len(bad := np.flatnonzero(probability <= 0)):
        k = int(bad[0])
        raise _impossible(pomdp, pomdp.start, int(o[k]), None, 0, episodes, k)
    return joint / probability[:, None]


def _impossible(
    pomdp: POMDP,
    b: Array,
    o: int,
    a: int | None,
    time: int | None,
    episodes: Indices | None,
    k: int,
) -> ImpossibleObservation:
    act = "" if a is None else f" after {pomdp.action_labels[a]!r}"
    when = "" if time is None else f" at time {time}"
    whose = "" if episodes is None else f" of episode {episodes[k]}"
    return ImpossibleObservation(
        f"{pomdp.observation_labels[o]!r} (o = {o}) cannot be seen{act}{when}{whose}: its"
        f" probability is 0 from a belief on states {pomdp.mdp.named(np.flatnonzero(b))}"
    )


def _experience(
    pomdp: POMDP, actions: ArrayLike, observations: ArrayLike
) -> tuple[Indices, Indices]:
    raw, A = np.asarray(actions), pomdp.n_actions
    if raw.ndim not in (1, 2):
        raise ValueError(f"actions must have shape (T,) or (n, T); it has {raw.shape}")
    kept = np.asarray(indices(np.where(raw == -1, 0, raw), "actions", A))
    acts = np.where(raw == -1, -1, kept)
    seen = indices(observations, "observations", pomdp.n_observations)
    wanted = (*acts.shape[:-1], acts.shape[-1] + (pomdp.O.ndim == 2))
    if seen.shape != wanted:
        kind = "two axes, seen in every state" if pomdp.O.ndim == 2 else "three axes"
        raise ValueError(
            f"observations must have shape {wanted} beside actions {acts.shape} where O has"
            f" {kind}; it has {seen.shape}"
        )
    return np.atleast_2d(acts).astype(np.intp), np.atleast_2d(seen)
