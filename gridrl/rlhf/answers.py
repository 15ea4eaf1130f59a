"""Answers picked out of all there are: where their tokens stand, and the gradient of their logs.

Whatever is learned from some answers, drawn or voted on, is a sum over their tokens of

    w(token) d log pi(token | context) / d theta,

so that a method is the weight it gives to a token. Nothing here lists all answers.

Symbols: theta (K, contexts, V) logits of K runs; (...) any axes of answers; L their longest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import log_softmax, softmax

from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.trees import rows_along
from gridrl.tables import Array, Indices, Mask, restore


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers of a model's world, each of a run.

    Attributes:
        model: whose contexts are meant.
        run: whose each is, (...), or broadcast to it.
        x: the prompt that it answers, (...), or broadcast to it.
        written: its tokens, (..., L), -1 after the end.
    """

    model: LanguageModel
    run: Indices
    x: Indices
    written: Indices

    __setstate__ = restore

    @cached_property
    def alive(self) -> Mask:
        """Where an answer has a token, (..., L)."""
        return np.asarray(self.written >= 0)

    @cached_property
    def tokens(self) -> Indices:
        """The tokens, (..., L), 0 after the end."""
        return np.maximum(self.written, 0)

    @cached_property
    def rows(self) -> Indices:
        """The context before each token, (..., L); any after the end."""
        return rows_along(self.model.world, self.model.context, self.x, self.written)

    @cached_property
    def places(self) -> Indices:
        """The prefix before each token, prompt * n + prefix, (..., L); any after the end."""
        return rows_along(self.model.world, "prefix", self.x, self.written)

    @cached_property
    def lengths(self) -> Indices:
        """Tokens of each answer, (...)."""
        return np.asarray(self.alive.sum(axis=-1))

    @property
    def last(self) -> Mask:
        """Where the last token of an answer is, (..., L)."""
        return np.asarray(np.arange(self.alive.shape[-1]) == self.lengths[..., None] - 1)

    def log_probs(self, theta: Array) -> Array:
        """log pi of each token, (..., L); 0 after the end."""
        steps = log_softmax(theta, axis=-1)[self.run[..., None], self.rows, self.tokens]
        return np.where(self.alive, steps, 0.0)

    def log_probs_under(self, other: LanguageModel) -> Array:
        """The same of another model, one for all runs, whatever its contexts are, (..., L)."""
        rows = self.rows
        if other.context != self.model.context:
            rows = rows_along(other.world, other.context, self.x, self.written)
        return np.where(self.alive, log_softmax(other.logits, axis=-1)[rows, self.tokens], 0.0)

    def gradient(self, theta: Array, weights: Array) -> Array:
        """Sum over tokens of w d log pi(token) / d theta, (K, contexts, V).

        Weights are (..., L) or broadcast to it; those after the end do not count.
        """
        K, C, V = theta.shape
        w = np.where(self.alive, weights, 0.0).ravel()
        rows = (self.run[..., None] * C + self.rows).ravel()
        chosen = np.bincount(rows * V + self.tokens.ravel(), w, minlength=K * C * V)
        mass = np.bincount(rows, w, minlength=K * C).reshape(K, C, 1)
        return chosen.reshape(theta.shape) - mass * softmax(theta, axis=-1)

    def mean_gradient(self, theta: Array, weights: Array) -> Array:
        """The mean over the answers of a run, of answers (K, B, G)."""
        return self.gradient(theta, weights) / (self.written.shape[1] * self.written.shape[2])
