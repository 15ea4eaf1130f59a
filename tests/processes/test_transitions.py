"""Dense and sparse tables answer alike, entry by entry."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from scipy.sparse import csr_array

from gridrl import MDP, SparseTransitions
from gridrl.processes import transitions
from gridrl.tables import Array
from tests.strategies import mdps, policies, seeds, sparse_rows


def sparse_of(P: Array) -> SparseTransitions:
    return SparseTransitions(csr_array(P.reshape(-1, P.shape[2])), P.shape[1])


@given(mdps(), seeds)
def test_entry_by_entry(mdp: MDP, seed: int) -> None:
    P, rng = np.asarray(mdp.P), np.random.default_rng(seed)
    sparse = sparse_of(P)
    S, A, _ = P.shape
    assert sparse.shape == P.shape
    np.testing.assert_array_equal(sparse.toarray(), P)
    V = rng.normal(size=(S, 2))
    np.testing.assert_allclose(sparse @ V[:, 0], P @ V[:, 0], atol=1e-14)
    np.testing.assert_allclose(sparse @ V, P @ V, atol=1e-14)
    s, a, s_next = rng.integers(S, size=4), rng.integers(A, size=4), rng.integers(S, size=4)
    np.testing.assert_array_equal(sparse[s, a], P[s, a])
    np.testing.assert_array_equal(sparse[int(s[0]), int(a[0])], P[s[0], a[0]])
    np.testing.assert_array_equal(sparse[int(s[0])], P[s[0]])
    np.testing.assert_array_equal(
        transitions.entries(sparse, s[:, None], a[:, None], s_next),
        transitions.entries(P, s[:, None], a[:, None], s_next),
    )
    np.testing.assert_array_equal(transitions.staying(sparse), transitions.staying(P))
    np.testing.assert_array_equal(
        transitions.staying(P), [[P[s, a, s] for a in range(A)] for s in range(S)]
    )
    pi = policies(rng, mdp)
    averaged = [transitions.dense(transitions.average_over_actions(p, pi)) for p in (P, sparse)]
    np.testing.assert_allclose(averaged[0], np.einsum("sa,sat->st", pi, P), atol=1e-15)
    np.testing.assert_allclose(averaged[1], averaged[0], atol=1e-15)


@pytest.mark.parametrize(
    ("at", "error", "message"),
    [
        (3, ValueError, r"s must be in 0\.\.2; it is 3"),
        ((0, 2), ValueError, r"a must be in 0\.\.1; it is 2"),
        ((-1, 0), ValueError, r"s must be in 0\.\.2; it is -1"),
        ((1.0, 0), TypeError, "s must hold whole numbers .*; it holds float64"),
        ((0, [0.0]), TypeError, "a must hold whole numbers .*; it holds float64"),
    ],
)
def test_a_bad_place_is_refused(at: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        sparse_of(np.full((3, 2, 3), 1 / 3))[at]


@given(seeds)
def test_linear_systems_are_solved(seed: int) -> None:
    rng = np.random.default_rng(seed)
    P, b = sparse_rows(rng, 5, 5), rng.normal(size=5)
    for form in (P, csr_array(P)):
        x = transitions.solve_linear(form, b, gamma=0.9)
        np.testing.assert_allclose(x - 0.9 * (P @ x), b, atol=1e-12)


@given(seeds)
def test_the_sampler_inverts_the_running_sum(seed: int) -> None:
    """Each next state is drawn on an interval of exactly its probability; zeros never are."""
    P = sparse_rows(np.random.default_rng(seed), 3, 4)
    n = 2000
    for form in (P, csr_array(P)):
        sampler = transitions.Sampler(form)
        for s in range(3):
            u = (np.arange(n) + 0.5) / n
            share = np.bincount(sampler.draw(np.full(n, s), u), minlength=4) / n
            np.testing.assert_allclose(share, P[s], atol=1 / n)
            edges = sampler.draw(np.full(2, s), np.array([0, np.nextafter(1, 0)]))
            assert (P[s, edges] > 0).all()


def test_explicit_zeros_are_never_drawn() -> None:
    P = csr_array(([0.0, 1.0, 0.0], [0, 1, 2], [0, 3, 3, 3]), shape=(3, 3))
    uniform = np.array([0.0, 0.5, np.nextafter(1, 0)])
    drawn = transitions.Sampler(P).draw(np.zeros(3, np.intp), uniform)
    np.testing.assert_array_equal(drawn, [1, 1, 1])


def test_repr_is_compact() -> None:
    assert (
        repr(sparse_of(np.full((3, 2, 3), 1 / 3))) == "SparseTransitions(3, 2, 3) with 18 entries"
    )
