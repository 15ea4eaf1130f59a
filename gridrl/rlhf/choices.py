"""Votes as choices, and the reward that makes them likeliest.

Every vote is a choice: of the chosen answer out of two, or of the best of a ranking out of what is
left. P(y of the set S) = exp(r(x,y)) / sum_S exp(r(x,.)), so that one loss serves both,

    loss = - sum w log softmax(r over S)[chosen],

convex in r. It says nothing of a constant added to all answers that votes connect, and it has no
minimum where some of them never lost to others.

Symbols: r (C,) rewards of the C answers that stand in a vote; w (m,) weights of m choices; p (m, K)
chances in sets of K; F (C, d) features, r = F theta.

Reading: Ford (1957), Amer. Math. Monthly 64; Hunter (2004), Ann. Statist. 32; Zhu, Jiao & Jordan
(2023), arXiv:2301.11270.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.special import logsumexp

from gridrl.rlhf.divergences import must_share_world
from gridrl.rlhf.tokens import TokenWorld
from gridrl.rlhf.votes import Pairs, Rankings, vote_table
from gridrl.tables import Array, Indices, restore

Votes = Pairs | Rankings | ArrayLike
TIED = 10  # answers in all their orders: there are twice as many sets for one more
NOBODY = -1  # fills up a set of fewer than K


@dataclass(frozen=True, eq=False)
class Choices:
    """Votes as choices out of sets.

    Attributes:
        prompt: of each answer that stands in one, (C,).
        completion: its number, (C,).
        cells: the set of each, which of these answers, the chosen one first, (m, K); C where there
            are fewer.
        weights: (m,), in all one, as the loss counts them.
    """

    prompt: Indices
    completion: Indices
    cells: Indices
    weights: Array

    __setstate__ = restore

    @classmethod
    def among(cls, prompt: Indices, completions: Indices, weights: Array) -> Choices:
        """Of sets of answers (m, K) to a prompt each, (m,), the chosen one first.

        The number of an answer is -1 where a set has fewer.
        """
        once, y = np.unique(completions, return_inverse=True)  # large numbers become small ones
        keys, cells = np.unique(prompt[:, None] * len(once) + y.reshape(completions.shape),
                                return_inverse=True)  # fmt: skip
        x, number = keys // len(once), once[keys % len(once)]
        there = number != NOBODY
        place = np.where(there, np.cumsum(there) - 1, there.sum())
        return cls(x[there], number[there], place[cells.reshape(completions.shape)], weights)

    @property
    def size(self) -> int:
        """C."""
        return len(self.prompt)

    def loss(self, r: Array) -> float:
        """- sum w log softmax(r over the set)[chosen], in nats."""
        offered = self._offered(r)
        return float(self.weights @ (logsumexp(offered, axis=1) - offered[:, 0]))

    def chances(self, r: Array) -> Array:
        """P(each of the set is chosen), (m, K)."""
        offered = self._offered(r)
        odds = np.exp(offered - offered.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def gathered(self, values: Array) -> Array:
        """Add numbers (m, K), one for each of each set, up by cells, (C,)."""
        sums = np.bincount(self.cells.ravel(), values.ravel(), minlength=self.size + 1)
        return np.asarray(sums[: self.size], dtype=np.float64)

    def slope(self, p: Array) -> Array:
        """Gradient of the loss by r, (C,): sum w (p - chosen)."""
        missed = p.copy()
        missed[:, 0] -= 1
        return self.gathered(self.weights[:, None] * missed)

    def curvature(self, p: Array) -> sparse.csr_array:
        """Hessian of the loss by r, (C, C): sum w (diag p - p p')."""
        K = self.cells.shape[1]
        blocks = p[:, :, None] * (np.eye(K) - p[:, None, :]) * self.weights[:, None, None]
        rows, columns = np.repeat(self.cells, K, axis=1), np.tile(self.cells, K)
        shape = (self.size + 1, self.size + 1)
        whole = sparse.coo_array((blocks.ravel(), (rows.ravel(), columns.ravel())), shape=shape)
        return whole.tocsr()[: self.size, : self.size]

    @cached_property
    def edges(self) -> tuple[Indices, Indices, Indices]:
        """(winner, loser) of each, and the number of its choice; all (edges,)."""
        row, column = np.nonzero(self.cells[:, 1:] < self.size)
        return self.cells[row, 0], self.cells[row, column + 1], row

    def _offered(self, r: Array) -> Array:
        return np.append(r, -np.inf)[self.cells]


Likelihood = Callable[[TokenWorld, Votes], Choices]


def pairwise(world: TokenWorld, votes: Votes) -> Choices:
    """-1/C(K,2) sum over all pairs of log sigma(r(x,y_w) - r(x,y_l)).  [arXiv:2203.02155, eq. 1]

    Of pairs, of rankings (all C(K,2) pairs of a prompt count as one vote), or of infinitely many
    votes, a table (P, N, N) of how often the row was preferred to the column.

    >>> world = TokenWorld(["?"], "ab", 1)
    >>> votes = Rankings.from_texts(world, [("?", "b", "a", "$")])
    >>> round(pairwise(world, votes).loss(np.array([[0.0, 0.0, 1.0]])), 4)
    0.4399
    """
    if not isinstance(votes, Pairs | Rankings):
        return _infinite(world, votes)
    must_share_world(world, votes.world, "votes")
    _some(len(votes))
    pairs = votes.pairs() if isinstance(votes, Rankings) else votes
    both = np.column_stack([pairs.chosen, pairs.rejected])
    y, weights = np.concatenate([both, both[:, ::-1]]), np.append(pairs.mu, 1 - pairs.mu)
    some = weights > 0
    x = np.tile(pairs.prompt, 2)
    return Choices.among(x[some], y[some], weights[some] / len(pairs))


def plackett_luce(world: TokenWorld, votes: Votes) -> Choices:
    """- sum_k log softmax(r over what is left)[the k-th]: the likelihood of a whole ranking.

    More efficient than pairs, if the human ranks so: those of one ranking are not independent. A
    ranking of two is a pair. Answers that tie are taken in every order, and the logs averaged.

    >>> world = TokenWorld(["?"], "ab", 1)
    >>> votes = Rankings.from_texts(world, [("?", "b", "a", "$")])
    >>> round(plackett_luce(world, votes).loss(np.array([[0.0, 0.0, 1.0]])), 4)
    1.2446
    """
    if not isinstance(votes, Rankings):
        return pairwise(world, votes)
    must_share_world(world, votes.world, "votes")
    _some(len(votes))
    K = votes.completions.shape[1]
    kinds, kind = np.unique(votes.ranks, axis=0, return_inverse=True)
    prompts, sets, weights = [], [], []
    for j, ranks in enumerate(kinds):
        rows = np.flatnonzero(kind.ravel() == j)
        for order, weight in _stages(ranks):
            offered = np.full((len(rows), K), NOBODY)
            offered[:, : len(order)] = votes.completions[rows][:, order]
            prompts.append(votes.prompt[rows])
            sets.append(offered)
            weights.append(np.full(len(rows), weight / len(votes)))
    return Choices.among(np.concatenate(prompts), np.concatenate(sets), np.concatenate(weights))


def _stages(ranks: Indices) -> list[tuple[list[int], float]]:
    """What is chosen from what, the chosen place first, and how much of all orders has it so.

    Of m answers that tie, j are left in every set of j equally often, 1 / C(m, j), and each of
    them is the next equally often, 1 / j.
    """
    stages = []
    if (most := int(np.unique(ranks, return_counts=True)[1].max())) > TIED:
        raise ValueError(
            f"votes must have at most {TIED} answers that tie in a ranking, for plackett_luce; one"
            f" has {most}: take `pairwise`"
        )
    for rank in np.unique(ranks):
        tied, below = np.flatnonzero(ranks == rank).tolist(), np.flatnonzero(ranks > rank).tolist()
        for j in range(len(tied), 0, -1):
            if j + len(below) < 2:
                continue
            for left in combinations(tied, j):
                for k in left:
                    others = [i for i in left if i != k]
                    stages.append(([k, *others, *below], 1 / (comb(len(tied), j) * j)))
    return stages


def _infinite(world: TokenWorld, votes: ArrayLike) -> Choices:
    w = vote_table(votes, world, "votes")
    x, y, other = np.nonzero(w)
    weights = w[x, y, other]
    return Choices.among(x, np.column_stack([y, other]), weights / weights.sum())


def _some(n: int) -> None:
    if not n:
        raise ValueError("votes must hold at least one vote; there is none")
