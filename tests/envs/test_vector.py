"""Many environments at once: the same stories as one by one, in Gymnasium's own vector too."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from gridrl import worlds
from gridrl.envs import GridRLEnv, GridRLVectorEnv
from gridrl.envs import vector as vector_module
from gridrl.envs.registration import IDS
from tests.envs.test_conformance import WORLDS

LAKE = worlds.frozen_lake()


def assert_same(ours: Any, theirs: Any) -> None:
    """Two answers of `step` or `reset`, arrays and infos, entry by entry and type by type."""
    *arrays, infos = ours
    *expected, expected_infos = theirs
    for a, b in zip(arrays, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    assert set(infos) == set(expected_infos)
    for key, value in infos.items():
        np.testing.assert_array_equal(value, expected_infos[key], err_msg=key)


def play_both(ours: Any, theirs: Any, steps: int, seed: Any = 5) -> None:
    chance, n = np.random.default_rng(0), ours.num_envs
    assert ours.action_space == theirs.action_space
    assert ours.observation_space == theirs.observation_space
    assert_same(ours.reset(seed=seed), theirs.reset(seed=seed))
    for _ in range(steps):
        a = chance.integers(ours.single_action_space.n, size=n)
        assert_same(ours.step(a), theirs.step(a))
    assert_same(ours.reset(), theirs.reset())  # chance goes on
    assert_same(ours.step(a), theirs.step(a))


@pytest.mark.parametrize("name", WORLDS)
def test_it_is_gymnasiums_vector_of_single_ones(name: str) -> None:
    """Chance included: environment k of either draws the same numbers."""
    world = WORLDS[name]()
    sync = SyncVectorEnv([lambda: gym.wrappers.TimeLimit(GridRLEnv(world), 9) for _ in range(4)])
    play_both(GridRLVectorEnv(world, 4, steps=9), sync, 60)


@pytest.mark.parametrize("id", IDS)
def test_make_vec_makes_it_under_every_name(id: str) -> None:
    envs = gym.make_vec(id, num_envs=3)
    assert isinstance(envs.unwrapped, GridRLVectorEnv)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    play_both(envs, gym.make_vec(id, num_envs=3, vectorization_mode="sync"), 130, seed=[3, 1, 2])


def test_blocks_of_chance_have_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_module, "UNIFORMS", 1)  # 16 steps a block, the least
    sync = SyncVectorEnv([lambda: GridRLEnv(LAKE) for _ in range(3)])
    play_both(GridRLVectorEnv(LAKE, 3), sync, 100)


def test_a_story_does_not_depend_on_how_many_there_are() -> None:
    few, many = GridRLVectorEnv(LAKE, 2), GridRLVectorEnv(LAKE, 300)
    chance = np.random.default_rng(0)
    few.reset(seed=11)
    many.reset(seed=[*range(300, 598), 11, 12])
    for _ in range(50):
        a = chance.integers(4, size=300)
        for x, y in zip(few.step(a[-2:])[:4], many.step(a)[:4], strict=True):
            np.testing.assert_array_equal(x, y[-2:])


def test_the_step_after_an_end_begins_anew() -> None:
    envs = GridRLVectorEnv(worlds.random_walk(1), 2, steps=3)  # L S R
    envs.reset(seed=0)
    s, r, terminated, truncated, _ = envs.step([0, 1])
    assert (s.tolist(), r.tolist(), terminated.tolist()) == ([0, 2], [0.0, 1.0], [True, True])
    s, r, terminated, truncated, infos = envs.step([99, -1])  # not looked at
    assert (s.tolist(), r.tolist()) == ([1, 1], [0.0, 0.0])
    assert not terminated.any()
    assert not truncated.any()
    assert infos["meant"].tolist() == [None, None]


def test_a_time_limit_truncates() -> None:
    envs = GridRLVectorEnv(worlds.penguin_world(), 2, steps=2)
    envs.reset(seed=0)
    limits = [envs.step([0, 0])[3].tolist() for _ in range(6)]
    assert limits == [[False] * 2, [True] * 2, [False] * 2] * 2


def test_a_mask_resets_some_of_them() -> None:
    """Sync's rule, `options["reset_mask"]`; the others go on as if nothing had been."""
    sync = SyncVectorEnv([lambda: GridRLEnv(LAKE) for _ in range(4)])
    ours, chance = GridRLVectorEnv(LAKE, 4), np.random.default_rng(0)
    ours.reset(seed=1), sync.reset(seed=1)
    for t in range(60):
        a = chance.integers(4, size=4)
        assert_same(ours.step(a), sync.step(a))
        if t % 3 == 0:
            mask, seed = np.arange(4) % 2 == t % 2, t if t % 9 == 0 else None
            s, infos = ours.reset(seed=seed, options={"reset_mask": mask})
            expected, _ = sync.reset(seed=seed, options={"reset_mask": mask})
            np.testing.assert_array_equal(s, expected)
            np.testing.assert_array_equal(infos["_state"], mask)


def test_what_was_returned_stays_as_it_was() -> None:
    envs = GridRLVectorEnv(LAKE, 3)
    s, _ = envs.reset(seed=0)
    kept = [s, *envs.step([1, 1, 1])[:4]]
    before = [x.copy() for x in kept]
    kept[1][:] = before[1][:] = 15  # the caller's to write on
    after = envs.step([1, 1, 1])[0]
    for x, y in zip(kept, before, strict=True):
        np.testing.assert_array_equal(x, y)
    assert (after < 15).all()


def test_pictures_of_all() -> None:
    envs = GridRLVectorEnv(LAKE, 3, render_mode="rgb_array")
    with pytest.raises(ResetNeeded, match=r"before envs\.render"):
        envs.render()
    envs.reset(seed=0)
    assert [frame.shape for frame in envs.render()] == [(385, 385, 3)] * 3
    words = GridRLVectorEnv(LAKE, 2, render_mode="ansi")
    words.reset(seed=0)
    assert [text.split("\n")[0] for text in words.render()] == ["[S] .  .  ."] * 2
    with pytest.warns(UserWarning, match="render_mode is None"):
        assert GridRLVectorEnv(LAKE).render() is None


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0, 1], r"actions must have shape \(3,\); it has \(2,\)"),
        (1, r"actions must have shape \(3,\); it has \(\)"),
        ([0, 4, 0], r"actions\[1\] must be in 0\.\.3; it is 4"),
        ([0, 0, -1], r"actions\[2\] must be in 0\.\.3; it is -1"),
        ([0.0, 1.0, 2.0], "actions must hold whole numbers.*it holds float64"),
        ([True, False, True], "actions must hold whole numbers.*it holds bool"),
    ],
)
def test_actions_that_are_none(actions: Any, message: str) -> None:
    envs = GridRLVectorEnv(LAKE, 3)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        envs.step(actions)


def test_an_episode_must_begin_first() -> None:
    envs = GridRLVectorEnv(LAKE, 2)
    with pytest.raises(ResetNeeded, match=r"call envs\.reset\(\) before envs\.step\(\)"):
        envs.step([0, 0])
    with pytest.raises(ResetNeeded, match="the first reset must be of all of them"):
        envs.reset(options={"reset_mask": np.array([True, False])})


@pytest.mark.parametrize("mask", [[1, 0], [True], [False, False]])
def test_masks_that_say_nothing(mask: Any) -> None:
    with pytest.raises(ValueError, match="reset_mask must say True or False for each of 2"):
        GridRLVectorEnv(LAKE, 2).reset(options={"reset_mask": np.array(mask)})


def test_seeds_that_are_none() -> None:
    envs = GridRLVectorEnv(LAKE, 2)
    with pytest.raises(ValueError, match=r"seed must hold one for each of 2 env.*it holds 3"):
        envs.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match="seed must be at least 0; it is -1"):
        envs.reset(seed=-1)
    with pytest.raises(TypeError, match=r"seed must be a whole number; it is 1\.5"):
        envs.reset(seed=[1, 1.5])  # type: ignore[list-item]


def test_seeds_are_known() -> None:
    envs = GridRLVectorEnv(LAKE, 2)
    envs.reset(seed=[4, None])
    assert envs.np_random_seed[0] == 4
    assert envs.np_random_seed[1] != 4


def test_no_environment_is_none() -> None:
    with pytest.raises(ValueError, match="num_envs must be at least 1; it is 0"):
        GridRLVectorEnv(LAKE, 0)
    with pytest.raises(ValueError, match="render_mode must be None or one of 'ansi', 'rgb_array';"):
        GridRLVectorEnv(LAKE, 1, render_mode="human")
