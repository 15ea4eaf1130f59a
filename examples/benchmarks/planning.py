"""Planning at scale: `solve` against the peers, on the same models, to the same tolerance.

Slippery lakes with holes of 10^2 to 10^6 states, random sparse models, FrozenLake maps. Every
answer is compared with ours: the largest difference of V stands beside the time. A method that
took over `PATIENCE` seconds is not asked for larger worlds. The figure to quote is the ratio to the
best peer. Peers that are not installed are left out (extra `bench`).

    python examples/benchmarks/planning.py [largest number of states] [picture.png]
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from scipy.sparse import csr_array, csr_matrix

from gridrl import MDP, GridWorld, SparseTransitions, plot
from gridrl.planning import solve
from gridrl.processes.transitions import stacked
from gridrl.tables import Array
from gridrl.worlds import frozen_lake, slip_to_neighbours

TOL, PATIENCE = 1e-6, 10.0
Solver = Callable[[MDP], Array]


def lake(n: int, gamma: float) -> MDP:
    """A slippery n x n lake: 5 % holes (-1), one goal (+1)."""
    tiles = np.where(np.random.default_rng(0).random((n, n)) < 0.05, "H", ".")
    tiles[0, 0], tiles[-1, -1] = "S", "G"
    text = "\n".join("".join(row) for row in tiles)
    world = GridWorld.from_text(
        text, rewards={"G": 1.0, "H": -1.0}, terminal="GH", reward_on="arrive",
        slip=slip_to_neighbours(0.8),
    )  # fmt: skip
    return world.mdp(gamma)


def scattered(S: int, gamma: float, *, A: int = 4, followers: int = 5) -> MDP:
    """A random sparse model: each pair leads to a few states anywhere."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(followers), size=S * A)
    rows = np.repeat(np.arange(S * A), followers)
    matrix = csr_array((p.ravel(), (rows, rng.integers(S, size=rows.size))), shape=(S * A, S))
    return MDP(SparseTransitions(matrix, A), rng.random((S, A)), gamma)


def quantecon(mdp: MDP, method: str) -> Array:
    """QuantEcon's DiscreteDP on pairs (s, a); its tolerance, too, is on |V - V*|."""
    from quantecon.markov import DiscreteDP

    S, A = mdp.R.shape
    pairs = np.repeat(np.arange(S), A), np.tile(np.arange(A), S)
    problem = DiscreteDP(mdp.R.ravel(), csr_matrix(stacked(mdp.P)), mdp.gamma, *pairs)
    return problem.solve(method=method, epsilon=2 * TOL, max_iter=10**6).v


def mdptoolbox(mdp: MDP) -> Array:
    """pymdptoolbox's modified policy iteration."""
    from mdptoolbox.mdp import PolicyIterationModified

    A = mdp.n_actions
    P = [csr_matrix(stacked(mdp.P)[a::A]) for a in range(A)]
    problem = PolicyIterationModified(P, mdp.R, mdp.gamma, epsilon=TOL, max_iter=10**5)
    problem.run()
    return np.array(problem.V)


def aima(mdp: MDP) -> Array:
    """Value iteration in plain Python, dictionaries and loops, as in the AIMA code."""
    matrix, S, A = stacked(mdp.P), *mdp.R.shape
    ahead = [
        list(zip(matrix.indices[i:j].tolist(), matrix.data[i:j].tolist(), strict=True))
        for i, j in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)
    ]
    V, R, gamma = dict.fromkeys(range(S), 0.0), mdp.R.tolist(), mdp.gamma
    while True:
        old, delta = V.copy(), 0.0
        for s in range(S):
            V[s] = max(
                R[s][a] + gamma * sum(p * old[n] for n, p in ahead[s * A + a]) for a in range(A)
            )
            delta = max(delta, abs(V[s] - old[s]))
        if delta * gamma / (1 - gamma) <= TOL:
            return np.array(list(V.values()))


PEERS: dict[str, Solver] = {
    "quantecon vi": partial(quantecon, method="value_iteration"),
    "quantecon pi": partial(quantecon, method="policy_iteration"),
    "quantecon mpi": partial(quantecon, method="modified_policy_iteration"),
    "pymdptoolbox": mdptoolbox,
    "plain python": aima,
}


def models(most: int) -> Iterator[tuple[str, float, MDP]]:
    """What is solved: a name, gamma and the model."""
    for gamma in (0.9, 0.99, 0.999, 0.9999):
        for n in (10, 32, 100, 316, 1000):
            if n * n <= most:
                yield "lake", gamma, lake(n, gamma)
        for S in (1000, 100_000):
            if S <= most:
                yield "random", gamma, scattered(S, gamma)
        yield "FrozenLake 8 x 8", gamma, frozen_lake(8).mdp(gamma)


def timed(solver: Solver, mdp: MDP) -> tuple[float, Array]:
    """Seconds, and V."""
    started = time.perf_counter()
    V = solver(mdp)
    return time.perf_counter() - started, V


def bandwidth(mdp: MDP) -> float:
    """Seconds that one product P @ V takes at the least: its bytes at the speed of a copy."""
    matrix = stacked(mdp.P)
    size = matrix.data.nbytes + matrix.indices.nbytes + 8 * sum(matrix.shape)
    block = np.ones(max(size // 16, 10**6))
    started = time.perf_counter()
    block.copy()
    return (time.perf_counter() - started) * size / (2 * block.nbytes)


def compare(mdp: MDP, slow: dict[str, float]) -> tuple[dict[str, float], float]:
    """Seconds of everybody who is still asked, and the largest difference to our V."""
    seconds, V = timed(lambda model: solve(model, tol=TOL).V, mdp)
    found, worst = {"gridrl": seconds}, 0.0
    for name, peer in PEERS.items():
        if slow.get(name, 0.0) > PATIENCE:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found[name], theirs = timed(peer, mdp)
        except (ImportError, MemoryError, AssertionError, ValueError):
            continue
        slow[name] = 10 * found[name]  # the next world is ten times larger
        worst = max(worst, float(np.abs(theirs - V).max()))
    return found, worst


def main() -> None:
    """Print a row for each model; draw time against states."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    heads = ["gridrl", *PEERS]
    print(f"{'model':17}{'gamma':>7}{'states':>9}" + "".join(f"{h:>15}" for h in heads)
          + f"{'best peer':>11}{'products':>10}{'floor':>9}{'|dV|':>10}")  # fmt: skip
    compare(frozen_lake().mdp(gamma=0.9), {})  # what is compiled when first called
    slow: dict[tuple[str, float], dict[str, float]] = {}
    curves: dict[str, list[dict[str, float]]] = {}
    for name, gamma, mdp in models(most):
        found, worst = compare(mdp, slow.setdefault((name, gamma), {}))
        peers = [found[peer] for peer in PEERS if peer in found]
        ratio = f"{min(peers) / found['gridrl']:.1f}" if peers else "-"
        cells = "".join(f"{found[h]:15.4f}" if h in found else f"{'-':>15}" for h in heads)
        products = solve(mdp, tol=TOL).products
        floor = products * bandwidth(mdp)
        print(f"{name:17}{gamma:7}{mdp.n_states:9}{cells}{ratio:>11}{products:10.0f}"
              f"{floor:9.4f}{worst:10.1e}", flush=True)  # fmt: skip
        if name == "lake":
            point = {"states": float(mdp.n_states), "seconds": found["gridrl"]}
            curves.setdefault(f"gamma = {gamma}", []).append(point)
    axes = plot.curves(curves, "states", "seconds")
    axes.set_xscale("log")
    axes.figure.savefig(sys.argv[2] if len(sys.argv) > 2 else "planning.png")


if __name__ == "__main__":
    main()
