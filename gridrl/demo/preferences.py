"""Learning from preferences: nobody says what pays, somebody says which of two clips is better."""

from __future__ import annotations

import numpy as np

from gridrl import (
    MDP,
    PreferenceOracle,
    expected_return,
    learn_from_preferences,
    penguin_world,
    plot,
    policy_iteration,
    uniform_policy,
)
from gridrl.demo.story import Story
from gridrl.preferences import Preferring
from gridrl.tables import Array
from gridrl.worlds import GridWorld

TITLE = "8. Nor is the reward known: learning from preferences"
SECONDS = 4  # a person takes for a vote
CLIP, FEW = 10, 40  # steps, votes


def tell(story: Story) -> None:
    """Two clips and a verdict, what 200 verdicts are worth, the reward behind them, an ablation."""
    ice = penguin_world()
    mdp = ice.mdp(gamma=0.9)
    fish = mdp.R[:, 0]
    oracle = PreferenceOracle(fish)
    queries, rounds = (100, 4) if story.quick else (200, 10)
    story.say(
        f"""What if nobody can write the reward down? Somebody looks at two clips of {CLIP} steps
        and says which is better. The agent guesses a reward that explains the answers, does what
        would be best if the guess were right, and asks again where its guesses differ. Here a
        simulated human answers, who likes fish and counts them:"""
    )
    film = list(
        learn_from_preferences.iterates(
            mdp, oracle, queries=queries, segment_length=CLIP, rounds=rounds, rng=story.seed
        )
    )
    _question(story, ice, oracle, film)
    _progress(story, mdp, film)
    _rewards(story, ice, fish, film[-1])
    _offline(story, mdp, oracle)


def _question(
    story: Story, ice: GridWorld, oracle: PreferenceOracle, film: list[Preferring]
) -> None:
    """The first question after the first round whose answer is no tie."""
    asked = (vote for snapshot in film[1:] for vote in snapshot.asked)
    vote = next(vote for vote in asked if vote.label != "tie")
    picture = plot.preference(
        ice, vote.first, vote.second, reward=oracle.reward,
        probability=oracle.probability(vote.first, vote.second),
    )  # fmt: skip
    story.picture("clips", picture, f"Which is better? The answer: {vote.label}.")


def _progress(story: Story, mdp: MDP, film: list[Preferring]) -> None:
    best = float(mdp.start @ policy_iteration(mdp).V)
    votes = [0] + [snapshot.labels_used for snapshot in film]
    worth = [expected_return(mdp, uniform_policy(mdp))] + [
        expected_return(mdp, snapshot.policy) for snapshot in film
    ]
    minutes = [SECONDS * n / 60 for n in votes]
    rows = [
        [n, f"{m:.1f}", f"{100 * J / best:.1f} %"]
        for n, m, J in zip(votes, minutes, worth, strict=True)
    ]
    last = film[-1]
    shown = 2 * CLIP * last.labels_used / last.steps
    story.say(
        f"""After {last.labels_used} votes, {minutes[-1]:.0f} minutes of a person who takes
        {SECONDS} seconds for each, the policy is worth {100 * worth[-1] / best:.1f} per cent of the
        best there is. Of all that the agent did, {100 * shown:.0f} per cent was shown:"""
    )
    story.table(["votes", "minutes", "return, of the best"], rows)


def _rewards(story: Story, ice: GridWorld, fish: Array, last: Preferring) -> None:
    likeness = float(np.corrcoef(fish, last.reward)[0, 1])
    story.say(
        f"""The reward behind the votes, which the agent has never seen, and the one it guessed; the
        correlation is {likeness:.2f}. Zero and unit are a convention, votes do not tell them. Nor
        do they tell the light squares of a chess board from the dark ones: every clip of {CLIP}
        steps passes as many of the one as of the other."""
    )
    truth = plot.reward_map(ice, fish)
    story.picture("true-reward", truth, "What the human likes.")
    guess = plot.reward_map(ice, last.ensemble)
    story.picture("learned-reward", guess, "What the agent believes, and how far it is unsure.")


def _offline(story: Story, mdp: MDP, oracle: PreferenceOracle) -> None:
    """The ablation that the paper warns of, on a few seeds."""
    best, seeds = float(mdp.start @ policy_iteration(mdp).V), 2 if story.quick else 5
    shares = {}
    for name, online in (("in rounds", True), ("at the start", False)):
        worth = [
            expected_return(mdp, learn_from_preferences(
                mdp, oracle, queries=FEW, segment_length=CLIP, rounds=4, online=online, rng=rng
            ).policy)
            for rng in story.rng().spawn(seeds)
        ]  # fmt: skip
        shares[name] = 100 * float(np.mean(worth)) / best
    story.say(
        f"""The paper warns of asking everything at the start, about a policy that only wanders.
        With {FEW} votes, mean of {seeds} seeds: asked in rounds {shares["in rounds"]:.1f} per cent
        of the best, all at the start {shares["at the start"]:.1f}. On a sheet this small even a
        wanderer comes by every square."""
    )
