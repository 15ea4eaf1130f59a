"""Reward processes: every form of reward, and what each state is worth."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from scipy.sparse import csr_array

from gridrl import RewardProcess, arrive, leave
from gridrl.processes.payments import SquareReward
from gridrl.tables import Array
from tests.strategies import chains, lottery, reward_processes, seeds

HALF = np.full((2, 2), 0.5)
ENDS: dict[str, Any] = {"terminal": [False, True]}


def series(process: RewardProcess, steps: int) -> Array:
    """V = sum_t gamma^t P^t R, up to `steps`."""
    V, term = np.zeros(process.n_states), process.R
    for _ in range(steps):
        V, term = V + term, process.gamma * (process.P @ term)
    return V


@given(reward_processes())
def test_values_are_the_series(process: RewardProcess) -> None:
    # what is left after 300 steps: 0.9^300 * 10 |R| < 1e-12 |R|
    np.testing.assert_allclose(process.values(), series(process, 300), atol=1e-10)


@given(reward_processes())
def test_sparse_and_dense_are_worth_the_same(process: RewardProcess) -> None:
    sparse = process.replace(P=csr_array(process.P))
    np.testing.assert_allclose(sparse.values(), process.values(), atol=1e-10)
    np.testing.assert_array_equal(sparse.R, process.R)
    assert list(map(str, sparse.check())) == list(map(str, process.check()))


@given(chains(), seeds)
def test_leaving_and_arriving_differ_by_the_reward_of_the_square(chain: Any, seed: int) -> None:
    R = np.random.default_rng(seed).normal(size=chain.n_states)
    left, arrived = (RewardProcess(chain.P, pay(R), 0.9).values() for pay in (leave, arrive))
    np.testing.assert_allclose(left, R + 0.9 * arrived, atol=1e-10)


@given(chains(), seeds)
def test_a_table_of_steps_is_expected_over_the_next_state(chain: Any, seed: int) -> None:
    r = np.random.default_rng(seed).normal(size=chain.P.shape)
    for P, given_ in ((chain.P, r), (csr_array(chain.P), r), (chain.P, csr_array(r))):
        process = RewardProcess(P, given_, 0.5)
        np.testing.assert_allclose(process.R, (chain.P * r).sum(axis=1), atol=1e-12)


@pytest.mark.parametrize(
    "R", [[1, 2], [[1, 2], [3, 4]], leave([1, 2]), arrive([1, 2]),
          lottery([0, 1], HALF), csr_array([[1, 2], [3, 4]])]
)  # fmt: skip
def test_replacing_keeps_what_was_given(R: Any) -> None:
    process = RewardProcess(HALF, R, 0.5)
    for again in (process.replace(gamma=0.5), pickle.loads(pickle.dumps(process))):
        np.testing.assert_array_equal(again.R, process.R)
        assert type(again.payment) is type(process.payment)
    assert process.replace(gamma=0.1).gamma == 0.1


def test_in_terminal_states_nothing_is_paid() -> None:
    for R in ([1, 5], [[1, 1], [5, 5]], lottery([1, 5], np.eye(2))):
        process = RewardProcess(HALF, R, 1.0, **ENDS)
        assert process.R.tolist() == [1, 0]
        np.testing.assert_allclose(process.values(), [2, 0])
        batch = process.simulate(9, episodes=50, rng=0)
        # one for each step before the end, none after it
        np.testing.assert_array_equal(batch.rewards.sum(axis=1), batch.lengths)


def test_an_arrival_reward_is_paid_for_reaching_the_end() -> None:
    process = RewardProcess(HALF, arrive([0, 1]), 1.0, **ENDS)
    np.testing.assert_allclose(process.values(), [1, 0])
    batch = process.simulate(60, episodes=20, rng=0)  # 20 * 2^-60 to be still on the way
    np.testing.assert_array_equal(batch.rewards.sum(axis=1), np.ones(20))


def test_simulation_draws_what_was_given_not_the_expectation() -> None:
    dice = lottery([-1, 0, 4], [[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]])
    process = RewardProcess(HALF, dice, 0.5, start=0)
    rewards = process.simulate(1, episodes=20_000, rng=0).rewards[:, 0]
    share = [(rewards == r).mean() for r in (-1, 0, 4)]
    # Hoeffding: each of 3 shares is off by more than 0.02 with probability 2 exp(-16): 7e-7
    np.testing.assert_allclose(share, [0.5, 0.3, 0.2], atol=0.02)
    assert process.R[0] == pytest.approx(0.3)


@given(seeds)
def test_the_reward_belongs_to_the_step_made(seed: int) -> None:
    r = np.arange(9.0).reshape(3, 3)
    P = np.random.default_rng(seed).dirichlet(np.ones(3), size=3)
    for given_ in (r, csr_array(r)):
        walk = RewardProcess(P, given_, 0.9).simulate(20, episodes=3, rng=seed)
        np.testing.assert_array_equal(walk.rewards, r[walk.states[:, :-1], walk.states[:, 1:]])
    for given_, shift in ((leave([7, 8, 9]), 0), (arrive([7, 8, 9]), 1)):
        walk = RewardProcess(P, given_, 0.9).simulate(20, rng=seed)
        np.testing.assert_array_equal(walk.rewards, 7 + walk.states[shift : 20 + shift])


def test_mean_simulated_return_is_the_value() -> None:
    process = RewardProcess([[0.1, 0.9], [0.6, 0.4]], [1, -2], 0.5, start=0)
    G = process.simulate(40, episodes=5000, rng=0).returns(0.5)  # the rest is below 0.5^40 * 4
    # five standard errors are exceeded with probability 6e-7
    assert abs(G.mean() - process.values()[0]) < 5 * G.std() / np.sqrt(5000)


def test_values_at_gamma_1_are_the_limit_of_gamma_to_1() -> None:
    P = [[0, 0.5, 0.5, 0], [0.5, 0, 0, 0.5], [0, 0, 0, 1], [0, 0, 1, 0]]
    process = RewardProcess(P, [1, 2, 0, 0], 1.0)
    np.testing.assert_allclose(process.values(), [8 / 3, 10 / 3, 0, 0])
    np.testing.assert_array_equal(process.over(), [False, False, True, True])
    near = process.replace(gamma=1 - 1e-9).values()
    np.testing.assert_allclose(near, process.values(), atol=1e-7)  # V moves by (1 - gamma) * ...


@pytest.mark.parametrize("layout", [np.asarray, csr_array])
def test_rewards_for_ever_at_gamma_1_are_refused_by_name(layout: Any) -> None:
    P = layout([[0, 0.5, 0.5], [0, 1, 0], [0, 0, 1]])
    endless = RewardProcess(P, [0, 1, 0], 1.0, labels=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"not finite at gamma = 1: .* for ever in states \{b\}"):
        endless.values()
    cancelling = RewardProcess([[0, 1], [1, 0]], [1, -1], 1.0)
    with pytest.raises(ValueError, match=r"for ever in states \{1, 2\}"):
        cancelling.values()


@pytest.mark.parametrize(
    ("R", "gamma", "error", "message"),
    [
        ([1, 2, 3], 0.9, ValueError, r"R must have shape \(2,\) or \(2, 2\); it has \(3,\)"),
        ([[1], [2]], 0.9, ValueError, r"R must have shape .*; it has \(2, 1\)"),
        (leave([1]), 0.9, ValueError, r"R must have shape \(2,\); it has \(1,\)"),
        (arrive([[1, 2]]), 0.9, ValueError, r"R must have shape \(2,\); it has \(1, 2\)"),
        ([1, np.nan], 0.9, ValueError, r"R\[1\] must be finite; it is nan"),
        ([[1, np.inf], [1, 1]], 0.9, ValueError, r"R\[0, 1\] must be finite; it is inf"),
        (["a", "b"], 0.9, TypeError, "R must hold real numbers; it holds <U1"),
        ([1, 1j], 0.9, TypeError, "R must hold real numbers; it holds complex128"),
        (None, 0.9, TypeError, "R must hold real numbers; it holds object"),
        (csr_array(np.eye(3)), 0.9, ValueError, r"R, sparse, must have shape \(2, 2\); .* \(3, 3"),
        (csr_array([[0, np.nan], [1, 1]]), 0.9, ValueError, r"R.* must be finite; it is nan"),
        (lottery([0, 1], [[0, 1]]), 0.9, ValueError, r"probs must .* \(2, 2\); .* \(1"),
        ([1, 2], 1.1, ValueError, r"gamma must be in \[0, 1\]; it is 1\.1"),
        ([1, 2], -0.1, ValueError, r"gamma must be in \[0, 1\]; it is -0\.1"),
        ([1, 2], np.nan, ValueError, r"gamma must be in \[0, 1\]; it is nan"),
        ([1, 2], True, TypeError, "gamma must be a number; it is True"),
        ([1, 2], "0.9", TypeError, "gamma must be a number; it is '0.9'"),
        ([1, 2], None, TypeError, "gamma must be a number; it is None"),
    ],
)
def test_bad_input_is_refused(R: Any, gamma: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        RewardProcess(HALF, R, gamma)


def test_small_integers_are_not_wrapped_round_or_cut() -> None:
    small = RewardProcess(HALF, np.array([3, 0], np.uint8), 0.9)
    assert small.R.dtype == np.float64
    np.testing.assert_allclose(small.values(), [16.5, 13.5])
    beside = RewardProcess(HALF, leave(np.array([3, 0], np.uint8)), 0.9).replace(R=[-2, 0])
    np.testing.assert_allclose(beside.values(), [-11, -9])
    assert RewardProcess([[1.0]], np.array([-2], np.int8), 0.0).values().tolist() == [-2]
    assert RewardProcess(csr_array([[1]]), [-2], 0.5).values().tolist() == [-4]


def test_repr_and_type() -> None:
    process = RewardProcess(HALF, [1, 2], 0.9, **ENDS)
    assert repr(process) == "RewardProcess(2 states, 1 terminal, gamma=0.9)"
    assert isinstance(process.payment, SquareReward)
