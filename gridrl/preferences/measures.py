"""How good a reward is at saying what will be preferred, and how good anyone could be.

A human who answers at random now and then is not predicted without fault by anyone: the ceiling is
E[max(p, 1 - p)], exact for a simulated human.

Symbols: p probability that the first of a pair is preferred; mu (n,) what was said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from gridrl.preferences.design import (
    Pair,
    differences,
    labelled,
    pairs_of,
    reward_shape,
    shares,
)
from gridrl.preferences.likelihood import preferred
from gridrl.preferences.segments import Comparison, Segment
from gridrl.tables import Array, Indices, number, read_only, restore, table, whole


class Judge(Protocol):
    """A simulated human, whose probabilities are known."""

    def probability(self, first: Segment, second: Segment) -> float:
        """P(first preferred), ties shared."""
        ...


@dataclass(frozen=True, eq=False)
class Calibration:
    """Comparisons in bins of what was predicted for them; empty bins are left out.

    Attributes:
        predicted: mean predicted probability that the first is preferred, (bins,).
        observed: how often it was, ties counted half, (bins,).
        counts: comparisons, (bins,).
    """

    predicted: Array
    observed: Array
    counts: Indices

    def __post_init__(self) -> None:
        for values in (self.predicted, self.observed, self.counts):
            values.flags.writeable = False

    __setstate__ = restore


def predicted(
    reward: ArrayLike, pairs: Sequence[Pair], error: float = 0.0, *, observed: bool = False
) -> Array:
    """P(first preferred) of many pairs at once, (n,); as `preference_probability`."""
    r = table(reward, "reward")
    X = differences(pairs, reward_shape(r.shape), observed)
    return preferred(X @ r.ravel(), number(error, "error", 0, 1))


def accuracy(
    reward: ArrayLike, comparisons: Iterable[Comparison], *, observed: bool = False
) -> float:
    """The share of comparisons that the reward has on the right side; ties count half.

    >>> vote = Comparison(Segment([0], [0]), Segment([1], [0]), "left")
    >>> accuracy([1.0, 0.0], [vote]), accuracy([0.0, 0.0], [vote])
    (1.0, 0.5)

    Raises:
        TypeError, ValueError: as `fit_bradley_terry`.
    """
    known = labelled(comparisons)
    p, mu = predicted(reward, pairs_of(known), observed=observed), shares(known)
    side = np.where(np.isclose(p, 0.5, rtol=0, atol=1e-12), 0.5, p > 0.5)
    return float((mu * side + (1 - mu) * (1 - side)).mean())


def accuracy_ceiling(oracle: Judge, pairs: Sequence[Pair]) -> float:
    """E[max(p, 1 - p)]: nobody foretells the oracle's answers more often.

    >>> from gridrl.preferences.oracles import PreferenceOracle
    >>> pair = (Segment([0], [0]), Segment([1], [0]))
    >>> round(accuracy_ceiling(PreferenceOracle([1.0, 0.0], error=0.1), [pair]), 4)
    0.95

    Raises:
        ValueError: no pairs.
    """
    if not len(pairs):
        raise ValueError("pairs must hold at least one pair; there are none")
    p = np.array([oracle.probability(first, second) for first, second in pairs])
    return float(np.maximum(p, 1 - p).mean())


def calibration(
    reward: ArrayLike,
    comparisons: Iterable[Comparison],
    *,
    bins: int = 10,
    error: float = 0.0,
    observed: bool = False,
) -> Calibration:
    """Of the pairs for which 70% was predicted, is the first preferred in 70%?

    >>> vote = Comparison(Segment([0], [0]), Segment([1], [0]), "left")
    >>> calibration([0.0, 0.0], [vote, vote], bins=5).observed
    array([1.])

    Args:
        reward: (S,) or (S, A).
        comparisons: the votes; skips are left out.
        bins: of equal width, from 0 to 1.
        error: the share of answers taken for guesses in the prediction.
        observed: the rows are observations.

    Raises:
        TypeError, ValueError: as `fit_bradley_terry`; no bins.
    """
    known, count = labelled(comparisons), whole(bins, "bins", least=1)
    p = predicted(reward, pairs_of(known), error, observed=observed)
    place = np.minimum((p * count).astype(np.intp), count - 1)
    counts = np.bincount(place, minlength=count)
    full = counts > 0

    def means(values: Array) -> Array:
        return read_only(np.bincount(place, values, count)[full] / counts[full])

    return Calibration(means(p), means(shares(known)), counts[full])
