"""Fine-tuning on one's own best answers: rejection sampling, and self-improvement.

The optimum of fine-tuning on winners is pi_N, the distribution of the best of N. So t rounds of it,
each on the model of the last, are one round with N^t.

Symbols: x prompt, y completion; P prompts, N completions of a prompt; n answers to choose from; K
runs, an axis before all tables.

Reading: lecture 002; Beirami et al. (2024), arXiv:2401.01879; Zelikman et al. (2022),
arXiv:2203.14465 (self-improvement).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy.special import softmax

from gridrl.iterates import algorithm
from gridrl.rlhf.divergences import kl_by_tokens
from gridrl.rlhf.language import LanguageModel, a_model, scores, write
from gridrl.rlhf.pretraining import logits_of
from gridrl.rlhf.sampling import best_of
from gridrl.rlhf.tokens import Reward
from gridrl.rlhf.trees import rows_along
from gridrl.streams import streams
from gridrl.tables import Array, read_only, restore, whole

Streams = list[np.random.Generator]


@dataclass(frozen=True, eq=False)
class Rejection:
    """A round of fine-tuning on winners; with a leading axis (K,) if there are runs.

    Attributes:
        first: the model before the first round.
        paid: R(x, y), as it was given.
        logits: (contexts, V).
    """

    first: LanguageModel
    paid: Reward
    logits: Array

    __setstate__ = restore

    @cached_property
    def probs(self) -> Array:
        """pi(y|x), (P, N), if all answers can be listed."""
        return read_only(np.exp(self.first.tables.log_probs(self.logits)))

    @property
    def kl(self) -> Array:
        """KL(pi || first model), (P,), in nats."""
        return np.maximum(kl_by_tokens(self.first, self.first, self.logits), 0.0)

    @property
    def reward(self) -> Array:
        """Mean reward, (P,), in reward units, if all answers can be listed."""
        return np.asarray((self.probs * self.first.world.rewards(self.paid)).sum(axis=-1))

    @property
    def model(self) -> LanguageModel:
        """The model, if there is one run."""
        if self.logits.ndim > 2:
            raise ValueError(f"model must be of one run; there are {len(self.logits)}: see logits")
        return self.first.with_logits(self.logits)

    def __repr__(self) -> str:
        paid = f"reward {self.reward.mean():.4g}, " if self.first.world.enumerable else ""
        return f"Rejection({paid}KL {self.kl.mean():.4g})"


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

    >>> from gridrl.rlhf.sampling import best_of_n
    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model, pays = LanguageModel(TokenWorld(["?"], "a", 1)), [[1.0, 0.0]]
    >>> rejection_sampling(model, pays, 2, rounds=3).probs, best_of_n(model, pays, 8).probs
    (array([[0.99609375, 0.00390625]]), array([[0.99609375, 0.00390625]]))

    Args:
        model: the first one; contexts that no winner has stay as they are.
        reward: R(x, y), a function of two texts or a table, (P, N), in reward units.
        n: answers to choose from.
        rounds: one snapshot each.
        samples: winners of each prompt and round; None is infinitely many.
        online: whether a round's answers are of the last model, or of the first.
        runs: learners at once; None is one, without the axis.
        rng: a seed, a Generator, or None for fresh chance.

    Raises:
        ValueError: n, rounds, samples or runs below 1; infinitely many samples, or a table of
            rewards, where there are too many answers to list.
    """
    world, paid = a_model(model, "model").world, reward
    whole(n, "n", least=1)
    if callable(reward) and samples is not None and not world.enumerable:
        winners = partial(_written, model, reward, n, whole(samples, "samples", least=1))
    else:
        paid = world.rewards(reward)
        winners = partial(_drawn, model, paid, n, samples)
    chances = streams(rng, whole(1 if runs is None else runs, "runs", least=1))
    theta = first = np.repeat(model.logits[None], len(chances), axis=0)
    seen = np.zeros_like(theta)
    for _ in range(whole(rounds, "rounds", least=1)):
        found = winners(theta if online else first, chances)
        seen = found if online else seen + found
        theta = logits_of(theta, seen)
        yield Rejection(model, paid, read_only(theta[0] if runs is None else theta))


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

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model = LanguageModel(TokenWorld(["?"], "ab", 3), context=1)
    >>> rounds = self_improvement.iterates(model, lambda x, y: "ab" in y, rounds=3)
    >>> [now.reward.round(3).tolist() for now in rounds]
    [[0.861], [0.939], [0.969]]

    Raises:
        ValueError: success outside [0, 1]; a prompt that is never answered right, which is named.
    """
    R, tables = a_model(model, "model").world.rewards(success, name="success"), model.tables
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
        yield Rejection(model, R, read_only(theta))


def _drawn(
    model: LanguageModel, R: Array, n: int, samples: int | None, theta: Array, chances: Streams
) -> Array:
    """The tokens of the winners, (K, contexts, V): the best of n is drawn from its distribution."""
    winners = best_of(np.exp(model.tables.log_probs(theta)), R, n)
    if samples is not None:
        many, pairs = whole(samples, "samples", least=1), zip(chances, winners, strict=True)
        winners = np.array([chance.multinomial(many, p) for chance, p in pairs], dtype=np.float64)
    return model.tables.gather(model.tables.flow(winners), theta.shape)


def _written(
    model: LanguageModel,
    reward: Callable[[str, str], float],
    n: int,
    samples: int,
    theta: Array,
    chances: Streams,
) -> Array:
    """The same where answers cannot be listed: n are written for each winner."""
    world, (K, C, V) = model.world, theta.shape
    x = np.repeat(np.arange(len(world.prompts)), samples * n)
    uniform = np.array([chance.random((len(x), world.length)) for chance in chances])
    answers = write(model, softmax(theta, axis=-1), x, uniform)
    values = scores(world, reward, np.tile(x, K), answers.reshape(-1, world.length))
    first = values.reshape(-1, n).argmax(axis=1)
    best = answers.reshape(-1, n, world.length)[np.arange(len(first)), first]
    best = best.reshape(K, -1, world.length)
    rows = rows_along(world, model.context, x[::n], best) + C * np.arange(K)[:, None, None]
    there = best >= 0
    counts = np.bincount((rows * V + best)[there], minlength=K * C * V)
    return np.asarray(counts.reshape(theta.shape), dtype=np.float64)
