"""Worlds on which a careless tolerance goes wrong: many ties, odd scales, loops worth nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gridrl import (
    MDP,
    GridWorld,
    NotConverged,
    average_reward,
    explain_backup,
    gauss_seidel,
    greedy,
    linear_program,
    modified_policy_iteration,
    penguin_world,
    policy_iteration,
    state_values,
    uniform_policy,
    value_iteration,
)
from gridrl.worlds import (
    cliff_walking,
    dyna_maze,
    frozen_lake,
    no_slip,
    random_mdp,
    random_walk,
    russell_norvig_4x3,
    slip_sideways,
    sutton_5x5,
    windy_gridworld,
)

MAKERS = [
    penguin_world, dyna_maze, frozen_lake, lambda: frozen_lake(8), sutton_5x5, cliff_walking,
    windy_gridworld, random_walk, russell_norvig_4x3,
]  # fmt: skip
GAMMAS = [0.001, 0.005, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9, 0.99, 0.999]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: repr(make()))
def test_policy_iteration_ends_at_every_gamma(make: Callable[[], GridWorld]) -> None:
    for gamma in GAMMAS:
        mdp = make().mdp(gamma)
        best = policy_iteration(mdp)
        slack = (best.Q.max(axis=1) - best.V).max() / (1 - gamma)
        assert slack <= 1e-9 * max(1, np.abs(best.V).max())
        np.testing.assert_allclose(state_values(mdp, best.policy), best.V, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("n", "gamma"), [(20, 0.5), (20, 0.7), (40, 1.0), (60, 0.9)])
def test_policy_iteration_ends_on_wide_maps(n: int, gamma: float) -> None:
    rows = ["S" + "." * (n - 1), *["." * n] * (n - 2), "." * (n - 1) + "G"]
    slip = slip_sideways(0.8)
    world = GridWorld.from_text("\n".join(rows), rewards={".": -1.0}, terminal="G", slip=slip)
    best = policy_iteration(world.mdp(gamma))
    assert (best.Q.max(axis=1) - best.V).max() <= 1e-9 * np.abs(best.V).max()


def test_a_chain_that_may_rest_is_solved_by_every_road() -> None:
    # advance with probability 0.1, else into a hole; the first state may rest
    P = np.zeros((16, 2, 16))
    for s in range(14):
        P[s, :, s + 1], P[s, :, 15] = 0.1, 0.9
    P[0, 1], P[14, :, 14], P[15, :, 15] = np.eye(16)[0], 1, 1
    R = np.zeros((16, 2))
    R[13] = 1.0
    mdp = MDP(P, R, 1.0, terminal=np.arange(16) >= 14)
    exact = [0.1 ** (13 - s) for s in range(14)]
    for solve in (policy_iteration, value_iteration, gauss_seidel, linear_program):
        np.testing.assert_allclose(solve(mdp).V[:14], exact, atol=1e-8)


@pytest.mark.parametrize("scale", [1e-12, 1e-9, 1.0, 1e9])
def test_the_unit_of_reward_changes_no_policy(scale: float) -> None:
    for seed in range(5):
        mdp = random_mdp(5, 3, rng=seed)
        scaled = mdp.replace(R=scale * mdp.R)
        best = policy_iteration(mdp).policy
        np.testing.assert_array_equal(policy_iteration(scaled).policy, best)
        np.testing.assert_array_equal(linear_program(scaled.replace(R=mdp.R)).policy, best)
        gain = average_reward(mdp).gain
        assert average_reward(scaled).gain / scale == pytest.approx(gain, rel=1e-9)


def test_greedy_works_in_any_unit() -> None:
    np.testing.assert_array_equal(greedy([[1e-12, 0.0]]), [[1, 0]])


@pytest.mark.parametrize(("offset", "gamma"), [(1e6, 0.99), (1e6, 0.999), (1e8, 0.9)])
def test_a_large_constant_does_not_hide_the_policy(offset: float, gamma: float) -> None:
    mdp = penguin_world().mdp(gamma)
    for solve in (policy_iteration, linear_program):
        policy = solve(mdp.replace(R=mdp.R + offset)).policy
        # V is about offset / (1 - gamma) and known to 16 digits: that much may be lost
        allowed = 1e-12 * offset / (1 - gamma) ** 2
        lost = mdp.start @ (policy_iteration(mdp).V - state_values(mdp, policy))
        assert lost <= max(allowed, 1e-9)


# +1 there and -1 back for ever, or an exit that costs 5
ROUND_AND_ROUND = MDP(
    [[[0, 1, 0], [0, 1, 0]], [[1, 0, 0], [0, 0, 1]], [[0, 0, 1], [0, 0, 1]]],
    np.array([[1.0, 1.0], [-1.0, -5.0], [0.0, 0.0]]),
    1.0,
    terminal=[False, False, True],
)


@pytest.mark.parametrize("solve", [policy_iteration, value_iteration, gauss_seidel, linear_program])
def test_a_loop_that_comes_to_nothing_is_no_answer(solve: Callable[[MDP], object]) -> None:
    with pytest.raises(ValueError, match=r"no end is as good as going round for ever .*\{1, 2\}"):
        solve(ROUND_AND_ROUND)


@pytest.mark.parametrize("solve", [value_iteration, gauss_seidel])
def test_hopeless_promises_are_given_up_early(solve: Callable[[MDP], object]) -> None:
    with pytest.raises(NotConverged, match=r"at this rate .* more iterations are needed"):
        solve(penguin_world().mdp(0.9999999))


def test_slow_is_not_hopeless() -> None:
    mdp = penguin_world().mdp(0.999)
    exact = policy_iteration(mdp).V
    assert np.abs(modified_policy_iteration(mdp).V - exact).max() <= 1e-8
    assert np.abs(value_iteration(mdp).V - exact).max() <= 1e-8


def test_rare_chances_are_written_out() -> None:
    rare = MDP([[[0.001, 0.999]], [[0, 1]]], [1, 0], 0.9)
    text = explain_backup(rare, [100, -3], 0, action=0)
    assert text.endswith("= 1 + 0.9 (0.999 * -3 + 0.001 * 100) = -1.607")


def test_the_start_pays_as_ice_does() -> None:
    world = GridWorld.from_text("S..G", rewards={".": -1.0}, terminal="G", slip=no_slip())
    assert policy_iteration(world.mdp(1.0)).V[0] == -3
    free = GridWorld.from_text("S..G", rewards={".": -1.0, "S": 0.0}, terminal="G", slip=no_slip())
    assert free.mdp(1.0).R[:2, 0].tolist() == [0, -1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"terminal": "Z"}, "tile 'Z' of terminal or exits is not on the map"),
        ({"exits": "+"}, r"tile '\+' of terminal or exits is not on the map"),
        ({"terminal": "S"}, "terminal must not name 'S'"),
    ],
)
def test_a_typo_does_not_change_the_world(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GridWorld.from_text("S..", **options)  # type: ignore[arg-type]


def test_one_list_of_rewards_serves_several_maps() -> None:
    rewards = {"F": 1.0, "H": -2.0, "D": 0.5}
    for text in ("S.F", "SD.", "SHF"):
        assert GridWorld.from_text(text, rewards=rewards).mdp(0.9).R.max() <= 1


def test_a_world_in_place_of_a_model_is_named() -> None:
    with pytest.raises(TypeError, match=r"mdp must be an MDP; it is a GridWorld: use its .mdp\("):
        uniform_policy(penguin_world())  # type: ignore[arg-type]
