"""T steps, and for ever on average."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gridrl.errors import NotConverged
from gridrl.planning import (
    average_reward,
    backward_induction,
    deterministic_policy,
    expected_return,
    policy_iteration,
    regret,
    state_values,
    uniform_policy,
)
from gridrl.planning.horizons import gain_and_bias
from gridrl.processes import MDP, RewardProcess
from gridrl.tables import Array
from gridrl.worlds import forest, penguin_world, random_mdp, sutton_4x4
from tests.planning.oracles import chain, deterministic_actions, long_run, sparse
from tests.strategies import mdps, policies, reward_processes, seeds

# --- T steps --------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_nothing_beats_backward_induction(seed: int, gamma: float) -> None:
    T, mdp = 3, random_mdp(2, 2, rng=seed, gamma=gamma)
    every = np.array(list(product(range(2), repeat=2 * T))).reshape(-1, T, 2)
    worth = [state_values(mdp, deterministic_policy(actions, 2))[0] for actions in every]
    found = backward_induction(mdp, T)
    np.testing.assert_allclose(found.V[0], np.max(worth, axis=0), atol=1e-12)
    assert mdp.start @ found.V[0] == pytest.approx(expected_return(mdp, found.policy))


@given(mdp=mdps(), T=st.integers(1, 5), gamma=st.sampled_from([0.0, 0.9, 1.0]))
def test_its_values_are_those_of_its_policy(mdp: MDP, T: int, gamma: float) -> None:
    mdp = mdp.replace(gamma=gamma)
    found = backward_induction(mdp, T)
    np.testing.assert_allclose(found.V, state_values(mdp, found.policy), atol=1e-9)
    expanded = mdp.under(found.policy).values().reshape(T + 1, -1)
    np.testing.assert_allclose(found.V, expanded, atol=1e-9)
    np.testing.assert_array_equal(found.V[T], 0)
    np.testing.assert_array_equal(found.V[:T], found.Q.max(axis=2))
    np.testing.assert_allclose(found.policy.sum(axis=2), 1)


def test_a_horizon_may_end_what_never_ends() -> None:
    mdp = penguin_world().mdp(gamma=1)
    found = backward_induction(mdp, horizon=40)
    assert found.t == 0
    assert mdp.start @ found.V[0] / 40 == pytest.approx(average_reward(mdp).gain, abs=0.05)


def test_the_best_policy_depends_on_the_time() -> None:
    # 1 now, or nothing now and 3 in the next step
    P = np.eye(3)[[[2, 1], [2, 2], [2, 2]]]
    mdp = MDP(P, [[1, 0], [3, 3], [0, 0]], 1.0, terminal=[False, False, True])
    policy = backward_induction(mdp, horizon=2).policy
    np.testing.assert_array_equal(policy[:, 0], [[0, 1], [1, 0]])


def test_backward_induction_goes_backwards_and_explains_itself() -> None:
    films = list(backward_induction.iterates(forest(), horizon=3))
    assert [film.t for film in films] == [2, 1, 0]
    assert (films[0].V[:2] == 0).all()
    np.testing.assert_array_equal(films[0].policy[:2], 0.5)
    for film in films:
        for s in range(3):
            lines = film.explain(s).splitlines()
            assert lines[0] == f"at time {film.t}"
            assert float(lines[-1].rsplit("= ", 1)[1]) == pytest.approx(film.V[film.t, s], rel=1e-3)
    assert films[1].explain(1).splitlines()[1:3] == [
        "wait: 0 + 0.9 (0.90 V(3) + 0.10 V(1)) = 0 + 0.9 (0.90 * 4 + 0.10 * 0) = 3.24",
        "cut: 1 + 0.9 (1.00 V(1)) = 1 + 0.9 (1.00 * 0) = 1",
    ]
    assert "V(3) <- " in films[0].explain()  # the most valuable state


# --- for ever, on average -------------------------------------------------------------------------


def best_gains(mdp: MDP) -> Array:
    """From each state the best long-run average over all deterministic policies."""
    s, P = np.arange(mdp.n_states), np.asarray(mdp.P)
    return np.max([long_run(P[s, a]) @ mdp.R[s, a] for a in deterministic_actions(mdp)], axis=0)


@settings(max_examples=60, deadline=None)
@given(mdp=mdps(max_states=4, max_actions=2))
def test_nobody_earns_more_on_average_than_average_reward(mdp: MDP) -> None:
    # sparse rows: several closed classes, transient states, periods
    found = average_reward(mdp)
    np.testing.assert_allclose(found.gains, best_gains(mdp), atol=1e-7)
    assert found.gain == pytest.approx(mdp.start @ found.gains)
    P, R = chain(mdp, found.policy)
    np.testing.assert_allclose(long_run(P) @ R, found.gains, atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(mdp=mdps(), seed=seeds)
def test_gain_only_grows_over_the_iterates(mdp: MDP, seed: int) -> None:
    assume(mdp.n_actions > 1)
    gains = [snapshot.gains for snapshot in average_reward.iterates(mdp)]
    for before, after in pairwise(gains):
        assert (after >= before - 1e-9).all()


@given(process=reward_processes())
def test_gain_and_bias_by_the_deviation_matrix(process: RewardProcess) -> None:
    # h = [(I - P + P*)^-1 - P*] R  [Puterman 1994, eq. A.14]
    P, R = np.asarray(process.P), process.R
    limit = long_run(P)
    assume(np.abs(limit @ P - limit).max() < 1e-9)
    deviation = np.linalg.inv(np.eye(len(R)) - P + limit) - limit
    g, h = gain_and_bias(process)
    np.testing.assert_allclose(g, limit @ R, atol=1e-7)
    np.testing.assert_allclose(h, deviation @ R, atol=1e-6 * (1 + np.abs(deviation).max()))


def test_two_islands_have_a_gain_each() -> None:
    # from the middle one chooses an island: 1 a step, or 0 and 3 in turns
    to = [[1, 2], [1, 1], [3, 3], [2, 2]]
    mdp = MDP(np.eye(4)[to], [[10, 0], [1, 1], [0, 0], [3, 3]], 0.9, start=0)
    found = average_reward(mdp)
    np.testing.assert_allclose(found.gains, [1.5, 1, 1.5, 1.5])
    np.testing.assert_array_equal(found.policy[0], [0, 1])
    assert found.gain == pytest.approx(1.5)
    np.testing.assert_allclose(found.bias[2:], [-0.75, 0.75])  # averages to 0 over the class


def test_the_ice_has_period_two_and_yet_a_gain() -> None:
    mdp = penguin_world().mdp(gamma=0.9)
    found = average_reward(mdp)
    np.testing.assert_allclose(found.gains, found.gain)
    # (1 - gamma) V tends to the gain as gamma tends to 1, at the rate of (1 - gamma) |h|
    V = policy_iteration(mdp.replace(gamma=1 - 1e-6)).V
    np.testing.assert_allclose(1e-6 * V, found.gain, atol=1e-5)
    Q = mdp.R - found.gain + mdp.P @ found.bias
    np.testing.assert_allclose(Q.max(axis=1), found.bias, atol=1e-9)  # the optimality equation


def test_gamma_and_storage_play_no_part() -> None:
    mdp = forest()
    gains = [average_reward(m).gain for m in (mdp, mdp.replace(gamma=0.0), sparse(mdp))]
    np.testing.assert_allclose(gains, 3.24)  # in the oldest state 0.9^2 of the time


def test_where_all_ends_nothing_is_earned_on_average() -> None:
    found = average_reward(sutton_4x4().mdp(gamma=1))
    np.testing.assert_allclose(found.gains, 0)
    np.testing.assert_allclose(found.bias.reshape(4, 4)[0], [0, -1, -2, -3])


def test_a_budget_that_is_too_small_raises() -> None:
    with pytest.raises(NotConverged, match="after 1 iterations"):
        average_reward(penguin_world().mdp(gamma=0.9), max_iterations=1)


# --- what a policy loses --------------------------------------------------------------------------


@given(mdp=mdps(), seed=seeds)
def test_regret_is_what_is_missing_to_the_optimum(mdp: MDP, seed: int) -> None:
    best, pi = policy_iteration(mdp), policies(np.random.default_rng(seed), mdp)
    assert regret(mdp, best.policy) == pytest.approx(0, abs=1e-8)
    assert regret(mdp, pi) >= -1e-9
    assert regret(mdp, pi) == pytest.approx(mdp.start @ best.V - expected_return(mdp, pi), abs=1e-9)


def test_better_and_poorer_policies_on_the_ice() -> None:
    mdp = penguin_world().mdp(gamma=0.9)
    best = policy_iteration(mdp)
    right, poorer = np.eye(4)[np.ones(16, int)], np.eye(4)[best.Q.argmin(axis=1)]
    lost = [regret(mdp, pi) for pi in (best.policy, uniform_policy(mdp), poorer)]
    assert lost == sorted(lost)
    assert round(lost[1], 3) == round(2.17205 - 1.36429, 3)
    assert lost[0] < regret(mdp, right)
