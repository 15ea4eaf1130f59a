"""Returns backwards, forwards and by definition; the probability of a trajectory."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridrl.planning import (
    discounted_return,
    enumerate_trajectories,
    expected_return,
    gae,
    lambda_returns,
    n_step_advantages,
    returns_to_go,
    trajectory_probability,
    uniform_policy,
)
from gridrl.processes import MDP
from gridrl.tables import Array
from gridrl.worlds import penguin_world, random_mdp
from tests.planning.oracles import sparse
from tests.strategies import mdps, policies, seeds

unit = st.floats(0, 1)
lengths = st.integers(0, 8)


def rewards_and_values(seed: int, steps: int, *batch: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(*batch, steps)), rng.normal(size=(*batch, steps + 1))


@given(seed=seeds, steps=lengths, gamma=unit)
def test_returns_by_definition(seed: int, steps: int, gamma: float) -> None:
    r, _ = rewards_and_values(seed, steps)
    by_definition = [sum(gamma**k * r[t + k] for k in range(steps - t)) for t in range(steps)]
    np.testing.assert_allclose(returns_to_go(r, gamma), by_definition, atol=1e-12)
    np.testing.assert_allclose(discounted_return(r, gamma), sum(by_definition[:1]), atol=1e-12)


@given(seed=seeds, steps=lengths, gamma=unit, lambda_=unit)
def test_gae_is_the_lambda_return_minus_the_value(
    seed: int, steps: int, gamma: float, lambda_: float
) -> None:
    r, V = rewards_and_values(seed, steps, 3)
    expected = lambda_returns(r, V, gamma, lambda_) - V[:, :-1]
    np.testing.assert_allclose(gae(r, V, gamma, lambda_), expected, atol=1e-12)


@given(seed=seeds, steps=st.integers(1, 6), gamma=unit, lambda_=st.floats(0, 0.99))
def test_lambda_returns_average_n_step_returns(
    seed: int, steps: int, gamma: float, lambda_: float
) -> None:
    # (1 - lambda) sum_n lambda^(n-1) G^(n), the rest on the last one  [Sutton & Barto, eq. 12.3]
    r, V = rewards_and_values(seed, steps)
    n_step = [r[:n] @ gamma ** np.arange(n) + gamma**n * V[n] for n in range(1, steps + 1)]
    weights = (1 - lambda_) * lambda_ ** np.arange(steps)
    weights[-1] = lambda_ ** (steps - 1)
    G = lambda_returns(r, V, gamma, lambda_)
    np.testing.assert_allclose(G[0], weights @ n_step, atol=1e-12)


@given(seed=seeds, steps=lengths, gamma=unit)
def test_lambda_at_its_limits(seed: int, steps: int, gamma: float) -> None:
    r, V = rewards_and_values(seed, steps)
    np.testing.assert_allclose(lambda_returns(r, V, gamma, 0.0), r + gamma * V[1:], atol=1e-12)
    V[-1] = 0  # the episode is over: nothing to bootstrap from
    np.testing.assert_allclose(
        lambda_returns(r, V, gamma, 1.0), returns_to_go(r, gamma), atol=1e-12
    )


@given(seed=seeds, steps=lengths, gamma=unit, lambda_=unit)
def test_a_batch_is_its_episodes_one_by_one(
    seed: int, steps: int, gamma: float, lambda_: float
) -> None:
    r, V = rewards_and_values(seed, steps, 2, 3)
    for at in np.ndindex(2, 3):
        one = lambda_returns(r[at], V[at], gamma, lambda_)
        np.testing.assert_array_equal(lambda_returns(r, V, gamma, lambda_)[at], one)
        np.testing.assert_array_equal(returns_to_go(r, gamma)[at], returns_to_go(r[at], gamma))
        # a matrix product may sum in another order
        np.testing.assert_allclose(
            discounted_return(r, gamma)[at], discounted_return(r[at], gamma), atol=1e-12
        )


def test_inputs_are_neither_changed_nor_truncated() -> None:
    r, V = np.array([1, 200], np.uint8), np.array([0, 1, 3])
    np.testing.assert_allclose(returns_to_go(-r.astype(int), 0.5), [-101, -200])
    np.testing.assert_allclose(lambda_returns(r, V, 0.5, 0.0), [1.5, 201.5])
    np.testing.assert_allclose(gae(r, V, 0.5, 0.0), [1.5, 200.5])
    np.testing.assert_array_equal(r, [1, 200])
    assert discounted_return([], 0.9) == 0


# --- n rewards and a guess ----------------------------------------------------------------------


@given(seed=seeds, steps=lengths, gamma=unit, n=st.integers(1, 12))
def test_n_step_advantages_by_definition(seed: int, steps: int, gamma: float, n: int) -> None:
    r, V = rewards_and_values(seed, steps)
    by_definition = [
        sum(gamma ** (i - t) * r[i] for i in range(t, min(t + n, steps)))
        + gamma ** (min(t + n, steps) - t) * V[min(t + n, steps)]
        - V[t]
        for t in range(steps)
    ]
    np.testing.assert_allclose(n_step_advantages(r, V, gamma, n), by_definition, atol=1e-12)


@given(seed=seeds, steps=lengths, gamma=unit)
def test_n_steps_at_their_limits(seed: int, steps: int, gamma: float) -> None:
    r, V = rewards_and_values(seed, steps, 2)
    one, all_of_them = (n_step_advantages(r, V, gamma, n) for n in (1, steps + 1))
    np.testing.assert_allclose(one, gae(r, V, gamma, 0.0), atol=1e-12)
    np.testing.assert_allclose(all_of_them, gae(r, V, gamma, 1.0), atol=1e-12)


@given(seed=seeds, steps=st.integers(1, 6), gamma=unit, lambda_=st.floats(0, 0.99))
def test_gae_averages_n_step_advantages(
    seed: int, steps: int, gamma: float, lambda_: float
) -> None:
    # (1 - lambda) sum_n lambda^(n-1) A^(n); beyond the end all A^(n) are the same  [eq. 16]
    r, V = rewards_and_values(seed, steps)
    weights = (1 - lambda_) * lambda_ ** np.arange(steps)
    weights[-1] = lambda_ ** (steps - 1)
    each = [n_step_advantages(r, V, gamma, n) for n in range(1, steps + 1)]
    np.testing.assert_allclose(gae(r, V, gamma, lambda_), weights @ each, atol=1e-12)


def test_n_step_advantages_of_a_batch_and_bad_ones() -> None:
    r, V = rewards_and_values(0, 5, 2, 3)
    for at in np.ndindex(2, 3):
        one = n_step_advantages(r[at], V[at], 0.9, 2)
        np.testing.assert_allclose(n_step_advantages(r, V, 0.9, 2)[at], one, atol=1e-15)
    before = V.copy()
    n_step_advantages(r, V, 0.9, 3)
    np.testing.assert_array_equal(V, before)
    with pytest.raises(ValueError, match="n must be at least 1; it is 0"):
        n_step_advantages(r, V, 0.9, 0)
    with pytest.raises(ValueError, match=r"values must have shape \(2, 3, 6\); it has \(2, 3, 5\)"):
        n_step_advantages(r, V[..., 1:], 0.9, 1)
    with pytest.raises(ValueError, match=r"gamma must be in \[0, 1\]; it is 1.5"):
        n_step_advantages(r, V, 1.5, 1)
    with pytest.raises(ValueError, match=r"rewards must have shape \(\.\.\., T\)"):
        n_step_advantages(1.0, [1.0, 2.0], 0.9, 1)


# --- how likely a trajectory is -----------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(seed=seeds, horizon=st.integers(0, 3))
def test_probabilities_of_all_trajectories_sum_to_one(seed: int, horizon: int) -> None:
    mdp = random_mdp(2, 2, rng=seed)
    pi = policies(np.random.default_rng(seed), mdp)
    each = list(enumerate_trajectories(mdp, pi, horizon))
    assert len(each) == 2 ** (2 * horizon + 1)
    assert abs(sum(p for _, _, p in each) - 1) < 1e-12
    timed = np.stack([policies(np.random.default_rng(t), mdp) for t in range(horizon or 1)])
    assert abs(sum(p for _, _, p in enumerate_trajectories(mdp, timed, horizon)) - 1) < 1e-12


def test_impossible_trajectories_are_not_listed() -> None:
    mdp = random_mdp(2, 2, rng=0).replace(start=1)
    only_first = [[1.0, 0.0], [1.0, 0.0]]
    for s, a, p in enumerate_trajectories(mdp, only_first, horizon=2):
        assert s[0] == 1
        assert (a == 0).all()
        assert p > 0


def test_a_trajectory_on_the_ice() -> None:
    # from the corner 1 right and down both slip: 1/2; then in the edge square 2 "down" is meant
    mdp = penguin_world().mdp(gamma=0.9)
    pi = uniform_policy(mdp)
    assert trajectory_probability(mdp, pi, [0], []) == 1
    assert trajectory_probability(mdp, pi, [0, 1], [1]) == 1 / 4 * 1 / 2
    assert trajectory_probability(mdp, pi, [0, 1, 5], [1, 2]) == 1 / 4 * 1 / 2 * 1 / 4 * 1 / 2
    assert trajectory_probability(mdp, pi, [0, 5], [1]) == 0
    assert trajectory_probability(mdp, pi, [1, 2], [1]) == 0  # it starts on square 1


def test_a_sparse_world_gives_the_same_probability() -> None:
    mdp = penguin_world().mdp(gamma=0.9)
    s, a = [0, 1, 5, 9, 8], [1, 2, 2, 3]
    dense = trajectory_probability(mdp, uniform_policy(mdp), s, a)
    assert trajectory_probability(sparse(mdp), uniform_policy(mdp), s, a) == dense > 0


def test_a_time_dependent_policy_acts_by_the_clock() -> None:
    mdp = penguin_world().mdp(gamma=0.9)
    right, down = np.eye(4)[np.ones(16, int)], np.eye(4)[np.full(16, 2)]
    assert trajectory_probability(mdp, np.stack([right, down]), [0, 1, 5], [1, 2]) == 1 / 4
    assert trajectory_probability(mdp, np.stack([down, right]), [0, 1, 5], [1, 2]) == 0


@settings(max_examples=15, deadline=None)
@given(mdp=mdps(max_states=3, max_actions=2), seed=seeds, horizon=st.integers(0, 3))
def test_the_list_is_complete_and_each_probability_right(mdp: MDP, seed: int, horizon: int) -> None:
    pi = policies(np.random.default_rng(seed), mdp)
    listed = {
        (tuple(s.tolist()), tuple(a.tolist())): p
        for s, a, p in enumerate_trajectories(mdp, pi, horizon)
    }
    S, A = pi.shape
    possible = {}
    for s in product(range(S), repeat=horizon + 1):
        for a in product(range(A), repeat=horizon):
            if (p := trajectory_probability(mdp, pi, s, np.array(a, int))) > 0:
                possible[s, a] = p
    assert set(listed) == set(possible)
    for both, p in possible.items():
        assert abs(listed[both] - p) < 1e-14


@settings(max_examples=15, deadline=None)
@given(mdp=mdps(max_states=3, max_actions=2), seed=seeds, timed=st.booleans())
def test_their_returns_average_to_the_value(mdp: MDP, seed: int, timed: bool) -> None:
    rng = np.random.default_rng(seed)
    plan = np.stack([policies(rng, mdp) for _ in range(3)])
    pi = plan if timed else plan[0]
    J = sum(
        p * float(discounted_return(mdp.R[s[:-1], a], mdp.gamma))
        for s, a, p in enumerate_trajectories(mdp, pi, 3)
    )
    exact = expected_return(mdp, plan if timed else np.stack([pi] * 3))
    assert abs(J - exact) < 1e-12


def test_a_sparse_world_has_the_same_trajectories() -> None:
    mdp = penguin_world().mdp(gamma=0.9)
    pi = uniform_policy(mdp)
    both = [list(enumerate_trajectories(m, pi, 2)) for m in (mdp, sparse(mdp))]
    assert len(both[0]) == len(both[1]) > 50
    for (s, a, p), (s_too, a_too, p_too) in zip(*both, strict=True):
        np.testing.assert_array_equal(s, s_too)
        np.testing.assert_array_equal(a, a_too)
        assert p == p_too


def test_bad_enumerations_are_named() -> None:
    mdp = random_mdp(2, 2, rng=0)
    pi = uniform_policy(mdp)
    with pytest.raises(ValueError, match="horizon must be at least 0; it is -1"):
        list(enumerate_trajectories(mdp, pi, -1))
    with pytest.raises(ValueError, match="policy must cover 3 steps; it has 2"):
        list(enumerate_trajectories(mdp, np.stack([pi] * 2), 3))
    with pytest.raises(ValueError, match=r"policy\[0\] must be a distribution; it sums to 0.8"):
        list(enumerate_trajectories(mdp, np.full((2, 2), 0.4), 1))
    with pytest.raises(TypeError, match="mdp must be an MDP; it is a GridWorld"):
        list(enumerate_trajectories(penguin_world(), pi, 1))  # type: ignore[arg-type]
