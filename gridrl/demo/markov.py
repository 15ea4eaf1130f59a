"""The first lens: where the penguin goes when nobody decides."""

from __future__ import annotations

import numpy as np

from gridrl import penguin_world, plot
from gridrl.demo.story import Story

TITLE = "1. A Markov process: the penguin wanders"


def tell(story: Story) -> None:
    """Transition matrix, a walk, the period, the stationary distribution, hitting times."""
    ice = penguin_world()
    chain = ice.markov_process()
    story.say(
        """A penguin stands on a 4 x 4 sheet of ice. At each step it goes to a neighbouring square,
        every one equally likely: 1/2 in a corner, 1/3 at an edge, 1/4 in the middle. That is all a
        Markov process is: states, and the probability of the next one given this one."""
    )
    story.picture("world", plot.world(ice), "The world: fish on squares 4, 9 and 11.")
    story.say(
        "The slide's matrix has a column for each s_t and a row for each s_{t+1}; its corner:"
    )
    corner = [
        [str(s + 1), *(f"{p:.2f}" if p else "." for p in row)]
        for s, row in enumerate(chain.columns[:6, :6])
    ]
    story.table(["s_t+1 \\ s_t", *map(str, range(1, 7))], corner)
    story.picture("matrix", plot.transition_matrix(chain), "All of it: every column sums to one.")
    walk = [int(chain.labels[s]) for s in chain.simulate(8, rng=story.rng()).states]
    story.say(f"A walk from square 1, drawn by chance: {walk}. Another seed gives another walk.")
    _where_it_ends_up(story)


def _where_it_ends_up(story: Story) -> None:
    ice = penguin_world()
    chain = ice.markov_process()
    story.say(
        f"""Where is it after many steps? The chain has period {chain.period()}: like on a chess
        board, each step changes the colour of the square, so the powers of P swing for ever."""
    )
    rows = [
        [f"after {t} steps", *(float(chain.distribution(t)[ice.index(k)]) for k in (1, 2, 6))]
        for t in (100, 101, 1000, 1001)
    ]
    story.table(["probability of", "square 1", "square 2", "square 6"], rows)
    degree = np.rint(48 * chain.stationary()).astype(int)
    story.say(
        f"""The stationary distribution is solved for, not iterated to: corner {degree[0]}/48,
        edge {degree[1]}/48, middle {degree[5]}/48. Over time, that is where the penguin is."""
    )
    story.picture(
        "stationary", plot.belief(ice, chain.stationary()), "The stationary distribution."
    )
    times = chain.hitting_times([ice.index(k) for k in (4, 9, 11)])
    story.say(f"From square 1 it takes {times[0]:.2f} steps on average to reach a fish.")
