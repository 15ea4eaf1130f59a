"""What GRPO's objective is made of, each a function that can be replaced.

A baseline says what to expect, a scale divides, a share weighs the tokens of an answer, an anchor
says what the penalty draws to.

Symbols: G answers in a group, on the last axis; r their rewards, `alive` where there is one; A
advantages; |o| tokens of an answer; p the chance of a success.

Reading: lecture 002; Shao et al. (2024), arXiv:2402.03300; Ahmadian et al. (2024),
arXiv:2402.14740; Liu et al. (2025), arXiv:2503.20783.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

from gridrl.rlhf.kl_estimators import Estimator, k3
from gridrl.tables import TIE, Array, Mask, called, number, table, whole

Baseline = Callable[[Array, Mask], Array]
Scale = Callable[[Array, Mask], Array]
Share = Callable[[Array], Array]
Anchor = Callable[[Array, Array], Array]


# --- baselines ------------------------------------------------------------------------------


def no_baseline(r: Array, alive: Mask) -> Array:
    """b = 0: every answer counts by its reward alone.

    >>> no_baseline(np.array([1.0, 0.0, 0.0, 1.0]), np.ones(4, bool))
    array([0., 0., 0., 0.])
    """
    return np.zeros(r.shape)


def group_mean(r: Array, alive: Mask) -> Array:
    """b = the mean reward of the group (..., G), the answer's own included.

    Which is why the estimate is too small on average, by the factor 1 - 1/G.

    >>> group_mean(np.array([1.0, 0.0, 0.0, 1.0]), np.ones(4, bool))
    array([0.5, 0.5, 0.5, 0.5])

    Raises:
        ValueError: a group of one, whose advantage is always 0.
    """
    _more_than_one(r)
    count = np.maximum(alive.sum(axis=-1, keepdims=True), 1)
    mean = np.where(alive, r, 0.0).sum(axis=-1, keepdims=True) / count
    return np.broadcast_to(mean, r.shape)


def leave_one_out(r: Array, alive: Mask) -> Array:
    """b_i = the mean reward of the other answers of the group (..., G): unbiased.

    One that is left alone, all others having ended, is its own baseline: it learns nothing.
    [Kool et al. 2019; arXiv:2402.14740]

    >>> leave_one_out(np.array([1.0, 0.0, 0.0, 1.0]), np.ones(4, bool)).round(4)
    array([0.3333, 0.6667, 0.6667, 0.3333])

    Raises:
        ValueError: a group of one.
    """
    _more_than_one(r)
    count = alive.sum(axis=-1, keepdims=True)
    others = np.where(alive, r, 0.0).sum(axis=-1, keepdims=True) - r
    return np.where(count > 1, others / np.maximum(count - 1, 1), r)


def _more_than_one(r: Array) -> None:
    if r.shape[-1] < 2:
        raise ValueError("a group must have at least 2 answers to be compared; it has 1")


# --- scales, shares, anchors ---------------------------------------------------------------------


def group_std(r: Array, alive: Mask) -> Array:
    """The standard deviation of a group (..., G), divided by G: 0 if all are paid the same.

    >>> group_std(np.array([1.0, 0.0, 0.0, 1.0]), np.ones(4, bool))
    array([0.5])
    """
    return _spread(r, alive, 0)


def sample_std(r: Array, alive: Mask) -> Array:
    """The same, divided by G - 1, as in some programs.

    >>> sample_std(np.array([1.0, 0.0, 0.0, 1.0]), np.ones(4, bool)).round(4)
    array([0.5774])
    """
    return _spread(r, alive, 1)


def _spread(r: Array, alive: Mask, ddof: int) -> Array:
    count = alive.sum(axis=-1, keepdims=True)
    mean = np.where(alive, r, 0.0).sum(axis=-1, keepdims=True) / np.maximum(count, 1)
    square = np.where(alive, (r - mean) ** 2, 0.0).sum(axis=-1, keepdims=True)
    std = np.sqrt(square / np.maximum(count - ddof, 1))
    # equal rewards differ by rounding from their mean: divided by that, noise would be an advantage
    largest = np.abs(np.where(alive, r, 0.0)).max(axis=-1, keepdims=True)
    return np.where(std > TIE * largest, std, 0.0)


def per_token(lengths: Array) -> Array:
    """1/|o|: an answer counts the same however long, so that a token of a long one counts less.

    >>> per_token(np.array([1, 2, 4]))
    array([1.  , 0.5 , 0.25])
    """
    return 1 / lengths


def per_answer(lengths: Array) -> Array:
    """1: every token counts the same.  [arXiv:2503.20783]

    >>> per_answer(np.array([1, 2, 4]))
    array([1., 1., 1.])
    """
    return np.ones(lengths.shape)


def to_reference(log_reference: Array, log_old: Array) -> Array:
    """The penalty draws to the reference.  [arXiv:2402.03300, eq. 3]

    >>> to_reference(np.array([-0.7]), np.array([-0.2]))
    array([-0.7])
    """
    return log_reference


def to_old(log_reference: Array, log_old: Array) -> Array:
    """The penalty draws to the policy that wrote the batch.  [lecture 002]

    At the first step on a batch it is 0, and so is its gradient.

    >>> to_old(np.array([-0.7]), np.array([-0.2]))
    array([-0.2])
    """
    return log_old


@dataclass(frozen=True)
class GRPOTerms:
    """What GRPO's objective is made of; as in the paper, unless another is given.

    Attributes:
        baseline: of the rewards of a group: `group_mean`, `leave_one_out`, `no_baseline`.
        scale: what advantages are divided by: `group_std`, `sample_std`, or None for nothing. Where
            it is 0 the group is dead, and its advantages are 0.
        length: the weight of an answer's tokens, a function of lengths: `per_token`, `per_answer`.
        penalty: an estimator of KL as `k1`, `k2`, `k3`, on each token and differentiated; None is
            no penalty.
        anchor: what it draws to: `to_reference`, `to_old`.
        epsilon: how far the ratio of a token may go and be paid for it, in [0, 1].

    Raises:
        TypeError, ValueError: epsilon outside [0, 1].
    """

    baseline: Baseline = group_mean
    scale: Scale | None = group_std
    length: Share = per_token
    penalty: Estimator | None = k3
    anchor: Anchor = to_reference
    epsilon: float = 0.2

    def __post_init__(self) -> None:
        number(self.epsilon, "epsilon", 0, 1)
        for name in ("baseline", "scale", "length", "penalty", "anchor"):
            value = getattr(self, name)
            if value is not None or name not in ("scale", "penalty"):
                called(value, name)


def group_advantages(
    r: ArrayLike,
    alive: Mask | None = None,
    *,
    baseline: Baseline = group_mean,
    scale: Scale | None = group_std,
) -> Array:
    """A_i = (r_i - mean r) / std r, of groups (..., G).  [arXiv:2402.03300, sec. 4.1.2]

    >>> group_advantages([1.0, 0.0, 0.0, 1.0])
    array([ 1., -1., -1.,  1.])
    >>> group_advantages([0.1, 0.1, 0.1])  # a dead group
    array([0., 0., 0.])

    Raises:
        TypeError, ValueError: rewards that are no finite numbers, a group of one.
    """
    rewards = table(r, "r")
    if rewards.ndim == 0:
        raise ValueError("r must have shape (..., G); it has ()")
    there = np.ones(rewards.shape, dtype=bool) if alive is None else alive
    A = np.where(there, rewards - baseline(rewards, there), 0.0)
    if scale is None:
        return A
    size = table(scale(rewards, there), "scale(r, alive)")
    return np.where(size > 0, A / np.where(size > 0, size, 1.0), 0.0)


# --- a checkable reward ---------------------------------------------------------------------


def success_weight(p: ArrayLike, group: int, *, scale: Scale = group_std) -> Array:
    """By how much GRPO multiplies dp/dtheta where answers are right, 1, or wrong, 0.

    E[m (1 - m) / std] / (p (1 - p)), m the share of right answers in the group. For large groups
    that is 1 / sqrt(p (1 - p)): what is climbed is 2 arcsin sqrt(p) instead of p.

    >>> success_weight([0.1, 0.5, 0.9], 8, scale=sample_std).round(2)
    array([2.18, 1.74, 2.18])
    >>> success_weight([0.1, 0.5, 0.9], 8).round(2)
    array([2.33, 1.86, 2.33])

    Raises:
        ValueError: p that is not strictly between 0 and 1, a group of one.
    """
    chance, G = _chances(p), whole(group, "group", least=2)
    if ((chance == 0) | (chance == 1)).any():
        raise ValueError(f"p must be strictly between 0 and 1; it is {np.asarray(p)}")
    right = np.arange(1, G)  # the other groups are dead
    rewards = (np.arange(G) < right[:, None]).astype(np.float64)
    std = scale(rewards, np.ones(rewards.shape, dtype=bool))[:, 0]
    share = right / G
    mean = (binom.pmf(right, G, chance[..., None]) * share * (1 - share) / std).sum(axis=-1)
    return np.asarray(mean / (chance * (1 - chance)))


def dead_groups(p: ArrayLike, group: int) -> Array:
    """p^G + (1 - p)^G: the share of groups all right or all wrong, of which nothing is learned.

    >>> dead_groups(0.5, 4)
    array(0.125)

    Raises:
        ValueError: p outside [0, 1], a group of one.
    """
    chance, G = _chances(p), whole(group, "group", least=2)
    return np.asarray(chance**G + (1 - chance) ** G)


def _chances(p: ArrayLike) -> Array:
    chance = table(p, "p")
    if ((chance < 0) | (chance > 1)).any():
        raise ValueError(f"p must be in [0, 1]; it is {np.asarray(p)}")
    return chance
