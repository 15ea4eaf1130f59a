"""How well a reward predicts votes, and how well any could.

Votes are pairs, rankings (all their pairs), or a table (P, N, N) of how often the row was preferred
to the column, such as `all_pairs` gives: then every number here is exact.

Symbols: delta (n,) difference in reward, chosen less rejected; weights (n,) what a vote counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from gridrl.rlhf.choices import Votes, pairwise
from gridrl.rlhf.divergences import must_share_world
from gridrl.rlhf.reward_models import RewardModel
from gridrl.rlhf.votes import Pairs, Rankings
from gridrl.tables import TIE, Array, read_only, restore, table, whole


@dataclass(frozen=True, eq=False)
class Reliability:
    """Votes in bins of what was predicted for them.

    Attributes:
        predicted: mean predicted probability, (bins,).
        observed: how often it came so, (bins,).
        share: of all votes, (bins,).
    """

    predicted: Array
    observed: Array
    share: Array

    def __post_init__(self) -> None:
        for values in (self.predicted, self.observed, self.share):
            read_only(values)

    __setstate__ = restore


def reward_accuracy(reward: RewardModel | ArrayLike, comparisons: Votes) -> float:
    """The share of comparisons that the reward has on the right side; its ties count half.

    Of rankings, all pairs; of a table (P, N, N) of how often the row was preferred, exactly.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> world = TokenWorld(["?"], "a", 1)
    >>> reward_accuracy([[0.0, 1.0]], Pairs(world, [0, 0], [1, 0], [0, 1]))
    0.5

    Raises:
        TypeError, ValueError: a reward that does not fit the votes.
    """
    delta, weights = _compared(reward, comparisons)
    side = _side(delta)
    return float(weights @ side / weights.sum())


def accuracy_by_gap(
    reward: RewardModel | ArrayLike, comparisons: Votes, edges: ArrayLike
) -> tuple[Array, Array]:
    """Accuracy and share of the comparisons with |r(x,y) - r(x,y')| in [edge, next), (bins,) each.

    The accuracy of an empty bin is nan.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> world = TokenWorld(["?"], "ab", 1)
    >>> votes = Pairs.from_texts(world, [("?", "a", "b"), ("?", "b", "a"), ("?", "$", "a")])
    >>> accuracy_by_gap([[4.0, 1.0, 2.0]], votes, [0, 2, 10])
    (array([0.5, 1. ]), array([0.66666667, 0.33333333]))
    """
    delta, weights = _compared(reward, comparisons)
    bounds = table(edges, "edges")
    if bounds.ndim != 1 or len(bounds) < 2 or (np.diff(bounds) <= 0).any():
        raise ValueError(f"edges must be two numbers or more that rise; it is {bounds}")
    place = np.digitize(np.abs(delta), bounds) - 1
    inside = (place >= 0) & (place < len(bounds) - 1)
    right, total = (
        np.bincount(place[inside], values[inside], minlength=len(bounds) - 1)
        for values in (weights * _side(delta), weights)
    )
    accuracy = np.full(len(total), np.nan)
    np.divide(right, total, out=accuracy, where=total > 0)
    return accuracy, total / weights.sum()


def reward_calibration(
    reward: RewardModel | ArrayLike, comparisons: Votes, *, bins: int = 10
) -> Reliability:
    """Predicted against observed preference, in `bins` of equal width; empty ones are left out.

    Each pair is counted from its predicted winner's side, so that predictions run from 1/2 to 1.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> world = TokenWorld(["?"], "ab", 1)
    >>> votes = Pairs.from_texts(world, [("?", "a", "b")] * 3 + [("?", "b", "a")])
    >>> found = reward_calibration([[0.0, np.log(3), 0.0]], votes)
    >>> found.predicted, found.observed
    (array([0.75]), array([0.75]))

    Raises:
        TypeError, ValueError: bins < 1, a reward that does not fit the votes.
    """
    delta, weights = _compared(reward, comparisons)
    many = whole(bins, "bins", least=1)
    sure, agreed = expit(np.abs(delta)), _side(delta)
    place = np.minimum((2 * many * (sure - 0.5)).astype(np.intp), many - 1)
    total, said, seen = (
        np.bincount(place, weights * values, minlength=many)
        for values in (np.ones(len(sure)), sure, agreed)
    )
    met = total > 0
    return Reliability(said[met] / total[met], seen[met] / total[met], total[met] / weights.sum())


def reward_ceiling(votes: ArrayLike) -> float:
    """E[max(p, 1 - p)]: what no reward can exceed in accuracy on votes (P, N, N), `all_pairs`.

    >>> round(reward_ceiling([[[0.5, 0.8], [0.2, 0.5]]]), 3)
    0.8
    """
    w = _table(votes)
    return float(np.maximum(w, w.swapaxes(-1, -2)).sum() / 2 / w.sum())


def _table(votes: ArrayLike) -> Array:
    """How often each answer was preferred to each other, (P, N, N), of some world."""
    w = table(votes, "votes")
    if w.ndim != 3 or w.shape[1] != w.shape[2]:
        raise ValueError(f"votes must have shape (P, N, N); it has {w.shape}")
    if len(bad := np.argwhere(w < 0)):
        at = tuple(int(i) for i in bad[0])
        raise ValueError(f"votes{list(at)} must not be negative; it is {w[at]:g}")
    w = w * ~np.eye(w.shape[1], dtype=bool)
    if not w.any():
        raise ValueError("votes must hold at least one vote; there is none")
    return w


def _side(delta: Array) -> Array:
    """1 where the reward agrees with the choice, 0 where not, half where it is a tie."""
    return np.asarray((np.sign(delta) + 1) / 2)


def _compared(reward: RewardModel | ArrayLike, votes: Votes) -> tuple[Array, Array]:
    """The difference that the reward sees in each choice, and its weight, both (m,)."""
    if isinstance(votes, Pairs | Rankings):
        world = votes.world
        choices = pairwise(world, votes)
        if isinstance(reward, RewardModel):
            must_share_world(world, reward.world, "reward")
            r = reward.scores(choices.prompt, choices.completion)
        else:
            shape = (len(world.prompts), world.n_completions)
            r = table(reward, "reward", shape)[choices.prompt, choices.completion]
        first, second = r[choices.cells].T
        return _gaps(first, second), choices.weights
    w = _table(votes)
    r = table(reward.reward if isinstance(reward, RewardModel) else reward, "reward", w.shape[:2])
    x, y, other = np.nonzero(w)
    return _gaps(r[x, y], r[x, other]), w[x, y, other]


def _gaps(first: Array, second: Array) -> Array:
    """First less second, 0 where only rounding tells them apart."""
    gap, size = first - second, np.maximum(np.abs(first), np.abs(second)).max(initial=0.0)
    return np.where(np.abs(gap) > TIE * size, gap, 0.0)
