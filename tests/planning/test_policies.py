"""Policies are tables whose rows are distributions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl.planning import (
    deterministic_policy,
    epsilon_greedy,
    greedy,
    softmax_policy,
    uniform_policy,
)
from gridrl.worlds import bandit, lost_penguin_world
from tests.strategies import seeds

shapes = st.sampled_from([(3,), (4, 2), (3, 4, 2), (2, 5, 1)])


@given(seed=seeds, shape=shapes, epsilon=st.sampled_from([0.0, 0.3, 1.0]))
def test_rows_are_distributions(seed: int, shape: tuple[int, ...], epsilon: float) -> None:
    Q = np.random.default_rng(seed).normal(size=shape).round(1)  # with ties
    for policy in (greedy(Q), epsilon_greedy(Q, epsilon), softmax_policy(Q)):
        assert policy.shape == shape
        assert (policy >= 0).all()
        np.testing.assert_allclose(policy.sum(axis=-1), 1, rtol=1e-12)  # rounding of one sum


def test_greedy_splits_ties_evenly_even_those_up_to_rounding() -> None:
    exact, rounded = [1.0, 3.0, 3.0, 3.0], [0.0, 0.3, 0.1 + 0.2, 0.3 - 1e-15]
    np.testing.assert_array_equal(greedy([exact, rounded]), [[0, 1 / 3, 1 / 3, 1 / 3]] * 2)


def test_greedy_tells_apart_what_rounding_does_not_explain() -> None:
    np.testing.assert_array_equal(greedy([[1.0, 1.0 + 1e-6]]), [[0, 1]])
    np.testing.assert_array_equal(greedy([[1e6, 1e6 + 1.0]]), [[0, 1]])


@given(seed=seeds, scale=st.sampled_from([1e-3, 1.0, 1e6]))
def test_greedy_takes_only_best_actions_whatever_is_added(seed: int, scale: float) -> None:
    Q = scale * np.random.default_rng(seed).normal(size=(6, 3))
    np.testing.assert_array_equal(greedy(Q), np.eye(3)[Q.argmax(axis=1)])
    np.testing.assert_array_equal(greedy(Q + 5 * scale), greedy(Q))


def test_epsilon_is_shared_by_all_actions_the_best_included() -> None:
    np.testing.assert_allclose(epsilon_greedy([[0, 2, 1, 0]], 0.4), [[0.1, 0.7, 0.1, 0.1]])
    np.testing.assert_array_equal(epsilon_greedy([[0, 2]], 0.0), greedy([[0, 2]]))
    np.testing.assert_array_equal(epsilon_greedy([[0, 2]], 1.0), [[0.5, 0.5]])


@given(seed=seeds)
def test_softmax_does_not_see_a_constant(seed: int) -> None:
    theta = np.random.default_rng(seed).normal(size=(4, 3))
    np.testing.assert_allclose(softmax_policy(theta + 1000), softmax_policy(theta), rtol=1e-9)
    odds = softmax_policy(theta)[:, 0] / softmax_policy(theta)[:, 1]
    np.testing.assert_allclose(np.log(odds), theta[:, 0] - theta[:, 1], atol=1e-12)


def test_softmax_of_large_numbers_is_greedy() -> None:
    np.testing.assert_array_equal(softmax_policy([[0.0, 1000.0, 1000.0]]), [[0, 0.5, 0.5]])


def test_deterministic_policies_with_and_without_time() -> None:
    np.testing.assert_array_equal(deterministic_policy([2, 0], 3), [[0, 0, 1], [1, 0, 0]])
    timed = deterministic_policy([[0, 1], [1, 1], [0, 0]], 2)
    assert timed.shape == (3, 2, 2)
    np.testing.assert_array_equal(timed[1], [[0, 1], [0, 1]])


def test_uniform_policy_of_an_mdp_and_of_a_pomdp() -> None:
    np.testing.assert_array_equal(uniform_policy(bandit([1, 2, 3])), [[1 / 3] * 3])
    pomdp = lost_penguin_world().pomdp(gamma=0.9)
    np.testing.assert_array_equal(uniform_policy(pomdp), uniform_policy(pomdp.mdp))


@pytest.mark.parametrize("make", [greedy, softmax_policy])
def test_integers_are_not_truncated(make: object) -> None:
    assert callable(make)
    np.testing.assert_allclose(make(np.array([[3, 3]], np.uint8)), [[0.5, 0.5]])
