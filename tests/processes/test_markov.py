"""Markov processes: construction, the slides' layout, simulation, where it leads."""

from __future__ import annotations

import dataclasses
import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array, csc_matrix, csr_array

from gridrl import MarkovProcess
from gridrl.processes.transitions import dense
from tests.strategies import chains, seeds, sparse_rows

FLIP = [[0, 1], [1, 0]]

BAD_P = [
    ([[0.5, 0.5], [0.5, 0.4]], ValueError, r"P\[1\] must be a distribution; it sums to 0\.9$"),
    ([[1.5, -0.5], [0, 1]], ValueError, r"P\[0, 1\] must not be negative; it is -0\.5"),
    ([[1, 0], [0, np.nan]], ValueError, r"P\[1, 1\] must be finite; it is nan"),
    ([[np.inf, 0], [0, 1]], ValueError, r"P\[0, 0\] must be finite; it is inf"),
    (np.ones((2, 3)) / 3, ValueError, r"P must have shape \(S, S\).*; it has \(2, 3\)"),
    (np.ones((2, 2, 2)) / 2, ValueError, r"P must have shape \(S, S\).*; it has \(2, 2, 2\)"),
    ([], ValueError, r"P must have shape \(S, S\).*; it has \(0,\)"),
    (np.zeros((0, 0)), ValueError, r"P must have shape \(S, S\).*; it has \(0, 0\)"),
    (np.eye(2) * 1j, TypeError, "P must hold real numbers; it holds complex128"),
    ([["1", "0"], ["0", "1"]], TypeError, "P must hold real numbers; it holds <U1"),
    ([[1, None], [0, 1]], TypeError, "P must hold real numbers; it holds object"),
    ([[1, 0], [1]], ValueError, "P must be a rectangular table; its rows differ in length"),
    (csr_array([[0.5, 0.5], [0, 0.9]]), ValueError, r"P\[1\] must be a distribution; .* 0\.9$"),
    (csr_array([[1, 0], [1.5, -0.5]]), ValueError, r"P\[1\] must not be negative; it holds -0\.5"),
    (csr_array([[1, 0], [0, np.nan]]), ValueError, r"P.* must be finite; .* nan"),
    (csr_array(np.eye(3)[:2]), ValueError, r"P must have shape \(S, S\).*; it has \(2, 3\)"),
]

BAD_FIELDS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"start": [0.5, 0.4]}, ValueError, r"start must be a distribution; it sums to 0\.9"),
    ({"start": [1.5, -0.5]}, ValueError, r"start\[1\] must not be negative; it is -0\.5"),
    ({"start": [1.0]}, ValueError, r"start must have shape \(2,\); it has \(1,\)"),
    ({"start": 2}, ValueError, r"start must be in 0\.\.1; it is 2"),
    ({"start": -1}, ValueError, r"start must be in 0\.\.1; it is -1"),
    ({"start": 1.0}, TypeError, r"start must be a whole number; it is 1\.0"),
    ({"start": "1"}, TypeError, "start must be a whole number; it is '1'"),
    ({"terminal": [0, 1]}, TypeError, "terminal must say True or False .*; it holds int64"),
    ({"terminal": 1}, TypeError, "terminal must say True or False .*; it holds int64"),
    ({"terminal": [True]}, ValueError, r"terminal must have shape \(2,\); it has \(1,\)"),
    ({"labels": [1.0, 2.0]}, TypeError, r"labels\[0\] must be text or a whole number; it is 1\.0"),
    ({"labels": ["a", "a"]}, ValueError, "labels must differ from each other; 'a' stands there"),
    ({"labels": ["a"]}, ValueError, "labels must hold 2 labels; it holds 1"),
]


@pytest.mark.parametrize(("P", "error", "message"), BAD_P)
def test_a_bad_table_is_refused(P: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MarkovProcess(P)


@pytest.mark.parametrize(("fields", "error", "message"), BAD_FIELDS)
def test_a_bad_field_is_refused(
    fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        MarkovProcess(FLIP, **fields)
    with pytest.raises(error, match=message):
        MarkovProcess(FLIP).replace(**fields)


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda p: p.simulate(-1), ValueError, "steps must be at least 0; it is -1"),
        (lambda p: p.simulate(2.0), TypeError, r"steps must be a whole number; it is 2\.0"),
        (lambda p: p.simulate(2, episodes=0), ValueError, "episodes must be at least 1; it is 0"),
        (lambda p: p.simulate(2, episodes=1.5), TypeError, "episodes must be a whole number"),
        (lambda p: p.distribution(-1), ValueError, "t must be at least 0; it is -1"),
        (lambda p: p.distribution(1.5), TypeError, "t must be a whole number; it is 1.5"),
        (lambda p: p.hitting_times(2), ValueError, r"targets must be in 0\.\.1; it is 2"),
        (lambda p: p.hitting_times([0, -1]), ValueError, r"targets\[1\] must be in 0\.\.1; it is"),
        (lambda p: p.hitting_times([0.0]), TypeError, "targets must hold whole numbers"),
        (lambda p: p.hitting_times([]), ValueError, "targets must name at least one state"),
    ],
)
def test_a_bad_question_is_refused(ask: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ask(MarkovProcess(FLIP))


def test_start_is_uniform_over_what_is_not_terminal() -> None:
    ends = MarkovProcess(np.eye(3), terminal=[False, True, False])
    np.testing.assert_array_equal(ends.start, [0.5, 0, 0.5])
    np.testing.assert_array_equal(ends.replace(start=2).start, [0, 0, 1])
    np.testing.assert_array_equal(MarkovProcess(np.eye(2), terminal=[True] * 2).start, [0.5] * 2)


@pytest.mark.parametrize("layout", [np.asarray, csr_array])
def test_declaring_a_state_terminal_makes_it_absorb(layout: Any) -> None:
    chain = MarkovProcess(layout([[0.5, 0.5], [0.25, 0.75]]), terminal=[False, True])
    np.testing.assert_array_equal(chain.columns.T, [[0.5, 0.5], [0, 1]])


@pytest.mark.parametrize("layout", [np.asarray, csr_array])
def test_the_row_of_a_terminal_state_is_free(layout: Any) -> None:
    chain = MarkovProcess(layout([[0.5, 0.5], [0.0, 0.0]]), terminal=[False, True])
    np.testing.assert_array_equal(chain.columns.T, [[0.5, 0.5], [0, 1]])


def test_tables_are_locked_copies_and_fields_frozen() -> None:
    P = np.array(FLIP, float)
    chain = MarkovProcess(P)
    P[0] = 0.5
    np.testing.assert_array_equal(chain.P, FLIP)
    for array in (chain.P, chain.start, chain.terminal, chain.columns):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        chain.P = P  # type: ignore[misc]


def test_a_sparse_table_is_a_locked_copy() -> None:
    given_ = csr_array(FLIP, dtype=float)
    chain = MarkovProcess(given_)
    given_.data[:] = 7
    np.testing.assert_array_equal(dense(chain.P), FLIP)
    with pytest.raises(ValueError, match="read-only"):
        chain.P.data[0] = 0


@pytest.mark.parametrize("layout", [csr_array, csc_matrix, coo_array])
def test_every_sparse_layout_will_do(layout: Any) -> None:
    np.testing.assert_array_equal(dense(MarkovProcess(layout(np.array(FLIP))).P), FLIP)


def test_doubled_sparse_entries_are_added() -> None:
    halves = coo_array(([0.5, 0.5, 1.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    np.testing.assert_array_equal(dense(MarkovProcess(halves).P), FLIP)


def test_repr_is_compact() -> None:
    assert repr(MarkovProcess(FLIP)) == "MarkovProcess(2 states)"
    ended = MarkovProcess(FLIP, terminal=[False, True])
    assert repr(ended) == "MarkovProcess(2 states, 1 terminal)"


# --- the slides' layout -----------------------------------------------------------------------


@given(chains())
def test_columns_and_back(chain: MarkovProcess) -> None:
    again = MarkovProcess.from_columns(chain.columns, start=chain.start, labels=chain.labels)
    np.testing.assert_array_equal(again.P, chain.P)
    np.testing.assert_allclose(chain.columns.sum(axis=0), 1, atol=1e-12)


@given(chains())
def test_replacing_nothing_changes_nothing(chain: MarkovProcess) -> None:
    for again in (chain.replace(), pickle.loads(pickle.dumps(chain))):
        assert again.labels == chain.labels
        for name in ("P", "start", "terminal"):
            np.testing.assert_array_equal(getattr(again, name), getattr(chain, name))


@given(chains(), st.integers(2, 4))
def test_what_is_printed_to_some_decimals_is_read_with_tol(
    chain: MarkovProcess, decimals: int
) -> None:
    # each of at most six entries of a column is off by half a unit in the last place, at most
    unit = 10.0**-decimals
    printed = chain.columns.round(decimals)
    read = MarkovProcess.from_columns(printed, tol=3.1 * unit, renormalise=True)
    np.testing.assert_allclose(read.P, chain.P, atol=5 * unit)


NEARLY = {"tol": 0.02, "renormalise": True}


@pytest.mark.parametrize(
    ("C", "options", "message"),
    [
        ([[0.33, 1], [0.33, 0]], {}, r"C\[:, 0\], the column of state 1, .* it sums to 0\.66 "),
        ([[1, 0.5], [0, 0.51]], {}, r"C\[:, 1\], the column of state 2, .* it sums to 1\.01 \(pri"),
        ([[1, 0.5], [0, 0.6]], NEARLY, r"C\[:, 1\].* sum to 1 within 0\.02; .* 1\.1 "),
        ([[1, 0.5], [0, 0.6]], {"labels": ["a", "b"]}, r"C\[:, 1\], the column of state b, "),
        ([[1, 0.5], [0, 0.51]], {"tol": 0.02}, r"C\[:, 1\].* within 1e-08; .*renormalise=True"),
        ([[0.5, 0.5]], {}, r"C must be square.*; it has shape \(1, 2\)"),
        ([[1, np.nan], [0, 1]], {}, r"C\[0, 1\] must be finite; it is nan"),
        ([[1.5, 0], [-0.5, 1]], {}, r"must not be negative; it is -0\.5"),
        ([[1, 0], [0, 1]], {"tol": -1}, r"tol must be in \[0, 1\]; it is -1"),
        ([[1, 0], [0, 1]], {"tol": np.nan}, r"tol must be in \[0, 1\]; it is nan"),
    ],
)
def test_a_bad_column_is_named(C: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MarkovProcess.from_columns(C, **options)


# --- what happens -----------------------------------------------------------------------------


@given(chains(max_states=4), st.integers(0, 4))
def test_the_distribution_after_t_steps_by_enumeration(chain: MarkovProcess, t: int) -> None:
    mu = np.zeros(chain.n_states)
    for path in itertools.product(range(chain.n_states), repeat=t + 1):
        steps = [chain.P[s, s_next] for s, s_next in itertools.pairwise(path)]
        mu[path[-1]] += chain.start[path[0]] * np.prod(steps)
    np.testing.assert_allclose(chain.distribution(t), mu, atol=1e-12)


def test_simulated_states_have_the_exact_distribution() -> None:
    rng = np.random.default_rng(1)
    chain = MarkovProcess(sparse_rows(rng, 5, 5), start=rng.dirichlet(np.ones(5)))
    states = chain.simulate(3, episodes=20_000, rng=2).states
    for t in range(4):
        share = np.bincount(states[:, t], minlength=5) / 20_000
        # Hoeffding: each of 20 shares is off by more than 0.02 with probability 2 exp(-16): 5e-6
        np.testing.assert_allclose(share, chain.distribution(t), atol=0.02)


def test_simulated_steps_have_the_exact_probabilities() -> None:
    chain = MarkovProcess(
        sparse_rows(np.random.default_rng(3), 4, 4) * 0.5 + np.full((4, 4), 1 / 8)
    )
    states = chain.simulate(100_000, rng=4).states
    pairs = np.bincount(states[:-1] * 4 + states[1:], minlength=16).reshape(4, 4)
    n = pairs.sum(axis=1, keepdims=True)
    # each share is a mean of n bounded draws: off by 3.5 / sqrt(n) with probability 2 exp(-24.5);
    # 16 of them: 8e-10
    assert (np.abs(pairs / n - chain.P) < 3.5 / np.sqrt(n)).all()


@given(chains(), seeds)
def test_sparse_and_dense_simulate_the_same(chain: MarkovProcess, seed: int) -> None:
    sparse = chain.replace(P=csr_array(chain.P))
    a, b = (p.simulate(9, episodes=5, rng=seed).states for p in (chain, sparse))
    np.testing.assert_array_equal(a, b)


@given(chains(), seeds)
def test_every_simulated_step_is_possible(chain: MarkovProcess, seed: int) -> None:
    states = chain.simulate(20, episodes=4, rng=seed).states
    assert (chain.start[states[:, 0]] > 0).all()
    assert (chain.P[states[:, :-1], states[:, 1:]] > 0).all()


def test_a_seed_and_its_generator_give_the_same_run() -> None:
    chain = MarkovProcess(np.full((3, 3), 1 / 3))
    a, b = chain.simulate(9, rng=5), chain.simulate(9, rng=np.random.default_rng(5))
    np.testing.assert_array_equal(a.states, b.states)


def test_an_episode_ends_on_arrival_and_is_padded_with_its_last_state() -> None:
    walk = MarkovProcess([[0, 1, 0], [0, 0, 1], [1, 0, 0]], start=0, terminal=[False, False, True])
    ended = walk.simulate(4, episodes=2)
    np.testing.assert_array_equal(ended.states, [[0, 1, 2, 2, 2]] * 2)
    np.testing.assert_array_equal(ended.lengths, [2, 2])
    np.testing.assert_array_equal(ended.actions, np.full((2, 4), -1))
    assert ended.terminated.all()
    cut = walk.simulate(1)
    assert (int(cut.lengths), bool(cut.terminated)) == (1, False)
    nothing = walk.simulate(0)
    assert nothing.states.tolist() == [0]
    assert (int(nothing.lengths), len(nothing.actions)) == (0, 0)


# --- dense and sparse -------------------------------------------------------------------------


@given(chains())
def test_sparse_and_dense_answer_the_same(chain: MarkovProcess) -> None:
    sparse = chain.replace(P=csr_array(chain.P))
    assert sparse.classes() == chain.classes()
    assert sparse.closed_classes() == chain.closed_classes()
    assert sparse.period() == chain.period()
    assert list(map(str, sparse.check())) == list(map(str, chain.check()))
    assert sparse._repr_html_() == chain._repr_html_()
    answers = [
        (p.columns, p.distribution(5), p.absorption_probabilities(), p.hitting_times(0))
        for p in (sparse, chain)
    ]
    for a, b in zip(*answers, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-12)  # two factorisations
    if len(chain.closed_classes()) == 1:
        np.testing.assert_allclose(sparse.stationary(), chain.stationary(), atol=1e-10)
