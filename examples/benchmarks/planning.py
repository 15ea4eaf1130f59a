"""Planning at scale: `solve` against the peers, on the same models, to the same tolerance.

Slippery grids of 10^2 to 10^6 states: a lake, where holes and the goal end an episode, and ice,
where one pays and goes on for ever; random sparse models; FrozenLake maps. What is timed is the
solving, not the building of a peer's model. Every answer is compared with ours: a star marks one
that is off by more than ten times the tolerance, and such a peer is not the best. A method that
would take over `PATIENCE` seconds, as far as smaller worlds tell, is not asked. The figure to quote
is the ratio to the best peer. Peers that are not installed are left out (extra `bench`).

    python examples/benchmarks/planning.py [largest number of states] [picture.png]
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.sparse import csr_array, csr_matrix

from gridrl import MDP, GridWorld, SparseTransitions, plot
from gridrl.planning import solve
from gridrl.processes.transitions import stacked
from gridrl.tables import Array
from gridrl.worlds import frozen_lake, slip_to_neighbours

TOL, PATIENCE = 1e-6, 20.0
GROWTH = {"quantecon pi": 2.0, "pymdptoolbox": 2.5}  # seconds against states; the others: 1
Solver = Callable[[], Array]


def lake(n: int, gamma: float, *, ends: str = "GH") -> MDP:
    """A slippery n x n lake: 5 % holes (-1), one goal (+1), which end an episode or not."""
    tiles = np.where(np.random.default_rng(0).random((n, n)) < 0.05, "H", ".")
    tiles[0, 0], tiles[-1, -1] = "S", "G"
    text = "\n".join("".join(row) for row in tiles)
    world = GridWorld.from_text(
        text, rewards={"G": 1.0, "H": -1.0}, terminal=ends, reward_on="arrive",
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


def quantecon(mdp: MDP, method: str) -> Solver:
    """QuantEcon's DiscreteDP on pairs (s, a); its tolerance, too, is on |V - V*|.

    Its policy iteration may go round among actions that are equally good: it gets 100 turns.
    """
    from quantecon.markov import DiscreteDP

    S, A = mdp.R.shape
    pairs = np.repeat(np.arange(S), A), np.tile(np.arange(A), S)
    problem = DiscreteDP(mdp.R.ravel(), csr_matrix(stacked(mdp.P)), mdp.gamma, *pairs)
    turns = 100 if method == "policy_iteration" else 10**6
    return lambda: problem.solve(method=method, epsilon=2 * TOL, max_iter=turns).v


def mdptoolbox(mdp: MDP) -> Solver:
    """pymdptoolbox's modified policy iteration."""
    from mdptoolbox.mdp import PolicyIterationModified

    A = mdp.n_actions
    P = [csr_matrix(stacked(mdp.P)[a::A]) for a in range(A)]
    problem = PolicyIterationModified(P, mdp.R, mdp.gamma, epsilon=TOL, max_iter=10**5)

    def run() -> Array:
        problem.run()
        return np.array(problem.V)

    return run


def neighbours(mdp: MDP) -> tuple[list[list[list[int]]], list[list[list[float]]]]:
    """Lists of who may follow each (s, a), and with what probability."""
    matrix, S, A = stacked(mdp.P), *mdp.R.shape
    ends = matrix.indptr[1:-1]
    who, how = (np.split(x, ends) for x in (matrix.indices, matrix.data))
    return tuple(  # type: ignore[return-value]
        [[rows[s * A + a].tolist() for a in range(A)] for s in range(S)] for rows in (who, how)
    )


def mdpsolver(mdp: MDP, algorithm: str) -> Solver:
    """mdpsolver, in C++; its model is made of lists."""
    import mdpsolver as peer

    who, how = neighbours(mdp)
    model = peer.model()
    model.mdp(discount=mdp.gamma, rewards=mdp.R.tolist(), tranMatColumns=who, tranMatProbs=how)

    def run() -> Array:
        model.solve(algorithm=algorithm, tolerance=TOL, update="standard")
        return np.array(model.getValueVector())

    return run


def aima(mdp: MDP) -> Solver:
    """Value iteration in plain Python, dictionaries and loops, as in the AIMA code."""
    (who, how), (S, A), R, gamma = neighbours(mdp), mdp.R.shape, mdp.R.tolist(), mdp.gamma
    ahead = [[list(zip(who[s][a], how[s][a], strict=True)) for a in range(A)] for s in range(S)]

    def run() -> Array:
        V, delta = dict.fromkeys(range(S), 0.0), np.inf
        while delta * gamma / (1 - gamma) > TOL:
            old, delta = V.copy(), 0.0
            for s in range(S):
                V[s] = max(
                    R[s][a] + gamma * sum(p * old[n] for n, p in ahead[s][a]) for a in range(A)
                )
                delta = max(delta, abs(V[s] - old[s]))
        return np.array(list(V.values()))

    return run


PEERS: dict[str, Callable[[MDP], Solver]] = {
    "quantecon vi": partial(quantecon, method="value_iteration"),
    "quantecon pi": partial(quantecon, method="policy_iteration"),
    "quantecon mpi": partial(quantecon, method="modified_policy_iteration"),
    "pymdptoolbox": mdptoolbox,
    "mdpsolver": partial(mdpsolver, algorithm="mpi"),
    "plain python": aima,
}


def models(most: int) -> Iterator[tuple[str, float, MDP]]:
    """What is solved: a name, gamma and the model."""
    for gamma in (0.9, 0.99, 0.999, 0.9999):
        for n in (10, 32, 100, 316, 1000):
            if n * n <= most:
                yield "lake", gamma, lake(n, gamma)
                yield "ice", gamma, lake(n, gamma, ends="")
        for S in (1000, 100_000):
            if S <= most:
                yield "random", gamma, scattered(S, gamma)
        yield "FrozenLake 8 x 8", gamma, frozen_lake(8).mdp(gamma)


def timed(solver: Solver) -> tuple[float, Array]:
    """Seconds, and V."""
    started = time.perf_counter()
    V = solver()
    return time.perf_counter() - started, V


def bandwidth(mdp: MDP) -> float:
    """Seconds that one product P @ V takes at the least: its bytes at the speed of a copy."""
    matrix = stacked(mdp.P)
    size = matrix.data.nbytes + matrix.indices.nbytes + 8 * sum(matrix.shape)
    block, into = np.ones(4 * 10**6), np.zeros(4 * 10**6)
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        np.copyto(into, block)
        seconds.append(time.perf_counter() - started)
    return min(seconds) * size / (2 * block.nbytes)


@dataclass
class Row:
    """Seconds of everybody who was asked, how far off each is, and our work."""

    seconds: dict[str, float]
    off: dict[str, float]
    products: float

    @property
    def ratio(self) -> float:
        """How many times as long as ours the best right peer took."""
        right = [t for name, t in self.seconds.items() if self.off.get(name, np.inf) <= 10 * TOL]
        return min(right, default=np.nan) / self.seconds["gridrl"]

    def cell(self, name: str) -> str:
        """The seconds, with a star where the answer is wrong."""
        if name not in self.seconds:
            return f"{'-':>15}"
        return f"{self.seconds[name]:14.4f}" + " *"[self.off.get(name, 0.0) > 10 * TOL]


History = dict[str, dict[tuple[float, int], float]]  # seconds of each, by gamma and states


def expected(seconds: dict[tuple[float, int], float], mdp: MDP, growth: float) -> float:
    """Seconds, as far as smaller models tell, or a smaller gamma: five times as long is a step."""
    same = [(S, t) for (gamma, S), t in seconds.items() if gamma == mdp.gamma]
    size = [t * (mdp.n_states / S) ** growth for S, t in same[-1:]]
    step = [5 * t for (gamma, S), t in seconds.items() if S == mdp.n_states and gamma < mdp.gamma]
    return max(size + step[-1:], default=0.0)


def compare(mdp: MDP, before: History) -> Row:
    """Ask everybody who is not likely to be too slow."""
    started = time.perf_counter()
    ours = solve(mdp, tol=TOL)
    row = Row({"gridrl": time.perf_counter() - started}, {}, ours.products)
    for name, peer in PEERS.items():
        known = before.setdefault(name, {})
        if expected(known, mdp, GROWTH.get(name, 1.0)) > PATIENCE:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                row.seconds[name], theirs = timed(peer(mdp))
        except (ImportError, MemoryError, AssertionError, ValueError):
            continue
        known[mdp.gamma, mdp.n_states] = row.seconds[name]
        row.off[name] = float(np.abs(theirs - ours.V).max())
    return row


def main() -> None:
    """Print a row for each model; draw time against states."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    heads = ["gridrl", *PEERS]
    print(f"{'model':17}{'gamma':>7}{'states':>9}" + "".join(f"{h:>15}" for h in heads)
          + f"{'best peer':>11}{'products':>10}{'floor':>9}")  # fmt: skip
    compare(frozen_lake().mdp(gamma=0.9), {})  # what is compiled when first called
    before: dict[str, History] = {}
    curves: dict[str, list[dict[str, float]]] = {}
    for name, gamma, mdp in models(most):
        row = compare(mdp, before.setdefault(name, {}))
        floor = row.products * bandwidth(mdp)
        print(f"{name:17}{gamma:7}{mdp.n_states:9}" + "".join(map(row.cell, heads))
              + f"{row.ratio:11.1f}{row.products:10.0f}{floor:9.4f}", flush=True)  # fmt: skip
        if name == "ice":  # time against states
            for who in ("gridrl", "quantecon mpi"):
                if who in row.seconds and gamma in (0.99, 0.9999):
                    point = {"states": float(mdp.n_states), "seconds": row.seconds[who]}
                    curves.setdefault(f"{who}, {gamma}", []).append(point)
    axes = plot.curves(curves, "states", "seconds")
    axes.set(xscale="log", yscale="log")
    axes.figure.savefig(sys.argv[2] if len(sys.argv) > 2 else "planning.png")


if __name__ == "__main__":
    main()
