"""Environments without tables: a learner tries them, one episode at a time."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from gridrl.envs.convert import END, an_env
from gridrl.envs.env import GridRLEnv
from gridrl.learning.outside import SampledProcess
from gridrl.tables import names, number


def as_process(env: gym.Env[Any, Any], gamma: float) -> SampledProcess:
    """Let a learner try a discrete environment, of which nobody has a table (`runs=None` only).

    States are the environment's observations, counted from 0, and last "the end", which is entered
    whenever an episode terminates. The environment keeps its own time limit.

    Args:
        env: the environment; its spaces must be Discrete.
        gamma: discount per step; an environment has none.

    >>> as_process(gym.make("FrozenLake-v1"), gamma=0.99)
    SampledProcess(17 states, 4 actions, gamma=0.99)

    Raises:
        TypeError: no Gymnasium environment, or one whose spaces are not Discrete.
        ValueError: gamma outside [0, 1].
    """
    states, actions = _discrete(an_env(env), "observation"), _discrete(env, "action")
    n, lowest, lowest_action = int(states.n), int(states.start), int(actions.start)

    def reset(seed: int | None) -> int:
        return int(env.reset(seed=seed)[0]) - lowest

    def step(a: int) -> tuple[int, float, bool, bool]:
        o, r, terminated, truncated, _ = env.step(a + lowest_action)
        return n if terminated else int(o) - lowest, float(r), bool(terminated), bool(truncated)

    labels, action_labels = _labels(env, n, int(actions.n))
    return SampledProcess(
        reset=reset,
        step=step,
        n_states=n + 1,
        n_actions=int(actions.n),
        gamma=number(gamma, "gamma", 0, 1),
        labels=(*labels, END),
        action_labels=action_labels,
    )


def _discrete(env: gym.Env[Any, Any], which: str) -> Any:
    space = getattr(env, f"{which}_space")
    if not isinstance(space, gym.spaces.Discrete):
        raise TypeError(f"env.{which}_space must be Discrete; it is {space}")
    return space


def _labels(
    env: gym.Env[Any, Any], n: int, n_actions: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of observations and actions: a gridrl environment's own, else counted from 1."""
    ours = env.unwrapped
    if isinstance(ours, GridRLEnv):
        known = ours.observation_labels, ours.mdp.action_labels
        if (len(known[0]), len(known[1])) == (n, n_actions):  # no wrapper made others of them
            return known
    return names(None, "labels", n), names(None, "action_labels", n_actions)
