"""A behaviour nobody wrote a reward for: laps round a hole, from 400 votes on pairs of clips."""

import numpy as np

from gridrl import (
    GridWorld,
    PreferenceOracle,
    cut,
    laps,
    laps_judge,
    learn_from_preferences,
    rollout,
    uniform_policy,
)
from gridrl.worlds import slip_to_neighbours

pond = GridWorld.from_text(
    """
    .....
    .....
    ..H..
    .....
    .....
    """,
    rewards={},
    terminal="H",
    slip=slip_to_neighbours(0.9),
)
mdp, centre = pond.mdp(gamma=0.95), (2, 2)
human = PreferenceOracle(judge=laps_judge(pond.positions, centre))
learned = learn_from_preferences(
    mdp, human, queries=400, shape=(25, 4), segment_length=6, horizon=40, episodes=50, rng=0
)

for name, policy in {"before": uniform_policy(mdp), "after": learned.policy}.items():
    walks = rollout(mdp.replace(terminal=None), policy, episodes=100, steps=100, rng=1)
    rounds = [laps(walk, pond.positions, centre) for walk in cut(walks, 100)]
    print(f"{name}: {np.mean(rounds):.2f} laps in 100 steps")
print(
    f"the human: {400 * 4 / 60:.0f} minutes, at 4 seconds a vote; the agent: {learned.steps} steps"
)
