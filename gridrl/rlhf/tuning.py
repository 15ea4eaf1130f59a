"""What a policy learner knows after an update, and how good that is.

Where all answers can be listed, everything is exact; where they cannot, the KL still is, and the
rest is an `estimate` from answers drawn.

Symbols: K runs; p policy; p_ref reference; P prompts, N answers; theta (K, contexts, V) logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from gridrl.rlhf.divergences import expected, kl_by_tokens, log_ratio
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.regularised import optimality_gap
from gridrl.rlhf.rollouts import Task
from gridrl.tables import Array, index, read_only, restore


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
        each = self.logits.reshape(-1, *self.logits.shape[-2:])
        return self.task.model.with_logits(each[index(k, "k", len(each))])

    @property
    def reward(self) -> Array:
        """E_p[R], the mean over prompts, (K,), in reward units."""
        return np.asarray(expected(self.log_probs, self.task.R).mean(axis=-1))

    @property
    def kl(self) -> Array:
        """KL(p || p_ref), the mean over prompts, (K,), in nats."""
        model, reference = self.task.model, self.task.reference
        if not model.world.enumerable:
            return np.asarray(kl_by_tokens(model, reference, self.logits).mean(axis=-1))
        ratio = log_ratio(self.log_probs, reference.log_probs)
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
        J = f"J {self.J.mean():.4g}, " if self.task.model.world.enumerable else ""
        return f"Tuned({runs}, {J}KL {self.kl.mean():.4g})"


def tuned(
    task: Task, theta: Array, beta: ArrayLike, runs: int | None, clipped: ArrayLike = 0.0
) -> Tuned:
    """A snapshot; one run loses its axis.

    Raises:
        ValueError: the logits are no numbers any more.
    """
    if np.isnan(theta).any() or np.isposinf(theta).any():
        raise ValueError(
            "alpha must be smaller, or the rewards: the logits are no numbers any more"
        )
    K, single = len(theta), runs is None and not task.many
    values = (theta, np.broadcast_to(beta, K), np.broadcast_to(clipped, K))
    parts = [np.array(v[0] if single else v, dtype=np.float64) for v in values]
    return Tuned(task, *parts)
