"""With few steps left the best policy changes: the penguin goes for the fish that it can reach."""

import numpy as np

from gridrl import backward_induction, penguin_world

ice = penguin_world(intended=0.8)
plan = backward_induction(ice.mdp(gamma=1.0), horizon=6)
arrows = np.array(list("↑→↓←"))
for t in range(6):
    actions = "".join(arrows[a] for a in plan.policy[t].argmax(axis=1))
    rows = " ".join(actions[i : i + 4] for i in range(0, 16, 4))
    print(f"{6 - t} steps to go: {rows}   V(1) = {plan.V[t, 0]:.3f}")
