"""The third and the fourth lens: somebody acts, and may not see."""

from __future__ import annotations

import numpy as np

from gridrl import (
    expected_return,
    lost_penguin_world,
    penguin_world,
    plot,
    uniform_policy,
    value_iteration,
)
from gridrl.demo.story import Story
from gridrl.tables import Array

TITLE = "3. A decision process: the penguin chooses, the ice decides"


def tell(story: Story) -> None:
    """Slipping, three policies compared by their exact return, and the penguin that cannot see."""
    ice = penguin_world()
    mdp = ice.mdp(gamma=0.9)
    story.say(
        """Now the penguin means to go up, right, down or left. Half of the time it does; else it
        slides to one of the other neighbours, equally likely. Meaning to go right from square 6:"""
    )
    right, six = 1, ice.index(6)
    to = np.flatnonzero(mdp.P[six, right])
    story.table(
        ["to square", "probability"], [[mdp.labels[s], float(mdp.P[six, right, s])] for s in to]
    )
    story.say(
        """A policy says what to do in each square. Three of them, from square 1, by their exact
        expected return J and by simulation:"""
    )
    rows = []
    for name, policy in three_policies().items():
        G = mdp.under(policy).simulate(150, episodes=2000, rng=story.rng()).returns(0.9)
        rows.append([name, expected_return(mdp, policy), float(G.mean())])
    story.table(["policy", "J exactly", "mean of 2000"], rows)
    for name, policy in three_policies().items():
        file = name.split()[0]
        story.picture(f"policy-{file}", plot.policy(ice, policy), f"The {name} policy.")
    _lost(story)


def three_policies() -> dict[str, Array]:
    """An optimal policy, the one that is best at avoiding fish, and one that does not care."""
    mdp = penguin_world().mdp(gamma=0.9)
    return {
        "better (optimal)": value_iteration(mdp).policy,
        "poorer (avoids fish)": value_iteration(mdp.replace(R=-mdp.R)).policy,
        "stochastic (uniform)": uniform_policy(mdp),
    }


def _lost(story: Story) -> None:
    ice = lost_penguin_world()
    pomdp = ice.pomdp(gamma=0.9)
    story.say(
        f"""At last the penguin is lost: it sees only its own square and the one below, a dashed
        box. There are {pomdp.n_observations} different views, and square 3 looks exactly like
        square 9. Moving right leads from 3 to the hole (-2), and from 9 to the fish (+3)."""
    )
    ax = plot.observation(ice, ice.index(3))
    plot.observation(ice, ice.index(9), look_alikes=False, ax=ax)
    story.picture("lost", ax, "Two dashed boxes that look the same, and all squares that do.")
