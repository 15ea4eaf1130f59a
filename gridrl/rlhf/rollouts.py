"""What the learners of this part share: a task, and answers drawn from a policy, token by token.

A batch holds, for each of K runs, B groups of G answers; group b answers prompt x[b]. Worlds may be
of any size, if the reward is a function of an answer.

Symbols: theta (K, contexts, V) logits of K runs; x (B,) prompts; arrays of tokens (K, B, G, L), L
the longest answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from gridrl.rlhf.answers import Answers
from gridrl.rlhf.divergences import log_ratio, must_cover, must_cover_tokens, must_share_world
from gridrl.rlhf.language import LanguageModel, a_model, scores, write
from gridrl.rlhf.tokens import Reward
from gridrl.streams import streams
from gridrl.tables import Array, indices, restore, whole

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

    __setstate__ = restore

    @classmethod
    def of(
        cls,
        model: LanguageModel,
        reward: Reward,
        reference: LanguageModel | None,
        *,
        runs: bool = False,
    ) -> Task:
        """A task, once its parts fit each other; no reference is the first policy itself.

        With `runs`, each run may have a reward of its own.

        Raises:
            TypeError, ValueError: another world, a reward of another shape, an answer that only the
                reference never gives.
        """
        a_model(model, "model")
        if not isinstance(reference, LanguageModel | None):
            raise TypeError(f"reference must be a LanguageModel or None; it is {reference!r}")
        reference = model if reference is None else reference
        must_share_world(model.world, reference.world, "reference")
        if callable(reward) and not model.world.enumerable:
            must_cover_tokens(reference, model)
            return cls(model, reference, reward)
        R = model.world.rewards(reward, runs=runs)
        must_cover(reference, model.log_probs)
        return cls(model, reference, R)

    def first(self, runs: int | None) -> Array:
        """The logits of all runs before learning, (K, contexts, V)."""
        own = len(self.R) if self.many else None
        if own is not None and runs is not None and whole(runs, "runs", least=1) != own:
            raise ValueError(f"runs must be {own}, one for each reward; it is {runs}")
        K = whole(1 if runs is None else runs, "runs", least=1) if own is None else own
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

    def paid(self, draws: Answers) -> Array:
        """The reward of each answer drawn, (K, B, G), in reward units."""
        world = self.model.world
        if isinstance(self.reward, np.ndarray):
            y = world.numbers_of(draws.written)
            return self.reward[draws.run, draws.x, y] if self.many else self.reward[draws.x, y]
        x = np.broadcast_to(draws.x, draws.written.shape[:-1])
        return scores(world, self.reward, x.ravel(), draws.written).reshape(x.shape)

    def log_reference(self, draws: Answers) -> Array:
        """The reference's log-probability of each token drawn, (K, B, G, L); 0 after the end."""
        return draws.log_probs_under(self.reference)

    def returns(self, lp: Array, beta: float) -> Array:
        """Rhat = R - beta log(p / p_ref), (..., P, N), of log p.  [lecture 003]"""
        return np.asarray(self.R - beta * log_ratio(lp, self.reference.log_probs))


def written_by(task: Task, old: LanguageModel | None) -> Callable[[Answers], Array]:
    """log pi_old of each token drawn, (K, B, G, L), of who wrote them; None is the policy itself.

    Raises:
        TypeError, ValueError: a model of another world, or one that never writes an answer of the
            policy.
    """
    writer = task.model if old is None else a_model(old, "old")
    must_share_world(task.model.world, writer.world, "old")
    if task.model.world.enumerable:
        must_cover(writer, task.model.log_probs, "old")
    else:
        must_cover_tokens(writer, task.model, "old")
    return lambda draws: draws.log_probs_under(writer)


class Chance:
    """Uniform numbers for the answers of K runs, each run from a stream of its own.

    Run k of many gets the same as run k alone would.
    """

    def __init__(self, rng: Seed, K: int) -> None:
        self.streams = streams(rng, K)

    def uniforms(self, *shape: int) -> Array:
        """The next numbers, (K, *shape)."""
        return np.stack([stream.random(shape) for stream in self.streams])


def batch(task: Task, theta: Array, G: int, chance: Chance) -> Answers:
    """G answers to each prompt, from the policies softmax(theta)."""
    world, x = task.model.world, np.arange(len(task.model.world.prompts))
    uniform = chance.uniforms(len(x) * G, world.length)
    written = write(task.model, softmax(theta, axis=-1), np.repeat(x, G), uniform)
    run = np.arange(len(theta))[:, None, None]
    return Answers(task.model, run, x[:, None], written.reshape(len(theta), len(x), G, -1))


def one_group(model: LanguageModel, x: int, y: ArrayLike) -> Answers:
    """A prompt and a group of answers to it (G,), by number, as a batch (1, 1, G)."""
    prompts = indices([x], "x", len(model.world.prompts))
    group = indices(y, "y", model.world.n_completions)
    if group.ndim != 1 or len(group) == 0:
        raise ValueError(f"y must have shape (G,), G at least 1; it has {group.shape}")
    written = model.world.tokens_of(group)[None, None]
    return Answers(model, np.zeros((1, 1, 1), dtype=np.intp), prompts[:, None], written)
