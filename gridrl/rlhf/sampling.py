"""Better answers by writing many: best of N, rejection sampling, search, self-improvement.

The best of N answers has the distribution pi_N(y) = F(y)^N - F(y-)^N, where F is the share of the
model's answers that are no better; answers that tie share as the model would have it. Fine-tuning
on such winners has pi_N as its optimum, so that t rounds of it, each on the model of the last, are
one round with N^t.

Symbols: x prompt, y completion; P prompts, N completions of a prompt; n answers to choose from; K
runs, an axis before all tables.

Reading: Beirami et al. (2024), arXiv:2401.01879; Stiennon et al. (2020), arXiv:2009.01325; Zelikman
et al. (2022), arXiv:2203.14465 (self-improvement).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr

from gridrl.iterates import algorithm
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.pretraining import logits_of
from gridrl.rlhf.tokens import Reward, TokenWorld
from gridrl.tables import Array, Indices, check_distributions, generator, read_only, restore, whole

TIE = 1e-12  # of the largest reward: closer ones differ by rounding


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
        return float(np.log(self.n) - (self.n - 1) / self.n)

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
    p, R = model.probs, model.world.rewards(reward)
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
    gap = np.diff(R[order], prepend=R[order[0]]) > TIE * np.abs(R).max()
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
    ours, theirs, R = (np.asarray(v, dtype=np.float64) for v in (p, q, reward))
    for rows, name in ((ours, "p"), (theirs, "q")):
        if rows.shape[-2:] != R.shape:
            raise ValueError(f"{name} must have shape {R.shape} as reward; it has {rows.shape}")
        check_distributions(rows, name)
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
    """Write `n` answers and keep the best, the first of those that tie; of worlds of any size."""
    answers = model.sample(prompt, whole(n, "n", least=1), rng=rng)
    return max(answers, key=lambda answer: reward(prompt, answer))


# --- fine-tuning on what is best ------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Rejection:
    """A round of fine-tuning on winners; with a leading axis (K,) if there are runs.

    Attributes:
        world: prompts and tokens.
        context: of the model.
        logits: (contexts, V).
        probs: pi(y|x), (P, N).
        kl: KL(pi || first model), (P,), in nats.
        reward: mean reward, (P,), in reward units.
    """

    world: TokenWorld
    context: str | int
    logits: Array
    probs: Array
    kl: Array
    reward: Array

    __setstate__ = restore

    @property
    def model(self) -> LanguageModel:
        """The model, if there is one run."""
        if self.logits.ndim > 2:
            raise ValueError(f"model must be of one run; there are {len(self.logits)}: see logits")
        return LanguageModel(self.world, self.logits, context=self.context)

    def __repr__(self) -> str:
        return f"Rejection(reward {self.reward.mean():.4g}, KL {self.kl.mean():.4g})"


@algorithm
def rejection_sampling(
    model: LanguageModel,
    reward: Reward,
    n: int,
    *,
    rounds: int = 1,
    samples: int | None = None,
    online: bool = True,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Rejection]:
    """Fine-tune on the best of `n` answers, round after round.

    Online, each round writes with the model of the last; a tree model is after t rounds the best of
    n^t. Offline, the first model writes all: more rounds are more data, and no better.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model, pays = LanguageModel(TokenWorld(["?"], "a", 1)), [[1.0, 0.0]]
    >>> rejection_sampling(model, pays, 2, rounds=3).probs, best_of_n(model, pays, 8).probs
    (array([[0.99609375, 0.00390625]]), array([[0.99609375, 0.00390625]]))

    Args:
        model: the first one; contexts that no winner has stay as they are.
        reward: R(x, y).
        n: answers to choose from.
        rounds: one snapshot each.
        samples: winners of each prompt and round; None is infinitely many.
        online: whether a round's answers are of the last model, or of the first.
        runs: learners at once; None is one, without the axis.
        rng: a seed, a Generator, or None for fresh chance.

    Raises:
        ValueError: n, rounds, samples or runs below 1.
    """
    R, tables = model.world.rewards(reward), model.tables
    whole(n, "n", least=1)
    streams = _streams(rng, runs)
    theta = np.repeat(model.logits[None], len(streams), axis=0)
    p = first = np.exp(tables.log_probs(theta))
    seen = np.zeros_like(p)
    for _ in range(whole(rounds, "rounds", least=1)):
        winners = _winners(best_of(p if online else first, R, n), samples, streams)
        seen = winners if online else seen + winners
        theta = logits_of(theta, tables.gather(tables.flow(seen), theta.shape))
        p = np.exp(tables.log_probs(theta))
        yield _rejection(model, R, theta, p, runs is None)


@algorithm
def self_improvement(
    model: LanguageModel, success: Reward, *, rounds: int = 1
) -> Iterator[Rejection]:
    """Write, keep what is right, learn it, and again: EM on log P(success).  [arXiv:2203.14465]

    pi <- the closest model of its kind to pi(y | x, success). P(success), weighted as the data
    are, never falls; a tree model is done after one round, shared contexts take many.

    Args:
        model: the first one.
        success: 1 for a right answer, else 0, or the chance that it passes.
        rounds: one snapshot each; their `reward` is P(success).

    Raises:
        ValueError: success outside [0, 1]; a prompt that is never answered right, which is named.
    """
    R, tables = model.world.rewards(success), model.tables
    if ((R < 0) | (R > 1)).any():
        x, y = (int(i) for i in np.argwhere((R < 0) | (R > 1))[0])
        raise ValueError(f"success[{x}, {y}] must be in [0, 1]; it is {R[x, y]:g}")
    theta, p = np.array(model.logits), model.probs
    for _ in range(whole(rounds, "rounds", least=1)):
        right = p * R
        chance = right.sum(axis=-1, keepdims=True)
        if (chance == 0).any():
            prompt = model.world.prompts[int((chance[:, 0] == 0).argmax())]
            raise ValueError(f"model must sometimes answer {prompt!r} right; it never does")
        theta = logits_of(theta, tables.gather(tables.flow(right / chance), theta.shape))
        p = np.exp(tables.log_probs(theta))
        yield _rejection(model, R, theta[None], p[None], squeeze=True)


def _winners(p: Array, samples: int | None, streams: list[np.random.Generator]) -> Array:
    """How often each answer wins, (K, P, N): the best of n is drawn from its distribution."""
    if samples is None:
        return p
    many = whole(samples, "samples", least=1)
    drawn = [stream.multinomial(many, row) for stream, row in zip(streams, p, strict=True)]
    return np.array(drawn, dtype=np.float64)


def _rejection(model: LanguageModel, R: Array, theta: Array, p: Array, squeeze: bool) -> Rejection:
    values = (theta, p, rel_entr(p, model.probs).sum(axis=-1), (p * R).sum(axis=-1))
    kept = (read_only((v[0] if squeeze else v).copy()) for v in values)
    return Rejection(model.world, model.context, *kept)


def _streams(rng: int | np.random.Generator | None, runs: int | None) -> list[np.random.Generator]:
    """A stream for each run: whoever else runs, it draws the same."""
    count = whole(1 if runs is None else runs, "runs", least=1)
    entropy = int(generator(rng).integers(2**63)) if not isinstance(rng, int) else rng
    keys = [np.random.SeedSequence(entropy, spawn_key=(k,)) for k in range(count)]
    return [np.random.default_rng(key) for key in keys]
