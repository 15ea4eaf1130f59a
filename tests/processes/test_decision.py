"""Decision processes: every form of R, terminal states, and the process a policy makes."""

from __future__ import annotations

import dataclasses
import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from scipy.sparse import csr_array

from gridrl import MDP, SparseTransitions, arrive, leave
from gridrl.processes.transitions import stacked
from tests.strategies import lottery, mdps, policies, rewards, seeds, sparse_rows

P = np.array([[[0.5, 0.5], [0, 1]], [[1, 0], [0.2, 0.8]], ])  # fmt: skip
R = np.array([[1.0, 2.0], [0.0, -1.0]])


def same(a: MDP, b: MDP) -> None:
    for name in ("R", "start", "terminal"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_array_equal(stacked(a.P).toarray(), stacked(b.P).toarray())
    assert (a.gamma, a.labels, a.action_labels) == (b.gamma, b.labels, b.action_labels)


@given(mdps())
def test_replacing_nothing_changes_nothing(mdp: MDP) -> None:
    same(mdp, mdp.replace())
    same(mdp, pickle.loads(pickle.dumps(mdp)))


@pytest.mark.parametrize("form", list(rewards(np.random.default_rng(0), 2, 2)))
def test_replacing_keeps_what_was_given(form: str) -> None:
    given_ = rewards(np.random.default_rng(1), 2, 2)[form]
    mdp = MDP(P, given_, 0.9)
    same(mdp, mdp.replace(gamma=0.9))
    other = MDP(P[:, ::-1], given_, 0.9)
    same(mdp.replace(P=P[:, ::-1]), other)  # the expectation is taken again under the new P


@given(mdps(), seeds)
def test_the_textbook_line_is_the_same_dense_and_sparse(mdp: MDP, seed: int) -> None:
    V = np.random.default_rng(seed).normal(size=mdp.n_states)
    by_hand = np.zeros(mdp.R.shape)
    for s, a, s_next in np.ndindex(mdp.P.shape):
        by_hand[s, a] += mdp.P[s, a, s_next] * V[s_next]
    for form in (mdp, mdp.replace(P=stacked(mdp.P)), mdp.replace(P=stacked(mdp.P).tocsc())):
        Q = form.R + form.gamma * (form.P @ V)
        np.testing.assert_allclose(Q, mdp.R + mdp.gamma * by_hand, atol=1e-12)


@given(mdps())
def test_rows_are_distributions_and_terminal_states_absorb(mdp: MDP) -> None:
    for form in (mdp, mdp.replace(P=stacked(mdp.P))):
        table = np.asarray(form.P if isinstance(form.P, np.ndarray) else form.P.toarray())
        np.testing.assert_allclose(table.sum(axis=2), 1, atol=1e-12)
        ends = np.flatnonzero(mdp.terminal)
        np.testing.assert_array_equal(table[ends, :, ends], 1)
        np.testing.assert_array_equal(form.R[ends], 0)
        np.testing.assert_array_equal(mdp.start[ends], 0)


# --- under a policy ---------------------------------------------------------------------------


@given(mdps(), seeds)
def test_under_a_policy_it_is_the_average_over_actions(mdp: MDP, seed: int) -> None:
    pi = policies(np.random.default_rng(seed), mdp)
    for form in (mdp, mdp.replace(P=stacked(mdp.P))):
        process = form.under(pi)
        expected = (pi[:, :, None] * np.asarray(mdp.P)).sum(axis=1)
        np.testing.assert_allclose(process.columns.T, expected, atol=1e-14)
        np.testing.assert_allclose(process.R, (pi * mdp.R).sum(axis=1), atol=1e-14)
        assert process.gamma == mdp.gamma
        assert process.labels == mdp.labels
        np.testing.assert_array_equal(process.start, mdp.start)
        np.testing.assert_array_equal(process.terminal, mdp.terminal)


@given(mdps(), seeds)
def test_values_of_a_policy_solve_bellmans_equation(mdp: MDP, seed: int) -> None:
    pi = policies(np.random.default_rng(seed), mdp)
    V = mdp.under(pi).values()
    Q = mdp.R + mdp.gamma * (mdp.P @ V)
    np.testing.assert_allclose(V, (pi * Q).sum(axis=1), atol=1e-9)


@given(mdps(max_states=3, max_actions=2), seeds)
def test_a_time_dependent_policy_by_enumeration(mdp: MDP, seed: int) -> None:
    """V = sum over all trajectories of Pr(trajectory) sum_t gamma^t R(s_t, a_t)."""
    S, A, T = mdp.n_states, mdp.n_actions, 2
    pi = np.random.default_rng(seed).dirichlet(np.ones(A), size=(T, S))
    V = np.zeros(S)
    for s0, a0, s1, a1 in itertools.product(range(S), range(A), range(S), range(A)):
        chance = pi[0, s0, a0] * mdp.P[s0, a0, s1] * pi[1, s1, a1]
        V[s0] += chance * (mdp.R[s0, a0] + mdp.gamma * mdp.R[s1, a1])
    for form in (mdp, mdp.replace(P=stacked(mdp.P))):
        process = form.under(pi)
        assert process.n_states == (T + 1) * S
        np.testing.assert_allclose(process.values()[:S], V, atol=1e-12)
        np.testing.assert_array_equal(process.start[:S], mdp.start)
        assert process.terminal[T * S :].all()


def test_a_time_dependent_policy_ends_even_at_gamma_1() -> None:
    forever = MDP(np.ones((1, 2, 1)), [[1, 5]], 1.0, labels=["here"])
    process = forever.under(np.array([[[1, 0]], [[0, 1]], [[0.5, 0.5]]]))
    assert process.values().tolist() == [9, 8, 3, 0]
    assert process.labels == ("here at 0", "here at 1", "here at 2", "here at 3")
    walk = process.simulate(5, rng=0)
    assert walk.lengths == 3
    assert walk.rewards[:2].tolist() == [1, 5]
    assert walk.rewards[3:].tolist() == [0, 0]


def test_repeating_a_policy_is_the_stationary_policy_up_to_the_horizon() -> None:
    mdp = MDP(P, R, 0.9)
    pi = np.array([[0.3, 0.7], [1, 0]])
    stationary = mdp.under(pi)
    V = mdp.under(np.tile(pi, (200, 1, 1))).values()[:2]
    # what comes after 200 steps is below 0.9^200 * 10 * 2 < 2e-8
    np.testing.assert_allclose(V, stationary.values(), atol=2e-8)


@pytest.mark.parametrize(
    ("policy", "error", "message"),
    [
        ([[0.5, 0.5], [0.5, 0.4]], ValueError, r"policy\[1\] must be a distribution; .* 0\.9"),
        ([[1.5, -0.5], [0, 1]], ValueError, r"policy\[0, 1\] must not be negative; it is -0\.5"),
        ([[0.5, np.nan], [0, 1]], ValueError, r"policy\[0, 1\] must be finite; it is nan"),
        ([0, 1], ValueError, r"policy must have shape \(2, 2\); it has \(2,\)"),
        ([[1.0], [1.0]], ValueError, r"policy must have shape \(2, 2\); it has \(2, 1\)"),
        (np.full((3, 4, 2), 0.5), ValueError, r"policy must have shape \(2, 2\); .* \(3, 4, 2\)"),
        (np.full((0, 2, 2), 0.5), ValueError, r"policy must have shape \(2, 2\); .* \(0, 2, 2\)"),
        (np.full((2, 2, 2), 0.4), ValueError, r"policy\[0, 0\] must be a distribution; .* 0\.8"),
        ([["a", "b"], ["c", "d"]], TypeError, "policy must hold real numbers; it holds <U1"),
    ],
)
def test_a_bad_policy_is_refused(policy: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MDP(P, R, 0.9).under(policy)


# --- bad input --------------------------------------------------------------------------------

BAD_P = P.copy()
BAD_P[1, 1] = 0.2, 0.7


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (BAD_P, ValueError, r"P\[1, 1\] must be a distribution; it sums to 0\.9"),
        (csr_array(BAD_P.reshape(4, 2)), ValueError, r"P\[1, 1\] must be a distribution; .* 0\.9"),
        (P - 2 * (P == 0.2), ValueError, r"P\[1, 1, 0\] must not be negative; it is -1\.8"),
        (np.where(P == 0.2, np.nan, P), ValueError, r"P\[1, 1, 0\] must be finite; it is nan"),
        (np.eye(2), ValueError, r"P must have shape \(S, A, S\).*; it has \(2, 2\)"),
        (np.full((2, 2, 3), 1 / 3), ValueError, r"P must have shape \(S, A, S\).* \(2, 2, 3\)"),
        (np.zeros((2, 0, 2)), ValueError, r"S and A at least 1; it has \(2, 0, 2\)"),
        ([], ValueError, r"P must have shape \(S, A, S\).*; it has \(0,\)"),
        (csr_array(np.eye(3)[:, :2]), ValueError, r"\(S \* A, S\) if sparse.*; it has \(3, 2\)"),
        (SparseTransitions(csr_array(np.eye(2)), 2), ValueError, r"\(S \* A, S\); it has \(2, 2\)"),
        (P * 1j, TypeError, "P must hold real numbers; it holds complex128"),
        ([[["1", "0"]], [["0", "1"]]], TypeError, "P must hold real numbers; it holds <U1"),
    ],
)
def test_a_bad_table_is_refused(table: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MDP(table, [0, 0], 0.9)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (
            np.zeros((2, 3)),
            ValueError,
            r"R must have shape \(2,\) or \(2, 2\) or \(2, 2, 2\); .*3\)",
        ),
        ([[0, 1], [np.nan, 0]], ValueError, r"R\[1, 0\] must be finite; it is nan"),
        (np.full((2, 2, 2), -np.inf), ValueError, r"R\[0, 0, 0\] must be finite; it is -inf"),
        ([[0, 1], [1]], ValueError, "R must be a rectangular table; its rows differ in length"),
        ([["a"] * 2] * 2, TypeError, "R must hold real numbers; it holds <U1"),
        (leave([1, 2, 3]), ValueError, r"R must have shape \(2,\); it has \(3,\)"),
        (arrive([[1, 2]]), ValueError, r"R must have shape \(2,\); it has \(1, 2\)"),
        (csr_array(np.eye(2)), ValueError, r"R, sparse, must have shape \(4, 2\); it has \(2, 2\)"),
        (lottery([0], np.ones((3, 1))), ValueError, r"probs must .*; it has \(3, 1\)"),
    ],
)
def test_a_bad_reward_is_refused(bad: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MDP(P, bad, 0.9)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"gamma": 1.1}, ValueError, r"gamma must be in \[0, 1\]; it is 1\.1"),
        ({"gamma": -0.1}, ValueError, r"gamma must be in \[0, 1\]; it is -0\.1"),
        ({"gamma": np.nan}, ValueError, r"gamma must be in \[0, 1\]; it is nan"),
        ({"gamma": True}, TypeError, "gamma must be a number; it is True"),
        ({"terminal": [0, 1]}, TypeError, "terminal must say True or False"),
        ({"start": [0.5, 0.4]}, ValueError, r"start must be a distribution; it sums to 0\.9"),
        ({"start": 2}, ValueError, r"start must be in 0\.\.1; it is 2"),
        ({"labels": [1.0, 2]}, TypeError, r"labels\[0\] must be text or a whole number"),
        ({"action_labels": ["a"]}, ValueError, "action_labels must hold 2 labels; it holds 1"),
        ({"action_labels": ["a", "a"]}, ValueError, "action_labels must differ .*'a'"),
    ],
)
def test_a_bad_field_is_refused(
    fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        MDP(P, R, **({"gamma": 0.9} | fields))
    with pytest.raises(error, match=message):
        MDP(P, R, 0.9).replace(**fields)


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'discount'"):
        MDP(P, R, 0.9).replace(discount=0.5)


def test_integers_are_not_cut_and_small_ones_not_wrapped() -> None:
    rng = np.random.default_rng(0)
    whole = MDP(np.eye(2, dtype=int)[:, None], np.array([[3], [200]], np.uint8), 0.5)
    np.testing.assert_allclose(whole.under([[1], [1]]).values(), [6, 400])
    assert whole.R.dtype == np.float64
    fractional = MDP(sparse_rows(rng, 2, 2, 2), np.array([1, -2], np.int8), 0.9)
    assert (fractional.R == [[1, 1], [-2, -2]]).all()


def test_tables_are_locked_copies_and_fields_frozen() -> None:
    P_given, R_given = P.copy(), R.copy()
    mdp = MDP(P_given, R_given, 0.9)
    P_given[:], R_given[:] = 7, 7
    np.testing.assert_array_equal(mdp.P, P)
    np.testing.assert_array_equal(mdp.R, R)
    for array in (np.asarray(mdp.P), mdp.R, mdp.start, mdp.terminal):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        mdp.gamma = 0.5  # type: ignore[misc]


def test_repr_is_compact() -> None:
    assert repr(MDP(P, R, 0.9)) == "MDP(2 states, 2 actions, gamma=0.9)"
    sparse = MDP(csr_array(P.reshape(4, 2)), R, 1, terminal=[False, True])
    assert repr(sparse) == "MDP(2 states (1 terminal), 2 actions, gamma=1, sparse)"
