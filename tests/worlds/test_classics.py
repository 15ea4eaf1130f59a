"""The worlds of the books, against the books and against Gymnasium's own tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv

from gridrl import MDP, worlds
from gridrl.tables import Array
from tests import golden

URDL_OF_LAKE = [3, 2, 1, 0]  # Gymnasium's lake counts left, down, right, up
URDL_OF_CLIFF = [0, 1, 2, 3]
HALF: Any = 2.5  # no size


def uniform(mdp: MDP) -> Array:
    return mdp.under(np.full(mdp.R.shape, 1 / mdp.n_actions)).values()


def optimal(mdp: MDP, sweeps: int) -> Array:
    """V after `sweeps` sweeps from 0, the oracle: no solver of ours."""
    V = np.zeros(mdp.n_states)
    for _ in range(sweeps):
        V = (mdp.R + mdp.gamma * (mdp.P @ V)).max(axis=1)
    return V


def gymnasium_tables(env: Any, actions: list[int]) -> tuple[Array, Array, Array]:
    """P (S, A, S), E[r] (S, A) and Pr(the episode ends on this step) (S, A, S)."""
    S, A = env.observation_space.n, len(actions)
    P, R, over = np.zeros((S, A, S)), np.zeros((S, A)), np.zeros((S, A, S))
    for s, a in np.ndindex(S, A):
        for p, s_next, r, terminated in env.P[s][actions[a]]:
            P[s, a, s_next] += p
            R[s, a] += p * r
            over[s, a, s_next] += p * terminated
    return P, R, over


# --- Gymnasium --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [4, 8])
@pytest.mark.parametrize("success_rate", [1 / 3, 0.8, 1.0])
def test_frozen_lake_is_gymnasiums(size: int, success_rate: float) -> None:
    env = FrozenLakeEnv(map_name=f"{size}x{size}", success_rate=success_rate)
    P, R, over = gymnasium_tables(env, URDL_OF_LAKE)
    mdp = worlds.frozen_lake(size, success_rate).mdp(gamma=0.9)
    np.testing.assert_allclose(np.asarray(mdp.P), P, atol=1e-15)
    np.testing.assert_allclose(mdp.R, R, atol=1e-15)
    alive = ~mdp.terminal
    np.testing.assert_allclose(over[alive], P[alive] * mdp.terminal, atol=1e-15)
    np.testing.assert_array_equal(mdp.start, env.initial_state_distrib)


def test_frozen_lake_reads_gymnasiums_maps() -> None:
    env = FrozenLakeEnv(desc=["SFFF", "FFFH", "HFFG"])
    P, R, _ = gymnasium_tables(env, URDL_OF_LAKE)
    mdp = worlds.frozen_lake("SFFF\nFFFH\nHFFG").mdp(gamma=0.9)
    np.testing.assert_allclose(np.asarray(mdp.P), P, atol=1e-15)
    np.testing.assert_allclose(mdp.R, R, atol=1e-15)


def test_frozen_lake_is_worth_14_17ths() -> None:
    mdp = worlds.frozen_lake().mdp(gamma=1)
    assert optimal(mdp, 4000)[0] == pytest.approx(14 / 17, abs=1e-9)


@pytest.mark.parametrize("size", [2, 3, 7, 20])
def test_the_goal_of_a_drawn_lake_can_be_reached(size: int) -> None:
    world = worlds.frozen_lake(size, rng=size)
    assert world.shape == (size, size)
    assert str(world) == str(worlds.frozen_lake(size, rng=size))
    mdp = worlds.frozen_lake(size, 1.0, rng=size).mdp(gamma=0.99)
    assert optimal(mdp, size**2)[0] > 0


def test_cliff_walking_is_gymnasiums() -> None:
    """Theirs has 48 states, of which ours are those where anybody ever stands."""
    P, R, over = gymnasium_tables(CliffWalkingEnv(), URDL_OF_CLIFF)
    world = worlds.cliff_walking()
    mdp = world.mdp(gamma=0.9)
    theirs = np.array([int(label) - 1 for label in world.labels])
    assert set(range(48)) - set(theirs) == set(range(37, 47))
    alive = theirs[~mdp.terminal]
    assert (P[alive][:, :, 37:47] == 0).all()
    np.testing.assert_array_equal(mdp.P[~mdp.terminal], P[alive][:, :, theirs])
    np.testing.assert_array_equal(mdp.R[~mdp.terminal], R[alive])
    ends = over[alive][:, :, theirs]
    np.testing.assert_array_equal(ends, mdp.P[~mdp.terminal] * mdp.terminal)
    assert mdp.start[world.index(37)] == 1


# --- Sutton & Barto ---------------------------------------------------------------------------


def test_sutton_5x5() -> None:
    V = uniform(worlds.sutton_5x5().mdp(gamma=0.9))
    # four decimals are printed
    np.testing.assert_allclose(V[:5], golden.SUTTON_5X5_FIRST, atol=5e-5)
    np.testing.assert_allclose(V[-5:], golden.SUTTON_5X5_LAST, atol=5e-5)
    best = optimal(worlds.sutton_5x5().mdp(gamma=0.9), 300)
    assert best[:5].round(1).tolist() == [22.0, 24.4, 22.0, 19.4, 17.5]  # fig. 3.5


def test_sutton_4x4() -> None:
    mdp = worlds.sutton_4x4().mdp(gamma=1)
    np.testing.assert_allclose(uniform(mdp), golden.SUTTON_4X4, atol=1e-10)
    V = np.zeros(16)
    V = (mdp.R + mdp.P @ V).mean(axis=1)
    assert V.tolist() == [0] + [-1] * 14 + [0]
    V = (mdp.R + mdp.P @ V).mean(axis=1)
    assert V[:5].tolist() == [0, -1.75, -2, -2, -1.75]


def test_random_walk() -> None:
    for n in (1, 2, 5, 19):
        V = worlds.random_walk(n).reward_process(gamma=1).values()
        np.testing.assert_allclose(V[1:-1], np.arange(1, n + 1) / (n + 1), atol=1e-12)
        np.testing.assert_allclose(uniform(worlds.random_walk(n).mdp(gamma=1)), V, atol=1e-12)
    V = worlds.random_walk(5).reward_process(gamma=1).values()[1:-1]
    assert np.sqrt(((V - 0.5) ** 2).mean()) == pytest.approx(0.23570226, abs=5e-9)
    V = worlds.random_walk(19, left=-1).reward_process(gamma=1).values()[1:-1]
    np.testing.assert_allclose(V, np.arange(-18, 19, 2) / 20, atol=1e-12)  # example 7.1


@pytest.mark.parametrize(("kings", "steps"), [(False, 15), (True, 7)])
def test_windy_gridworld(kings: bool, steps: int) -> None:
    world = worlds.windy_gridworld(kings)
    V = optimal(world.mdp(gamma=1), 100)
    assert V[world.index(31)] == -steps
    assert world.mdp(gamma=1).start[world.index(31)] == 1


def test_cliff_walking_takes_thirteen_steps() -> None:
    world = worlds.cliff_walking()
    assert optimal(world.mdp(gamma=1), 100)[world.index(37)] == -13


def test_dyna_maze_takes_fourteen_steps() -> None:
    world = worlds.dyna_maze()
    V = optimal(world.mdp(gamma=0.95), 100)
    assert V[world.index(19)] == pytest.approx(0.95**13)  # +1 with the fourteenth


def test_short_corridor() -> None:
    mdp = worlds.short_corridor().mdp(gamma=1)
    right = 2 - np.sqrt(2)
    J = [mdp.under(np.tile([1 - p, p], (4, 1))).values()[0] for p in (0.05, right, 0.95)]
    assert J[1] == pytest.approx(-6 - 4 * np.sqrt(2))
    assert [round(j) for j in J] == [-82, -12, -44]  # the book's eps-greedy left, best, right


def test_gamblers_problem() -> None:
    for p in (0.25, 0.4):  # below 1/2 bold play is optimal
        V = optimal(worlds.gamblers_problem(p), 400)
        np.testing.assert_allclose(V[[25, 50, 75]], [p * p, p, p + (1 - p) * p], atol=1e-9)
    mdp = worlds.gamblers_problem()
    assert mdp.labels[50] == "50"
    assert mdp.terminal.nonzero()[0].tolist() == [0, 100]
    np.testing.assert_allclose(np.asarray(mdp.P)[30, 9, [20, 40]], [0.6, 0.4])
    np.testing.assert_array_equal(mdp.P[30, 29], mdp.P[30, 49])  # a stake not to be had


def test_maximisation_bias() -> None:
    mdp = worlds.maximisation_bias()
    np.testing.assert_allclose(optimal(mdp, 3), [0, -0.1, 0], atol=1e-15)
    rewards = mdp.under(np.full((3, 10), 0.1)).replace(start=1).simulate(1, episodes=9, rng=0)
    assert set(rewards.rewards.ravel().round(9)) == {-1.1, 0.9}
    assert 0.5 * (-1.1 + 0.1) ** 2 + 0.5 * (0.9 + 0.1) ** 2 == pytest.approx(1)


def test_bandit() -> None:
    arms = worlds.bandit([0.1, -2], noise=0.5)
    np.testing.assert_allclose(arms.R, [[0.1, -2]])
    assert arms.gamma == 0
    pulls = arms.under([[0, 1]]).simulate(200, rng=0).rewards
    assert set(pulls) == {-2.5, -1.5}
    assert set(worlds.bandit([3], noise=0).under([[1]]).simulate(9).rewards) == {3}


# --- others -----------------------------------------------------------------------------------


def test_russell_and_norvig_pay_on_leaving() -> None:
    V = optimal(worlds.russell_norvig_4x3().mdp(gamma=1), 300)
    np.testing.assert_allclose(V, [*golden.RUSSELL_NORVIG, 0], atol=5e-5)  # four decimals


def test_russell_and_norvig_pay_on_arriving() -> None:
    world = worlds.russell_norvig_4x3("arrive")
    V = optimal(world.mdp(gamma=1), 300)
    expected = np.array(golden.RUSSELL_NORVIG) + 0.04
    expected[np.abs(golden.RUSSELL_NORVIG) == 1] = 0
    np.testing.assert_allclose(V, expected, atol=5e-5)
    assert world.mdp(gamma=1).terminal.sum() == 2


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_student(gamma: float) -> None:
    V = worlds.student().replace(gamma=gamma).values()
    np.testing.assert_allclose(V, golden.STUDENT[gamma], atol=5e-5)


def test_forest() -> None:
    V = optimal(worlds.forest(3, r1=4, r2=2, p=0.1), 500)
    np.testing.assert_allclose(V, golden.FOREST, atol=5e-4)  # three decimals
    P = np.asarray(worlds.forest(4, p=0.2).P)
    np.testing.assert_allclose(
        P[:, 0], [[0.2, 0.8, 0, 0], [0.2, 0, 0.8, 0]] + [[0.2, 0, 0, 0.8]] * 2
    )
    np.testing.assert_array_equal(P[:, 1], [[1, 0, 0, 0]] * 4)


def test_tiger() -> None:
    tiger = worlds.tiger()
    assert tiger.R.tolist() == [[-1, -100, 10], [-1, 10, -100]]
    np.testing.assert_array_equal(np.asarray(tiger.P)[:, 0], np.eye(2))
    assert (np.asarray(tiger.P)[:, 1:] == 0.5).all()
    assert tiger.O[0].tolist() == [[0.85, 0.15], [0.15, 0.85]]
    assert (tiger.O[1:] == 0.5).all()
    assert optimal(tiger.mdp, 700)[0] == pytest.approx(200)  # seeing the tiger


def test_random_mdp_is_its_seeds() -> None:
    a, b, c = (worlds.random_mdp(5, 3, rng=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a.P, b.P)
    np.testing.assert_array_equal(a.R, b.R)
    assert (a.R != c.R).any()
    assert worlds.random_mdp(5, 3, rng=0, gamma=0.5).gamma == 0.5


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: worlds.frozen_lake(1), ValueError, "size must be at least 2; it is 1"),
        (lambda: worlds.frozen_lake(HALF), TypeError, "size must be a whole number; it is 2.5"),
        (lambda: worlds.frozen_lake(5, frozen=0), ValueError, "frozen must leave a way to the go"),
        (lambda: worlds.frozen_lake(4, 1.5), ValueError, r"must be in \[0, 1\]; it is 1.5"),
        (lambda: worlds.russell_norvig_4x3("x"), ValueError, "reward_on must be .*; it is 'x'"),
        (lambda: worlds.random_walk(0), ValueError, "n must be at least 1; it is 0"),
        (lambda: worlds.gamblers_problem(1.2), ValueError, r"p_heads must be in \[0, 1\]"),
        (lambda: worlds.forest(1), ValueError, "states must be at least 2; it is 1"),
        (lambda: worlds.forest(p=np.nan), ValueError, r"p must be in \[0, 1\]; it is nan"),
        (lambda: worlds.forest(r1=np.inf), ValueError, "r1 must be finite; it is inf"),
        (lambda: worlds.maximisation_bias(3), ValueError, "actions must be even, .*; it is 3"),
        (lambda: worlds.bandit([]), ValueError, r"means must have shape \(A,\).*; it has \(0,\)"),
        (lambda: worlds.bandit([[1]]), ValueError, r"means must have shape .*; it has \(1, 1\)"),
        (lambda: worlds.bandit([np.nan]), ValueError, r"means\[0\] must be finite; it is nan"),
        (lambda: worlds.bandit([1], noise=-1), ValueError, r"noise must be in \[0, inf\]; it is"),
        (lambda: worlds.random_mdp(0, 1), ValueError, "S must be at least 1; it is 0"),
        (lambda: worlds.random_mdp(1, HALF), TypeError, r"A must be a whole number; it is 2\.5"),
    ],
)
def test_bad_arguments_are_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
