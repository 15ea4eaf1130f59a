"""Agent, environment, state, reward, action: Q-learning as a plain loop on a Gymnasium environment.

A debugger can walk through it line by line. What it finds stands beside the exact answer.
"""

import gymnasium as gym
import numpy as np

import gridrl.envs  # noqa: F401 - knows the names gridrl/...
from gridrl import policy_iteration
from gridrl.worlds import cliff_walking

env = gym.make("gridrl/CliffWalking-v0")
rng, alpha, epsilon = np.random.default_rng(0), 0.5, 0.1
Q = np.zeros((env.observation_space.n, env.action_space.n))
state, _ = env.reset(seed=0)

for _ in range(20_000):
    explore = rng.random() < epsilon
    action = rng.integers(4) if explore else rng.choice(np.flatnonzero(Q[state] == Q[state].max()))
    next_state, reward, terminated, truncated, _ = env.step(action)
    target = reward if terminated else reward + Q[next_state].max()
    Q[state, action] += alpha * (target - Q[state, action])
    state = next_state if not (terminated or truncated) else env.reset()[0]

mdp = cliff_walking().mdp(gamma=1)
print("learned:", Q[36].max().round(2), " exact:", policy_iteration(mdp).V[36])
