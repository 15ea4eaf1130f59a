"""Where a chain leads, against matrix powers and the definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl import MarkovProcess
from gridrl.tables import Array
from tests.strategies import chains

COIN = MarkovProcess([[1, 0, 0, 0], [0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5], [0, 0, 0, 1]])


def reach(chain: MarkovProcess) -> np.ndarray:
    """Which states some path leads to from which, by powers of the adjacency matrix."""
    S = chain.n_states
    return np.linalg.matrix_power(np.eye(S) + (chain.P > 0), S) > 0


def limit(P: Array) -> Array:
    """P^(2^40), rows rescaled on the way so that rounding does not add up."""
    for _ in range(40):
        P = P @ P
        P = P / P.sum(axis=1, keepdims=True)
    return P


@given(chains())
def test_classes_are_the_states_that_reach_each_other(chain: MarkovProcess) -> None:
    both = reach(chain) & reach(chain).T
    expected = {tuple(np.flatnonzero(row).tolist()) for row in both}
    assert chain.classes() == tuple(sorted(expected))
    assert sorted(s for c in chain.classes() for s in c) == list(range(chain.n_states))


@given(chains())
def test_closed_classes_are_never_left_and_the_others_are(chain: MarkovProcess) -> None:
    for states in chain.classes():
        inside = chain.P[np.ix_(states, states)].sum(axis=1)
        closed = np.allclose(inside, 1, atol=1e-12)
        assert (states in chain.closed_classes()) == closed


@given(chains())
def test_the_period_is_the_gcd_of_all_return_times(chain: MarkovProcess) -> None:
    """By definition: gcd {n: P^n(s, s) > 0}; 2 S^2 steps show every cycle there is."""
    edges = (chain.P > 0).astype(float)
    power, returns = np.eye(chain.n_states), [0] * chain.n_states
    for n in range(1, 2 * chain.n_states**2 + 2):
        power = ((power @ edges) > 0).astype(float)
        returns = [math.gcd(d, n * int(power[s, s])) for s, d in enumerate(returns)]
    assert chain.period() == math.lcm(*(returns[c[0]] for c in chain.closed_classes()))


@pytest.mark.parametrize("cycle", [1, 2, 3, 5])
def test_a_cycle_has_its_length_as_period(cycle: int) -> None:
    P = np.roll(np.eye(cycle), 1, axis=1)
    assert MarkovProcess(P).period() == cycle
    P[0] = 0.5 * P[0]
    P[0, 0] += 0.5
    assert MarkovProcess(P).period() == 1


def test_periods_of_several_classes_make_their_least_common_multiple() -> None:
    P = np.zeros((6, 6))
    P[:2, :2] = np.roll(np.eye(2), 1, axis=1)
    P[2:5, 2:5] = np.roll(np.eye(3), 1, axis=1)
    P[5, 0] = 1
    assert MarkovProcess(P).period() == 6


@given(chains())
def test_stationary_is_what_one_step_leaves_as_it_is(chain: MarkovProcess) -> None:
    closed = chain.closed_classes()
    if len(closed) > 1:
        with pytest.raises(ValueError, match=f"is not unique: {len(closed)} closed classes, "):
            chain.stationary()
        return
    mu = chain.stationary()
    np.testing.assert_allclose(mu @ chain.P, mu, atol=1e-12)
    # the lazy chain has the same stationary distribution and no period, so its powers converge
    lazy = limit((np.eye(chain.n_states) + chain.P) / 2)
    np.testing.assert_allclose(np.tile(mu, (chain.n_states, 1)), lazy, atol=1e-9)


def test_the_classes_are_named_where_stationary_is_not_unique() -> None:
    with pytest.raises(ValueError, match=r"2 closed classes, \{1\} and \{4\} among them"):
        COIN.stationary()


def test_a_long_walk_spends_its_time_as_stationary_says() -> None:
    chain = MarkovProcess([[0.5, 0.5, 0], [0.25, 0.5, 0.25], [0, 0.5, 0.5]])
    states = chain.simulate(100, episodes=4000, rng=0).states[:, -1]
    share = np.bincount(states, minlength=3) / 4000
    # Hoeffding: each of 3 shares is off by more than 0.05 with probability 2 exp(-20): 1e-8
    np.testing.assert_allclose(share, chain.stationary(), atol=0.05)


@given(chains())
def test_absorption_probabilities_are_where_powers_lead(chain: MarkovProcess) -> None:
    far = limit(chain.P)
    mass = [far[:, list(c)].sum(axis=1) for c in chain.closed_classes()]
    np.testing.assert_allclose(chain.absorption_probabilities(), np.transpose(mass), atol=1e-9)


@given(chains(), st.data())
def test_hitting_times_are_the_sum_of_survival_probabilities(
    chain: MarkovProcess, data: st.DataObject
) -> None:
    """h = sum_t Pr(not there yet after t steps), summed by doubling to t = 2^60."""
    states = st.integers(0, chain.n_states - 1)
    targets = data.draw(st.lists(states, min_size=1, max_size=chain.n_states))
    alive = np.ones(chain.n_states)
    alive[targets] = 0
    total, power = np.diag(alive), chain.P * alive * alive[:, None]
    for _ in range(60):
        total, power = total + power @ total, power @ power
    expected = total.sum(axis=1)
    h = chain.hitting_times(targets)
    np.testing.assert_array_equal(np.isinf(h), expected > 1e10)
    finite = np.isfinite(h)
    np.testing.assert_allclose(h[finite], expected[finite], rtol=1e-6)


def test_hitting_times_by_hand() -> None:
    np.testing.assert_array_equal(COIN.hitting_times([0, 3]), [0, 2, 2, 0])
    np.testing.assert_array_equal(COIN.hitting_times(0), [0, np.inf, np.inf, np.inf])


def test_hitting_times_are_the_mean_length_of_episodes() -> None:
    P = [[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0, 1]]
    chain = MarkovProcess(P, start=0, terminal=[False, False, True])
    lengths = chain.simulate(200, episodes=10_000, rng=0).lengths
    # h(0) = 2 + h(1), h(1) = 1 + h(0) / 2, so h(0) = 6; a cut after 200 steps: 1e-15; five standard
    # errors are exceeded with probability 6e-7
    assert abs(lengths.mean() - 6) < 5 * lengths.std() / 100
    assert chain.hitting_times(2)[0] == pytest.approx(6)
