"""The worlds under their names in Gymnasium: `gym.make("gridrl/Penguin-v0")`.

They are there after `import gridrl.envs`, or by `gym.make("gridrl.envs:gridrl/Penguin-v0")`, which
imports it. What the maker of a world understands, `make` does too:
`gym.make("gridrl/FrozenLake-v0", size=8)`.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from gridrl import worlds
from gridrl.envs.env import GridRLEnv
from gridrl.envs.vector import GridRLVectorEnv

LIMIT = 100  # steps, where an episode would never end

MAKERS: dict[str, tuple[str, int | None]] = {  # the maker in gridrl.worlds, and the time limit
    "Penguin": ("penguin_world", LIMIT),
    "LostPenguin": ("lost_penguin_world", LIMIT),
    "FrozenLake": ("frozen_lake", LIMIT),  # as FrozenLake-v1
    "CliffWalking": ("cliff_walking", None),
    "WindyGridworld": ("windy_gridworld", None),
    "RandomWalk": ("random_walk", None),
    "Sutton5x5": ("sutton_5x5", LIMIT),
    "Sutton4x4": ("sutton_4x4", None),
    "DynaMaze": ("dyna_maze", None),
    "ShortCorridor": ("short_corridor", None),
    "MaximisationBias": ("maximisation_bias", None),
    "GamblersProblem": ("gamblers_problem", None),
    "RussellNorvig4x3": ("russell_norvig_4x3", None),
    "Student": ("student", None),
    "Forest": ("forest", LIMIT),
    "Tiger": ("tiger", LIMIT),
}
IDS = tuple(f"gridrl/{name}-v0" for name in MAKERS)


def named_env(maker: str, *, render_mode: str | None = None, **options: Any) -> GridRLEnv:
    """The environment of a world's maker, as `gym.make` asks for it; `options` are the maker's."""
    return GridRLEnv(getattr(worlds, maker)(**options), render_mode=render_mode)


named_env.metadata = GridRLEnv.metadata  # type: ignore[attr-defined]  # read by `gym.make`


def named_vector_env(
    maker: str,
    *,
    num_envs: int = 1,
    max_episode_steps: int | None = None,
    render_mode: str | None = None,
    **options: Any,
) -> GridRLVectorEnv:
    """The vector environment of a world's maker, as `gym.make_vec` asks for it."""
    made = getattr(worlds, maker)(**options)
    return GridRLVectorEnv(made, num_envs, steps=max_episode_steps, render_mode=render_mode)


def register() -> None:
    """Tell Gymnasium the names of the worlds; it does no harm to do so twice."""
    for name, (maker, limit) in MAKERS.items():
        if (id := f"gridrl/{name}-v0") in gym.registry:
            continue
        gym.register(
            id,
            entry_point="gridrl.envs.registration:named_env",
            vector_entry_point="gridrl.envs.registration:named_vector_env",
            max_episode_steps=limit,
            kwargs={"maker": maker},
        )
