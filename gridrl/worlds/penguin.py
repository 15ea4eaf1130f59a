"""The lecture's worlds: a penguin on a 4 x 4 sheet of ice."""

from __future__ import annotations

from gridrl.worlds.grid import GridWorld
from gridrl.worlds.slips import slip_to_neighbours
from gridrl.worlds.views import Window


def penguin_world(intended: float = 0.5) -> GridWorld:
    """The lecture's ice: fish on squares 4, 9 and 11 pay +1 on leaving; start on 1.  [Prince 2023]

    As a Markov process: equally likely to any neighbour, so 1/2, 1/3, 1/4 in a corner, at an edge,
    in the middle. As a decision process: up, right, down, left, as meant with probability
    `intended`, else to one of the other neighbours, equally likely; where the way is blocked,
    equally to any neighbour.

    >>> ice = penguin_world()
    >>> float(ice.markov_process().P[ice.index(6)].max()), ice.index(9)
    (0.25, 8)
    """
    return GridWorld.from_text(
        """
        S..F
        ....
        F.F.
        ....
        """,
        rewards={"F": 1.0},
        slip=slip_to_neighbours(intended),
    )


def lost_penguin_world(intended: float = 0.5) -> GridWorld:
    """The lecture's partially observable ice: a hole on 4 (-2), a fish on 10 (+3), paid on leaving.

    The penguin sees its own square and the one below, so square 3 looks exactly like square 9; but
    moving right leads to the hole from the one and to the fish from the other.  [Prince 2023]

    >>> pomdp = lost_penguin_world().pomdp(gamma=0.9)
    >>> pomdp.n_observations, bool((pomdp.O[2] == pomdp.O[8]).all())
    (5, True)
    """
    return GridWorld.from_text(
        """
        S..H
        ....
        .F..
        ....
        """,
        rewards={"H": -2.0, "F": 3.0},
        slip=slip_to_neighbours(intended),
        view=Window(),
    )
