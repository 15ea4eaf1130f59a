"""How good a policy is, from answers drawn: the way where there are too many to list.

Each number comes with its standard error. The objective is a mean of Rhat = R - beta log(p / p_ref)
over the policy's answers; at the optimum Rhat is the same for all of them, so that the estimate has
no error there.

Symbols: x prompt; y answer; P prompts; n answers drawn to each; p policy; p_ref reference.

Reading: lecture 003, where an expectation is replaced by samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gridrl.rlhf.answers import Answers
from gridrl.rlhf.divergences import kl, must_cover_tokens, must_share_world
from gridrl.rlhf.language import LanguageModel, a_model, scores
from gridrl.rlhf.tokens import Reward, TokenWorld
from gridrl.tables import Array, Indices, generator, number, whole


@dataclass(frozen=True)
class Estimate:
    """A mean of draws.

    Attributes:
        mean: estimated.
        error: its standard error.
    """

    mean: float
    error: float

    def __repr__(self) -> str:
        return f"{self.mean:.4g} +- {self.error:.2g}"


@dataclass(frozen=True)
class Estimates:
    """How good a policy is, the mean over prompts.

    Attributes:
        reward: E_p[R], in reward units.
        kl: KL(p || p_ref), in nats, exact.
        J: E_p[R] - beta KL(p || p_ref), in reward units.
        win_rate: P(R(y) > R(y')) + P(tie) / 2, y of the policy, y' of the reference.
        length: tokens of an answer, the end token included.
    """

    reward: Estimate
    kl: float
    J: Estimate
    win_rate: Estimate
    length: Estimate


def estimate_objective(
    model: LanguageModel,
    reference: LanguageModel,
    reward: Reward,
    beta: float,
    *,
    n: int = 1000,
    rng: int | np.random.Generator | None = None,
) -> Estimates:
    """J(p) and its parts from `n` answers to each prompt, in worlds of any size.

    >>> world = TokenWorld(["?"], "abcdefghij", 12)  # 10^12 answers
    >>> bigram = LanguageModel(world, context=1)
    >>> found = estimate_objective(bigram, bigram, lambda x, y: y.count("a"), 0.5, rng=0)
    >>> found.kl, found.reward, round(1 - (10 / 11) ** 12, 3)  # the truth
    (0.0, 0.738 +- 0.03, 0.681)

    Args:
        model: the policy.
        reference: what it must not stray from.
        reward: R(x, y), a function of two texts; or a table where all answers can be listed.
        beta: reward units per nat.
        n: answers drawn to each prompt, from either model.
        rng: a seed, a Generator, or None for fresh chance.

    Raises:
        TypeError, ValueError: models of two worlds, an answer that only the reference never gives,
            beta < 0, n < 2, a reward that is not finite.
    """
    world, scale = a_model(model, "model").world, number(beta, "beta", 0)
    must_share_world(world, a_model(reference, "reference").world, "reference")
    if scale:
        must_cover_tokens(reference, model)
    x = np.repeat(np.arange(len(world.prompts)), whole(n, "n", least=2))
    chance, pays = generator(rng), _paid(world, reward)
    y, other = (m.write(x, rng=chance) for m in (model, reference))
    R, R_other = pays(x, y), pays(x, other)
    answers = Answers(model, np.zeros(len(x), dtype=np.intp), x, y)
    log_ratio = answers.log_probs(model.logits[None]) - answers.log_probs_under(reference)
    wins = (np.sign(R - R_other) + 1) / 2
    returns = R - scale * log_ratio.sum(axis=-1) if scale else R
    means = (_mean(v.reshape(-1, n)) for v in (R, returns, wins, answers.lengths))
    reward_, J, win_rate, length = means
    return Estimates(reward_, float(np.mean(kl(model, reference))), J, win_rate, length)


def _paid(world: TokenWorld, reward: Reward) -> Callable[[Indices, Indices], Array]:
    """What answers given by tokens are paid."""
    if callable(reward) and not world.enumerable:
        return lambda x, y: scores(world, reward, x, y)
    R = world.rewards(reward)
    return lambda x, y: R[x, world.numbers_of(y)]


def _mean(values: ArrayLike) -> Estimate:
    """Of values (P, n): the mean over prompts of the means of n draws."""
    rows = np.asarray(values, dtype=np.float64)
    P, n = rows.shape
    variance = rows.var(axis=1, ddof=1).sum() / n / P**2
    return Estimate(float(rows.mean()), float(np.sqrt(variance)))
