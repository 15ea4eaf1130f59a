"""What the learners of this part share: answers drawn from a policy, token by token, and snapshots.

A batch holds, for each of K runs, B groups of G answers; group b answers prompt x[b]. Everything
that is estimated from it is a sum over tokens w(token) d log pi(token | prefix) / d theta, so that
a method is the weight it gives to a token.

Symbols: theta (K, contexts, V) logits of K runs; x (B,) prompts, y (K, B, G) answers by number;
arrays of tokens (K, B, G, L), L the longest answer, with `alive` where there is a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax, softmax

from gridrl.rlhf.divergences import expected, log_ratio, must_cover, must_share_world
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.regularised import optimality_gap
from gridrl.rlhf.tokens import Reward, TokenWorld
from gridrl.tables import Array, Indices, Mask, draw, indices, read_only, restore, whole

Seed = int | np.random.Generator | None


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be learned: reward, reference, and where learning begins.

    Attributes:
        model: the first policy.
        reference: what the policy must not stray from.
        R: R(x, y), (P, N), in reward units.
    """

    model: LanguageModel
    reference: LanguageModel
    R: Array

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
        R = model.world.rewards(reward)
        must_cover(reference, model.log_probs)
        return cls(model, reference, R)

    def first(self, runs: int | None) -> Array:
        """The logits of all runs before learning, (K, contexts, V)."""
        K = whole(1 if runs is None else runs, "runs", least=1)
        return np.tile(self.model.logits, (K, 1, 1))

    @cached_property
    def paths(self) -> Paths:
        """Where answers pass."""
        return Paths(self.model)

    @cached_property
    def reference_tokens(self) -> Array:
        """log p_ref(token | prompt, prefix), (P, n, V)."""
        logits = self.reference.logits[self.reference.tables.contexts]
        return np.asarray(log_softmax(logits, axis=-1))

    def log_reference(self, draws: Draws) -> Array:
        """The reference's log-probability of each token drawn, (K, B, G, L); 0 after the end."""
        lq = self.reference_tokens[draws.x[:, None, None], draws.places, draws.tokens]
        return np.where(draws.alive, lq, 0.0)

    def returns(self, lp: Array, beta: float) -> Array:
        """Rhat = R - beta log(p / p_ref), (..., P, N), of log p.  [lecture 003]"""
        return np.asarray(self.R - beta * log_ratio(lp, self.reference.log_probs))


@dataclass(frozen=True, eq=False)
class Paths:
    """Where the answers of a model's world pass."""

    model: LanguageModel

    @cached_property
    def tokens(self) -> Indices:
        """The tokens of each answer, (N, L), 0 after its end."""
        return np.maximum(self.model.world.completion_tokens, 0)

    @cached_property
    def alive(self) -> Mask:
        """Where an answer has a token, (N, L)."""
        return self.model.world.completion_tokens >= 0

    @cached_property
    def places(self) -> Indices:
        """The prefix before each token, (N, L), 0 after the end."""
        world = self.model.world
        places, W = np.zeros(self.tokens.shape, dtype=np.intp), len(world.vocabulary) - 1
        for t in range(1, world.length):  # the children of prefix i are 1 + i W + token
            places[:, t] = 1 + places[:, t - 1] * W + self.tokens[:, t - 1]
        return np.where(self.alive, places, 0)

    def write(self, theta: Array, x: Indices, uniform: Array) -> Draws:
        """Draw an answer for each of the uniforms (K, B, G, L), token by token."""
        world, chances = self.model.world, softmax(theta, axis=-1)
        K, B, G, L = uniform.shape
        n, W = world.n_prefixes, len(world.vocabulary) - 1
        contexts = self.model.tables.contexts
        k, b, g = np.unravel_index(np.arange(K * B * G), (K, B, G))
        place, y = np.zeros(K * B * G, dtype=np.intp), np.empty(K * B * G, dtype=np.intp)
        going = np.arange(K * B * G)
        for t in range(L):
            at, p = (k[going], b[going], g[going]), place[going]
            token = draw(chances[at[0], contexts[x[at[1]], p]], uniform[(*at, t)])
            full = n + (p - world.levels[-1].start) * W + token  # meant in the last step only
            y[going] = np.where(token == W, p, full)
            place[going] = 1 + p * W + token
            going = going[token != W]
        return self.draws(x, y.reshape(K, B, G))

    def draws(self, x: Indices, y: Indices) -> Draws:
        """Given answers as a batch: prompts (B,), answers (K, B, G)."""
        rows = self.model.tables.contexts[x[:, None, None], self.places[y]]
        return Draws(x, y, self.places[y], rows, self.tokens[y], self.alive[y])


@dataclass(frozen=True, eq=False)
class Draws:
    """A batch of answers, and where their tokens stand."""

    x: Indices  # prompts, (B,)
    y: Indices  # answers, (K, B, G)
    places: Indices  # prefixes, (K, B, G, L)
    rows: Indices  # contexts, (K, B, G, L)
    tokens: Indices  # (K, B, G, L)
    alive: Mask  # (K, B, G, L)

    @property
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
        if isinstance(rng, np.random.Generator):
            rng = int(rng.integers(2**63))
        seed = np.random.SeedSequence(None if rng is None else whole(rng, "rng", least=0)).entropy
        seeds = [np.random.SeedSequence(seed, spawn_key=(k,)) for k in range(K)]
        self.streams = [np.random.default_rng(s) for s in seeds]

    def uniforms(self, *shape: int) -> Array:
        """The next numbers, (K, *shape)."""
        return np.stack([stream.random(shape) for stream in self.streams])


def batch(task: Task, theta: Array, G: int, chance: Chance) -> Draws:
    """G answers to each prompt, from the policies softmax(theta)."""
    x = np.arange(len(task.R))
    return task.paths.write(theta, x, chance.uniforms(len(x), G, task.model.world.length))


def one_group(world: TokenWorld, x: int, y: ArrayLike) -> tuple[Indices, Indices]:
    """A prompt (1,) and a group of answers to it (1, 1, G), by number."""
    prompts = indices([x], "x", len(world.prompts))
    answers = indices(y, "y", world.n_completions)
    if answers.ndim != 1 or len(answers) == 0:
        raise ValueError(f"y must have shape (G,), G at least 1; it has {answers.shape}")
    return prompts, answers[None, None]


@dataclass(frozen=True, eq=False)
class Tuned:
    """What every run knows after an update; without the first axis for a single run.

    Attributes:
        task: reward, reference, and where learning began.
        logits: (K, contexts, V).
        beta: what a nat of KL costs, (K,), in reward units.
        clipped: share of the tokens whose gradient clipping held back, (K,); else 0.
    """

    task: Task
    logits: Array
    beta: Array
    clipped: Array

    def __post_init__(self) -> None:
        for values in (self.logits, self.beta, self.clipped):
            read_only(values)

    __setstate__ = restore

    @cached_property
    def log_probs(self) -> Array:
        """log p(y|x), (K, P, N)."""
        return read_only(self.task.model.tables.log_probs(self.logits))

    @property
    def probs(self) -> Array:
        """p(y|x), (K, P, N)."""
        return np.exp(self.log_probs)

    @property
    def model(self) -> LanguageModel:
        """What a single run has learned.

        Raises:
            ValueError: there are many: `run(k)` is one of them.
        """
        if self.logits.ndim == 3:
            raise ValueError(f"model must be asked of one run, run(k); there are {len(self.beta)}")
        return self.task.model.with_logits(self.logits)

    def run(self, k: int) -> LanguageModel:
        """What run k has learned."""
        return self.task.model.with_logits(self.logits.reshape(-1, *self.logits.shape[-2:])[k])

    @property
    def reward(self) -> Array:
        """E_p[R], the mean over prompts, (K,), in reward units."""
        return np.asarray(expected(self.log_probs, self.task.R).mean(axis=-1))

    @property
    def kl(self) -> Array:
        """KL(p || p_ref), the mean over prompts, (K,), in nats."""
        ratio = log_ratio(self.log_probs, self.task.reference.log_probs)
        return np.asarray(expected(self.log_probs, ratio).mean(axis=-1))

    @property
    def J(self) -> Array:
        """E_p[R] - beta KL(p || p_ref), (K,), in reward units."""
        return self.reward - self.beta * self.kl

    def gap(self, beta: float) -> Array:
        """J(p*) - J(p) = beta KL(p || p*), (K,), in reward units."""
        return np.asarray(optimality_gap(self.probs, self.task.reference, self.task.R, beta))

    def __repr__(self) -> str:
        runs = "1 run" if self.logits.ndim == 2 else f"{len(self.logits)} runs"
        J, KL = float(self.J.mean()), float(self.kl.mean())
        return f"Tuned({runs}, J {J:.4g}, KL {KL:.4g})"


def tuned(
    task: Task, theta: Array, beta: ArrayLike, runs: int | None, clipped: ArrayLike = 0.0
) -> Tuned:
    """A snapshot; one run loses its axis."""
    K = len(theta)
    values = (theta, np.broadcast_to(beta, K), np.broadcast_to(clipped, K))
    parts = [np.array(v[0] if runs is None else v, dtype=np.float64) for v in values]
    return Tuned(task, *parts)
