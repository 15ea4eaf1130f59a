"""Environment steps a second: `rollout` and the vector environment against Gymnasium's own.

All run slippery FrozenLake, 1,000 at once, with random actions, side by side in one run; the figure
to quote is the ratio to `vectorization_mode="sync"`. What happens is compared: how many goals there
are in 1,000 steps, which the uniform policy's chain says exactly.
"""

import time
from collections.abc import Callable

import gymnasium as gym
import numpy as np

import gridrl.envs  # noqa: F401 - knows the names gridrl/...
from gridrl import MDP, penguin_world, rollout, uniform_policy
from gridrl.envs import mdp_from_gymnasium

N = 1000


def vector(envs: gym.vector.VectorEnv, steps: int) -> tuple[int, float]:
    """Random actions, drawn all at once: steps made, resets not counted, and goals reached."""
    envs.reset(seed=0)
    actions = np.random.default_rng(0).integers(4, size=(steps, N))
    goals, resets = 0.0, 0
    for a in actions:
        _, reward, terminated, truncated, _ = envs.step(a)
        goals, resets = goals + float(reward.sum()), resets + int((terminated | truncated).sum())
    envs.close()
    return steps * N - resets, goals


def episodes(mdp: MDP, limit: int, times: int = 20) -> tuple[int, float]:
    """`rollout`: 1,000 episodes at once, which stop at their end; steps are those really made.

    What is stored is padded to the time limit, so that a limit far beyond the end costs time.
    """
    steps, goals = 0, 0.0
    for seed in range(times):
        seen = rollout(mdp, uniform_policy(mdp), episodes=N, steps=limit, rng=seed)
        steps, goals = steps + int(seen.lengths.sum()), goals + float(seen.rewards.sum())
    return steps, goals


def main() -> None:
    """Print a row for each."""
    mdp = mdp_from_gymnasium(gym.make("FrozenLake-v1"))
    sync = gym.make_vec("FrozenLake-v1", num_envs=N, vectorization_mode="sync")
    ours = gym.make_vec("gridrl/FrozenLake-v0", num_envs=N)  # its own vector environment
    peers: dict[str, Callable[[], tuple[int, float]]] = {
        "gymnasium, sync": lambda: vector(sync, 200),
        "gridrl, vector": lambda: vector(ours, 4000),
        "gridrl, rollout, limit 100": lambda: episodes(mdp, 100),
        "gridrl, rollout, limit 20": lambda: episodes(mdp, 20),
        "gridrl, rollout, ice without end": lambda: episodes(penguin_world().mdp(gamma=0.9), 100),
    }
    process = mdp.under(uniform_policy(mdp))
    length = process.hitting_times(np.flatnonzero(mdp.terminal)) @ mdp.start
    print(f"exactly: {1000 * process.start @ process.values() / length:.2f} goals in 1,000 steps")
    print(f"{'':36}{'steps/s':>14}{'ratio':>8}{'goals/1000 steps':>18}")
    first = 0.0
    for name, run in peers.items():
        started = time.perf_counter()
        steps, goals = run()
        rate = steps / (time.perf_counter() - started)
        first = first or rate
        print(f"{name:36}{rate:14,.0f}{rate / first:8.0f}{1000 * goals / steps:18.2f}")


if __name__ == "__main__":
    main()
