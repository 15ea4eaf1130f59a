"""Distillation: a small model learns from a large one.

Forward, KL(teacher || student): the student counts what the teacher writes, and covers all of it.
Reverse, KL(student || teacher): what the student writes must be likely for the teacher, so that it
settles on a part it can do. A tree can be anything, so both find the teacher; a bigram model
cannot, and the two differ.

Symbols: x prompt, y completion; KL in nats, (P,).

Reading: Hinton et al. (2015), arXiv:1503.02531; Gu et al. (2023), arXiv:2306.08543.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from gridrl.iterates import algorithm
from gridrl.rlhf.divergences import kl, must_share_world
from gridrl.rlhf.language import LanguageModel, a_model
from gridrl.rlhf.pretraining import counted
from gridrl.tables import Array, Mask, read_only, restore, whole


@dataclass(frozen=True, eq=False)
class Distilled:
    """A student beside its teacher.

    Attributes:
        model: the student.
        forward: KL(teacher || student), (P,), in nats.
        reverse: KL(student || teacher), (P,), in nats.
    """

    model: LanguageModel
    forward: Array
    reverse: Array

    __setstate__ = restore

    def __repr__(self) -> str:
        forward, reverse = self.forward.mean(), self.reverse.mean()
        return f"Distilled(forward KL {forward:.4g}, reverse KL {reverse:.4g})"


def distill(teacher: LanguageModel, student: LanguageModel) -> Distilled:
    """Minimise KL(teacher || student), the mean over prompts: exactly, by counting.

    Contexts that the teacher never reaches stay as they are in the student.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> world = TokenWorld(["?"], "ab", 2)
    >>> teacher = LanguageModel(world, [[2, 0, -9], [0, 1, 0], [1, 0, 0]])
    >>> distill(teacher, LanguageModel(world, context=1))
    Distilled(forward KL 0, reverse KL 0)

    Raises:
        ValueError: models of two worlds.
    """
    must_share_world(
        a_model(student, "student").world, a_model(teacher, "teacher").world, "teacher"
    )
    tables = student.tables
    counts = tables.gather(tables.flow(teacher.probs), student.logits.shape)
    return _distilled(teacher, counted(student, counts))


@algorithm
def distill_reverse(
    teacher: LanguageModel, student: LanguageModel, *, rounds: int = 20, steps: int = 50
) -> Iterator[Distilled]:
    """Minimise KL(student || teacher), the mean over prompts, from where the student is.

    A descent (L-BFGS) to a local minimum: which part of the teacher it settles on depends on the
    start. One snapshot a round of `steps` iterations; it stops where
    nothing is gained.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> world = TokenWorld(["?"], "ab", 2)
    >>> teacher = LanguageModel(world, [[1, 0, 0], [0, 2, 0], [0, 0, 3]])
    >>> found = distill_reverse(teacher, LanguageModel(world, context=1))
    >>> bool(found.reverse < 1e-9)  # two tokens: the last one says what the tree knows
    True

    Raises:
        ValueError: models of two worlds; a teacher that never writes an answer of the student's
            (the divergence is infinite); it is named.
    """
    must_share_world(
        a_model(student, "student").world, a_model(teacher, "teacher").world, "teacher"
    )
    _must_cover(teacher, student)
    written = ~np.isneginf(student.logits)
    theta = student.logits[written]
    until = {"maxiter": whole(steps, "steps", least=1), "ftol": 1e-13, "gtol": 1e-8}
    for _ in range(whole(rounds, "rounds", least=1)):
        found = minimize(
            _reverse, theta, (teacher, student, written), jac=True, method="L-BFGS-B", options=until
        )
        theta = found.x
        yield _distilled(teacher, student.with_logits(_filled(student, written, theta)))
        if found.success:
            return


def _reverse(
    theta: Array, teacher: LanguageModel, student: LanguageModel, written: Mask
) -> tuple[float, Array]:
    """KL(student || teacher) and its gradient: sum_y s (log s - log t) d log s."""
    logits, P = _filled(student, written, theta), len(teacher.world.prompts)
    log_s = student.tables.log_probs(logits)
    s = np.exp(log_s)
    with np.errstate(invalid="ignore"):
        surplus = np.where(s > 0, log_s - teacher.log_probs, 0.0)
    gradient = student.tables.gradient(logits, s * surplus / P)
    return float((s * surplus).sum() / P), gradient[written]


def _filled(student: LanguageModel, written: Mask, theta: Array) -> Array:
    logits = np.array(student.logits)
    logits[written] = theta
    return logits


def _distilled(teacher: LanguageModel, student: LanguageModel) -> Distilled:
    forward, reverse = (
        np.maximum(kl(*pair), 0.0) for pair in ((teacher, student), (student, teacher))
    )
    return Distilled(student, read_only(forward), read_only(reverse))


def _must_cover(teacher: LanguageModel, student: LanguageModel) -> None:
    outside = np.isneginf(teacher.log_probs) & ~np.isneginf(student.log_probs)
    if outside.any():
        x, y = (int(i) for i in np.argwhere(outside)[0])
        world = teacher.world
        raise ValueError(
            f"teacher must not give probability 0 to an answer of the student; it does to"
            f" {world.texts[y]!r} of prompt {world.prompts[x]!r}"
        )
