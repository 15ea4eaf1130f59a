"""Search at decision time comes to the exact values of the root."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gridrl import (
    MDP,
    GridWorld,
    RewardDistribution,
    backward_induction,
    mcts,
    penguin_world,
    value_iteration,
)
from gridrl.worlds import bandit, frozen_lake, no_slip, random_mdp, russell_norvig_4x3

ICE = penguin_world().mdp(gamma=0.9)
ROW = GridWorld.from_text("S..G", rewards={"G": 1.0}, terminal="G", slip=no_slip(),
                          reward_on="arrive").mdp(gamma=0.9)  # fmt: skip


def exact_q(mdp: MDP, s: int, depth: int) -> Any:
    """Q of the best plan of `depth` steps."""
    V = backward_induction(mdp, depth).V[1]
    return (mdp.R + mdp.gamma * (mdp.P @ V))[s]


@pytest.mark.parametrize(
    ("mdp", "s", "depth"),
    [
        (ROW, 0, 6),
        (random_mdp(4, 2, rng=3), 1, 4),
        (ICE, 4, 4),
        (ICE, 4, 30),
        (frozen_lake().mdp(gamma=0.99), 14, 100),
        (russell_norvig_4x3().mdp(gamma=1), 0, 60),
    ],
)
def test_every_action_of_the_root_comes_near_its_exact_value(mdp: MDP, s: int, depth: int) -> None:
    exact = exact_q(mdp, s, depth)
    found = mcts(mdp, s, simulations=4000, depth=depth, rng=0)
    # the worst error of any action is 0 to 8 % of the largest |Q|, over 8 seeds each
    assert np.abs(found.Q - exact).max() < 0.12 * np.abs(exact).max()
    assert found.Q.argmax() == exact.argmax()
    assert found.counts.sum() == 4000


def test_more_simulations_are_nearer() -> None:
    exact = exact_q(ROW, 0, 6)
    film = list(mcts.iterates(ROW, 0, simulations=3000, depth=6, rng=1))
    errors = [abs(film[n].Q.max() - exact.max()) for n in (30, 300, 2999)]
    assert errors[2] < errors[0]
    assert errors[2] < 0.1
    assert [f.counts.sum() for f in film[:4]] == [1, 2, 3, 4]
    assert film[-1].nodes > film[10].nodes


def test_depth_one_is_a_bandit() -> None:
    arms = bandit([0.0, 1.0, 0.5])
    found = mcts(arms, 0, simulations=2000, depth=1, c=1.0, rng=0)
    # each mean is of at least 20 pulls of deviation 1 or less: 5 standard errors
    assert (np.abs(found.Q - [0, 1, 0.5]) < 5 / np.sqrt(found.counts)).all()
    assert found.policy[1] == 1
    assert found.nodes == 1


def test_greedy_without_a_bonus_may_never_look_again() -> None:
    found = mcts(bandit([0.0, 1.0]), 0, simulations=500, depth=1, c=0.0, rng=0)
    assert found.counts.min() >= 1


def test_rewards_are_drawn_and_ends_are_ends() -> None:
    coin = RewardDistribution([0.0, 1.0], [[[0.5, 0.5]], [[1.0, 0.0]]])
    step = MDP([[[0, 1]], [[0, 1]]], coin, 1.0, start=0, terminal=[False, True])
    film = list(mcts.iterates(step, 0, simulations=400, rng=0))
    assert {float(f.Q[0]) for f in film[:1]} <= {0.0, 1.0}
    assert abs(film[-1].Q[0] - 0.5) < 5 * 0.5 / 20  # 5 standard errors: once in 1.7 million
    assert film[-1].nodes == 1  # the end is no node


def test_the_best_playout_knows_at_once_what_the_best_action_is_worth() -> None:
    exact = exact_q(ROW, 0, 6).max()
    best, blind = value_iteration(ROW).policy, np.full((4, 4), 0.25)
    assert abs(mcts(ROW, 0, simulations=4, depth=6, playout=best, rng=0).Q.max() - exact) < 1e-12
    assert mcts(ROW, 0, simulations=4, depth=6, playout=blind, rng=0).Q.max() < exact - 0.1


def test_a_seed_is_a_story() -> None:
    one, again, other = (mcts(ICE, 0, simulations=50, rng=seed).Q for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"state": 3}, "state must be one where one acts; 4 is terminal"),
        ({"state": 9}, r"state must be in 0..3; it is 9"),
        ({"simulations": 0}, "simulations must be at least 1; it is 0"),
        ({"depth": 0}, "depth must be at least 1; it is 0"),
        ({"c": -1}, "c must be in"),
        ({"playout": np.full((4, 4), 0.2)}, r"policy\[0\] must be a distribution; it sums to 0.8"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mcts(ROW, **({"state": 0, "simulations": 3} | settings))
