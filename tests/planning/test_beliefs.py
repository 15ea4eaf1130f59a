"""Beliefs: Bayes' rule, by enumeration, by frequencies, in batches; and what cannot be seen."""

from __future__ import annotations

import copy
import pickle
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl import MDP, POMDP, lost_penguin_world, rollout
from gridrl.errors import ImpossibleObservation, NotConverged
from gridrl.planning.beliefs import (
    belief_filter,
    belief_update,
    first_beliefs,
    observation_probabilities,
)
from gridrl.processes import Trajectories
from gridrl.tables import Array, Indices
from gridrl.worlds import random_mdp, tiger
from tests.planning.oracles import sparse
from tests.strategies import seeds, sparse_rows

TIGER = tiger()
LOST = lost_penguin_world().pomdp(gamma=0.9)
NOTHING: Any = None


def random_pomdp(
    rng: np.random.Generator, *, axes: int, S: int = 3, A: int = 2, Z: int = 3
) -> POMDP:
    """Rows with zeros, so that some observations cannot be made."""
    mdp = MDP(sparse_rows(rng, S, A, S), rng.normal(size=(S, A)), 0.9, start=sparse_rows(rng, S))
    return POMDP(mdp, sparse_rows(rng, *((A, S) if axes == 3 else (S,)), Z))


def seen(pomdp: POMDP, a: int) -> Array:
    return pomdp.O[a] if pomdp.O.ndim == 3 else pomdp.O


def looks(ran: Trajectories) -> Indices:
    assert ran.observations is not None
    return ran.observations


def by_enumeration(pomdp: POMDP, actions: list[int], observations: list[int]) -> Array:
    """Pr(s_T, all that was seen), summed over every sequence of states, (S,)."""
    P, S, joint = np.asarray(pomdp.P), pomdp.n_states, np.zeros(pomdp.n_states)
    first = len(observations) - len(actions)
    for path in product(range(S), repeat=len(actions) + 1):
        p = pomdp.start[path[0]] * (pomdp.O[path[0], observations[0]] if first else 1.0)
        for t, a in enumerate(actions):
            p *= P[path[t], a, path[t + 1]]
            p *= seen(pomdp, a)[path[t + 1], observations[t + first]]
        joint[path[-1]] += p
    return joint


def test_listening_twice_to_the_tiger() -> None:
    once = belief_update(TIGER, [0.5, 0.5], 0, 0)
    np.testing.assert_allclose(once, [0.85, 0.15], atol=1e-15)
    twice = belief_update(TIGER, once, 0, 0)
    np.testing.assert_allclose(twice, [0.85**2 / (0.85**2 + 0.15**2), 0.15**2 / 0.745], atol=1e-12)
    np.testing.assert_allclose(belief_update(TIGER, twice, 0, 1), once, atol=1e-12)
    np.testing.assert_allclose(belief_update(TIGER, twice, 2, 1), [0.5, 0.5], atol=1e-12)


@given(seeds, st.sampled_from([2, 3]))
def test_an_update_is_bayes_rule(seed: int, axes: int) -> None:
    rng = np.random.default_rng(seed)
    pomdp = random_pomdp(rng, axes=axes)
    b, P = sparse_rows(rng, 3), np.asarray(pomdp.P)
    for a, o in product(range(2), range(3)):
        joint = [seen(pomdp, a)[k, o] * sum(b[s] * P[s, a, k] for s in range(3)) for k in range(3)]
        assert observation_probabilities(pomdp, b, a)[o] == pytest.approx(sum(joint), abs=1e-12)
        if sum(joint) > 0:
            after = belief_update(pomdp, b, a, o)
            np.testing.assert_allclose(after, np.array(joint) / sum(joint), atol=1e-12)
        else:
            with pytest.raises(ImpossibleObservation, match=r"probability is 0"):
                belief_update(pomdp, b, a, o)


@given(seeds, st.sampled_from([2, 3]))
def test_the_filter_sums_over_every_sequence_of_states(seed: int, axes: int) -> None:
    rng = np.random.default_rng(seed)
    pomdp = random_pomdp(rng, axes=axes)
    actions = rng.integers(2, size=3).tolist()
    for observations in product(range(3), repeat=3 + (axes == 2)):
        joint = by_enumeration(pomdp, actions, list(observations))
        if joint.sum() > 0:
            b = belief_filter(pomdp, actions, observations)
            np.testing.assert_allclose(b[-1], joint / joint.sum(), atol=1e-10)
        else:
            with pytest.raises(ImpossibleObservation):
                belief_filter(pomdp, actions, observations)


def test_the_filter_is_right_about_frequencies() -> None:
    rng = np.random.default_rng(0)
    pomdp = POMDP(
        random_mdp(3, 2, rng=rng), rng.dirichlet(np.ones(2), size=3), observation_labels=["x", "y"]
    )
    ran = rollout(pomdp, np.full((2, 2), 0.5), episodes=60_000, steps=2, rng=1)
    beliefs = belief_filter(pomdp, ran.actions, looks(ran))
    histories = np.column_stack([ran.actions, looks(ran)])
    different, which = np.unique(histories, axis=0, return_inverse=True)
    assert len(different) == 2**5
    for k in range(len(different)):
        mine = which.ravel() == k
        b, n = beliefs[mine][0, -1], mine.sum()
        found = np.bincount(ran.states[mine, -1], minlength=3) / n
        # 96 comparisons at 5 standard errors: a false alarm once in 2e4 seeds, and this is one
        assert (np.abs(found - b) <= 5 * np.sqrt(b * (1 - b) / n)).all()


@pytest.mark.parametrize("axes", [2, 3])
def test_batches_equal_one_by_one(axes: int) -> None:
    rng = np.random.default_rng(axes)
    pomdp = POMDP(
        random_mdp(4, 3, rng=rng), rng.dirichlet(np.ones(3), size=(3, 4) if axes == 3 else 4)
    )
    b = rng.dirichlet(np.ones(4), size=6)
    a, o = rng.integers(3, size=6), rng.integers(3, size=6)
    after = belief_update(pomdp, b, a, o)
    assert after.shape == (6, 4)
    for k in range(6):
        np.testing.assert_allclose(after[k], belief_update(pomdp, b[k], int(a[k]), int(o[k])))
    np.testing.assert_allclose(
        belief_update(pomdp, b, 1, 2), belief_update(pomdp, b, np.full(6, 1), np.full(6, 2))
    )
    acts, made = rng.integers(3, size=(5, 4)), rng.integers(3, size=(5, 4 + (axes == 2)))
    together = belief_filter(pomdp, acts, made)
    assert together.shape == (5, 5, 4)
    for k in range(5):
        np.testing.assert_allclose(together[k], belief_filter(pomdp, acts[k], made[k]))
    np.testing.assert_allclose(together.sum(axis=2), 1)


def test_sparse_models_have_the_same_beliefs() -> None:
    rng = np.random.default_rng(3)
    ran = rollout(LOST, np.full((5, 4), 0.25), episodes=20, steps=10, rng=rng)
    small = LOST.replace(mdp=sparse(LOST.mdp))
    np.testing.assert_allclose(
        belief_filter(LOST, ran.actions, looks(ran)), belief_filter(small, ran.actions, looks(ran))
    )
    b = np.full(16, 1 / 16)
    np.testing.assert_allclose(belief_update(LOST, b, 1, 0), belief_update(small, b, 1, 0))


def test_after_an_end_the_belief_stays() -> None:
    rng = np.random.default_rng(4)
    mdp = MDP(sparse_rows(rng, 4, 2, 4), np.ones((4, 2)), 1.0, terminal=[False] * 3 + [True])
    pomdp = POMDP(mdp, rng.dirichlet(np.ones(3), size=4))
    ran = rollout(pomdp, np.full((3, 2), 0.5), episodes=40, steps=8, rng=5)
    beliefs = belief_filter(pomdp, ran.actions, looks(ran))
    ended = np.flatnonzero(ran.lengths < 8)
    assert len(ended) > 5
    for k in ended.tolist():
        T = ran.lengths[k]
        assert (beliefs[k, T:] == beliefs[k, T]).all()
        one = ran[k]
        np.testing.assert_allclose(
            beliefs[k, : T + 1], belief_filter(pomdp, one.actions, looks(one))
        )


def test_the_first_belief_knows_the_first_observation() -> None:
    uniform = LOST.replace(start=None)
    probability, b = first_beliefs(uniform)
    np.testing.assert_allclose(probability, LOST.O.sum(axis=0) / 16)
    np.testing.assert_allclose(probability @ b, uniform.start)
    F = LOST.observation_labels.index(".F")
    np.testing.assert_allclose(belief_filter(uniform, [], [F])[0], LOST.O[:, F])
    probability, b = first_beliefs(TIGER)
    np.testing.assert_array_equal(b, [[0.5, 0.5]])
    np.testing.assert_array_equal(belief_filter(TIGER, [], []), [[0.5, 0.5]])


def test_what_cannot_be_seen_names_time_observation_and_support() -> None:
    hole, start = LOST.observation_labels.index("H."), LOST.observation_labels.index("..")
    message = rf"'H.' \(o = {hole}\) cannot be seen after 'down' at time 1 of episode 1: its"
    with pytest.raises(ImpossibleObservation, match=message):
        belief_filter(LOST, [[2, 2], [2, 2]], [[start, start, start], [start, hole, start]])
    with pytest.raises(
        ImpossibleObservation, match=r"at time 1: its .* from a belief on states \{1\}$"
    ):
        belief_filter(LOST, [0], [start, hole])
    with pytest.raises(ImpossibleObservation, match=r"'H\.' .* cannot be seen at time 0"):
        belief_filter(LOST, [0], [hole, start])
    one_way = POMDP(
        MDP([[[0, 1]], [[1, 0]]], [0, 0], 0.9, labels=["here", "there"], action_labels=["go"]),
        np.eye(2),
        observation_labels=["A", "B"],
    )
    with pytest.raises(ImpossibleObservation, match=r"'A' \(o = 0\) cannot be seen after 'go': .*"
                       r"from a belief on states \{here\}"):  # fmt: skip
        belief_update(one_way, [1, 0], 0, 0)


def test_errors_travel() -> None:
    error = NotConverged("too slow", so_far=3, lower=1.0, upper=2.0)
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (str(copied), copied.so_far, copied.lower, copied.upper) == ("too slow", 3, 1.0, 2.0)
    assert isinstance(ImpossibleObservation("?"), ValueError)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: belief_update(TIGER, [0.5, 0.4], 0, 0), r"b must be a distribution; it sums to"),
        (lambda: belief_update(TIGER, [1.0], 0, 0), r"b must have shape \(2,\); it has \(1,\)"),
        (lambda: belief_update(TIGER, [0.5, 0.5], 3, 0), r"a must be in 0..2; it is 3"),
        (lambda: belief_update(TIGER, [0.5, 0.5], 0, 2), r"o must be in 0..1; it is 2"),
        (lambda: belief_update(TIGER, [0.5, 0.5], [0, 0], 1), r"a must be one index, or one for"),
        (lambda: belief_update(TIGER, np.eye(2), 0, [1, 0, 1]), r"o must be one .* shape \(3,\)"),
        (lambda: observation_probabilities(TIGER, [1, 0], 7), r"a must be in 0..2; it is 7"),
        (lambda: belief_filter(TIGER, [0], [0, 0]), r"\(1,\) beside actions \(1,\) .* three axes"),
        (lambda: belief_filter(LOST, [0], [0]), r"observations must have shape \(2,\) beside"),
        (lambda: belief_filter(LOST, [[4]], [[0, 0]]), r"actions\[0, 0\] must be in 0..3; it is 4"),
        (lambda: belief_filter(LOST, [-2], [0, 0]), r"actions\[0\] must be in 0..3; it is -2"),
        (lambda: belief_filter(LOST, [0], [0, 9]), r"observations\[1\] must be in 0..4; it is 9"),
        (lambda: belief_filter(LOST, 0, [0]), r"actions must have shape \(T,\) or \(n, T\)"),
    ],
)  # fmt: skip
def test_wrong_input_is_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: belief_update(NOTHING, [1], 0, 0), r"pomdp must be a POMDP; it is a NoneType"),
        (lambda: first_beliefs(LOST.mdp), r"it is a MDP: POMDP\(mdp, np.eye\(S\)\) sees all"),  # type: ignore[arg-type]
        (lambda: belief_filter(lost_penguin_world(), [], []), r"GridWorld: use its .pomdp\(gamma"),  # type: ignore[arg-type]
        (lambda: belief_update(TIGER, [0.5, 0.5], 0.0, 0), r"a must hold whole numbers"),
        (lambda: belief_filter(LOST, [0.5], [0, 0]), r"actions must hold whole numbers"),
    ],
)  # fmt: skip
def test_wrong_types_are_named(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()
