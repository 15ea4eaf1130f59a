"""Everything Gymnasium, the only chapter that imports it: worlds as environments, and back.

Importing it registers the worlds: `gym.make("gridrl/Penguin-v0")`, and so on.
Reading order: `outcomes`, `dynamics`, `env`, `vector`, `registration`, `convert`, `discrete`;
beside them `pictures` and `tiles`.
"""

from gridrl.envs.convert import mdp_from_gymnasium
from gridrl.envs.discrete import as_process
from gridrl.envs.env import GridRLEnv, make_env
from gridrl.envs.registration import register
from gridrl.envs.vector import GridRLVectorEnv

register()

__all__ = [
    "GridRLEnv",
    "GridRLVectorEnv",
    "as_process",
    "make_env",
    "mdp_from_gymnasium",
]
