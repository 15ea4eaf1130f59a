"""Which two clips to show: at random, where the ensemble disagrees, or where most can be learned.

A choice is a function of (pairs, ensemble, count, rng) that returns the places of the pairs to be
shown, the most wanted first. Ten times as many pairs are drawn as are shown.

Symbols: m members, n pairs; p[j, i] the probability that member j sees the first clip of pair i
preferred; H the entropy of such a probability, in nats.

Reading: Christiano et al. (2017), arXiv:1706.03741, section 2.2.4 and appendix A; Houlsby et al.
(2011), arXiv:1112.5745.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np

from gridrl.preferences.design import Pair
from gridrl.preferences.segments import Comparison, Segment, pair_of
from gridrl.tables import Array, entropy, whole

TRIES = 3  # draws for each pair wanted, before what is left is taken to be rare


class Model(Protocol):
    """What the loop needs of a reward model: `RewardEnsemble`, or another in its place."""

    @property
    def reward(self) -> Array:
        """r-hat: the members normalised, and averaged, (S,) or (S, A)."""

    def fit(self, comparisons: Iterable[Comparison]) -> object:
        """Learn from all the votes there are."""

    def predictions(self, pairs: Sequence[Pair]) -> Array:
        """P(first preferred) by each member, of each pair, (m, n)."""


Choice = Callable[[Sequence[Pair], Model, int, np.random.Generator], list[int]]


def random_queries(
    pairs: Sequence[Pair], ensemble: Model | None, count: int, rng: np.random.Generator
) -> list[int]:
    """Any `count` of the pairs, each equally likely, none twice.

    >>> clips = [Segment([s], [0]) for s in range(4)]
    >>> len(set(random_queries([(clips[0], clip) for clip in clips[1:]], None, 2,
    ...                        np.random.default_rng(0))))
    2

    Raises:
        ValueError: there are fewer pairs than `count`.
    """
    return rng.permutation(len(pairs))[: _count(pairs, count)].tolist()


def disagreement_queries(
    pairs: Sequence[Pair], ensemble: Model, count: int, rng: np.random.Generator
) -> list[int]:
    """The pairs with the largest variance over members of p, the predicted preference.  [App. A]

    Args:
        pairs: the candidates.
        ensemble: whose members are asked.
        count: how many are wanted.
        rng: breaks ties, which a single member leaves everywhere.

    >>> class Opinions:  # two members, who agree on all pairs but the second
    ...     def predictions(self, pairs):
    ...         return np.array([[0.9, 0.1, 0.5], [0.9, 0.9, 0.5]])
    ...
    >>> pairs = [(Segment([0], [0]), Segment([s], [0])) for s in (1, 2, 3)]
    >>> disagreement_queries(pairs, Opinions(), 1, np.random.default_rng(0))
    [1]

    Raises:
        ValueError: there are fewer pairs than `count`.
    """
    return _largest(ensemble.predictions(pairs).var(axis=0), _count(pairs, count), rng)


def information_queries(
    pairs: Sequence[Pair], ensemble: Model, count: int, rng: np.random.Generator
) -> list[int]:
    """The pairs with the largest information gain, H(mean of p) - mean of H(p).  [arXiv:1112.5745]

    It is the mutual information of the answer and the member. A pair that every member finds even
    has none, though nobody knows its answer: entropy alone would ask it.

    Args, Raises: as `disagreement_queries`.

    >>> class Opinions:  # the first pair: both unsure; the second: sure, of different things
    ...     def predictions(self, pairs):
    ...         return np.array([[0.5, 0.1], [0.5, 0.9]])
    ...
    >>> pairs = [(Segment([0], [0]), Segment([s], [0])) for s in (1, 2)]
    >>> information_queries(pairs, Opinions(), 1, np.random.default_rng(0))
    [1]
    """
    p = ensemble.predictions(pairs)
    gain = _coin(p.mean(axis=0)) - _coin(p).mean(axis=0)
    return _largest(gain, _count(pairs, count), rng)


def candidate_pairs(
    clips: Sequence[Segment],
    count: int,
    asked: Callable[[Segment, Segment], bool],
    rng: np.random.Generator,
) -> list[Pair]:
    """Up to `count` pairs of different clips, none of them asked before, none twice.

    Args:
        clips: where they are drawn from.
        count: how many are wanted; there may be fewer.
        asked: says whether a pair was shown before: `PreferenceDataset.asked`.
        rng: draws them.

    >>> clips = [Segment([s], [0]) for s in range(3)]
    >>> len(candidate_pairs(clips, 9, lambda one, two: False, np.random.default_rng(0)))
    3
    """
    pairs: dict[str, Pair] = {}
    for i, j in rng.integers(len(clips), size=(TRIES * count, 2)) if clips else ():
        first, second = clips[i], clips[j]
        if first.key != second.key and not asked(first, second):
            pairs.setdefault(pair_of(first, second), (first, second))
        if len(pairs) == count:
            break
    return list(pairs.values())


def _count(pairs: Sequence[Pair], count: int) -> int:
    n = whole(count, "count", least=0)
    if n > len(pairs):
        raise ValueError(f"count must be at most {len(pairs)}, the number of pairs; it is {n}")
    return n


def _largest(score: Array, count: int, rng: np.random.Generator) -> list[int]:
    """The places of the largest scores, ties in random order."""
    return np.lexsort((rng.random(len(score)), -score.round(12)))[:count].tolist()


def _coin(p: Array) -> Array:
    """The entropy of a coin, in nats."""
    return entropy(np.stack([p, 1 - p], axis=-1))
