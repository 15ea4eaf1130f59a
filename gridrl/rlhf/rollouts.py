"""What the learners of this part share: a task, and answers drawn from a policy, token by token.

A batch holds, for each of K runs, B groups of G answers; group b answers prompt x[b]. Everything
that is estimated from it is a sum over tokens w(token) d log pi(token | prefix) / d theta, so that
a method is the weight it gives to a token. Nothing here lists all answers: worlds may be of any
size, if the reward is a function of an answer.

Symbols: theta (K, contexts, V) logits of K runs; x (B,) prompts; arrays of tokens (K, B, G, L), L
the longest answer, with `alive` where there is a token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax, softmax

from gridrl.rlhf.divergences import log_ratio, must_cover, must_cover_tokens, must_share_world
from gridrl.rlhf.language import LanguageModel, scores, write
from gridrl.rlhf.tokens import Reward
from gridrl.rlhf.trees import rows_along
from gridrl.streams import streams
from gridrl.tables import Array, Indices, Mask, indices, whole

Seed = int | np.random.Generator | None


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be learned: reward, reference, and where learning begins.

    Attributes:
        model: the first policy.
        reference: what the policy must not stray from.
        reward: R(x, y), (P, N), or (K, P, N) if each run has its own, in reward units; where there
            are too many answers to list, a function of two texts.
    """

    model: LanguageModel
    reference: LanguageModel
    reward: Array | Callable[[str, str], float]

    @classmethod
    def of(cls, model: LanguageModel, reward: Reward, reference: LanguageModel | None) -> Task:
        """A task, once its parts fit each other; no reference is the first policy itself.

        Raises:
            TypeError, ValueError: another world, a reward of another shape, an answer that only the
                reference never gives.
        """
        if not isinstance(model, LanguageModel):
            raise TypeError(f"model must be a LanguageModel; it is {model!r}")
        if not isinstance(reference, LanguageModel | None):
            raise TypeError(f"reference must be a LanguageModel or None; it is {reference!r}")
        reference = model if reference is None else reference
        must_share_world(model.world, reference.world, "reference")
        if callable(reward) and not model.world.enumerable:
            must_cover_tokens(reference, model)
            return cls(model, reference, reward)
        R = model.world.rewards(reward, runs=True)
        must_cover(reference, model.log_probs)
        return cls(model, reference, R)

    def first(self, runs: int | None) -> Array:
        """The logits of all runs before learning, (K, contexts, V)."""
        own = len(self.reward) if self.many else None
        if own and runs is not None and whole(runs, "runs", least=1) != own:
            raise ValueError(f"runs must be {own}, one for each reward; it is {runs}")
        K = own or whole(1 if runs is None else runs, "runs", least=1)
        return np.tile(self.model.logits, (K, 1, 1))

    @property
    def many(self) -> bool:
        """Whether each run has a reward of its own."""
        return isinstance(self.reward, np.ndarray) and self.reward.ndim == 3

    @property
    def R(self) -> Array:
        """Rewards of all answers, (P, N) or (K, P, N), if they can be listed."""
        if isinstance(self.reward, np.ndarray):
            return self.reward
        return self.model.world.rewards(self.reward)  # refused: too large

    def paid(self, draws: Draws) -> Array:
        """The reward of each answer drawn, (K, B, G), in reward units."""
        world, x = self.model.world, draws.x[:, None]
        if isinstance(self.reward, np.ndarray):
            y, k = world.numbers_of(draws.answers), np.arange(len(draws.answers))[:, None, None]
            return self.reward[k, x, y] if self.many else self.reward[x, y]
        asked = np.broadcast_to(x, draws.answers.shape[:-1]).ravel()
        return scores(world, self.reward, asked, draws.answers).reshape(draws.answers.shape[:-1])

    @cached_property
    def reference_steps(self) -> Array:
        """log p_ref(token | context), (contexts, V)."""
        return log_softmax(self.reference.logits, axis=-1)

    def log_reference(self, draws: Draws) -> Array:
        """The reference's log-probability of each token drawn, (K, B, G, L); 0 after the end."""
        if self.reference.context == self.model.context:
            rows = draws.rows
        else:
            other = self.reference
            rows = rows_along(other.world, other.context, draws.x[:, None], draws.answers)
        return np.where(draws.alive, self.reference_steps[rows, draws.tokens], 0.0)

    def returns(self, lp: Array, beta: float) -> Array:
        """Rhat = R - beta log(p / p_ref), (..., P, N), of log p.  [lecture 003]"""
        return np.asarray(self.R - beta * log_ratio(lp, self.reference.log_probs))


@dataclass(frozen=True, eq=False)
class Draws:
    """A batch of answers of a model's world, and where their tokens stand.

    Attributes:
        model: whose contexts are meant.
        x: prompts, (B,).
        answers: their tokens, (K, B, G, L), -1 after the end.
    """

    model: LanguageModel
    x: Indices
    answers: Indices

    @cached_property
    def alive(self) -> Mask:
        """Where an answer has a token, (K, B, G, L)."""
        return np.asarray(self.answers >= 0)

    @cached_property
    def tokens(self) -> Indices:
        """The tokens, (K, B, G, L), 0 after the end."""
        return np.maximum(self.answers, 0)

    @cached_property
    def rows(self) -> Indices:
        """The context before each token, (K, B, G, L); any after the end."""
        return rows_along(self.model.world, self.model.context, self.x[:, None], self.answers)

    @cached_property
    def places(self) -> Indices:
        """The prefix before each token, prompt * n + prefix, (K, B, G, L); any after the end."""
        return rows_along(self.model.world, "prefix", self.x[:, None], self.answers)

    @cached_property
    def lengths(self) -> Indices:
        """Tokens of each answer, (K, B, G)."""
        return np.asarray(self.alive.sum(axis=-1))

    @property
    def last(self) -> Mask:
        """Where the last token of an answer is, (K, B, G, L)."""
        return np.asarray(np.arange(self.alive.shape[-1]) == self.lengths[..., None] - 1)

    def log_probs(self, theta: Array) -> Array:
        """log pi of each token, (K, B, G, L); 0 after the end."""
        k = np.arange(len(theta))[:, None, None, None]
        lp = log_softmax(theta, axis=-1)[k, self.rows, self.tokens]
        return np.where(self.alive, lp, 0.0)

    def gradient(self, theta: Array, weights: Array) -> Array:
        """Sum over tokens of w d log pi(token) / d theta; the mean over groups and answers.

        Weights are (K, B, G, L) or broadcast to it; those after the end do not count.
        """
        _, C, V = theta.shape
        K, B, G, _ = self.alive.shape
        w = np.where(self.alive, weights, 0.0).ravel() / (B * G)
        rows = (np.arange(K)[:, None, None, None] * C + self.rows).ravel()
        chosen = np.bincount(rows * V + self.tokens.ravel(), w, minlength=K * C * V)
        mass = np.bincount(rows, w, minlength=K * C).reshape(K, C, 1)
        return chosen.reshape(theta.shape) - mass * softmax(theta, axis=-1)


class Chance:
    """Uniform numbers for the answers of K runs, each run from a stream of its own.

    Run k of many gets the same as run k alone would.
    """

    def __init__(self, rng: Seed, K: int) -> None:
        self.streams = streams(rng, K)

    def uniforms(self, *shape: int) -> Array:
        """The next numbers, (K, *shape)."""
        return np.stack([stream.random(shape) for stream in self.streams])


def batch(task: Task, theta: Array, G: int, chance: Chance) -> Draws:
    """G answers to each prompt, from the policies softmax(theta)."""
    world, x = task.model.world, np.arange(len(task.model.world.prompts))
    uniform = chance.uniforms(len(x) * G, world.length)
    answers = write(task.model, softmax(theta, axis=-1), np.repeat(x, G), uniform)
    return Draws(task.model, x, answers.reshape(len(theta), len(x), G, -1))


def one_group(model: LanguageModel, x: int, y: ArrayLike) -> Draws:
    """A prompt and a group of answers to it (G,), by number, as a batch."""
    prompts = indices([x], "x", len(model.world.prompts))
    group = indices(y, "y", model.world.n_completions)
    if group.ndim != 1 or len(group) == 0:
        raise ValueError(f"y must have shape (G,), G at least 1; it has {group.shape}")
    return Draws(model, prompts, model.world.tokens_of(group)[None, None])
