"""Votes of many runs side by side, as the learners of `direct` use them.

A duel is a pair of answers with what each won against the other. Duels of all runs stand in one
array, and so do the answers that stand in one of them: one pass serves all runs, in worlds of any
size.

Symbols: K runs; m duels; C answers that stand in one, each of a run; P prompts, N answers to each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gridrl.rlhf.answers import Answers
from gridrl.rlhf.divergences import must_share_world
from gridrl.rlhf.language import LanguageModel, a_model
from gridrl.rlhf.tokens import TokenWorld
from gridrl.rlhf.votes import Pairs, Rankings, vote_table
from gridrl.tables import Array, Indices, Mask, whole

Comparisons = Pairs | ArrayLike | Sequence[Pairs]
Counted = tuple[Indices, Indices, Indices, Array]


@dataclass(frozen=True, eq=False)
class Duels:
    """What pairs of answers won against each other.

    Attributes:
        runs: K.
        answers: those that stand in a duel, (C,).
        winner: which of them, (m,).
        loser: which other, (m,).
        weight: how often the one was preferred to the other, (m,); a run's sum to one.
    """

    runs: int
    answers: Answers
    winner: Indices
    loser: Indices
    weight: Array

    @cached_property
    def run(self) -> Indices:
        """Which run each belongs to, (m,)."""
        return self.answers.run[self.winner]

    def drawn(self, streams: Sequence[np.random.Generator], batch: int) -> Duels:
        """`batch` duels of each run, drawn with replacement, by the run's own chance."""
        uniform = np.array([stream.random(batch) for stream in streams])
        ends = np.searchsorted(self.run, np.arange(len(streams) + 1))
        sums = np.cumsum(self.weight)
        low, high = np.append(0.0, sums)[ends[:-1]], np.append(0.0, sums)[ends[1:]]
        target = low[:, None] + (high - low)[:, None] * uniform
        k = np.searchsorted(sums, target, side="right")
        k = np.clip(k, ends[:-1, None], ends[1:, None] - 1).ravel()
        even = np.full(len(k), 1 / batch)
        return Duels(self.runs, self.answers, self.winner[k], self.loser[k], even)

    def summed(self, values: Array) -> Array:
        """Sum values (m,) of each run, (K,)."""
        return np.asarray(np.bincount(self.run, values, self.runs), dtype=np.float64)

    def pulled(self, winners: Array, losers: Array) -> Array:
        """Add up values (m,) where winners stand and values where losers do, (C,)."""
        C = len(self.answers.run)
        total = np.bincount(self.winner, winners, C) + np.bincount(self.loser, losers, C)
        return np.asarray(total, dtype=np.float64)

    @property
    def endless(self) -> Mask:
        """Those whose margin Bradley-Terry makes infinite, (m,), if each answer is free to move.

        It is finite only within answers that beat each other in a circle.  [Ford 1957]
        """
        shape = (len(self.answers.run),) * 2
        wins = coo_array((np.ones(len(self.winner)), (self.winner, self.loser)), shape=shape)
        part = connected_components(wins, connection="strong")[1]
        return np.asarray(part[self.winner] != part[self.loser])


def duels_of(comparisons: Comparisons, model: LanguageModel, runs: int | None) -> Duels:
    """The duels of every run: of its own votes, or of votes that all share.

    Raises:
        TypeError, ValueError: no votes, votes of another world, weights that are negative or not
            (P, N, N), another number of runs.
    """
    world = a_model(model, "model").world
    if (several := of_runs(comparisons)) is not None:
        each = [counted(votes, world, f"comparisons[{k}]") for k, votes in enumerate(several)]
        if runs is not None and whole(runs, "runs", least=1) != len(each):
            raise ValueError(f"runs must be {len(each)}, one for each votes; it is {runs}")
    else:
        each = [counted(comparisons, world)]
        each *= whole(1 if runs is None else runs, "runs", least=1)
    run = np.repeat(np.arange(len(each)), [len(weight) for *_, weight in each])
    x, y, other, weight = (np.concatenate(column) for column in zip(*each, strict=True))
    once, y = np.unique(np.concatenate([y, other]), return_inverse=True)
    line = (np.tile(run, 2) * len(world.prompts) + np.tile(x, 2)) * len(once) + y
    met, place = np.unique(line, return_inverse=True)
    asked, number = np.divmod(met, len(once))
    run, x = np.divmod(asked, len(world.prompts))
    winner, loser = place.reshape(2, -1)
    answers = Answers(model, run, x, world.tokens_of(once[number]))
    return Duels(len(each), answers, winner, loser, weight)


def of_runs(comparisons: Comparisons) -> list[Pairs] | None:
    """The votes of each run, if each has votes of its own."""
    if isinstance(comparisons, list | tuple) and any(isinstance(c, Pairs) for c in comparisons):
        return list(comparisons)
    return None


def counted(votes: object, world: TokenWorld, name: str = "comparisons") -> Counted:
    """Prompt, winner, loser and weight, each pair of answers at most twice; all (m,).

    Raises:
        TypeError, ValueError: as `duels_of`.
    """
    if isinstance(votes, Rankings):
        raise TypeError(f"{name} must be pairs, such as its .pairs(); it is {votes!r}")
    if isinstance(votes, Pairs):
        x, y, other, weight = _votes(votes, world, name)
    else:
        w = vote_table(votes, world, name)  # type: ignore[arg-type]
        x, y, other = np.nonzero(w)
        weight = w[x, y, other]
    if not len(weight):
        raise ValueError(f"{name} must hold at least one vote; there is none")
    return x, y, other, weight / weight.sum()


def _votes(votes: Pairs, world: TokenWorld, name: str) -> Counted:
    must_share_world(world, votes.world, name)
    both = np.array([[votes.chosen, votes.rejected], [votes.rejected, votes.chosen]])
    once, rank = np.unique(both, return_inverse=True)  # large numbers become small ones
    N = max(len(once), 1)
    y, other = rank.reshape(2, 2, -1).swapaxes(0, 1).reshape(2, -1)
    line = (np.tile(votes.prompt, 2) * N + y) * N + other
    keys, place = np.unique(line, return_inverse=True)
    mu = np.concatenate([votes.mu, 1 - votes.mu])
    weight: Array = np.asarray(np.bincount(place, mu, len(keys)), dtype=np.float64)
    keys, weight = keys[weight > 0], weight[weight > 0]
    return keys // N**2, once[keys // N % N], once[keys % N], weight


def must_be_written(duels: Duels, model: LanguageModel, name: str) -> None:
    """Refuse a model that gives an answer of a vote probability 0.

    Raises:
        ValueError: the answer is named: its log-ratio is infinite.
    """
    answers, world = duels.answers, model.world
    never = np.asarray(np.isneginf(answers.log_probs_under(model)).any(axis=-1))
    for role, places in (("chosen", duels.winner), ("rejected", duels.loser)):
        if (bad := never[places]).any():
            at = places[int(bad.argmax())]
            (text,) = world.texts_of(answers.written[at : at + 1])
            raise ValueError(
                f"{name} must not give probability 0 to an answer that was voted on (its log-ratio"
                f" is infinite); it does to the {role} {text!r} of prompt"
                f" {world.prompts[answers.x[at]]!r}"
            )
