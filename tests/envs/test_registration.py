"""The names in Gymnasium's registry, and what making an environment by name understands."""

from __future__ import annotations

import subprocess
import sys

import gymnasium as gym
import pytest

from gridrl import worlds
from gridrl.envs import make_env
from gridrl.envs.registration import IDS, register

LOST = worlds.lost_penguin_world()


def test_make_passes_on_what_the_maker_understands() -> None:
    env = gym.make("gridrl/FrozenLake-v0", size=8, success_rate=1.0)
    assert env.observation_space == gym.spaces.Discrete(64)
    with pytest.raises(TypeError, match="unexpected keyword argument 'sizes'"):
        gym.make("gridrl/FrozenLake-v0", sizes=8)


def test_the_time_limit_of_a_name_truncates() -> None:
    env = gym.make("gridrl/Penguin-v0")
    env.reset(seed=0)
    ends = [env.step(0)[2:4] for _ in range(100)]
    assert ends == [(False, False)] * 99 + [(False, True)]


def test_a_spec_makes_the_environment_again() -> None:
    env = make_env(LOST.pomdp(gamma=1), world=LOST, steps=5)
    assert env.spec is not None
    again = gym.make(env.spec, render_mode="ansi")
    assert again.reset(seed=4)[0] == env.reset(seed=4)[0]
    assert [again.step(a) for a in (1, 2, 3, 0)] == [env.step(a) for a in (1, 2, 3, 0)]
    assert again.step(0)[3]


def test_names_need_no_import_of_ours() -> None:
    code = f"import gymnasium as gym; print(gym.make('gridrl.envs:{IDS[0]}').observation_space.n)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "16"


def test_registering_twice_does_no_harm() -> None:
    before = dict(gym.registry)
    register()
    assert gym.registry == before


def test_importing_the_chapter_loads_no_matplotlib() -> None:
    code = "import sys, gridrl.envs; print('matplotlib' in sys.modules, 'PIL' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False False"
