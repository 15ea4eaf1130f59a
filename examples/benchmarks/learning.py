"""Q-learning updates a second: learners in lock-step against the loop of the textbook.

All learn the same world with the same settings, side by side in one run; the figures to quote are
the ratios. What they learn is compared: the value of the start. With numba (extra `bench`) the same
loop, compiled, stands beside. Then the memory that many runs take.
"""

from __future__ import annotations

import functools
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from gridrl import GridWorld, penguin_world, q_learning
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


def compiled(
    mdp: MDP, episodes: int, alpha: float, epsilon: float, steps: int
) -> tuple[Array, int] | None:
    """The same loop, compiled; None without numba."""
    try:
        import numba
    except ImportError:
        return None
    tables = (np.asarray(mdp.P).cumsum(axis=2), mdp.R, mdp.start.cumsum(), np.array(mdp.terminal))
    loop = _jitted(numba)
    return loop(*tables, mdp.gamma, episodes, alpha, epsilon, steps)


@functools.cache
def _jitted(numba: Any) -> Any:
    # ruff: noqa: NPY002 - numba knows the old generator only
    @numba.njit
    def loop(edges, R, first, terminal, gamma, episodes, alpha, epsilon, steps):  # type: ignore
        Q, updates, A = np.zeros(R.shape), 0, R.shape[1]
        for _ in range(episodes):
            s = np.searchsorted(first, np.random.random(), side="right")
            for _ in range(steps):
                if terminal[s]:
                    break
                ties = np.flatnonzero(Q[s] == Q[s].max())
                a = ties[np.random.randint(len(ties))]
                if np.random.random() < epsilon:
                    a = np.random.randint(A)
                s_next = min(np.searchsorted(edges[s, a], np.random.random(), "right"), len(R) - 1)
                Q[s, a] += alpha * (R[s, a] + gamma * Q[s_next].max() - Q[s, a])
                s, updates = s_next, updates + 1
        return Q, updates

    return loop


def speed(learn: Callable[[], tuple[Array, int]]) -> tuple[float, Array]:
    """Updates a second, and what was learned."""
    started = time.perf_counter()
    Q, updates = learn()
    return updates / (time.perf_counter() - started), Q


def compare(mdp: MDP, name: str) -> None:
    """Print a world's row."""
    settings: Any = {"alpha": 0.5, "epsilon": 0.1, "steps": 200}
    plain, Q = speed(lambda: textbook(mdp, 300, **settings))
    alone, _ = speed(lambda: lockstep(mdp, 300, runs=None, **settings))
    many, Qs = speed(lambda: lockstep(mdp, 100, runs=1000, **settings))
    start, fast = int(mdp.start.argmax()), "-"
    values = f"{Q[start].max():.2f}, {np.median(Qs[:, start].max(axis=1)):.2f}"
    if compiled(mdp, 1, **settings) is not None:
        numba, found = speed(lambda: compiled(mdp, 20_000, **settings) or (Q, 0))
        fast, values = f"{many / numba:.2f}", f"{values}, {found[start].max():.2f}"
    print(
        f"{name:9}{plain:12,.0f}{alone:12,.0f}{many:12,.0f}{many / plain:12.0f}"
        f"{alone / plain:12.2f}{fast:>12}   {values}"
    )


def memory() -> None:
    """Print what runs of Q-learning take at their peak, Q itself and in all."""
    world = GridWorld.from_text("\n".join(["S.........", *["." * 10] * 8, ".........F"]))
    mdp = world.mdp(gamma=0.9)
    print(f"\n{'runs':>7}{'states':>8}{'Q, MB':>10}{'peak, MB':>10}   (a 100-state world)")
    for runs in (100, 1000, 10_000):
        tracemalloc.start()
        learned = q_learning(mdp, episodes=2, steps=20, runs=runs, rng=0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"{runs:7}{mdp.n_states:8}{learned.Q.nbytes / 1e6:10.1f}{peak / 1e6:10.1f}")


def main() -> None:
    """Print a row for each world, then the memory table."""
    print(
        f"{'world':9}{'textbook':>12}{'runs=None':>12}{'runs=1000':>12}"
        f"{'1000/text':>12}{'None/text':>12}{'1000/numba':>12}   V(start)"
    )
    compare(cliff_walking().mdp(gamma=1), "cliff")
    compare(penguin_world().mdp(gamma=0.9), "penguin")
    memory()


if __name__ == "__main__":
    main()
