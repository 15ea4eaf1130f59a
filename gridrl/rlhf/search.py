"""Search while writing: a beam of beginnings, by probability or guided by a reward.

Nothing is learned; what the model cannot write is never found.

Symbols: x prompt, y text, finished or not; score(y) = log pi(y|x) + weight reward(x, y).

Reading: Snell et al. (2024), arXiv:2408.03314.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from gridrl.rlhf.language import LanguageModel, a_model
from gridrl.rlhf.tokens import paid
from gridrl.rlhf.trees import rows_along
from gridrl.tables import Array, Indices, number, read_only, restore, whole

Guide = Callable[[str, str], float]


@dataclass(frozen=True, eq=False)
class Beam:
    """What a search has found, best first.

    Attributes:
        texts: answers.
        scores: log pi(y|x) + weight reward(x, y), (n,).
        log_probs: log pi(y|x), (n,), in nats.
    """

    texts: tuple[str, ...]
    scores: Array
    log_probs: Array

    __setstate__ = restore

    @property
    def best(self) -> str:
        """The first."""
        return self.texts[0]

    def __repr__(self) -> str:
        return f"Beam({len(self.texts)} answers, best {self.best!r}, score {self.scores[0]:.4g})"


def beam_search(
    model: LanguageModel,
    prompt: str,
    *,
    width: int,
    guide: Guide | None = None,
    weight: float = 1.0,
) -> Beam:
    """Keep the `width` best beginnings, let each go on in all ways, and so to the end.

    A width of all beginnings finds the best answer; a width of 1 is greedy.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model = LanguageModel(TokenWorld(["?"], "ab", 2))
    >>> beam_search(model, "?", width=3).best
    '$'
    >>> beam_search(model, "?", width=2, guide=lambda x, y: y.count("b"), weight=9.0).best
    'bb'

    Args:
        model: of a world of any size.
        prompt: x.
        width: how many are kept; finished ones count.
        guide: reward(x, y), asked about beginnings too; None is log pi alone.
        weight: how many nats a unit of reward is worth.

    Raises:
        ValueError: an unknown prompt, width < 1.
    """
    x, keep = a_model(model, "model").world.prompt(prompt), whole(width, "width", least=1)
    worth = number(weight, "weight")
    beam = (np.full((1, model.world.length), -1, dtype=np.intp), np.zeros(1))
    for t in range(model.world.length):
        rows, lp = _longer(model, x, *beam, t)
        scores = lp if guide is None else lp + worth * _guided(model, prompt, guide, rows)
        order = np.argsort(-scores, kind="stable")[:keep]
        beam, best = (rows[order], lp[order]), scores[order]
    texts = tuple(model.world.text(row[row >= 0]) for row in beam[0])
    return Beam(texts, read_only(best), read_only(beam[1]))


def _longer(
    model: LanguageModel, x: int, rows: Indices, lp: Array, t: int
) -> tuple[Indices, Array]:
    """All ways to go on from beginnings of t tokens, and what is finished already."""
    V = len(model.world.vocabulary)
    done = (rows == V - 1).any(axis=1)
    going, before = rows[~done], lp[~done]
    contexts = rows_along(model.world, model.context, x, going)[:, t]
    steps = log_softmax(model.logits[contexts], axis=-1)
    longer = np.repeat(going, V, axis=0)
    longer[:, t] = np.tile(np.arange(V), len(going))
    found = (before[:, None] + steps).ravel()
    possible = ~np.isneginf(found)
    return (
        np.concatenate([rows[done], longer[possible]]),
        np.concatenate([lp[done], found[possible]]),
    )


def _guided(model: LanguageModel, prompt: str, guide: Guide, rows: Indices) -> Array:
    texts = (model.world.text(row[row >= 0]) for row in rows)
    return np.array([paid(guide, prompt, text, "guide") for text in texts])
