"""The second lens: what the walk is worth."""

from __future__ import annotations

import numpy as np

from gridrl import discounted_return, interleave, penguin_world, plot
from gridrl.demo.story import Story

TITLE = "2. A reward process: some walks are worth more"

SLIDE_PATH = (1, 2, 6, 10, 9, 10, 11, 15)
SLIDE_RETURNS = (1.19, 1.31, 1.47)


def tell(story: Story) -> None:
    """The slide's trajectory and returns, the two conventions, and the value of each square."""
    ice = penguin_world()
    process = ice.reward_process(gamma=0.9)
    states = [ice.index(label) for label in SLIDE_PATH]
    rewards = process.R[states]
    story.say(
        """A fish is worth 1, paid on leaving its square. With it the slide's trajectory reads
        state, reward, state, reward:"""
    )
    story.board(str(interleave(SLIDE_PATH, rewards)))
    story.picture("path", plot.trajectory(ice, states), "The slide's trajectory.")
    story.say("The return G_t adds up what comes after time t, discounted by gamma = 0.9 a step:")
    rows = [
        [f"G_{t + 1}", float(discounted_return(rewards[t:], 0.9)), f"{slide:.2f}"]
        for t, slide in enumerate(SLIDE_RETURNS)
    ]
    story.table(["", "computed", "on the slide"], rows)
    story.say("(G_2 is 0.9^3 + 0.9^5 = 1.31949, which rounds to 1.32: the slide cuts it off.)")
    _worth(story)


def _worth(story: Story) -> None:
    ice = penguin_world()
    process = ice.reward_process(gamma=0.9)
    V = process.values()
    story.say(
        """The value V(s) is the expected return from s. It solves V = R + gamma P V, sixteen linear
        equations: no simulation is needed. But a simulation must agree:"""
    )
    episodes = 2000 if story.quick else 20_000
    drawn = process.replace(start=ice.index(1)).simulate(150, episodes=episodes, rng=story.rng())
    G = drawn.returns(0.9)
    error = 1.96 * G.std() / np.sqrt(episodes)
    story.table(
        ["V(1)", "value"],
        [
            ["by linear algebra", float(V[ice.index(1)])],
            [f"mean of {episodes} walks", f"{G.mean():.3f} +- {error:.3f}"],
        ],
    )
    story.picture("values", plot.values(ice, V), "The value of each square of a wandering penguin.")
    on_arrival = ice.replace(reward_on="arrive").reward_process(gamma=0.9).values()
    story.say(
        f"""Paid on arriving instead of on leaving, square 1 is worth {on_arrival[0]:.3f}: the same
        fish, counted one step earlier. V_leave(s) = R(s) + gamma V_arrive(s), to
        {np.abs(V - process.R - 0.9 * on_arrival).max():.0e}."""
    )
