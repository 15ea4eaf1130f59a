"""The worlds of Sutton & Barto, Reinforcement Learning: An Introduction (2nd edition, 2018).

Each maker returns a `GridWorld`, to be seen through any of the four lenses, or, where there is no
grid, the process itself. Moves are up, right, down, left, none slips; gamma is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from gridrl.processes import MDP, RewardDistribution, arrive
from gridrl.tables import Indices, number, table, whole
from gridrl.worlds.grid import GridWorld
from gridrl.worlds.maps import MOVES, Move
from gridrl.worlds.slips import no_slip

LEFT_RIGHT: Mapping[str, Move] = {"left": (0, -1), "right": (0, 1)}
KINGS_MOVES: Mapping[str, Move] = {
    "up": (-1, 0), "up right": (-1, 1), "right": (0, 1), "down right": (1, 1),
    "down": (1, 0), "down left": (1, -1), "left": (0, -1), "up left": (-1, -1),
}  # fmt: skip


def sutton_5x5() -> GridWorld:
    """Example 3.5: from A to A' for +10, from B to B' for +5, off the grid -1 and stay.

    >>> float(sutton_5x5().mdp(gamma=0.9).R[1, 0])
    10.0
    """
    world = GridWorld.from_text(".A.B.\n.....\n.....\n.....\n.....", rewards={"A": 10, "B": 5})
    jumps, fees = world.landing.copy(), np.where(world.open_ways, 0.0, -1.0)
    for here, there in {"2": "22", "4": "14"}.items():
        jumps[world.index(here)], fees[world.index(here)] = world.index(there), 0.0
    return world.replace(jumps=jumps, fees=fees, slip=no_slip())


def sutton_4x4() -> GridWorld:
    """Example 4.1: two terminal corners, -1 for every step.

    >>> sutton_4x4().mdp(gamma=1).under(np.full((16, 4), 0.25)).values()[:4].round(6)
    array([  0., -14., -20., -22.])
    """
    return GridWorld.from_text(
        "G...\n....\n....\n...G", rewards={".": -1.0}, terminal="G", slip=no_slip()
    )


def random_walk(n: int = 5, *, left: float = 0.0, right: float = 1.0) -> GridWorld:
    """Example 6.2: `n` squares between two ends, started in the middle; `right` paid at one end.

    Example 7.1 is `random_walk(19, left=-1)`. The walk itself is `.reward_process(gamma=1)`, or
    `.mdp(gamma=1)` under the uniform policy.

    >>> random_walk().reward_process(gamma=1).values()[1:-1].round(4)
    array([0.1667, 0.3333, 0.5   , 0.6667, 0.8333])
    """
    middle = (whole(n, "n", least=1) - 1) // 2
    text = "L" + "." * middle + "S" + "." * (n - 1 - middle) + "R"
    return GridWorld.from_text(
        text,
        rewards={"L": left, "R": right},
        terminal="LR",
        slip=no_slip(),
        reward_on="arrive",
        moves=LEFT_RIGHT,
    )


def windy_gridworld(kings_moves: bool = False) -> GridWorld:
    """Example 6.5: the wind blows up by 0 0 0 1 1 1 2 2 1 0, by column; -1 a step. Exercise 6.9.

    The best way takes 15 steps, 7 with `kings_moves` (the eight of chess).

    >>> windy_gridworld(kings_moves=True).mdp(gamma=1)
    MDP(70 states (1 terminal), 8 actions, gamma=1)
    """
    wind = (0, 0, 0, 1, 1, 1, 2, 2, 1, 0)
    text = "\n".join(["." * 10] * 3 + ["S......G.."] + ["." * 10] * 3)
    world = GridWorld.from_text(
        text,
        rewards={".": -1.0, "S": -1.0},
        terminal="G",
        slip=no_slip(),
        moves=KINGS_MOVES if kings_moves else MOVES,
    )
    rows, columns = world.shape
    jumps = np.empty((world.n_states, len(world.moves)), np.intp)
    for s, (row, column) in enumerate(world.positions):
        for d, (down, right) in enumerate(world.moves.values()):
            r = np.clip(row + down - wind[column], 0, rows - 1)
            jumps[s, d] = r * columns + np.clip(column + right, 0, columns - 1)
    return world.replace(jumps=jumps)


def cliff_walking() -> GridWorld:
    """Example 6.6: -1 a step; off the cliff -100 and back to the start, the episode goes on.

    The cliff's squares are no states: nobody stands there. Undiscounted; the best way pays -13.

    >>> cliff_walking().mdp(gamma=1)
    MDP(38 states (1 terminal), 4 actions, gamma=1)
    """
    world = GridWorld.from_text(
        "............\n............\n............\nSCCCCCCCCCCG",
        rewards={".": -1.0, "S": -1.0},
        terminal="G",
        walls="#C",
        slip=no_slip(),
    )
    jumps, fees = world.landing.copy(), np.zeros((world.n_states, 4))
    for s, (row, column) in enumerate(world.positions):
        for d, (down, right) in enumerate(MOVES.values()):
            r, c = row + down, column + right
            if 0 <= r < 4 and 0 <= c < 12 and world.tiles[r, c] == "C":
                jumps[s, d], fees[s, d] = world.index("37"), -99.0  # with the step's own -1
    fees[world.index("48")] = 0
    return world.replace(jumps=jumps, fees=fees)


def dyna_maze() -> GridWorld:
    """Figure 8.2: a 6 x 9 maze, +1 on reaching the goal; the book's gamma is 0.95.

    >>> dyna_maze()
    GridWorld(6 x 9, 47 states)
    """
    return GridWorld.from_text(
        """
        .......#G
        ..#....#.
        S.#....#.
        ..#......
        .....#...
        .........
        """,
        rewards={"G": 1.0},
        terminal="G",
        slip=no_slip(),
        reward_on="arrive",
    )


def short_corridor() -> GridWorld:
    """Example 13.1: three squares that look alike, in the second left is right; -1 a step.

    One is blind (`view` is empty): `.pomdp(gamma=1)` has one observation. The best policy that
    cannot tell the squares apart goes right with probability 2 - sqrt 2, about 0.59, worth -11.66.

    >>> short_corridor().pomdp(gamma=1)
    POMDP(4 states, 2 actions, 1 observations, gamma=1)
    """
    world = GridWorld.from_text(
        "S..G",
        rewards={".": -1.0, "S": -1.0},
        terminal="G",
        slip=no_slip(),
        view=(),
        moves=LEFT_RIGHT,
    )
    jumps = world.landing.copy()
    jumps[1] = jumps[1, ::-1]
    return world.replace(jumps=jumps)


def gamblers_problem(p_heads: float = 0.4) -> MDP:
    """Example 4.3: stake 1 to 50 of one's capital 0 .. 100 on heads; +1 on reaching 100; gamma 1.

    Action a stakes a + 1; a stake above min(s, 100 - s), which is not to be had, is a copy of that
    largest one. (The book also allows a stake of 0, which never ends.)

    >>> gamblers_problem()
    MDP(101 states (2 terminal), 50 actions, gamma=1)
    """
    p, capital = number(p_heads, "p_heads", 0, 1), np.arange(101)
    stake = np.minimum(np.arange(1, 51), np.minimum(capital, 100 - capital)[:, None])  # (S, A)
    P = np.zeros((101, 50, 101))
    s, a = np.indices(stake.shape)
    np.add.at(P, (s, a, capital[:, None] + stake), p)
    np.add.at(P, (s, a, capital[:, None] - stake), 1 - p)
    return MDP(
        P,
        arrive(capital == 100),
        1.0,
        terminal=(capital == 0) | (capital == 100),
        labels=list(range(101)),
        action_labels=[f"stake {k}" for k in range(1, 51)],
    )


def maximisation_bias(actions: int = 10) -> MDP:
    """Example 6.7: right from A ends; left leads to B, whose actions pay -0.1 on average. gamma 1.

    The book draws from a normal distribution of mean -0.1 and variance 1; here a coin pays -1.1 or
    +0.9, with the same mean and variance. B has `actions` actions, an even number; in A the first
    half of them are copies of left, the others of right.

    >>> round(float(maximisation_bias().R[1, 0]), 6)
    -0.1
    """
    n = whole(actions, "actions", least=2)
    if n % 2:
        raise ValueError(f"actions must be even, half of them go left from A; it is {n}")
    P = np.zeros((3, n, 3))
    P[0, : n // 2, 1] = P[0, n // 2 :, 2] = P[1, :, 2] = P[2, :, 2] = 1
    probs = np.tile([0.0, 1.0, 0.0], (3, n, 1))
    probs[1] = 0.5, 0.0, 0.5
    return MDP(
        P,
        RewardDistribution(np.array([-1.1, 0.0, 0.9]), probs),
        1.0,
        start=0,
        terminal=[False, False, True],
        labels=["A", "B", "end"],
        action_labels=[f"left {k + 1}" if k < n // 2 else f"right {k + 1}" for k in range(n)],
    )


def bandit(means: ArrayLike, *, noise: float = 1.0) -> MDP:
    """Section 2.3: a one-state process, an arm an action, each pull a step; gamma 0.

    Arm a pays means[a] - noise or means[a] + noise, with probability 1/2 each: `noise` is the
    standard deviation (the book draws from a normal distribution); with noise 0, means[a].

    >>> bandit([0.1, 0.5]).R
    array([[0.1, 0.5]])
    """
    mu = table(means, "means")
    if mu.ndim != 1 or not len(mu):
        raise ValueError(f"means must have shape (A,), one an arm; it has {mu.shape}")
    spread = number(noise, "noise", 0)
    arms: Indices = np.arange(len(mu))
    probs = np.zeros((1, len(mu), 2 * len(mu)))
    probs[0, arms, arms] = probs[0, arms, arms + len(mu)] = 0.5
    coins = RewardDistribution(np.concatenate([mu - spread, mu + spread]), probs)
    return MDP(np.ones((1, len(mu), 1)), coins, 0.0, labels=["bandit"])
