"""How a world pays: the expectation of each form, and its draws, on one even grid of chances."""

from __future__ import annotations

import pickle
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given

from gridrl import MDP, RewardDistribution, arrive, leave
from gridrl.processes.payments import PolicyReward, ShapedReward
from gridrl.tables import Array
from tests.strategies import lottery, mdps, policies, rewards, seeds, sparse_rows

N = 1200  # even chances; a mean of K pieces of a step function is off by at most K / N of its range


def step_means(paid: Any, S: int, A: int) -> Array:
    """E[r | s, a, s'] of what is drawn, (S, A, S)."""
    s, a, s_next, u = (x.ravel() for x in np.indices((S, A, S, N)))
    return paid.draw(s, a, s_next, (u + 0.5) / N).reshape(S, A, S, N).mean(axis=3)


@pytest.mark.parametrize("form", list(rewards(np.random.default_rng(0), 2, 2)))
def test_the_table_is_the_expectation_of_the_draws(form: str) -> None:
    rng = np.random.default_rng(11)
    P, R = sparse_rows(rng, 3, 2, 3), rewards(rng, 3, 2)[form]
    mdp = MDP(P, R, 0.9)
    means = step_means(mdp.payment, 3, 2)
    # at most 3 rewards, the largest below 3: three jumps off by 6 / N each
    np.testing.assert_allclose(mdp.R, (P * means).sum(axis=2), atol=3 * 6 / N)


@pytest.mark.parametrize("form", list(rewards(np.random.default_rng(0), 2, 2)))
def test_dense_and_sparse_pay_the_same(form: str) -> None:
    rng = np.random.default_rng(12)
    dense = MDP(sparse_rows(rng, 4, 2, 4), rewards(rng, 4, 2)[form], 0.9)
    sparse = as_sparse(dense)
    np.testing.assert_allclose(sparse.R, dense.R, atol=1e-14)
    pi = policies(rng, dense)
    a, b = (m.under(pi).simulate(30, episodes=20, rng=0) for m in (dense, sparse))
    np.testing.assert_array_equal(a.states, b.states)
    np.testing.assert_allclose(a.rewards, b.rewards)


def as_sparse(mdp: MDP) -> MDP:
    from gridrl.processes.transitions import stacked

    return mdp.replace(P=stacked(mdp.P))


@given(mdps(), seeds)
def test_leave_and_arrive_by_definition(mdp: MDP, seed: int) -> None:
    R = np.random.default_rng(seed).normal(size=mdp.n_states)
    alive = ~mdp.terminal[:, None]
    left, arrived = mdp.replace(R=leave(R)), mdp.replace(R=arrive(R))
    np.testing.assert_array_equal(left.R, np.where(alive, R[:, None], 0) + 0 * mdp.R)
    np.testing.assert_allclose(arrived.R, np.where(alive, mdp.P @ R, 0), atol=1e-14)
    np.testing.assert_array_equal(mdp.replace(R=R).R, left.R)  # (S,) is the lecture's convention


def test_arrive_stays_a_vector() -> None:
    paid = MDP(np.full((3, 2, 3), 1 / 3), arrive([1, 2, 3]), 0.9).payment
    assert paid.values.shape == (3,)  # type: ignore[attr-defined]


def test_under_a_policy_the_action_is_drawn_given_the_step() -> None:
    """E[r | s, s'] = sum_a pi(a|s) P(s'|s,a) r(s,a,s') / Pr(s'|s), exactly, on an even grid."""
    rng = np.random.default_rng(5)
    S, A = 3, 3
    P, r, pi = sparse_rows(rng, S, A, S), rng.normal(size=(S, A, S)), rng.dirichlet(np.ones(A), S)
    process = MDP(P, r, 0.9).under(pi)
    joint = pi[:, :, None] * P
    possible = joint.sum(axis=1) > 0
    expected = (joint * r).sum(axis=1)[possible] / joint.sum(axis=1)[possible]
    s, s_next = np.nonzero(possible)
    u, paid = (np.arange(N) + 0.5) / N, cast(Any, process.payment)
    draws = [paid.draw(*np.full((3, N), [[i], [0], [j]]), u)
             for i, j in zip(s, s_next, strict=True)]  # fmt: skip
    np.testing.assert_allclose(np.mean(draws, axis=1), expected, atol=3 * 6 / N)
    assert (np.std(draws, axis=1) > 0.1).any()  # it is not the expectation that is drawn


def test_what_is_left_of_the_chance_draws_the_reward() -> None:
    """Two actions and a coin each: all four of (action, coin) have their share."""
    coins = lottery([1, 2, 10, 20], [[[0.25, 0.75, 0, 0], [0, 0, 0.5, 0.5]]])
    process = MDP(np.ones((1, 2, 1)), coins, 0.9).under([[0.2, 0.8]])
    zero = np.zeros(N, np.intp)
    draws = process.payment.draw(zero, zero, zero, (np.arange(N) + 0.5) / N)
    share = [(draws == r).mean() for r in (1, 2, 10, 20)]
    np.testing.assert_allclose(share, [0.05, 0.15, 0.4, 0.4], atol=2 / N)


@pytest.mark.parametrize("form", list(rewards(np.random.default_rng(0), 2, 2)))
@pytest.mark.parametrize("time_dependent", [False, True])
def test_simulated_rewards_have_the_exact_mean_and_variance(
    form: str, time_dependent: bool
) -> None:
    rng = np.random.default_rng(13)
    S, A, n = 3, 2, 20_000
    mdp = MDP(
        sparse_rows(rng, S, A, S), rewards(rng, S, A)[form], 0.9, start=rng.dirichlet([1] * 3)
    )
    pi = rng.dirichlet(np.ones(A), size=(2, S)) if time_dependent else policies(rng, mdp)
    simulated = mdp.under(pi).simulate(2, episodes=n, rng=14).rewards
    first, second = pi if time_dependent else (pi, pi)
    mu = mdp.start
    for t, policy in enumerate((first, second)):
        weight = (mu[:, None] * policy)[:, :, None] * mdp.P  # Pr(s, a, s') at time t
        moments = [(weight * moment(mdp.payment, S, A, k)).sum() for k in (1, 2)]
        mu = weight.sum(axis=(0, 1))
        for k, exact in zip((1, 2), moments, strict=True):
            r = simulated[:, t] ** k
            # five standard errors: 6e-7 each, 72 of them in all forms: 4e-5; the grid's 0.02
            assert abs(r.mean() - exact) < 5 * r.std() / np.sqrt(n) + 0.02


def moment(paid: Any, S: int, A: int, k: int) -> Array:
    s, a, s_next, u = (x.ravel() for x in np.indices((S, A, S, N)))
    draws = paid.draw(s, a, s_next, (u + 0.5) / N) ** k
    return draws.reshape(S, A, S, N).mean(axis=3)


@pytest.mark.parametrize(
    ("values", "probs", "error", "message"),
    [
        ([0, 1], [[0.5, 0.4]], ValueError, r"probs\[0\] must be a distribution; it sums to 0\.9"),
        ([0, 1], [[1.5, -0.5]], ValueError, r"probs\[0, 1\] must not be negative; it is -0\.5"),
        ([0, 1, 2], [[0.5, 0.5]], ValueError, r"each of values \(3,\) on .* shape \(1, 2\)"),
        ([[0], [1]], [[0.5, 0.5]], ValueError, r"each of values \(2, 1\) on .* shape \(1, 2\)"),
        ([0, np.nan], [[0.5, 0.5]], ValueError, r"values\[1\] must be finite; it is nan"),
        (["a", "b"], [[0.5, 0.5]], TypeError, "values must hold real numbers; it holds <U1"),
        ([0, 1], [[0.5, 0.5j]], TypeError, "probs must hold real numbers; it holds complex128"),
    ],
)
def test_a_bad_distribution_is_refused(
    values: Any, probs: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        RewardDistribution(values, probs)


def test_a_distribution_is_a_locked_copy() -> None:
    values = np.array([0, 3], np.uint8)
    coin = RewardDistribution(values, np.array([[0.5, 0.5]]))
    values[1] = 9
    assert coin.mean().tolist() == [1.5]
    for array in (coin.values, coin.probs):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_process_under_a_policy_keeps_its_payment() -> None:
    process = MDP(np.ones((1, 2, 1)), [[1, 2]], 0.5).under([[0.5, 0.5]])
    assert isinstance(process.replace(gamma=0.0).payment, PolicyReward)
    assert process.replace(gamma=0.0).values().tolist() == [1.5]


# --- powers, and hints ----------------------------------------------------------------------------

FORMS = list(rewards(np.random.default_rng(0), 2, 2))


def powers(paid: Any, P: Array, p: int, n: int = N) -> Array:
    """E[r^p | s, a, s'] of what is drawn on an even grid of chances, (S, A, S)."""
    S, A, _ = P.shape
    s, a, s_next, u = (x.ravel() for x in np.indices((S, A, S, n)))
    drawn = paid.draw(s, a, s_next, (u + 0.5) / n)
    return np.asarray(drawn.reshape(S, A, S, n) ** p).mean(axis=3)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("p", [0, 1, 2, 3])
def test_powers_are_those_of_the_draws(form: str, p: int) -> None:
    rng = np.random.default_rng(21)
    mdp = MDP(sparse_rows(rng, 3, 2, 3), rewards(rng, 3, 2)[form], 0.9)
    P, power = np.asarray(mdp.P), mdp.payment.power(p, mdp.P)
    assert power.shape == (3, 2, 3)
    # rewards below 3: at most three jumps, each off by 2 * 3^p / N
    np.testing.assert_allclose(power, powers(mdp.payment, P, p), atol=3 * 2 * 3**p / N)
    if p == 0:
        np.testing.assert_allclose(power, 1, atol=1e-14)
    if p == 1:
        np.testing.assert_allclose((P * power).sum(axis=2), mdp.R, atol=1e-13)


@pytest.mark.parametrize("form", FORMS)
def test_powers_of_dense_and_sparse_worlds_agree(form: str) -> None:
    rng = np.random.default_rng(22)
    dense = MDP(sparse_rows(rng, 3, 2, 3), rewards(rng, 3, 2)[form], 0.9)
    thin = as_sparse(dense)
    for paid, twin in ((dense.payment, thin.payment), (hinted(dense, 0), hinted(thin, 0))):
        np.testing.assert_allclose(paid.power(2, dense.P), twin.power(2, thin.P), atol=1e-13)
        np.testing.assert_allclose(paid.expected(dense.P), twin.expected(thin.P), atol=1e-13)


@pytest.mark.parametrize("form", FORMS)
def test_powers_under_a_policy(form: str) -> None:
    """E[r^2 | s, s'] = sum_a pi(a|s) P(s'|s,a) E[r^2|s,a,s'] / Pr(s'|s)."""
    rng = np.random.default_rng(23)
    mdp = MDP(sparse_rows(rng, 3, 2, 3), rewards(rng, 3, 2)[form], 0.9)
    pi = policies(rng, mdp)
    process = mdp.under(pi)
    joint = pi[:, :, None] * np.asarray(mdp.P)
    square = powers(mdp.payment, np.asarray(mdp.P), 2)
    weight = joint.sum(axis=1)
    exact = np.divide((joint * square).sum(axis=1), weight, out=np.zeros((3, 3)), where=weight > 0)
    found = cast(Any, process.payment).power(2, None)
    assert found.shape == (3, 1, 3)
    np.testing.assert_allclose(found[:, 0], exact, atol=3 * 2 * 9 / N)


def hinted(mdp: MDP, seed: int, gamma: float = 0.9) -> ShapedReward:
    return ShapedReward(mdp.payment, np.random.default_rng(seed).normal(size=mdp.n_states), gamma)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("p", [1, 2, 3])
def test_hints_are_paid_on_every_step(form: str, p: int) -> None:
    rng = np.random.default_rng(24)
    mdp = MDP(sparse_rows(rng, 3, 2, 3), rewards(rng, 3, 2)[form], 0.9)
    paid, P = hinted(mdp, 1), np.asarray(mdp.P)
    s, a, s_next, u = (x.ravel() for x in np.indices((3, 2, 3, 50)))
    hint = 0.9 * paid.potential[s_next] - paid.potential[s]
    plain = mdp.payment.draw(s, a, s_next, (u + 0.5) / 50)
    np.testing.assert_allclose(paid.draw(s, a, s_next, (u + 0.5) / 50), plain + hint, atol=1e-14)
    # sizes below 3 + 3: three jumps, each off by 2 * 6^p / N
    np.testing.assert_allclose(paid.power(p, mdp.P), powers(paid, P, p), atol=3 * 2 * 6**p / N)
    expected = (P * paid.power(1, mdp.P)).sum(axis=2)
    np.testing.assert_allclose(paid.expected(mdp.P), expected, atol=1e-13)


def test_hints_travel_and_hint_at_hints() -> None:
    mdp = MDP(np.full((2, 2, 2), 0.5), [[1, 2], [3, 4]], 0.9)
    twice = mdp.replace(R=ShapedReward(hinted(mdp, 0), np.array([1.0, -1.0]), 0.9))
    assert isinstance(twice.payment, ShapedReward)
    again: MDP = pickle.loads(pickle.dumps(twice))
    np.testing.assert_array_equal(again.R, twice.R)
    np.testing.assert_array_equal(again.payment.power(2, again.P), twice.payment.power(2, twice.P))
    once = mdp.replace(R=hinted(mdp, 0))
    change = 0.9 * (mdp.P @ np.array([1.0, -1.0])) - np.array([[1.0], [-1.0]])
    np.testing.assert_allclose(twice.R, once.R + change, atol=1e-14)
    ended = mdp.replace(R=hinted(mdp, 0), terminal=[False, True])
    assert (ended.R[1] == 0).all()
    assert not ended.replace(gamma=0.5).R[1].any()
