"""What people say about answers: pairs and rankings, with ties.

A vote is kept as numbers of the world: of a prompt, of the chosen answer, of the rejected one.

Symbols: x prompt; y answer; P prompts, N answers to each; n votes; mu share of the preference that
the chosen answer has, 1/2 for a tie.

Reading: Bradley & Terry (1952), Biometrika 39; Ouyang et al. (2022), arXiv:2203.02155, section 3.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from gridrl.rlhf.tokens import TokenWorld, a_world
from gridrl.tables import Array, Indices, indices, read_only, restore, table

LARGEST = 20_000_000  # entries of a table of pairs


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
        x = _column(prompt, "prompt", len(a_world(world, "world").prompts))
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
        rows = [_texts(vote, k) for k, vote in enumerate(votes)]
        numbers = [
            (world.prompt(x), _number(world, y, k), _number(world, other, k))
            for k, (x, y, other) in enumerate(rows)
        ]
        prompt, chosen, rejected = np.array(numbers, dtype=np.intp).reshape(-1, 3).T
        return cls(world, prompt, chosen, rejected, mu)

    @property
    def texts(self) -> list[tuple[str, str, str]]:
        """(prompt, chosen, rejected), written out."""
        asked = (self.world.prompts[x] for x in self.prompt)
        both = (self.world.texts_of(self.world.tokens_of(y)) for y in (self.chosen, self.rejected))
        return list(zip(asked, *both, strict=True))

    @property
    def weights(self) -> Array:
        """How often each answer (rows) was preferred to each other, (P, N, N), in all one.

        Raises:
            ValueError: the world is too large for such a table.
        """
        counts = np.zeros(pair_shape(self.world))
        np.add.at(counts, (self.prompt, self.chosen, self.rejected), self.mu / len(self))
        np.add.at(counts, (self.prompt, self.rejected, self.chosen), (1 - self.mu) / len(self))
        return counts

    def take(self, which: ArrayLike) -> Pairs:
        """Some of the votes: by number, or by a mask (n,)."""
        k = _which(which, len(self))
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
        ranks: their ranks, (n, K), never falling along a row; equal where answers tie. None is
            0, 1, 2, ...: no ties.

    >>> world = TokenWorld(["?"], "ab", 2)
    >>> Rankings.from_texts(world, [("?", "a$", "bb", "$")]).pairs().texts
    [('?', 'a$', 'bb'), ('?', 'a$', '$'), ('?', 'bb', '$')]
    >>> Rankings.from_texts(world, [("?", "a$", ("bb", "$"))]).pairs().mu  # "bb" and "$" tie
    array([1. , 1. , 0.5])

    Raises:
        TypeError, ValueError: numbers beyond the world, another shape, fewer than two answers, one
            answer twice, ranks that fall.
    """

    world: TokenWorld
    prompt: Indices
    completions: Indices
    ranks: Indices

    def __init__(
        self,
        world: TokenWorld,
        prompt: ArrayLike,
        completions: ArrayLike,
        ranks: ArrayLike | None = None,
    ) -> None:
        x = _column(prompt, "prompt", len(a_world(world, "world").prompts))
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
        object.__setattr__(self, "ranks", read_only(_ranks(ranks, y.shape)))

    __setstate__ = restore

    @classmethod
    def from_texts(
        cls, world: TokenWorld, votes: Iterable[Sequence[str | Sequence[str]]]
    ) -> Rankings:
        """Votes as (prompt, best, next, ..., worst), written out; a tuple holds answers that tie.

        All rank equally many answers.
        """
        rows = [_groups(vote, k) for k, vote in enumerate(votes)]
        sizes = sorted({sum(map(len, groups)) for _, groups in rows})
        if len(sizes) > 1:
            raise ValueError(
                f"votes must rank equally many answers; they rank {sizes[0]} to {sizes[-1]}"
            )
        x = [world.prompt(prompt) for prompt, _ in rows]
        y = [
            [_number(world, text, k) for group in groups for text in group]
            for k, (_, groups) in enumerate(rows)
        ]
        ranks = [[k for k, group in enumerate(groups) for _ in group] for _, groups in rows]
        return cls(world, x, y, ranks)

    def pairs(self) -> Pairs:
        """All C(K, 2) pairs of each ranking, those of one ranking together; ties have mu = 1/2."""
        above, below = np.array(list(combinations(range(self.completions.shape[1]), 2))).T
        tied = self.ranks[:, above] == self.ranks[:, below]
        return Pairs(
            self.world,
            np.repeat(self.prompt, len(above)),
            self.completions[:, above].ravel(),
            self.completions[:, below].ravel(),
            np.where(tied, 0.5, 1.0).ravel(),
        )

    def take(self, which: ArrayLike) -> Rankings:
        """Some of the votes: by number, or by a mask (n,)."""
        k = _which(which, len(self))
        return Rankings(self.world, self.prompt[k], self.completions[k], self.ranks[k])

    def __len__(self) -> int:
        return len(self.prompt)

    def __repr__(self) -> str:
        return f"Rankings({len(self)} of {self.completions.shape[1]}, {self.world!r})"


def pair_shape(world: TokenWorld) -> tuple[int, int, int]:
    """(P, N, N), the shape of a table of all pairs of answers to a prompt.

    Raises:
        ValueError: it is too large; how large is said.
    """
    P, N = len(world.prompts), world.n_completions
    if P * N * N > LARGEST:
        raise ValueError(
            f"the world must have at most {LARGEST:,} pairs of answers for a table of them; it has"
            f" {P * N * N:,}"
        )
    return P, N, N


def vote_table(votes: ArrayLike, world: TokenWorld, name: str) -> Array:
    """How often each answer (rows) was preferred to each other, (P, N, N); the diagonal is 0.

    What stands on the diagonal says nothing: nobody compares an answer with itself.

    Raises:
        TypeError, ValueError: another shape, a negative number, no votes, a world too large.
    """
    try:
        given = table(votes, name)
    except TypeError as error:
        raise TypeError(f"{error}; texts become votes by Pairs.from_texts") from error
    w = table(given, name, pair_shape(world))
    if (negative := w < 0).any():
        at = tuple(int(i) for i in np.argwhere(negative)[0])
        raise ValueError(f"{name}[{', '.join(map(str, at))}] must not be negative; it is {w[at]:g}")
    w = w * ~np.eye(w.shape[1], dtype=bool)
    if not w.any():
        raise ValueError(f"{name} must hold at least one vote; there is none")
    return w


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


def _which(which: ArrayLike, n: int) -> Indices:
    """Numbers of votes, of such numbers or of a mask (n,)."""
    given = np.asarray(which)
    if given.dtype == bool:
        if given.shape != (n,):
            raise ValueError(f"which must have shape ({n},) as a mask; it has {given.shape}")
        return np.flatnonzero(given)
    return indices(given, "which", n)


def _ranks(ranks: ArrayLike | None, shape: tuple[int, ...]) -> Indices:
    if ranks is None:
        return np.broadcast_to(np.arange(shape[1]), shape).copy()
    given = indices(ranks, "ranks", shape[1])
    if given.shape != shape:
        raise ValueError(f"ranks must have shape {shape} as completions; it has {given.shape}")
    if (falls := (np.diff(given, axis=1) < 0).any(axis=1)).any():
        at = int(falls.argmax())
        raise ValueError(f"ranks[{at}] must never fall, the best first; it is {given[at]}")
    return given


def _number(world: TokenWorld, text: str | Sequence[str], k: int) -> int:
    return int(world.numbers_of(world.answer(text, f"votes[{k}]")))


def _texts(vote: Sequence[str], k: int) -> tuple[str, ...]:
    if isinstance(vote, str) or not isinstance(vote, Sequence) or len(vote) != 3:
        raise ValueError(f"votes[{k}] must be (prompt, chosen, rejected); it is {vote!r}")
    return tuple(vote)


def _groups(vote: Sequence[str | Sequence[str]], k: int) -> tuple[str, tuple[tuple[str, ...], ...]]:
    """A prompt, and its answers in groups that tie, the best first."""
    wrong = ValueError(f"votes[{k}] must be (prompt, best, ..., worst); it is {vote!r}")
    if isinstance(vote, str) or not isinstance(vote, Sequence) or len(vote) < 2:
        raise wrong
    prompt, *rest = vote
    groups = tuple(group if isinstance(group, tuple) else (group,) for group in rest)
    if not isinstance(prompt, str) or sum(map(len, groups)) < 2 or not all(groups):
        raise wrong
    return prompt, groups
