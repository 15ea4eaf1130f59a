"""Paid on leaving or on arriving? Two conventions, two sets of values, one best policy."""

import numpy as np

from gridrl import penguin_world, value_iteration
from gridrl.worlds import russell_norvig_4x3

ice = penguin_world()
R = np.isin(ice.state_tiles, ["F"]).astype(float)
leave = value_iteration(ice.mdp(gamma=0.9))
arrive = value_iteration(ice.replace(reward_on="arrive").mdp(gamma=0.9))
print("V(1) on leaving: ", round(float(leave.V[0]), 4))
print("V(1) on arriving:", round(float(arrive.V[0]), 4))
print("V_leave - (R + gamma V_arrive):", np.abs(leave.V - R - 0.9 * arrive.V).max().round(8))
print("same policy:", bool((leave.policy == arrive.policy).all()))

for convention in ("leave", "arrive"):
    world = russell_norvig_4x3(convention)
    V = value_iteration(world.mdp(gamma=1)).V
    print(f"Russell & Norvig's square 1, on {convention}: {V[world.index(9)]:.4f}")
