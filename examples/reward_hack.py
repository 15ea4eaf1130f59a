"""All questions at the beginning, and the reward hack that follows: believed against true return.

The uniform policy never meets a fish, so that nobody is ever asked about one. (The same of language
models: notebook 20.)
"""

import numpy as np

from gridrl import (
    GridWorld,
    PreferenceOracle,
    expected_return,
    learn_from_preferences,
    value_iteration,
)
from gridrl.worlds import slip_to_neighbours

shore = GridWorld.from_text(
    """
    S......#......
    ..H.H.....H.FF
    .H....H#......
    """,
    rewards={"F": 1.0, "H": -1.0},
    slip=slip_to_neighbours(0.8),
)
mdp = shore.mdp(gamma=0.95)
human = PreferenceOracle([shore.rewards.get(tile, 0.0) for tile in shore.state_tiles])
wise = value_iteration(mdp).policy
best = expected_return(mdp, wise)

for name, online in {"offline": False, "online": True}.items():
    found = learn_from_preferences(
        mdp, human, queries=300, segment_length=9, horizon=30, online=online, rng=0
    )
    shown = np.concatenate(
        [clip.states for vote in found.comparisons for clip in (vote.first, vote.second)]
    )
    fish = np.isin(shown, np.flatnonzero(shore.state_tiles == "F")).sum()
    own, other = (expected_return(mdp.replace(R=found.reward), pi) for pi in (found.policy, wise))
    true = expected_return(mdp, found.policy)
    print(f"{name}: true return {true:.1f} of {best:.1f}; the human was shown {fish} fish")
    print(f"  believed, in r-hat: its own policy {own:.1f}, the truly best one {other:.1f}")
