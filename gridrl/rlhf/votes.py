"""What people say about answers: pairs, rankings, and infinitely many pairs at once.

A vote is kept as numbers of the world: of a prompt, of the chosen answer, of the rejected one. A
Bradley-Terry human prefers y to y' with probability sigma(beta (R(x,y) - R(x,y'))), and ranks K
answers by choosing the best, then the best of the rest (Plackett-Luce).

Symbols: x prompt; y answer; P prompts, N answers to each; n votes; mu share of the preference that
the chosen answer has, 1/2 for a tie; beta how sharply the human sees, per reward unit.

Reading: Bradley & Terry (1952), Biometrika 39; Plackett (1975), Appl. Statist. 24; Ouyang et al.
(2022), arXiv:2203.02155, section 3.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from gridrl.rlhf.divergences import must_share_world
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.tokens import Reward, TokenWorld
from gridrl.tables import (
    Array,
    Indices,
    generator,
    indices,
    number,
    read_only,
    restore,
    table,
    whole,
)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Votes between two answers to one prompt.

    Attributes:
        world: what the numbers mean.
        prompt: number of the prompt, (n,).
        chosen: number of the chosen answer, (n,).
        rejected: number of the other, (n,).
        mu: share of the preference that the chosen one has, (n,); one number for all, 1 if none is
            given, 0.5 for ties.

    >>> world = TokenWorld(["?"], "ab", 2)
    >>> votes = Pairs.from_texts(world, [("?", "a$", "bb"), ("?", "$", "bb")])
    >>> votes.chosen, votes.rejected
    (array([1, 0]), array([6, 6]))

    Raises:
        TypeError, ValueError: numbers beyond the world, arrays of unequal length, mu outside
            [0, 1], an answer compared with itself.
    """

    world: TokenWorld
    prompt: Indices
    chosen: Indices
    rejected: Indices
    mu: Array

    def __init__(
        self,
        world: TokenWorld,
        prompt: ArrayLike,
        chosen: ArrayLike,
        rejected: ArrayLike,
        mu: ArrayLike = 1.0,
    ) -> None:
        x = _column(prompt, "prompt", len(world.prompts))
        y, other = (
            _column(values, name, world.n_completions, len(x))
            for values, name in ((chosen, "chosen"), (rejected, "rejected"))
        )
        if (same := y == other).any():
            at = int(same.argmax())
            raise ValueError(f"rejected[{at}] must differ from chosen[{at}]; both are {y[at]}")
        for name, values in (("prompt", x), ("chosen", y), ("rejected", other)):
            object.__setattr__(self, name, read_only(values))
        object.__setattr__(self, "world", world)
        object.__setattr__(self, "mu", _shares(mu, len(x)))

    __setstate__ = restore

    @classmethod
    def from_texts(
        cls, world: TokenWorld, votes: Iterable[Sequence[str]], mu: ArrayLike = 1.0
    ) -> Pairs:
        """Votes as (prompt, chosen, rejected), written out.

        Raises:
            ValueError: a vote that is not three texts, an unknown prompt or token.
        """
        rows = [_texts(vote, k, 3, 3) for k, vote in enumerate(votes)]
        numbers = [
            (world.prompt(x), world.completion(y), world.completion(other)) for x, y, other in rows
        ]
        prompt, chosen, rejected = np.array(numbers, dtype=np.intp).reshape(-1, 3).T
        return cls(world, prompt, chosen, rejected, mu)

    @property
    def texts(self) -> list[tuple[str, str, str]]:
        """(prompt, chosen, rejected), written out."""
        world = self.world
        triples = zip(self.prompt, self.chosen, self.rejected, strict=True)
        return [(world.prompts[x], world.texts[y], world.texts[other]) for x, y, other in triples]

    @property
    def weights(self) -> Array:
        """How often each answer (rows) was preferred to each other, (P, N, N), in all one."""
        world = self.world
        counts = np.zeros((len(world.prompts), world.n_completions, world.n_completions))
        np.add.at(counts, (self.prompt, self.chosen, self.rejected), self.mu / len(self))
        np.add.at(counts, (self.prompt, self.rejected, self.chosen), (1 - self.mu) / len(self))
        return counts

    def take(self, which: ArrayLike) -> Pairs:
        """Some of the votes: by number, or by a mask (n,)."""
        k = np.asarray(which)
        return Pairs(self.world, self.prompt[k], self.chosen[k], self.rejected[k], self.mu[k])

    def __len__(self) -> int:
        return len(self.prompt)

    def __repr__(self) -> str:
        return f"Pairs({len(self)} votes, {self.world!r})"


@dataclass(frozen=True, eq=False)
class Rankings:
    """Votes that put K answers to a prompt in order.

    Attributes:
        world: what the numbers mean.
        prompt: number of the prompt, (n,).
        completions: numbers of the answers, the best first, (n, K).

    >>> world = TokenWorld(["?"], "ab", 2)
    >>> Rankings.from_texts(world, [("?", "a$", "bb", "$")]).pairs().texts
    [('?', 'a$', 'bb'), ('?', 'a$', '$'), ('?', 'bb', '$')]

    Raises:
        TypeError, ValueError: numbers beyond the world, another shape, fewer than two answers, one
            answer twice.
    """

    world: TokenWorld
    prompt: Indices
    completions: Indices

    def __init__(self, world: TokenWorld, prompt: ArrayLike, completions: ArrayLike) -> None:
        x = _column(prompt, "prompt", len(world.prompts))
        y = indices(completions, "completions", world.n_completions)
        if y.ndim != 2 or len(y) != len(x) or y.shape[1] < 2:
            wanted = f"({len(x)}, K), K at least 2"
            raise ValueError(f"completions must have shape {wanted}; it has {y.shape}")
        if (twice := (np.diff(np.sort(y, axis=1), axis=1) == 0).any(axis=1)).any():
            at = int(twice.argmax())
            raise ValueError(f"completions[{at}] must differ from each other; it is {y[at]}")
        object.__setattr__(self, "world", world)
        object.__setattr__(self, "prompt", read_only(x))
        object.__setattr__(self, "completions", read_only(y))

    __setstate__ = restore

    @classmethod
    def from_texts(cls, world: TokenWorld, votes: Iterable[Sequence[str]]) -> Rankings:
        """Votes as (prompt, best, next, ..., worst), written out, all of one length."""
        rows = [_texts(vote, k, 3, None) for k, vote in enumerate(votes)]
        if len(sizes := sorted({len(row) for row in rows})) > 1:
            raise ValueError(
                f"votes must rank equally many answers; they rank {sizes[0] - 1} to {sizes[-1] - 1}"
            )
        x = [world.prompt(row[0]) for row in rows]
        return cls(world, x, [[world.completion(y) for y in row[1:]] for row in rows])

    def pairs(self) -> Pairs:
        """All C(K, 2) pairs of each ranking, those of one ranking together."""
        above, below = np.array(list(combinations(range(self.completions.shape[1]), 2))).T
        return Pairs(
            self.world,
            np.repeat(self.prompt, len(above)),
            self.completions[:, above].ravel(),
            self.completions[:, below].ravel(),
        )

    def take(self, which: ArrayLike) -> Rankings:
        """Some of the votes: by number, or by a mask (n,)."""
        k = np.asarray(which)
        return Rankings(self.world, self.prompt[k], self.completions[k])

    def __len__(self) -> int:
        return len(self.prompt)

    def __repr__(self) -> str:
        return f"Rankings({len(self)} of {self.completions.shape[1]}, {self.world!r})"


# --- a Bradley-Terry human ------------------------------------------------------------------


def label_pairs(
    world: TokenWorld,
    reward: Reward,
    model: LanguageModel,
    n: int,
    *,
    beta: float = 1.0,
    rng: int | np.random.Generator | None = None,
) -> Pairs:
    """Ask a Bradley-Terry human about `n` pairs of different answers that the model wrote.

    Prompts are drawn evenly; pairs as `all_pairs` weighs them.

    >>> world = TokenWorld(["?"], "ab", 2)
    >>> votes = label_pairs(world, lambda x, y: 9.0 * y.count("a"), LanguageModel(world), 5, rng=0)
    >>> [(chosen, rejected) for _, chosen, rejected in votes.texts][:3]
    [('ab', 'bb'), ('ab', '$'), ('ba', '$')]

    Raises:
        TypeError, ValueError: n < 1, beta < 0, a model of another world, one that gives only one
            answer to a prompt, a world that is too large.
    """
    R, p = world.rewards(reward), _probs(world, model)
    sharp, chance = number(beta, "beta", 0), generator(rng)
    x = chance.integers(len(world.prompts), size=whole(n, "n", least=1))
    first, second = _two_answers(p, x, chance.random((2, n)))
    wins = chance.random(n) < expit(sharp * (R[x, first] - R[x, second]))
    return Pairs(world, x, np.where(wins, first, second), np.where(wins, second, first))


def all_pairs(world: TokenWorld, reward: Reward, reference: LanguageModel, beta: float) -> Array:
    """Infinitely many votes: w[x,i,j] = P(asked x, shown i and j, i preferred), (P, N, N).

    w = (1/P) 2 p_i p_j sigma(beta (R_i - R_j)) / (1 - sum_k p_k^2) for i != j, in all one.

    >>> world = TokenWorld(["?"], "a", 1)
    >>> all_pairs(world, [[np.log(3), 0.0]], LanguageModel(world), 1.0)
    array([[[0.  , 0.75],
            [0.25, 0.  ]]])

    Raises:
        TypeError, ValueError: as `label_pairs`.
    """
    R, p = world.rewards(reward), _probs(world, reference)
    shown = p[:, :, None] * p[:, None, :]
    shown[:, np.arange(p.shape[1]), np.arange(p.shape[1])] = 0.0
    shown *= 2 / (shown.sum(axis=(1, 2), keepdims=True) * len(p))
    return np.asarray(shown * expit(number(beta, "beta", 0) * (R[:, :, None] - R[:, None, :])))


def label_rankings(
    world: TokenWorld,
    reward: Reward,
    model: LanguageModel,
    n: int,
    k: int,
    *,
    beta: float = 1.0,
    rng: int | np.random.Generator | None = None,
) -> Rankings:
    """Ask a Plackett-Luce human to rank `k` different answers that the model wrote, `n` times.

    The human ranks by beta R plus Gumbel noise, which is Plackett-Luce. The answers are drawn in
    the same way: the k largest of log p plus Gumbel noise are k draws without putting back.

    Raises:
        TypeError, ValueError: as `label_pairs`; k < 2, or more than the model can write.
    """
    R, p = world.rewards(reward), _probs(world, model)
    sharp, chance, many = number(beta, "beta", 0), generator(rng), whole(n, "n", least=1)
    if whole(k, "k", least=2) > (least := int((p > 0).sum(axis=1).min())):
        raise ValueError(
            f"k must be at most {least}, the answers that the model can give; it is {k}"
        )
    x = chance.integers(len(world.prompts), size=many)
    with np.errstate(divide="ignore"):
        drawn = np.log(p)[x] + chance.gumbel(size=(many, p.shape[1]))
    shown = np.argsort(-drawn, axis=1)[:, :k]
    felt = sharp * R[x[:, None], shown] + chance.gumbel(size=shown.shape)
    return Rankings(world, x, np.take_along_axis(shown, np.argsort(-felt, axis=1), axis=1))


def _two_answers(p: Array, x: Indices, uniform: Array) -> tuple[Indices, Indices]:
    """Two different answers to each prompt x (n,): i with p_i (1 - p_i), j with p_j / (1 - p_i)."""
    answers = np.zeros((2, len(x)), dtype=np.intp)
    for prompt in np.unique(x):
        mine, row = np.flatnonzero(x == prompt), p[prompt]
        first = _invert(np.cumsum(row * (1 - row)), uniform[0, mine])
        edges = np.concatenate([[0.0], np.cumsum(row)])
        target = uniform[1, mine] * (edges[-1] - row[first])
        target += np.where(target >= edges[first], row[first], 0.0)  # leap over the first one
        second = np.searchsorted(edges[1:], target, side="right")
        answers[:, mine] = first, np.minimum(second, int(np.flatnonzero(row)[-1]))
    return answers[0], answers[1]


def _invert(sums: Array, uniform: Array) -> Indices:
    return np.asarray(np.searchsorted(sums, uniform * sums[-1], side="right"))


def _probs(world: TokenWorld, model: LanguageModel) -> Array:
    """What the model writes, (P, N), if it writes more than one answer."""
    must_share_world(world, model.world)
    if (alone := (model.probs > 0).sum(axis=1) < 2).any():
        asked = world.prompts[int(alone.argmax())]
        raise ValueError(f"model must have two answers to compare; it has one to {asked!r}")
    return model.probs


def _column(values: ArrayLike, name: str, size: int, n: int | None = None) -> Indices:
    column = indices(values, name, size)
    if column.ndim != 1 or (n is not None and len(column) != n):
        wanted = "(n,)" if n is None else f"({n},)"
        raise ValueError(f"{name} must have shape {wanted}; it has {column.shape}")
    return column.copy()


def _shares(mu: ArrayLike, n: int) -> Array:
    shares = table(np.full(n, mu) if np.ndim(mu) == 0 else mu, "mu", (n,))
    if (bad := (shares < 0) | (shares > 1)).any():
        at = int(bad.argmax())
        raise ValueError(f"mu[{at}] must be in [0, 1]; it is {shares[at]:g}")
    return shares


def _texts(vote: Sequence[str], k: int, least: int, most: int | None) -> tuple[str, ...]:
    words = tuple(vote)
    if isinstance(vote, str) or len(words) < least or (most is not None and len(words) > most):
        wanted = "(prompt, chosen, rejected)" if most else "(prompt, best, ..., worst)"
        raise ValueError(f"votes[{k}] must be {wanted}; it is {vote!r}")
    return words
