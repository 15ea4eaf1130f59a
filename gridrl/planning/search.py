"""Search at decision time: think about this state only, by playing on from it.

Monte Carlo tree search with upper confidence bounds (UCT). Each simulation goes down the tree that
is known, choosing what promises most or was tried least, adds one node to it, plays on at random,
and takes the return back up. A node is a state at a time, so that a state reached on two ways is
one node, and going round in circles is none.

Symbols: N[a] visits, Q[a] mean return from the node on; c what uncertainty is worth.

Reading: Kocsis & Szepesvari (2006), Bandit Based Monte-Carlo Planning; Sutton & Barto (2018),
section 8.11.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gridrl.iterates import algorithm
from gridrl.planning.bellman import stationary_policy
from gridrl.planning.policies import greedy, uniform_policy
from gridrl.processes import MDP
from gridrl.processes.decision import an_mdp
from gridrl.processes.transitions import Sampler
from gridrl.tables import Array, draw, generator, index, number, read_only, restore, whole

Node = tuple[Array, Array]  # N (A,), Q (A,)


@dataclass(frozen=True, eq=False)
class Search:
    """What is known of the root after a simulation.

    Attributes:
        Q: mean return of each action, (A,), in reward units; 0 if it was never tried.
        counts: how often each was tried, (A,).
        nodes: size of the tree.
    """

    Q: Array
    counts: Array
    nodes: int

    def __post_init__(self) -> None:
        read_only(self.Q)
        read_only(self.counts)

    __setstate__ = restore

    @property
    def policy(self) -> Array:
        """Greedy among the actions that were tried, ties split, (A,)."""
        return greedy(np.where(self.counts > 0, self.Q, self.Q.min() - 1)[None])[0]

    def __repr__(self) -> str:
        return f"Search({int(self.counts.sum())} simulations, {self.nodes} nodes)"


@algorithm
def mcts(
    mdp: MDP,
    state: int,
    *,
    simulations: int,
    c: float | None = None,
    depth: int | None = None,
    playout: ArrayLike | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Search]:
    """Q(s,a) of one state, by simulation: argmax_a Q(a) + c sqrt(log N / N(a)) down the tree.

    The more simulations, the nearer Q at the root comes to the exact Q* of so many steps.

    >>> from gridrl import penguin_world, value_iteration
    >>> mdp = penguin_world().mdp(gamma=0.9)
    >>> found = mcts(mdp, 4, simulations=2000, rng=0)  # square 5
    >>> int(found.Q.argmax()) == int(value_iteration(mdp).Q[4].argmax())
    True

    Args:
        mdp: the model, from which is drawn.
        state: the root, its index.
        simulations: how many; one snapshot each.
        c: what uncertainty is worth, in reward units; None is the largest reward less the smallest.
        depth: steps looked ahead; None is where gamma^depth falls below 0.01, or, at gamma = 1,
            1,000 steps.
        playout: the policy beyond the tree, (S, A); None is uniform.
        rng: a seed, a Generator, or None for fresh chance.

    Raises:
        ValueError: the state is terminal or none, no simulations, no depth, a negative c.
    """
    root, chance = index(state, "state", an_mdp(mdp).n_states), generator(rng)
    if mdp.terminal[root]:
        raise ValueError(f"state must be one where one acts; {mdp.labels[root]} is terminal")
    game = _Game(mdp, _depth(mdp, depth), playout, chance)
    c = float(mdp.R.max() - mdp.R.min()) if c is None else number(c, "c", 0)
    tree: dict[tuple[int, int], Node] = {(0, root): game.new_node()}
    for _ in range(whole(simulations, "simulations", least=1)):
        game.simulate(tree, root, c)
        N, Q = tree[0, root]
        yield Search(Q.copy(), N.copy(), len(tree))


class _Game:
    """The world as the search plays it, one step at a time."""

    def __init__(
        self, mdp: MDP, depth: int, playout: ArrayLike | None, chance: np.random.Generator
    ) -> None:
        self.mdp, self.depth, self.chance = mdp, depth, chance
        pi = uniform_policy(mdp) if playout is None else playout
        self.pi, self.moves = stationary_policy(mdp, pi), Sampler(mdp.P)

    def new_node(self) -> Node:
        """Nothing tried yet."""
        return np.zeros(self.mdp.n_actions), np.zeros(self.mdp.n_actions)

    def simulate(self, tree: dict[tuple[int, int], Node], s: int, c: float) -> None:
        """Down the tree, one node more, on to the end, and back up."""
        path: list[tuple[Node, int, float]] = []
        t, G = 0, 0.0
        while t < self.depth and not self.mdp.terminal[s]:
            if (t, s) not in tree:
                tree[t, s] = self.new_node()
                G = self._play_on(s, t)
                break
            a = self._promising(tree[t, s], c)
            s_next, r = self._step(s, a)
            path.append((tree[t, s], a, r))
            s, t = s_next, t + 1
        for (N, Q), a, r in reversed(path):
            G = r + self.mdp.gamma * G
            N[a] += 1
            Q[a] += (G - Q[a]) / N[a]

    def _promising(self, node: Node, c: float) -> int:
        N, Q = node
        untried = np.flatnonzero(N == 0)
        if len(untried):
            return int(untried[int(self.chance.random() * len(untried))])
        return int((Q + c * np.sqrt(np.log(N.sum()) / N)).argmax())

    def _play_on(self, s: int, t: int) -> float:
        """The return of the playout from s at time t on."""
        G, weight = 0.0, 1.0
        while t < self.depth and not self.mdp.terminal[s]:
            a = int(draw(self.pi[[s]], self.chance.random(1))[0])
            s, r = self._step(s, a)
            G, weight, t = G + weight * r, weight * self.mdp.gamma, t + 1
        return G

    def _step(self, s: int, a: int) -> tuple[int, float]:
        uniform, where, act = self.chance.random((2, 1)), np.array([s]), np.array([a])
        s_next = self.moves.draw(where * self.mdp.n_actions + act, uniform[0])
        r = self.mdp.payment.draw(where, act, s_next, uniform[1])
        return int(s_next[0]), float(r[0])


def _depth(mdp: MDP, depth: int | None) -> int:
    if depth is not None:
        return whole(depth, "depth", least=1)
    if mdp.gamma == 1:
        return 1000
    return 1 if mdp.gamma == 0 else max(1, int(np.ceil(np.log(0.01) / np.log(mdp.gamma))))
