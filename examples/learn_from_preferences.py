"""Learn where the fish are from comparisons of clips: the agent never sees a reward.

The human here is simulated. Anything with a method `label(first, second, rng)` may take its place.
"""

from gridrl import (
    PreferenceOracle,
    expected_return,
    learn_from_preferences,
    penguin_world,
    policy_iteration,
)

ice = penguin_world()
mdp = ice.mdp(gamma=0.9)  # its reward serves to judge the outcome, not to learn
human = PreferenceOracle([float(tile == "F") for tile in ice.state_tiles])
best = expected_return(mdp, policy_iteration(mdp).policy)

for now in learn_from_preferences.iterates(mdp, human, queries=40, rounds=5, rng=0):
    share = expected_return(mdp, now.policy) / best
    print(f"{now.labels_used:2} votes, {now.steps:5} steps: {share:.1%} of the best return")

print("what it now believes the squares are worth, the true fish being on 4, 9 and 11:")
print(now.reward.reshape(ice.shape).round(1))
