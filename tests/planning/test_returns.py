"""Returns backwards, forwards and by definition; the probability of a trajectory."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gridrl.planning import (
    discounted_return,
    enumerate_trajectories,
    gae,
    lambda_returns,
    returns_to_go,
    trajectory_probability,
    uniform_policy,
)
from gridrl.tables import Array
from gridrl.worlds import penguin_world, random_mdp
from tests.planning.oracles import sparse
from tests.strategies import policies, seeds

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
