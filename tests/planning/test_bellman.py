"""Values by definition, in closed form and by iteration; the arithmetic on the board."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridrl.planning import (
    action_values,
    advantages,
    discounted_return,
    enumerate_trajectories,
    expected_return,
    explain_backup,
    greedy,
    occupancy,
    policy_evaluation,
    policy_iteration,
    q_values,
    state_values,
    uniform_policy,
)
from gridrl.processes import MDP, arrive, leave
from gridrl.processes.transitions import average_over_actions
from gridrl.tables import Array, Indices
from gridrl.worlds import penguin_world, random_mdp, sutton_4x4, sutton_5x5
from tests.planning.oracles import sparse
from tests.strategies import mdps, policies, seeds


def rewards_along(mdp: MDP, s: Indices, a: Indices) -> Array:
    return mdp.R[s[:-1], a]


# --- by definition ------------------------------------------------------------------------------


def test_V_and_Q_are_what_trajectories_pay_on_average() -> None:
    T, mdp = 6, random_mdp(2, 2, rng=1, gamma=0.05)
    pi = policies(np.random.default_rng(2), mdp)
    V, Q = np.zeros(2), np.zeros((2, 2))
    for s, a, p in enumerate_trajectories(mdp, pi, T):
        G = discounted_return(rewards_along(mdp, s, a), mdp.gamma)
        V[s[0]] += p / mdp.start[s[0]] * G
        Q[s[0], a[0]] += p / (mdp.start[s[0]] * pi[s[0], a[0]]) * G
    tail = mdp.gamma**T * np.abs(mdp.R).max() / (1 - mdp.gamma)  # what comes after T steps
    assert tail < 1e-7
    np.testing.assert_allclose(state_values(mdp, pi), V, atol=tail)
    np.testing.assert_allclose(q_values(mdp, pi), Q, atol=tail)
    assert abs(expected_return(mdp, pi) - mdp.start @ V) <= tail


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
def test_a_time_dependent_policy_is_worth_what_its_trajectories_pay(gamma: float) -> None:
    T, mdp = 4, random_mdp(2, 2, rng=3, gamma=gamma).replace(start=[0.3, 0.7])
    pi = np.stack([policies(np.random.default_rng(t), mdp) for t in range(T)])
    J, Q = 0.0, np.zeros((2, 2))
    for s, a, p in enumerate_trajectories(mdp, pi, T):
        G = discounted_return(rewards_along(mdp, s, a), gamma)
        J += p * float(G)
        Q[s[0], a[0]] += p / (mdp.start[s[0]] * pi[0, s[0], a[0]]) * G
    assert expected_return(mdp, pi) == pytest.approx(J, abs=1e-12)
    np.testing.assert_allclose(q_values(mdp, pi)[0], Q, atol=1e-12)


@given(mdp=mdps(), seed=seeds, T=st.integers(1, 4))
def test_time_expansion_agrees_with_backward_values(mdp: MDP, seed: int, T: int) -> None:
    rng = np.random.default_rng(seed)
    pi = np.stack([policies(rng, mdp) for _ in range(T)])
    expanded = mdp.under(pi).values().reshape(T + 1, -1)
    np.testing.assert_allclose(state_values(mdp, pi), expanded, atol=1e-9)
    np.testing.assert_allclose((pi * q_values(mdp, pi)).sum(axis=2), expanded[:-1], atol=1e-9)
    np.testing.assert_allclose((pi * advantages(mdp, pi)).sum(axis=2), 0, atol=1e-9)
    rho = occupancy(mdp, pi)
    assert rho.shape == pi.shape
    assert (rho * mdp.R).sum() == pytest.approx(expected_return(mdp, pi), abs=1e-9)


# --- Bellman's equations ------------------------------------------------------------------------


@given(mdp=mdps(), seed=seeds)
def test_V_Q_and_advantages_fit_each_other(mdp: MDP, seed: int) -> None:
    pi = policies(np.random.default_rng(seed), mdp)
    V, Q, A = state_values(mdp, pi), q_values(mdp, pi), advantages(mdp, pi)
    np.testing.assert_allclose(V, (pi * Q).sum(axis=1), atol=1e-9)
    np.testing.assert_allclose(Q, action_values(mdp, V), atol=1e-9)
    np.testing.assert_allclose((pi * A).sum(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(A, Q - V[:, None], atol=1e-9)


@given(mdp=mdps(), seed=seeds)
def test_bellman_operators_contract(mdp: MDP, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pi, V, U = policies(rng, mdp), *rng.normal(size=(2, mdp.n_states))
    Q_of_V, Q_of_U = action_values(mdp, V), action_values(mdp, U)
    shrunk = mdp.gamma * np.abs(V - U).max() + 1e-12
    assert np.abs(Q_of_V.max(axis=1) - Q_of_U.max(axis=1)).max() <= shrunk
    assert np.abs((pi * (Q_of_V - Q_of_U)).sum(axis=1)).max() <= shrunk


@given(mdp=mdps(), c=st.floats(-10, 10))
def test_a_reward_shift_moves_every_value_and_no_policy(mdp: MDP, c: float) -> None:
    mdp = MDP(mdp.P, mdp.R, mdp.gamma)  # without an end: there, nothing would be added
    plain, shifted = policy_iteration(mdp), policy_iteration(mdp.replace(R=mdp.R + c))
    np.testing.assert_allclose(shifted.V, plain.V + c / (1 - mdp.gamma), atol=1e-8)
    np.testing.assert_array_equal(shifted.policy, plain.policy)


@given(mdp=mdps(), seed=seeds)
def test_leaving_pays_what_arriving_pays_and_the_first_square(mdp: MDP, seed: int) -> None:
    R = np.random.default_rng(seed).normal(size=mdp.n_states)
    ends = np.zeros(mdp.n_states, bool)
    on_leaving, on_arrival = (
        MDP(mdp.P, convention(R), mdp.gamma, terminal=ends) for convention in (leave, arrive)
    )
    V_leave, V_arrive = policy_iteration(on_leaving), policy_iteration(on_arrival)
    np.testing.assert_allclose(V_leave.V, R + mdp.gamma * V_arrive.V, atol=1e-8)
    pi = policies(np.random.default_rng(seed), mdp)
    closed = state_values(on_leaving, pi), state_values(on_arrival, pi)
    np.testing.assert_allclose(closed[0], R + mdp.gamma * closed[1], atol=1e-8)


def test_nothing_comes_after_a_terminal_state() -> None:
    P, R = np.full((3, 1, 3), 1 / 3), [[1.0], [1.0], [1.0]]
    mdp = MDP(P, R, 1.0, terminal=[False, False, True])
    np.testing.assert_allclose(state_values(mdp, np.ones((3, 1))), [3, 3, 0])  # 1 / (1/3) steps


def test_integer_rewards_and_values_are_not_truncated() -> None:
    mdp = MDP(np.ones((1, 1, 1)), np.array([[250]], np.uint8), 0.5)
    np.testing.assert_allclose(action_values(mdp, np.array([255], np.uint8)), [[377.5]])
    np.testing.assert_allclose(state_values(mdp, [[1]]), [500])


def test_sparse_tables_give_the_same_values() -> None:
    mdp = sutton_5x5().mdp(gamma=0.9)
    pi, other = uniform_policy(mdp), sparse(mdp)
    for of in (state_values, q_values, advantages, occupancy, expected_return):
        np.testing.assert_allclose(of(other, pi), of(mdp, pi), atol=1e-10)


# --- occupancy ----------------------------------------------------------------------------------


@given(mdp=mdps(), seed=seeds)
def test_occupancy_is_its_power_series(mdp: MDP, seed: int) -> None:
    mdp, pi = mdp.replace(gamma=0.5), policies(np.random.default_rng(seed), mdp)
    P = average_over_actions(mdp.P, pi)
    series = sum(0.5**t * mdp.start @ np.linalg.matrix_power(P, t) for t in range(60))
    np.testing.assert_allclose(occupancy(mdp, pi), series[:, None] * pi, atol=1e-12)  # tail 2^-59


@given(mdp=mdps(), seed=seeds)
def test_occupancy_carries_the_return(mdp: MDP, seed: int) -> None:
    pi = policies(np.random.default_rng(seed), mdp)
    rho = occupancy(mdp, pi)
    assert rho.sum() == pytest.approx(1 / (1 - mdp.gamma))
    assert (rho * mdp.R).sum() == pytest.approx(expected_return(mdp, pi), abs=1e-9)


def test_undiscounted_occupancy_counts_steps() -> None:
    mdp = sutton_4x4().mdp(gamma=1)
    pi = uniform_policy(mdp)
    rho = occupancy(mdp, pi)
    steps = mdp.start @ mdp.under(pi).hitting_times([0, 15])
    assert rho.sum() == pytest.approx(steps)
    assert (rho * mdp.R).sum() == pytest.approx(expected_return(mdp, pi))
    np.testing.assert_array_equal(rho[[0, 15]], 0)


# --- the arithmetic on the board ----------------------------------------------------------------

ICE = penguin_world()
V_ON_BOARD = np.zeros(16)
V_ON_BOARD[[4, 9, 12]] = 0.4, 3.0, 1.0


def test_one_action_on_the_board() -> None:
    V = np.zeros(16)
    V[[4, 9, 12]] = 0.5, 3.1, 1.0
    text = explain_backup(ICE.mdp(gamma=0.9), V, ICE.index(9), action=1)
    assert text == (
        "right: 1 + 0.9 (0.50 V(10) + 0.25 V(5) + 0.25 V(13))"
        " = 1 + 0.9 (0.50 * 3.1 + 0.25 * 0.5 + 0.25 * 1) = 2.732"
    )


def test_all_actions_on_the_board() -> None:
    lines = explain_backup(ICE.mdp(gamma=0.9), V_ON_BOARD, ICE.index(9)).splitlines()
    assert lines[0].startswith("up: 1 + 0.9 (0.50 V(5) + 0.25 V(10) + 0.25 V(13)) = 1 + 0.9 (")
    assert len(lines) == 4 + 1
    # left is blocked: equally likely to any of the three
    assert lines[3].startswith("left: 1 + 0.9 (0.33 V(5) + 0.33 V(10) + 0.33 V(13)) = ")
    assert lines[4] == "V(9) <- max(2.08, 2.665, 2.215, 2.32) = 2.665"


def test_the_average_on_the_board() -> None:
    mdp, half = ICE.mdp(gamma=0.9), np.tile([0.5, 0, 0, 0.5], (16, 1))
    last = explain_backup(mdp, V_ON_BOARD, ICE.index(9), policy=half).splitlines()[-1]
    assert last == "V(9) <- 0.50 * 2.08 + 0.50 * 2.32 = 2.2"


@settings(max_examples=30)
@given(mdp=mdps(), seed=seeds)
def test_its_numbers_are_the_action_values(mdp: MDP, seed: int) -> None:
    V = np.random.default_rng(seed).normal(size=mdp.n_states)
    Q = action_values(mdp, V)
    for s in range(mdp.n_states):
        for a in range(mdp.n_actions):
            text = explain_backup(mdp, V, s, a)
            assert float(text.rsplit("= ", 1)[1]) == pytest.approx(Q[s, a], rel=1e-3)
            successors = re.findall(r"V\((\d+)\)", text)
            assert sorted(map(int, successors)) == list(np.flatnonzero(mdp.P[s, a]) + 1)
        last = explain_backup(mdp, V, s).splitlines()[-1]
        assert float(last.rsplit("= ", 1)[1]) == pytest.approx(Q[s].max(), rel=1e-3)


def test_a_sparse_world_reads_the_same() -> None:
    mdp = ICE.mdp(gamma=0.9)
    assert explain_backup(sparse(mdp), V_ON_BOARD, 8) == explain_backup(mdp, V_ON_BOARD, 8)


# --- evaluation, and improvement ----------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(mdp=mdps(), seed=seeds, in_place=st.booleans())
def test_evaluation_agrees_with_the_closed_form(mdp: MDP, seed: int, in_place: bool) -> None:
    pi = policies(np.random.default_rng(seed), mdp)
    exact = state_values(mdp, pi)
    for sweep in policy_evaluation.iterates(mdp, pi, tol=1e-6, in_place=in_place):
        rounding = 1e-12 * max(1, np.abs(exact).max()) / (1 - mdp.gamma)  # of the linear solve
        assert np.abs(sweep.V - exact).max() <= sweep.bound + rounding
    assert sweep.bound <= 1e-6


@given(mdp=mdps(), seed=seeds)
def test_the_greedy_policy_is_nowhere_worse(mdp: MDP, seed: int) -> None:
    pi = policies(np.random.default_rng(seed), mdp)
    better = greedy(q_values(mdp, pi))
    assert (state_values(mdp, better) >= state_values(mdp, pi) - 1e-8).all()
