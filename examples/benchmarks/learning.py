"""Q-learning updates a second: learners in lock-step against the loop of the textbook.

Both learn the same world with the same settings, side by side in one run; the figure to quote is
the ratio. What they learn is compared: the value of the start.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from gridrl import penguin_world, q_learning
from gridrl.processes import MDP
from gridrl.tables import Array
from gridrl.worlds import cliff_walking


def textbook(
    mdp: MDP, episodes: int, alpha: float, epsilon: float, steps: int
) -> tuple[Array, int]:
    """The book's box in plain Python, np.random.choice on a row of P."""
    rng, P, R = np.random.default_rng(0), np.asarray(mdp.P), mdp.R
    Q, updates = np.zeros(R.shape), 0
    for _ in range(episodes):
        s = rng.choice(len(P), p=mdp.start)
        for _ in range(steps):
            if mdp.terminal[s]:
                break
            ties = np.flatnonzero(Q[s] == Q[s].max())
            a = rng.integers(R.shape[1]) if rng.random() < epsilon else rng.choice(ties)
            s_next = rng.choice(len(P), p=P[s, a])
            Q[s, a] += alpha * (R[s, a] + mdp.gamma * Q[s_next].max() - Q[s, a])
            s, updates = s_next, updates + 1
    return Q, updates


def lockstep(
    mdp: MDP, episodes: int, alpha: float, epsilon: float, steps: int, runs: int | None
) -> tuple[Array, int]:
    """gridrl's learner."""
    film = q_learning.iterates(
        mdp, episodes=episodes, alpha=alpha, epsilon=epsilon, steps=steps, runs=runs, rng=0
    )
    updates = 0
    for snapshot in film:
        updates += int(snapshot.lengths.sum())
    return snapshot.Q, updates


def speed(learn: Callable[[], tuple[Array, int]]) -> tuple[float, Array]:
    """Updates a second, and what was learned."""
    started = time.perf_counter()
    Q, updates = learn()
    return updates / (time.perf_counter() - started), Q


def main() -> None:
    """Print a row for each world."""
    worlds = {"cliff": cliff_walking().mdp(gamma=1), "penguin": penguin_world().mdp(gamma=0.9)}
    print(f"{'world':10}{'textbook':>12}{'runs=None':>12}{'runs=1000':>12}{'ratio':>8}   V(start)")
    for name, mdp in worlds.items():
        settings = {"alpha": 0.5, "epsilon": 0.1, "steps": 200}
        plain, Q = speed(lambda mdp=mdp, s=settings: textbook(mdp, 300, **s))
        alone, _ = speed(lambda mdp=mdp, s=settings: lockstep(mdp, 300, runs=None, **s))
        many, Qs = speed(lambda mdp=mdp, s=settings: lockstep(mdp, 60, runs=1000, **s))
        start = int(mdp.start.argmax())
        values = f"{Q[start].max():.2f}, {np.median(Qs[:, start].max(axis=1)):.2f}"
        print(f"{name:10}{plain:12.0f}{alone:12.0f}{many:12.0f}{many / plain:8.0f}   {values}")


if __name__ == "__main__":
    main()
