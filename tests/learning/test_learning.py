"""What is learned is the exact answer, within a bound whose false-alarm rate is written down."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from gridrl import (
    MDP,
    GridWorld,
    RewardDistribution,
    epsilon_greedy,
    expected_return,
    lost_penguin_world,
    penguin_world,
    policy_iteration,
    q_values,
    state_values,
    uniform_policy,
)
from gridrl.learning import (
    double_q_learning,
    dyna_q,
    epsilon_greedy_bandit,
    expected_sarsa,
    mc_control,
    mc_prediction,
    off_policy_mc,
    q_learning,
    replacing,
    rms_error,
    rollout,
    sarsa,
    sarsa_lambda,
    td0,
    td_lambda,
    ucb,
)
from gridrl.tables import Array
from gridrl.worlds import (
    bandit,
    dyna_maze,
    maximisation_bias,
    no_slip,
    random_walk,
    short_corridor,
    slip_to_neighbours,
)

WALK = random_walk().mdp(gamma=1)
SIXTHS = np.arange(1, 6) / 6
ROW = GridWorld.from_text("S..G", rewards={"G": 1.0}, terminal="G", slip=no_slip(),
                          reward_on="arrive").mdp(gamma=0.9)  # fmt: skip
SLOPE = GridWorld.from_text(
    "S..\n.HG", rewards={".": -1.0, "H": -5.0}, terminal="G", slip=slip_to_neighbours(0.8)
).mdp(gamma=0.9)


def best_soft_values(mdp: MDP, epsilon: float) -> Array:
    """Q of the best epsilon-soft policy, where SARSA ends up: iterate Q = R + gamma P V_soft."""
    Q = np.zeros(mdp.R.shape)
    for _ in range(3000):
        Q = mdp.R + mdp.gamma * (mdp.P @ (epsilon_greedy(Q, epsilon) * Q).sum(axis=1))
    return np.asarray(Q)


def unlikely(samples: Array, exact: Array) -> None:
    """5 standard errors: a false alarm in 1.7 million, for each number compared."""
    error = samples.std(axis=0) / len(samples) ** 0.5
    assert (np.abs(samples.mean(axis=0) - exact) <= 5 * error + 1e-12).all()


def likely_shares(drawn: Array, p: Array) -> None:
    """Shares of outcomes (n, m) within 5 deviations of p, and never an impossible one."""
    deviation = np.sqrt(p * (1 - p) / len(drawn))
    assert (np.abs(drawn.mean(axis=0) - p) <= 5 * deviation + 1e-12).all()


# --- rollout --------------------------------------------------------------------------------------


def test_returns_of_episodes_average_to_the_exact_value() -> None:
    ice = penguin_world().mdp(gamma=0.9)
    pi = policy_iteration(ice).policy
    G = rollout(ice, pi, episodes=4000, steps=200, rng=0).returns(0.9)  # 0.9^200 is 1e-9
    unlikely(G[:, None], np.array([expected_return(ice, pi)]))


def test_next_states_and_rewards_come_from_what_was_given() -> None:
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(3), size=(3, 2))
    values, probs = np.array([-1.0, 0.0, 5.0]), rng.dirichlet(np.ones(3), size=(3, 2))
    mdp = MDP(P, RewardDistribution(values, probs), 0.9, start=0)
    seen = rollout(mdp, uniform_policy(mdp), episodes=3000, steps=10, rng=1)
    s, a, s_next = seen.states[:, :-1].ravel(), seen.actions.ravel(), seen.states[:, 1:].ravel()
    for state, action in np.ndindex(3, 2):
        here = (s == state) & (a == action)
        likely_shares(np.eye(3)[s_next[here]], P[state, action])
        paid = seen.rewards.ravel()[here]
        likely_shares(paid[:, None] == values, probs[state, action])


def test_a_time_limit_is_no_end() -> None:
    seen = rollout(ROW, np.eye(4)[[1] * 4], episodes=3, steps=2, rng=0)  # right, right: not there
    assert not seen.terminated.any()
    assert (seen.lengths == 2).all()
    done = rollout(ROW, np.eye(4)[[1] * 4], episodes=3, steps=9, rng=0)
    assert done.terminated.all()
    assert (done.lengths == 3).all()
    assert (done.actions[:, 3:] == -1).all()
    assert (done.rewards[:, 3:] == 0).all()


def test_policies_that_depend_on_the_time() -> None:
    plan = np.stack([np.eye(4)[[1] * 4], np.eye(4)[[3] * 4]] * 3)  # right, left, right, left
    seen = rollout(ROW, plan, episodes=2, steps=6, rng=0)
    assert seen.states[0].tolist() == [0, 1, 0, 1, 0, 1, 0]
    with pytest.raises(ValueError, match="policy must cover 7 steps; it has 6"):
        rollout(ROW, plan, episodes=2, steps=7)


def test_what_is_seen_is_recorded_and_acted_on() -> None:
    pomdp = lost_penguin_world().pomdp(gamma=0.9)
    blind = np.eye(4)[[2, 1, 1, 1, 1]]  # one action for each of the five views
    seen = rollout(pomdp, blind, episodes=50, steps=8, rng=0)
    assert seen.observations is not None
    np.testing.assert_array_equal(seen.observations, pomdp.O.argmax(axis=1)[seen.states])
    np.testing.assert_array_equal(seen.actions, blind.argmax(axis=1)[seen.observations[:, :-1]])
    corridor = short_corridor().pomdp(gamma=1)
    right = 2 - np.sqrt(2)  # [Sutton & Barto 2018, example 13.1]: worth -11.66 from the start
    G = rollout(corridor, [[1 - right, right]], episodes=4000, steps=400, rng=0).returns(1.0)
    unlikely(G[:, None], np.array([-2 * (2 - right) / (right * (1 - right))]))


def test_bad_rollouts_are_refused() -> None:
    with pytest.raises(ValueError, match="episodes must be at least 1"):
        rollout(ROW, uniform_policy(ROW), episodes=0, steps=1)
    with pytest.raises(ValueError, match=r"policy\[2\] must be a distribution; it sums to 0.9"):
        rollout(ROW, np.full((4, 4), 0.25) * [[1], [1], [0.9], [1]], episodes=1, steps=1)


# --- prediction -----------------------------------------------------------------------------------


def test_first_visit_monte_carlo_is_unbiased() -> None:
    V = mc_prediction(WALK, uniform_policy(WALK), episodes=60, runs=2000, rng=0).V[:, 1:-1]
    unlikely(V, SIXTHS)


def test_what_counts_as_a_visit() -> None:
    # one square that is left with probability 1/4, +1 a step: an episode of T steps is worth T from
    # its first visit, and (T + ... + 1) / T on average over all its visits
    stay = MDP([[[0.75, 0.25]], [[0, 1]]], [1, 0], 1.0, terminal=[False, True])
    first = next(mc_prediction.iterates(stay, [[1], [1]], episodes=1, runs=50, rng=0))
    every = next(
        mc_prediction.iterates(stay, [[1], [1]], episodes=1, first_visit=False, runs=50, rng=0)
    )
    assert first.lengths.max() > 5
    np.testing.assert_array_equal(first.V[:, 0], first.lengths)
    np.testing.assert_allclose(every.V[:, 0], (every.lengths + 1) / 2, rtol=1e-12)


@pytest.mark.parametrize("first_visit", [True, False])
def test_both_kinds_of_monte_carlo_come_close(first_visit: bool) -> None:
    V = mc_prediction(
        WALK, uniform_policy(WALK), episodes=3000, first_visit=first_visit, runs=5, rng=1
    ).V
    # the deviation of a mean of about 1,500 returns in {0, 1} is 0.013; 5 of them, 25 numbers: 2e-5
    assert np.abs(V[:, 1:-1] - SIXTHS).max() < 0.065


@pytest.mark.parametrize("gamma", [0.5, 1.0])
def test_temporal_differences_come_close(gamma: float) -> None:
    walk = random_walk().mdp(gamma)
    exact = state_values(walk, uniform_policy(walk))
    pi, schedule = uniform_policy(walk), lambda n: n**-0.7
    for learned in (
        td0(walk, pi, episodes=1000, alpha=schedule, runs=100, rng=0),
        td_lambda(walk, pi, episodes=1000, lambda_=0.6, alpha=schedule, runs=100, rng=0),
        td_lambda(
            walk, pi, episodes=1000, lambda_=0.6, alpha=schedule, traces=replacing, runs=100, rng=0
        ),
    ):
        # the mean over 100 runs has a deviation of about 0.004; the bias is smaller still
        np.testing.assert_allclose(learned.V.mean(axis=0), exact, atol=0.02)


def test_example_6_2() -> None:
    # alpha = 0.1 from V = 0.5: the error falls from 0.2357 below 0.08, and then rises again
    film = td0.iterates(
        WALK, uniform_policy(WALK), episodes=100, alpha=0.1, initial=0.5, runs=100, rng=0
    )
    errors = [float(rms_error(f.V[:, 1:-1], SIXTHS).mean()) for f in film]
    assert rms_error(np.full(5, 0.5), SIXTHS) == pytest.approx(0.23570226)
    assert min(errors) < 0.08
    assert 20 < int(np.argmin(errors)) < 90


def test_lambda_zero_is_one_step() -> None:
    pi, same = uniform_policy(WALK), partial(dict[str, Any], episodes=20, alpha=0.2, runs=3, rng=5)
    V = td_lambda(WALK, pi, lambda_=0.0, **same()).V
    np.testing.assert_array_equal(V, td0(WALK, pi, **same()).V)
    both = same(epsilon=0.3)
    np.testing.assert_array_equal(
        sarsa_lambda(SLOPE, lambda_=0.0, **both).Q, sarsa(SLOPE, **both).Q
    )


# mostly right; the behaviour is a coin
TARGET, COIN = np.tile([0.25, 0.75], (7, 1)), np.full((7, 2), 0.5)


def test_ordinary_importance_sampling_is_unbiased() -> None:
    exact = state_values(WALK, TARGET)[1:-1]
    learned = off_policy_mc(WALK, TARGET, COIN, episodes=100, weighted=False, runs=4000, rng=0)
    unlikely(learned.V[:, 1:-1], exact)


def test_weighted_importance_sampling_varies_less_and_comes_close() -> None:
    exact = state_values(WALK, TARGET)[1:-1]
    weighted, ordinary = (
        off_policy_mc(WALK, TARGET, COIN, episodes=300, weighted=w, runs=300, rng=0).V[:, 1:-1]
        for w in (True, False)
    )
    assert (weighted.std(axis=0) < 0.5 * ordinary.std(axis=0)).all()
    np.testing.assert_allclose(weighted.mean(axis=0), exact, atol=0.02)


def test_on_policy_both_kinds_are_plain_monte_carlo() -> None:
    same: dict[str, Any] = {"episodes": 20, "runs": 3, "rng": 2}
    plain = mc_prediction(WALK, COIN, **same).V
    for weighted in (True, False):
        V = off_policy_mc(WALK, COIN, COIN, weighted=weighted, **same).V
        np.testing.assert_allclose(V, plain, atol=1e-12)


def test_a_behaviour_that_never_tries_is_named() -> None:
    stubborn = np.eye(2)[[0] * 7]
    with pytest.raises(ValueError, match=r"behaviour\[1, 1\] is 0 where target takes 'right' in s"):
        off_policy_mc(WALK, TARGET, stubborn, episodes=1)


# --- control --------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", [q_learning, double_q_learning])
def test_without_chance_every_run_learns_the_exact_values(learner: Any) -> None:
    # deterministic world, alpha = 1: Q is exact once each pair was tried often enough
    Q = learner(ROW, episodes=400, alpha=1.0, epsilon=0.5, runs=50, rng=0).Q
    exact = policy_iteration(ROW).Q
    np.testing.assert_allclose(Q, np.broadcast_to(exact, Q.shape), atol=1e-9)


@pytest.mark.parametrize("learner", [q_learning, double_q_learning])
def test_off_policy_learners_find_the_best_values(learner: Any) -> None:
    exact = policy_iteration(SLOPE).Q
    Q = learner(SLOPE, episodes=3000, alpha=lambda n: n**-0.65, epsilon=0.5, runs=50, rng=0).Q
    # rarely visited pairs lag behind: their step sizes have not summed up yet
    np.testing.assert_allclose(Q.mean(axis=0), exact, atol=0.1)


def test_a_second_opinion_is_no_flattery() -> None:
    # Sutton & Barto 2018, figure 6.5: the share of runs whose greedy action is the mistake, left
    trap = maximisation_bias()
    peak = {
        learner: max(
            float(f.policy[:, 0, :5].sum(axis=1).mean())
            for f in learner.iterates(trap, episodes=60, runs=400, rng=0)
        )
        for learner in (q_learning, double_q_learning)
    }
    # a share of 400 runs deviates by 0.025: these are more than 5 of them apart
    assert peak[q_learning] > 0.85
    assert peak[double_q_learning] < 0.72


@pytest.mark.parametrize("learner", [sarsa, expected_sarsa])
def test_on_policy_learners_find_the_best_soft_values(learner: Any) -> None:
    exact = best_soft_values(SLOPE, 0.5)
    assert np.abs(exact - policy_iteration(SLOPE).Q).max() > 0.5  # another answer than the best
    Q = learner(SLOPE, episodes=3000, alpha=lambda n: n**-0.65, epsilon=0.5, runs=50, rng=0).Q
    np.testing.assert_allclose(Q.mean(axis=0), exact, atol=0.1)


def test_dyna_without_practice_is_q_learning() -> None:
    Q = dyna_q(ROW, episodes=400, planning=0, alpha=1.0, epsilon=0.5, runs=20, rng=0).Q
    np.testing.assert_array_equal(
        Q, q_learning(ROW, episodes=400, alpha=1.0, epsilon=0.5, runs=20, rng=0).Q
    )


def test_practice_saves_steps() -> None:
    maze = dyna_maze().mdp(gamma=0.95)
    steps = {
        n: sum(
            f.lengths.mean() for f in dyna_q.iterates(maze, episodes=8, planning=n, runs=30, rng=0)
        )
        for n in (0, 5, 50)
    }
    assert steps[0] > 1.5 * steps[5] > 1.5 * steps[50]
    exact = policy_iteration(ROW).Q
    Q = dyna_q(ROW, episodes=60, planning=20, alpha=1.0, epsilon=0.5, runs=20, rng=0).Q
    np.testing.assert_allclose(Q, np.broadcast_to(exact, Q.shape), atol=1e-9)


def test_monte_carlo_control_finds_the_way() -> None:
    learned = mc_control(ROW, episodes=300, epsilon=0.3, runs=30, rng=0)
    assert (learned.policy[:, :3, 1] > 0.99).mean() > 0.95  # right, nearly everywhere


def test_random_behaviour_is_evaluated_exactly() -> None:
    # epsilon = 1: SARSA evaluates the uniform policy
    Q = sarsa(SLOPE, episodes=3000, alpha=lambda n: n**-0.65, epsilon=1.0, runs=50, rng=0).Q
    np.testing.assert_allclose(Q.mean(axis=0), q_values(SLOPE, uniform_policy(SLOPE)), atol=0.1)


# --- bandits --------------------------------------------------------------------------------------

MEANS = np.array([0.2, 1.0, 0.5, -0.3])


@pytest.mark.parametrize("learner", [epsilon_greedy_bandit, ucb])
def test_regret_is_what_the_pulls_cost_in_expectation(learner: Any) -> None:
    last = learner(bandit(MEANS), pulls=300, runs=20, rng=0)
    np.testing.assert_allclose(last.regret, last.counts @ (1.0 - MEANS), atol=1e-9)
    assert (last.counts.sum(axis=1) == 300).all()


def test_estimates_are_the_means_of_what_was_paid() -> None:
    last = epsilon_greedy_bandit(bandit(MEANS), pulls=2000, epsilon=1.0, runs=300, rng=0)
    unlikely(last.Q, MEANS)
    # the mean of about 500 pulls of deviation 1
    np.testing.assert_allclose(last.Q.std(axis=0), 1 / np.sqrt(500), rtol=0.25)


def test_exploring_for_ever_costs_epsilon_times_the_gap() -> None:
    film = list(epsilon_greedy_bandit.iterates(bandit(MEANS, noise=0), pulls=400, runs=2000, rng=0))
    late = (film[-1].regret - film[199].regret) / 200
    unlikely(late[:, None], np.array([0.1 * (1.0 - MEANS).mean()]))


def test_ucb_tries_every_arm_first_and_then_less_and_less() -> None:
    film = list(ucb.iterates(bandit(MEANS), pulls=2000, runs=100, rng=0))
    assert (film[3].counts == 1).all()
    regret = np.array([f.regret.mean() for f in film])
    assert regret[-1] - regret[999] < 0.5 * regret[999]
