"""One environment: what it says of a step, when it ends, and what it refuses."""

from __future__ import annotations

import copy
import pickle
from collections import Counter
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from hypothesis import given

from gridrl import MDP, POMDP, GridWorld, MarkovProcess, worlds
from gridrl.envs import GridRLEnv, make_env
from gridrl.envs.outcomes import lottery, outcomes
from gridrl.worlds import no_slip
from tests.strategies import rewards, seeds, sparse_rows

ICE = worlds.penguin_world()
LOST = worlds.lost_penguin_world()


def walk(env: Any, actions: str, names: str = "urdl") -> list[Any]:
    return [env.step(names.index(a)) for a in actions]


def test_a_walk_on_ice_that_does_not_slip() -> None:
    env = make_env(ICE.replace(slip=no_slip()))
    assert env.reset(seed=0) == (0, {"state": 0, "meant": None, "happened": None})
    steps = walk(env, "rrrud")
    assert [s for s, *_ in steps] == [1, 2, 3, 3, 7]
    assert [r for _, r, *_ in steps] == [0, 0, 0, 1, 1]  # fish pay on leaving; bumping is leaving
    assert [info["happened"] for *_, info in steps] == ["right"] * 3 + ["stay", "down"]
    assert [info["meant"] for *_, info in steps] == ["right"] * 3 + ["up", "down"]
    assert all(type(s) is int and type(r) is float for s, r, *_ in steps)


def test_what_happened_is_not_always_what_was_meant() -> None:
    env, seen = make_env(ICE), Counter[str]()
    env.reset(seed=0)
    n = 0
    while n < 2000:
        s, *_, info = env.step(1)
        seen[info["happened"]] += 1
        n += 1
        if s % 4 == 3:
            env.reset()
    assert set(seen) == {"up", "right", "down", "left"}
    assert seen["right"] > n / 3  # meant half the time, and often where it is one of two ways


def test_an_end_is_terminated_and_no_more_steps_are_taken() -> None:
    env = make_env(worlds.random_walk(3), steps=2)
    env.reset(seed=0)
    assert env.step(1)[:4] == (3, 0.0, False, False)
    assert env.step(1)[:4] == (4, 1.0, True, True)  # as with Gymnasium's TimeLimit
    with pytest.raises(ResetNeeded, match=r"the episode is over: call env.reset\(\)"):
        env.step(1)
    env.reset()
    env.step(0)
    assert env.step(1)[2:4] == (False, True)
    with pytest.raises(ResetNeeded, match="the episode is over"):
        env.step(1)


def test_an_episode_must_begin_first() -> None:
    env = make_env(ICE, render_mode="ansi")
    with pytest.raises(ResetNeeded, match=r"there is no episode yet: call env\.reset"):
        env.step(0)
    with pytest.raises(ResetNeeded, match=r"before env\.render"):
        env.render()


@pytest.mark.parametrize("action", [0, np.int64(3), np.int32(1), np.uint64(2), np.array(2)])
def test_whole_numbers_of_every_kind_are_actions(action: Any) -> None:
    env = make_env(ICE)
    env.reset(seed=0)
    assert env.step(action)[4]["meant"] == ["up", "right", "down", "left"][int(action)]


@pytest.mark.parametrize(
    "action", [4, -1, 1.0, 1.5, True, np.True_, None, "up", [1], np.array([1])]
)
def test_anything_else_is_none(action: Any) -> None:
    env = make_env(ICE)
    before = env.reset(seed=0)[0]
    with pytest.raises(ValueError, match=r"action must be (in 0\.\.3|a whole number); it is"):
        env.step(action)
    assert env.step(1)[4]["state"] != before  # the refused step did not happen


def test_the_same_seed_is_the_same_story() -> None:
    def story(env: GridRLEnv, seed: int = 7) -> list[Any]:
        return [env.reset(seed=seed), *walk(env, "rdlurdrrdd"), env.reset(), *walk(env, "rdlu")]

    env = make_env(ICE)
    assert story(env) == story(env) == story(make_env(ICE))
    assert story(env) != story(env, seed=8)


def test_returned_info_is_the_callers() -> None:
    env = make_env(ICE)
    _, info = env.reset(seed=0)
    info["state"] = 99
    assert env.step(1)[4]["state"] in (1, 4)


def test_environments_are_copied_and_pickled() -> None:
    env = make_env(ICE)
    env.reset(seed=3)
    for again in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        assert walk(again, "rdlu") == walk(copy.deepcopy(env), "rdlu")


# --- directions -----------------------------------------------------------------------------------


def happened(world: GridWorld, label: str, meant: str, **lens: Any) -> str:
    process = world.mdp(gamma=1).replace(start=world.index(label), **lens)
    env = make_env(process, world=world)
    env.reset(seed=0)
    return str(env.step(list(world.moves).index(meant))[4]["happened"])


def test_directions_are_those_of_the_map() -> None:
    windy, kings = worlds.windy_gridworld(), worlds.windy_gridworld(kings_moves=True)
    assert happened(windy, "34", "right") == "right"  # blown up too, but no move is that
    assert happened(kings, "34", "right") == "up right"
    assert happened(windy, "34", "down") == "stay"  # a wind of 1 against it
    assert happened(windy, "37", "down") == "up"  # a wind of 2 against it
    assert happened(worlds.cliff_walking(), "26", "down") == "down"  # and fell
    assert happened(worlds.short_corridor(), "2", "left") == "right"
    assert happened(worlds.sutton_5x5(), "2", "left") == "left"  # every move leads to A'
    assert happened(worlds.russell_norvig_4x3(), "4", "down") == "down"  # off the map


def test_a_jump_of_ones_own_is_told_by_its_square() -> None:
    P = np.zeros((16, 4, 16))
    P[..., 10] = 1
    assert happened(ICE, "1", "up", P=P) == "11"


def test_without_a_map_the_state_reached_is_what_happened() -> None:
    env = make_env(worlds.student())
    env.reset(seed=0)
    s, *_, info = env.step(0)
    assert info["meant"] == "wait"
    assert info["happened"] == worlds.student().labels[s]


# --- what is seen ---------------------------------------------------------------------------------


def test_a_world_is_its_mdp_unless_it_has_a_window_of_its_own() -> None:
    assert make_env(ICE).observation_space == gym.spaces.Discrete(16)
    blind = make_env(worlds.short_corridor())
    assert blind.observation_space == gym.spaces.Discrete(1)
    assert blind.observation_labels == ("nothing",)


def test_a_lost_penguin_does_not_see_its_square() -> None:
    env = gym.make("gridrl/LostPenguin-v0").unwrapped
    assert isinstance(env, GridRLEnv)
    assert env.observation_space == gym.spaces.Discrete(5)
    o, info = env.reset(seed=0)
    for _ in range(100):
        row, column = divmod(info["state"], 4)
        below = "#" if row == 3 else LOST.tiles[row + 1, column]
        seen = f"{LOST.tiles[row, column]}{below}".replace("S", ".")
        assert env.observation_labels[o] == seen
        o, *_, info = env.step(1)


def test_before_the_first_action_a_tiger_is_not_heard() -> None:
    env = make_env(worlds.tiger())
    assert env.observation_labels == ("hear left", "hear right", "nothing yet")
    assert env.reset(seed=0)[0] == 2
    assert {env.step(0)[0] for _ in range(50)} == {0, 1}


def test_an_observation_function_of_actions_is_used_with_the_action() -> None:
    one_state = MDP(np.ones((1, 2, 1)), np.zeros(1), 0.9)
    env = make_env(POMDP(one_state, [[[1, 0]], [[0, 1]]]))
    env.reset(seed=0)
    assert [env.step(a)[0] for a in (0, 1, 1, 0)] == [0, 1, 1, 0]


# --- what it is made of ---------------------------------------------------------------------------


@given(seeds)
def test_every_form_of_a_reward_is_laid_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    P = sparse_rows(rng, 4, 2, 4)
    terminal = np.arange(4) == 3
    for name, R in rewards(rng, 4, 2).items():
        mdp = MDP(P, R, 0.9, terminal=terminal)
        found = outcomes(mdp)
        mean = np.zeros(9)
        np.add.at(mean, found.row, found.p * found.r)
        np.testing.assert_allclose(mean[:8].reshape(4, 2), mdp.R, atol=1e-12, err_msg=name)
        chain = mdp.under(np.full((4, 2), 0.5))
        table = make_env(chain).P
        mean = np.array([sum(p * r for p, _, r, _ in table[s][0]) for s in range(4)])
        np.testing.assert_allclose(mean, chain.R, atol=1e-12, err_msg=name)


def test_a_draw_stays_in_its_row() -> None:
    row = np.repeat(np.arange(3000), 3)
    chance = lottery(row, np.tile([0.25, 0.25, 0.5], 3000))
    rows = np.arange(3000)
    low, high = np.zeros(3000), np.full(3000, np.nextafter(1, 0))
    np.testing.assert_array_equal(chance.draw(rows, low), 3 * rows)
    np.testing.assert_array_equal(chance.draw(rows, high), 3 * rows + 2)
    np.testing.assert_array_equal(chance.draw(rows, low + 0.25), 3 * rows + 1)


# --- what is refused ------------------------------------------------------------------------------


def test_only_processes_and_worlds_are_environments() -> None:
    with pytest.raises(TypeError, match=r"process_or_world must be a GridWorld, MDP.*it is 'ice'"):
        make_env("ice")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"call it: penguin_world\(\)"):
        make_env(worlds.penguin_world)  # type: ignore[arg-type]


def test_a_map_belongs_to_its_process() -> None:
    with pytest.raises(ValueError, match="world must have the process's 16 states; it has 7"):
        make_env(ICE.mdp(gamma=1), world=worlds.random_walk())
    with pytest.raises(ValueError, match="must not be given beside a GridWorld"):
        make_env(ICE, world=ICE)
    with pytest.raises(TypeError, match="world must be a GridWorld or None; it is 'ice'"):
        make_env(ICE.mdp(gamma=1), world="ice")  # type: ignore[arg-type]


def test_an_episode_cannot_begin_at_its_end() -> None:
    P, ends = np.eye(2), [False, True]
    with pytest.raises(ValueError, match=r"start must hold no terminal state.*state 2 has 0\.5"):
        make_env(MarkovProcess(P, start=[0.5, 0.5], terminal=ends))
    with pytest.raises(ValueError, match="start must hold no terminal state"):
        make_env(MarkovProcess(P, terminal=[True, True]))
    assert make_env(MarkovProcess(P, terminal=ends)).reset(seed=0)[0] == 0


@pytest.mark.parametrize("steps", [0, -1])
def test_a_time_limit_is_at_least_one_step(steps: int) -> None:
    with pytest.raises(ValueError, match=f"steps must be at least 1; it is {steps}"):
        make_env(ICE, steps=steps)


def test_there_are_four_render_modes() -> None:
    with pytest.raises(ValueError, match="render_mode must be None or one of 'ansi', 'rgb_array'"):
        make_env(ICE, render_mode="svg")
