"""Worlds to be in: maps drawn in text, the lecture's penguin, and the classics of the field.

Reading order: `slips`, `views`, `grid`, `penguin`, then `sutton_barto` and
`classics`; `cassandra` reads and writes the field's files.
"""

from gridrl.worlds.cassandra import read_pomdp
from gridrl.worlds.cassandra_writer import write_pomdp
from gridrl.worlds.classics import (
    forest,
    frozen_lake,
    random_mdp,
    russell_norvig_4x3,
    student,
    tiger,
)
from gridrl.worlds.grid import GridWorld
from gridrl.worlds.penguin import lost_penguin_world, penguin_world
from gridrl.worlds.slips import no_slip, slip_anywhere, slip_sideways, slip_to_neighbours
from gridrl.worlds.sutton_barto import (
    bandit,
    cliff_walking,
    dyna_maze,
    gamblers_problem,
    maximisation_bias,
    random_walk,
    short_corridor,
    sutton_4x4,
    sutton_5x5,
    windy_gridworld,
)
from gridrl.worlds.views import Window

__all__ = [
    "GridWorld",
    "Window",
    "bandit",
    "cliff_walking",
    "dyna_maze",
    "forest",
    "frozen_lake",
    "gamblers_problem",
    "lost_penguin_world",
    "maximisation_bias",
    "no_slip",
    "penguin_world",
    "random_mdp",
    "random_walk",
    "read_pomdp",
    "russell_norvig_4x3",
    "short_corridor",
    "slip_anywhere",
    "slip_sideways",
    "slip_to_neighbours",
    "student",
    "sutton_4x4",
    "sutton_5x5",
    "tiger",
    "windy_gridworld",
    "write_pomdp",
]
