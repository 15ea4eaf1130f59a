"""Worlds from other books, courses and libraries; each names its source.

Each maker returns a `GridWorld`, to be seen through any of the four lenses, or, where there is no
grid, the process itself (`.replace(gamma=...)` for another discount).
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import label

from gridrl.processes import MDP, POMDP, RewardProcess
from gridrl.tables import generator, number, whole
from gridrl.worlds.grid import GridWorld
from gridrl.worlds.slips import slip_sideways

FROZEN_LAKES = {
    4: "S...\n.H.H\n...H\nH..G",
    8: "S.......\n........\n...H....\n.....H..\n...H....\n.HH...H.\n.H..H.H.\n...H...G",
}


def frozen_lake(
    size: int | str = 4,
    success_rate: float = 1 / 3,
    *,
    frozen: float = 0.8,
    rng: int | np.random.Generator | None = 0,
) -> GridWorld:
    """Gymnasium's FrozenLake: +1 on reaching the goal, holes end the episode; slips sideways.

    Args:
        size: 4 and 8 are Gymnasium's maps; another number draws a map in which the goal can be
            reached; or the map itself as text, where F may stand for frozen, as in Gymnasium.
        success_rate: probability of moving as meant; else at right angles, half to each side.
        frozen: probability that a square of a drawn map is no hole.
        rng: seed of a drawn map.

    >>> frozen_lake().mdp(gamma=1)
    MDP(16 states (5 terminal), 4 actions, gamma=1)
    """
    if isinstance(size, str):
        text = size.replace("F", ".")
    else:
        n = whole(size, "size", least=2)
        text = FROZEN_LAKES.get(n) or _draw_lake(n, number(frozen, "frozen", 0, 1), rng)
    return GridWorld.from_text(
        text,
        rewards={"G": 1.0},
        terminal="HG",
        slip=slip_sideways(number(success_rate, "success_rate", 0, 1)),
        reward_on="arrive",
    )


def _draw_lake(n: int, frozen: float, rng: int | np.random.Generator | None) -> str:
    chance = generator(rng)
    for _ in range(1000):
        tiles = np.where(chance.random((n, n)) < frozen, ".", "H")
        tiles[0, 0], tiles[-1, -1] = "S", "G"
        lakes, _ = label(tiles != "H")  # connected parts of what is no hole
        if lakes[0, 0] == lakes[-1, -1]:
            return "\n".join(map("".join, tiles))
    raise ValueError(f"frozen must leave a way to the goal; none was found with {frozen:g}")


def russell_norvig_4x3(reward_on: str = "leave") -> GridWorld:
    """The 4 x 3 world of Russell & Norvig, fig. 17.1: 0.8 as meant, 0.1 to each side; gamma 1.

    Every square pays -0.04, the two exits +1 and -1. On "leave", the third edition's, the exits are
    ordinary states (of value +1 and -1, as printed) that lead to one end state; on "arrive" they
    are terminal, with value 0, and every other value is higher by the 0.04 of its own square.

    >>> world = russell_norvig_4x3()
    >>> world, world.labels[-1]
    (GridWorld(3 x 4, 12 states), 'end')
    """
    ends = {"terminal": "+-"} if reward_on == "arrive" else {"exits": "+-"}
    return GridWorld.from_text(
        "...+\n.#.-\nS...",
        rewards={".": -0.04, "S": -0.04, "+": 1.0, "-": -1.0},
        slip=slip_sideways(0.8),
        reward_on=reward_on,
        **ends,  # type: ignore[arg-type]
    )


def student() -> RewardProcess:
    """Silver's student: Facebook, three classes, the pub, and sleep in the end. gamma 1.

    [Silver 2015, lecture 2]

    >>> student().values().round(4)
    array([-22.5432, -12.5432,   1.4568,   4.321 ,   0.8025,  10.    ,   0.    ])
    """
    P = [
        [0.9, 0.1, 0, 0, 0, 0, 0],
        [0.5, 0, 0.5, 0, 0, 0, 0],
        [0, 0, 0, 0.8, 0, 0, 0.2],
        [0, 0, 0, 0, 0.4, 0.6, 0],
        [0, 0.2, 0.4, 0.4, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
    ]
    return RewardProcess(
        P,
        [-1, -2, -2, -2, 1, 10, 0],
        1.0,
        start=1,
        terminal=[False] * 6 + [True],
        labels=["Facebook", "Class 1", "Class 2", "Class 3", "Pub", "Pass", "Sleep"],
    )


def forest(states: int = 3, r1: float = 4.0, r2: float = 2.0, p: float = 0.1) -> MDP:
    """Wait or cut a forest that grows older by a year, unless it burns; gamma 0.9.

    Waiting in the oldest state pays `r1`; cutting pays 1, in the oldest state `r2`, in the youngest
    nothing; with probability `p` a fire sets a waiting forest back to the first state.
    [pymdptoolbox, example.forest]

    >>> forest().R
    array([[0., 0.],
           [0., 1.],
           [4., 2.]])
    """
    S, fire = whole(states, "states", least=2), number(p, "p", 0, 1)
    s = np.arange(S)
    P, R = np.zeros((S, 2, S)), np.zeros((S, 2))
    P[s, 0, np.minimum(s + 1, S - 1)] = 1 - fire
    P[:, 0, 0] += fire
    P[:, 1, 0] = 1
    R[-1, 0] = number(r1, "r1")
    R[1:, 1] = 1
    R[-1, 1] = number(r2, "r2")
    return MDP(P, R, 0.9, action_labels=["wait", "cut"])


def tiger() -> POMDP:
    """A tiger behind one of two doors: listen (-1, right 85 times in 100), or open one. gamma 0.95.

    +10 for the free door, -100 for the tiger's; then everything is as in the beginning. Nothing is
    heard before the first action. [Kaelbling, Littman & Cassandra 1998, sec. 5.1]

    >>> tiger()
    POMDP(2 states, 3 actions, 2 observations, gamma=0.95)
    """
    anew = np.full((2, 2), 0.5)
    P = np.stack([np.eye(2), anew, anew], axis=1)
    R = [[-1.0, -100.0, 10.0], [-1.0, 10.0, -100.0]]
    behind = MDP(
        P,
        R,
        0.95,
        labels=["tiger left", "tiger right"],
        action_labels=["listen", "open left", "open right"],
    )
    heard = np.stack([[[0.85, 0.15], [0.15, 0.85]], anew, anew])
    return POMDP(behind, heard, observation_labels=["hear left", "hear right"])


def random_mdp(
    S: int, A: int, *, rng: int | np.random.Generator | None = None, gamma: float = 0.9
) -> MDP:
    """Every row of P drawn evenly from all distributions, every R(s, a) from a standard normal.

    >>> random_mdp(4, 2, rng=0)
    MDP(4 states, 2 actions, gamma=0.9)
    """
    n, m = whole(S, "S", least=1), whole(A, "A", least=1)
    chance = generator(rng)
    P = chance.dirichlet(np.ones(n), size=(n, m))
    return MDP(P, chance.standard_normal((n, m)), gamma)
