"""Search at decision time: think about this state only, by playing on from it.

Monte Carlo tree search with upper confidence bounds (UCT). Each simulation goes down the tree that
is known, choosing what promises most or was tried least, adds one node to it, and plays on at
random. A node is a state at a time, so that a state reached on two ways is one node, and going
round in circles is none.

What is taken back up is not the return, as in the first UCT, whose mean remembers every bad try,
but what is known by now: Q[a] = mean of r + gamma max_a' Q'[a'], over the states that followed.
That comes to the exact values far sooner, for all actions of the root and not the best alone.

Symbols: N[a] visits; Q[a] what is known of an action; c what uncertainty is worth.

Reading: Kocsis & Szepesvari (2006), Bandit Based Monte-Carlo Planning; Keller & Helmert (2013),
Trial-based Heuristic Tree Search, MaxUCT; Sutton & Barto (2018), section 8.11.
"""

from __future__ import annotations

from collections import Counter
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


@dataclass(frozen=True, eq=False)
class Search:
    """What is known of the root after a simulation.

    Attributes:
        Q: what is known of each action, (A,), in reward units; 0 if it was never tried.
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

    The more simulations, the nearer Q at the root comes to the exact Q* of so many steps; what
    promises little is tried ever more seldom, and is known less well.

    >>> from gridrl import penguin_world, value_iteration
    >>> mdp = penguin_world().mdp(gamma=0.9)
    >>> found = mcts(mdp, 4, simulations=2000, rng=0)  # square 5
    >>> int(found.Q.argmax()) == int(value_iteration(mdp).Q[4].argmax())
    True

    Args:
        mdp: the model, from which is drawn.
        state: the root, its index.
        simulations: how many; one snapshot each.
        c: what uncertainty is worth, in reward units; None is the largest return that `depth` steps
            can bring less the smallest.
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
    game.c = game.span() if c is None else number(c, "c", 0)
    tree: Tree = {(0, root): _Node.new(mdp.n_actions)}
    for _ in range(whole(simulations, "simulations", least=1)):
        game.simulate(tree, root)
        node = tree[0, root]
        yield Search(node.Q.copy(), node.N.copy(), len(tree))


@dataclass
class _Node:
    """What is known of a state at a time.

    Attributes:
        N, Q, R: visits, values and mean rewards of each action, (A,).
        after: how often each state followed each action.
        V: the best of Q; the return of the playout, as long as nothing was tried.
    """

    N: Array
    Q: Array
    R: Array
    after: list[Counter[int]]
    V: float = 0.0

    @classmethod
    def new(cls, A: int) -> _Node:
        return cls(np.zeros(A), np.zeros(A), np.zeros(A), [Counter() for _ in range(A)])


Tree = dict[tuple[int, int], _Node]  # by time and state


class _Game:
    """The world as the search plays it, one step at a time."""

    c = 0.0

    def __init__(
        self, mdp: MDP, depth: int, playout: ArrayLike | None, chance: np.random.Generator
    ) -> None:
        self.mdp, self.depth, self.chance = mdp, depth, chance
        pi = uniform_policy(mdp) if playout is None else playout
        self.pi, self.moves = stationary_policy(mdp, pi), Sampler(mdp.P)

    def span(self) -> float:
        """The largest return less the smallest that so many steps can bring."""
        steps = float((self.mdp.gamma ** np.arange(self.depth)).sum())
        return float(self.mdp.R.max() - self.mdp.R.min()) * steps

    def simulate(self, tree: Tree, s: int) -> None:
        """Down the tree, one node more, on to the end, and back up."""
        path: list[tuple[int, int, int, float, int]] = []
        t = 0
        while t < self.depth and not self.mdp.terminal[s]:
            if (t, s) not in tree:
                tree[t, s] = _Node.new(self.mdp.n_actions)
                tree[t, s].V = self._play_on(s, t)
                break
            a = self._promising(tree[t, s])
            s_next, r = self._step(s, a)
            path.append((t, s, a, r, s_next))
            s, t = s_next, t + 1
        for step in reversed(path):
            self._back_up(tree, *step)

    def _back_up(self, tree: Tree, t: int, s: int, a: int, r: float, s_next: int) -> None:
        """Q(a) = mean r + gamma sum of (share of s') max_a' Q'(a'); V the best that was tried."""
        node = tree[t, s]
        node.N[a] += 1
        node.R[a] += (r - node.R[a]) / node.N[a]
        node.after[a][s_next] += 1
        ahead = sum(
            count * tree[t + 1, after].V
            for after, count in node.after[a].items()
            if (t + 1, after) in tree  # else it is over there
        )
        node.Q[a] = node.R[a] + self.mdp.gamma * ahead / node.N[a]
        node.V = float(node.Q[node.N > 0].max())

    def _promising(self, node: _Node) -> int:
        untried = np.flatnonzero(node.N == 0)
        if len(untried):
            return int(untried[int(self.chance.random() * len(untried))])
        return int((node.Q + self.c * np.sqrt(np.log(node.N.sum()) / node.N)).argmax())

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
