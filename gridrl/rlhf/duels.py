"""Votes of many runs side by side, as the learners of `direct` use them.

A duel is a pair of answers with what each won against the other. Duels of all runs stand in one
array, places of answers are numbers into tables (runs, P, N) laid flat, so that one pass serves
all runs.

Symbols: K runs; m duels; P prompts, N answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gridrl.rlhf.divergences import must_share_world
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.tokens import TokenWorld
from gridrl.rlhf.votes import Pairs
from gridrl.tables import Array, Indices, Mask, table, whole

Comparisons = Pairs | ArrayLike | Sequence[Pairs]


@dataclass(frozen=True, eq=False)
class Duels:
    """What pairs of answers won against each other.

    Attributes:
        shape: (K, P, N).
        winner: place of an answer, (m,).
        loser: place of the other, (m,).
        weight: how often the one was preferred to the other, (m,); a run's sum to one.
    """

    shape: tuple[int, int, int]
    winner: Indices
    loser: Indices
    weight: Array

    @property
    def run(self) -> Indices:
        """Which run each belongs to, (m,)."""
        return self.winner // (self.shape[1] * self.shape[2])

    def drawn(self, streams: Sequence[np.random.Generator], batch: int) -> Duels:
        """`batch` duels of each run, drawn with replacement, by the run's own chance."""
        uniform = np.array([stream.random(batch) for stream in streams])
        ends = np.searchsorted(self.run, np.arange(len(streams) + 1))
        sums = np.cumsum(self.weight)
        low, high = np.append(0.0, sums)[ends[:-1]], np.append(0.0, sums)[ends[1:]]
        target = low[:, None] + (high - low)[:, None] * uniform
        k = np.searchsorted(sums, target, side="right")
        k = np.clip(k, ends[:-1, None], ends[1:, None] - 1).ravel()
        return Duels(self.shape, self.winner[k], self.loser[k], np.full(len(k), 1 / batch))

    def summed(self, values: Array) -> Array:
        """Sum values (m,) of each run, (K,)."""
        return np.asarray(np.bincount(self.run, values, self.shape[0]), dtype=np.float64)

    def pulled(self, winners: Array, losers: Array) -> Array:
        """Add up values (m,) where winners stand and values where losers do, (K, P, N)."""
        size = int(np.prod(self.shape))
        total = np.bincount(self.winner, winners, size) + np.bincount(self.loser, losers, size)
        return np.asarray(total.reshape(self.shape), dtype=np.float64)

    @property
    def endless(self) -> Mask:
        """Those whose margin Bradley-Terry makes infinite, (m,).

        It is finite only within answers that beat each other in a circle.  [Ford 1957]
        """
        size = int(np.prod(self.shape))
        wins = coo_array((np.ones(len(self.winner)), (self.winner, self.loser)), shape=(size, size))
        part = connected_components(wins, connection="strong")[1]
        return np.asarray(part[self.winner] != part[self.loser])


def duels_of(comparisons: Comparisons, world: TokenWorld, runs: int | None) -> Duels:
    """The duels of every run: of its own votes, or of votes that all share.

    Raises:
        TypeError, ValueError: no votes, votes of another world, weights that are negative or not
            (P, N, N), another number of runs.
    """
    world.must_be_enumerable()
    if isinstance(comparisons, list | tuple) and any(isinstance(c, Pairs) for c in comparisons):
        each = [_weights(votes, world, f"comparisons[{k}]") for k, votes in enumerate(comparisons)]
        if runs is not None and whole(runs, "runs", least=1) != len(each):
            raise ValueError(f"runs must be {len(each)}, one for each votes; it is {runs}")
    else:
        each = [_weights(comparisons, world, "comparisons")]
        each *= whole(1 if runs is None else runs, "runs", least=1)
    P, N = len(world.prompts), world.n_completions
    run = np.repeat(np.arange(len(each)), [len(weight) for *_, weight in each])
    x, y, other, weight = (np.concatenate(column) for column in zip(*each, strict=True))
    line = (run * P + x) * N
    return Duels((len(each), P, N), line + y, line + other, weight)


def _weights(
    votes: object, world: TokenWorld, name: str
) -> tuple[Indices, Indices, Indices, Array]:
    """Prompt, winner, loser and weight, each pair of answers at most twice."""
    P, N = len(world.prompts), world.n_completions
    if isinstance(votes, Pairs):
        x, y, other, weight = _counted(votes, world, name)
    else:
        w = table(votes, name, (P, N, N))  # type: ignore[arg-type]
        if (w < 0).any():
            at = tuple(int(i) for i in np.argwhere(w < 0)[0])
            where = f"{name}[{', '.join(map(str, at))}]"
            raise ValueError(f"{where} must not be negative; it is {w[at]:g}")
        x, y, other = (np.asarray(k) for k in np.nonzero(w * ~np.eye(N, dtype=bool)))
        weight = w[x, y, other]
    if not len(weight):
        raise ValueError(f"{name} must hold at least one vote; there is none")
    return x, y, other, weight / weight.sum()


def _counted(votes: Pairs, world: TokenWorld, name: str) -> tuple[Indices, Indices, Indices, Array]:
    must_share_world(world, votes.world, name)
    N = world.n_completions
    there = (votes.prompt * N + votes.chosen) * N + votes.rejected
    back = (votes.prompt * N + votes.rejected) * N + votes.chosen
    keys, place = np.unique(np.concatenate([there, back]), return_inverse=True)
    mu = np.concatenate([votes.mu, 1 - votes.mu])
    weight: Array = np.asarray(np.bincount(place, mu, len(keys)), dtype=np.float64)
    keys, weight = keys[weight > 0], weight[weight > 0]
    return keys // N**2, keys // N % N, keys % N, weight


def must_be_written(duels: Duels, model: LanguageModel, name: str) -> None:
    """Refuse a model that gives an answer of a vote probability 0.

    Raises:
        ValueError: the answer is named: its log-ratio is infinite.
    """
    never = np.isneginf(np.broadcast_to(model.log_probs, duels.shape)).ravel()
    for role, places in (("chosen", duels.winner), ("rejected", duels.loser)):
        if (bad := never[places]).any():
            _, x, y = np.unravel_index(places[int(bad.argmax())], duels.shape)
            world = model.world
            raise ValueError(
                f"{name} must not give probability 0 to an answer that was voted on (its log-ratio"
                f" is infinite); it does to the {role} {world.texts[int(y)]!r} of prompt"
                f" {world.prompts[int(x)]!r}"
            )
