"""A world of your own: a map, what its tiles pay, and how its ice slips."""

import numpy as np

from gridrl import GridWorld, value_iteration
from gridrl.tables import Array, Mask


def wind_from_the_west(open_ways: Mask) -> Array:
    """As meant 3 times in 4, else blown right; (S, 4) -> (S, 4 actions, 4 directions + stay)."""
    S, D = open_ways.shape
    p = np.zeros((S, D, D + 1))
    p[:, range(D), range(D)] += 0.75
    p[:, :, 1] += 0.25  # up, right, down, left: right is 1
    return p


world = GridWorld.from_text(
    """
    S..#.
    .#..D
    ...HG
    """,
    rewards={"G": 10.0, "D": 0.5, "H": -5.0, ".": -0.1},  # D: a tile of our own
    terminal="G",
    slip=wind_from_the_west,
    reward_on="arrive",
)
best = value_iteration(world.mdp(gamma=0.95))
arrows = np.array(list("↑→↓←"))[best.policy.argmax(axis=1)]
for s, label in enumerate(world.labels):
    print(f"square {label:>2}: {arrows[s]}  V = {best.V[s]:.3f}")
