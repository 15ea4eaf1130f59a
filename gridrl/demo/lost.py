"""The lost penguin: what one can do who does not see where one is."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from gridrl import (
    belief_bounds,
    belief_filter,
    best_memoryless_policy,
    expected_return,
    incremental_pruning,
    lost_penguin_world,
    plot,
    policy_iteration,
    rollout,
)
from gridrl.demo.story import Story
from gridrl.tables import Array
from gridrl.worlds import GridWorld, tiger

TITLE = "7. The lost penguin: acting on beliefs"


def tell(story: Story) -> None:
    """Look-alike squares, the worth of a coin and of memory, a filter at work, the tiger."""
    lost = lost_penguin_world()
    story.say(
        """The lost penguin sees its own square and the one below. Squares 3 and 9 look the same,
        but a step to the right leads to the hole from the one and to the fish from the other."""
    )
    box = plot.observation(lost, lost.index(3))
    story.picture("look-alikes", box, "The dashed box, and all squares that look the same.")
    story.say(
        """What is it worth? Always the same where it looks the same (all policies tried); with a
        coin (the best found); with a memory (a certified interval); with open eyes:"""
    )
    rows = [_worth(slip, story.seed) for slip in ((0.5,) if story.quick else (0.5, 0.8))]
    story.table(["intended", "the same", "a coin", "memory, at least", "at most", "seeing"], rows)
    _filter(story, lost)
    doors = incremental_pruning(tiger(), tol=1e-3)
    vectors = plot.alpha_vectors(doors)
    story.picture("tiger", vectors, "The tiger behind one of two doors: a plane for each plan.")


def _worth(slip: float, seed: int) -> list[float]:
    pomdp = lost_penguin_world(slip).pomdp(gamma=0.9)
    fixed = best_memoryless_policy(pomdp, stochastic=False)
    coin = best_memoryless_policy(pomdp, stochastic=True, rng=seed)
    memory = belief_bounds(pomdp, tol=1e-2)
    seeing = expected_return(pomdp.mdp, policy_iteration(pomdp.mdp).policy)
    return [slip, fixed.value, coin.value, memory.lower, memory.upper, seeing]


def _filter(story: Story, lost: GridWorld) -> None:
    pomdp = lost.pomdp(gamma=0.9)
    policy = best_memoryless_policy(pomdp, stochastic=False).policy
    walk = rollout(pomdp, policy, episodes=1, steps=12, rng=story.seed)[0]
    beliefs = belief_filter(pomdp, walk.actions, np.asarray(walk.observations))
    right = float(np.mean(beliefs[np.arange(len(beliefs)), walk.states]))
    story.say(
        f"""A belief sums up all that was seen and done. On a walk of 12 steps the filter believed
        in the penguin's true square with {100 * right:.0f} per cent on average:"""
    )

    acts = ["start", *(pomdp.action_labels[a] for a in walk.actions)]
    titles = [f"t = {t}: {act}" for t, act in enumerate(acts)]
    moments = list(zip(beliefs, walk.states.tolist(), strict=True))
    film = plot.animate(lost, moments, draw=_moment, titles=titles)
    story.film("belief", film, "Where the penguin may be, where it is, and what it sees.")


def _moment(world: GridWorld, moment: tuple[Array, int], ax: Axes) -> None:
    b, s = moment
    plot.belief(world, b, at=s, ax=ax)
