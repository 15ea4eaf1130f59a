"""Scores in place of comparisons: a number for each clip, and least squares.

Somebody who could say what a clip is worth would say more than which of two is better: a score has
no unknown constant. People cannot; their numbers are noisy, and the noise does not shrink where the
clips are alike. The paper's ablation "target" is another question: there the number is the exact
sum of true rewards, and what is missing is only that the model learns from sums.

Symbols: y (n,) scores, in reward units; Phi (n, cells) visit counts; r (cells,) rewards.

Reading: lecture 003 (why compare rather than score); Christiano et al. (2017), arXiv:1706.03741,
section 3.3 ("target").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gridrl.preferences.design import Pair, differences, reward_shape, visits
from gridrl.preferences.segments import Comparison, Segment
from gridrl.tables import Array, generator, number, read_only, restore, table, whole


@dataclass(frozen=True, eq=False)
class Scoring:
    """A reward that was fitted to scores.

    Attributes:
        reward: of the shape asked for, in reward units; 0 in what no segment tells.
        rank: how many directions of the reward table the segments tell.
        loss: mean squared error, in squared reward units.
    """

    reward: Array
    rank: int
    loss: float

    __setstate__ = restore


def fit_scores(
    segments: Sequence[Segment],
    scores: ArrayLike,
    shape: Sequence[int],
    *,
    l2: float = 0.0,
    observed: bool = False,
) -> Scoring:
    """Minimise mean of (y - sum_t r(s_t, a_t))^2 + l2 |r|^2.  [arXiv:1706.03741, sec. 3.3]

    Without l2 it is the answer of least norm among the best.

    >>> clips = [Segment([0, 1], [0, 0]), Segment([1, 1], [0, 0])]
    >>> fit_scores(clips, [3.0, 4.0], (3,)).reward.round(9)
    array([1., 2., 0.])

    Args:
        segments: n clips; they may differ in length.
        scores: what each is worth, (n,), in reward units.
        shape: of the reward table, (S,) or (S, A).
        l2: weight of the squared rewards.
        observed: rows are observations.

    Raises:
        TypeError, ValueError: no segments, not one score for each, l2 below 0, a cell beyond the
            table.
    """
    if len(segments) == 0:
        raise ValueError("segments must hold at least one; there are none")
    sizes, n = reward_shape(shape), len(segments)
    Phi = visits(segments, sizes, observed).toarray()
    y, l2 = table(scores, "scores", (n,)), number(l2, "l2", 0)
    r, rank = _least_squares(Phi, y, l2, np.ones(n))
    loss = float(((Phi @ r - y) ** 2).mean())
    return Scoring(read_only(r.reshape(sizes)), rank, loss)


class ScoreEnsemble:
    """A reward model that learns from one score a query, in the place of a `RewardEnsemble`.

    The answers of `learn_from_preferences` only say which clips were shown: of each pair the first
    is scored, so that a query gives one number as it gives one vote.

    >>> from gridrl.preferences.oracles import PreferenceOracle
    >>> oracle = PreferenceOracle([0.0, 1.0, 3.0])
    >>> model = ScoreEnsemble((3,), oracle.value, rng=0)
    >>> clips = [Segment([s], [0]) for s in (0, 1, 2)]
    >>> votes = [Comparison(clips[s], clips[s - 1], "tie") for s in (0, 1, 2)] * 4
    >>> model.fit(votes).reward.round(2)
    array([-1.07, -0.27,  1.34])

    Args:
        shape: of the reward table, (S,) or (S, A).
        value: what a clip is worth, in reward units: `PreferenceOracle.value`, or a noisy one.
        members: how many, each on its own Poisson(1) bootstrap of the scores.
        l2: weight of the squared rewards.
        observed: rows are observations.
        rng: a seed, a Generator, or None for fresh chance.

    Raises:
        TypeError, ValueError: a shape that is none, no members, l2 below 0.
    """

    def __init__(
        self,
        shape: Sequence[int],
        value: Callable[[Segment], float],
        *,
        members: int = 3,
        l2: float = 1e-3,
        observed: bool = False,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self.shape, self.value, self.observed = reward_shape(shape), value, observed
        self.l2, m = number(l2, "l2", 0), whole(members, "members", least=1)
        self.raw = read_only(np.zeros((m, *self.shape)))
        self._seen = np.ones(self.shape, bool)
        self._seed = int(generator(rng).integers(2**63))
        self._scores: dict[str, float] = {}

    def fit(self, comparisons: Iterable[Comparison]) -> ScoreEnsemble:
        """Fit every member to the scores of the first clips.

        Raises:
            ValueError: there are none.
        """
        clips = [vote.first for vote in comparisons]
        if not clips:
            raise ValueError("comparisons must hold at least one; there are none")
        y = np.array([self._score(clip) for clip in clips])
        Phi = visits(clips, self.shape, self.observed).toarray()
        # row by row from one seed: what a score counts for a member stays when others follow
        W = np.random.default_rng(self._seed).poisson(1.0, (len(clips), len(self.raw)))
        fitted = [_least_squares(Phi, y, self.l2, w)[0] for w in W.T]
        self.raw = read_only(np.array(fitted).reshape(self.raw.shape))
        self._seen = (Phi.sum(axis=0) > 0).reshape(self.shape)
        return self

    @property
    def members(self) -> Array:
        """Mean 0 and deviation 1 over the cells that clips pass, (m, *shape); 0 if constant."""
        seen = self.raw[:, self._seen]
        mean, std = seen.mean(axis=1), seen.std(axis=1)
        flat = std <= 1e-9 * np.abs(seen).max(axis=1)
        axes = (-1, *(1 for _ in self.shape))
        scaled = (self.raw - mean.reshape(axes)) / np.where(flat, 1.0, std).reshape(axes)
        return read_only(np.where(flat.reshape(axes), 0.0, scaled))

    @property
    def reward(self) -> Array:
        """r-hat: the mean of the normalised members, (shape)."""
        return read_only(self.members.mean(axis=0))

    @property
    def spread(self) -> Array:
        """The standard deviation between the normalised members, (shape)."""
        return read_only(self.members.std(axis=0))

    def predictions(self, pairs: Sequence[Pair]) -> Array:
        """sigma(Delta), Delta a member's difference of sums, (m, n): whom it would prefer."""
        from scipy.special import expit

        X = differences(pairs, self.shape, self.observed)
        return expit((X @ self.raw.reshape(len(self.raw), -1).T).T)

    def _score(self, clip: Segment) -> float:
        """What a clip is worth, asked once."""
        if clip.key not in self._scores:
            self._scores[clip.key] = number(self.value(clip), "value(segment)")
        return self._scores[clip.key]


def _least_squares(Phi: Array, y: Array, l2: float, weights: Array) -> tuple[Array, int]:
    """The r of least mean weighted squared error, and the rank of Phi's weighted rows."""
    root = np.sqrt(weights / max(1.0, weights.sum()))[:, None]
    rows, targets = root * Phi, root[:, 0] * y
    if l2:
        cells = Phi.shape[1]
        rows = np.concatenate([rows, np.sqrt(l2) * np.eye(cells)])
        targets = np.concatenate([targets, np.zeros(cells)])
    r, _, rank, _ = np.linalg.lstsq(rows, targets, rcond=None)
    return r, int(rank) if not l2 else int(np.linalg.matrix_rank(Phi))
