"""Better answers by writing many, and keeping the best of N.

It has the distribution pi_N(y) = F(y)^N - F(y-)^N, where F is the share of the model's answers that
are no better; answers that tie share as the model would have it.

Symbols: x prompt, y completion; P prompts, N completions of a prompt; n answers to choose from; K
runs, an axis before all tables.

Reading: Beirami et al. (2024), arXiv:2401.01879; Stiennon et al. (2020), arXiv:2009.01325.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr

from gridrl.rlhf.language import LanguageModel, a_model
from gridrl.rlhf.tokens import Reward, paid
from gridrl.tables import Array, Indices, distributions, read_only, restore, table, whole

TIE = 1e-12  # of the size of rewards: closer ones differ by rounding


@dataclass(frozen=True, eq=False)
class BestOfN:
    """What the best of n answers is like, exactly.

    Attributes:
        n: how many to choose from.
        probs: pi_n(y|x), (P, N).
        kl: KL(pi_n || model), (P,), in nats.
        win_rate: how often it beats one answer of the model, ties counting half, (P,).
        reward: its mean reward, (P,), in reward units.
    """

    n: int
    probs: Array
    kl: Array
    win_rate: Array
    reward: Array

    @property
    def bound(self) -> float:
        """log n - (n - 1) / n: the KL is no more, and comes near it where each answer is rare."""
        return log(self.n) - (self.n - 1) / self.n

    __setstate__ = restore

    def __repr__(self) -> str:
        kl, wins = self.kl.mean(), self.win_rate.mean()
        return f"BestOfN(n {self.n}, KL {kl:.3g} <= {self.bound:.3g}, win rate {wins:.3g})"


def best_of_n(model: LanguageModel, reward: Reward, n: int) -> BestOfN:
    """pi_n(y) = F(y)^n - F(y-)^n, the best of `n` answers.  [arXiv:2401.01879, sec. 2]

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model = LanguageModel(TokenWorld(["?"], "a", 1))
    >>> best_of_n(model, [[1.0, 0.0]], 2).probs  # "$" pays 1, and is missed twice in 1/4
    array([[0.75, 0.25]])

    Raises:
        ValueError: n < 1, a reward of another shape.
    """
    whole(n, "n", least=1)
    p, R = a_model(model, "model").probs, model.world.rewards(reward)
    q = best_of(p, R, n)
    kl = np.maximum(rel_entr(q, p).sum(axis=-1), 0.0)  # n = 1: rounding may leave less
    values = (q, kl, win_rate(q, p, R), (q * R).sum(axis=-1))
    return BestOfN(n, *(read_only(v) for v in values))


def best_of(p: Array, R: Array, n: int) -> Array:
    """The distribution of the best of n draws from p (..., P, N), by reward R (P, N)."""
    result = np.empty_like(p)
    for x in range(len(R)):
        share, classes = _classes(p[..., x, :], R[x])
        below = np.cumsum(share, axis=-1) - share
        above = np.cumsum(share[..., ::-1], axis=-1)[..., ::-1] - share
        result[..., x, :] = p[..., x, :] * _boost(share, below, above, n)[..., classes]
    return result / result.sum(axis=-1, keepdims=True)


def _boost(share: Array, below: Array, above: Array, n: int) -> Array:
    """(F^n - F-^n) / (F - F-) of each class, precise for tiny shares: 0 where the share is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        F = below + share
        log_F = np.where(above < 0.5, np.log1p(-np.minimum(above, 1)), np.log(F))
        lost = n * np.log1p(-np.minimum(share / F, 1.0))
        return np.where(share > 0, np.exp(n * log_F) * -np.expm1(lost) / share, 0.0)


def _classes(p: Array, R: Array) -> tuple[Array, Indices]:
    """The share of p (..., N) that each reward has, worst first, and each answer's class (N,)."""
    order = np.argsort(R, kind="stable")
    r = R[order]
    usual = np.median(np.abs(r[r != 0])) if r.any() else 0.0  # one huge penalty makes no ties
    near = TIE * np.maximum(usual, np.maximum(np.abs(r), np.abs(np.roll(r, 1))))
    gap = np.diff(r, prepend=r[0]) > near
    classes = np.empty(len(R), dtype=np.intp)
    classes[order] = np.cumsum(gap)
    starts = np.concatenate([[0], np.flatnonzero(gap)])
    return np.add.reduceat(p[..., order], starts, axis=-1), classes


def win_rate(p: ArrayLike, q: ArrayLike, reward: ArrayLike) -> Array:
    """P(R(y) > R(y')) + P(tie) / 2, with y from p and y' from q, (..., P), exactly.

    >>> float(win_rate([[0.75, 0.25]], [[0.5, 0.5]], [[1.0, 0.0]])[0])
    0.625

    Raises:
        ValueError: rows that are no distributions, shapes that differ.
    """
    R, ours, theirs = table(reward, "reward"), distributions(p, "p"), distributions(q, "q")
    if R.ndim != 2:
        raise ValueError(f"reward must have shape (P, N); it has {R.shape}")
    for rows, name in ((ours, "p"), (theirs, "q")):
        if rows.shape[-2:] != R.shape:
            raise ValueError(f"{name} must have shape {R.shape} as reward; it has {rows.shape}")
    wins = []
    for x in range(len(R)):
        (mine, _), (other, _) = _classes(ours[..., x, :], R[x]), _classes(theirs[..., x, :], R[x])
        wins.append((mine * (np.cumsum(other, axis=-1) - other / 2)).sum(axis=-1))
    return np.stack(wins, axis=-1)


def sample_best_of_n(
    model: LanguageModel,
    reward: Callable[[str, str], float],
    prompt: str,
    n: int,
    *,
    rng: int | np.random.Generator | None = None,
) -> str:
    """Write `n` answers and keep the best, the first of those that tie; of worlds of any size.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model = LanguageModel(TokenWorld(["?"], "ab", 30), context=1)
    >>> sample_best_of_n(model, lambda x, y: y.count("a"), "?", 50, rng=0)
    'aaabaaba$'
    """
    answers = model.sample(prompt, whole(n, "n", least=1), rng=rng)
    return max(answers, key=lambda answer: paid(reward, prompt, answer))
