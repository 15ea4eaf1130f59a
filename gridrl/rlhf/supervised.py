"""Supervised fine-tuning: imitate demonstrations, token by token.

The objective is a sum over contexts, so that its optimum is found by counting, for a tree and for
shared contexts; gradient ascent (teacher forcing) gets there step by step. A lecture's objective
divides the log-likelihood of each answer by its length |y|. That is no maximum likelihood: it
counts a token of a long answer less, and the optimum of a tree model is p_data(y|x) / |y|,
renormalised, which is shorter than the demonstrations.

Symbols: x prompt, y completion with |y| tokens, the end token included; w weights of answers.

Reading: Ouyang et al. (2022), arXiv:2203.02155, section 3.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax, softmax

from gridrl.iterates import algorithm
from gridrl.rlhf.language import LanguageModel, a_model
from gridrl.rlhf.pretraining import Corpus, Text, a_corpus, counted, token_counts
from gridrl.tables import Array, number, whole


def sft(
    model: LanguageModel,
    demonstrations: Corpus | Sequence[Text],
    *,
    length_normalised: bool = False,
    mix: Corpus | Sequence[Text] | None = None,
    mix_share: float = 0.0,
) -> LanguageModel:
    """Maximise E[log pi(y|x)] over demonstrations: the exact optimum, by counting.

    A context that no demonstration has keeps the model's logits, as gradient ascent would leave
    them: there the pretrained model shows, and one from scratch is uniform.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model = LanguageModel(TokenWorld(["?"], "a", 3))
    >>> shown = [("?", "$"), ("?", "aaa")]
    >>> sft(model, shown).distribution("?").round(2)
    array([0.5, 0. , 0. , 0.5])
    >>> sft(model, shown, length_normalised=True).distribution("?").round(2)
    array([0.75, 0.  , 0.  , 0.25])

    Args:
        model: where the contexts that are not demonstrated stay; its context is kept.
        demonstrations: pairs (prompt, completion).
        length_normalised: divide log pi(y|x) by |y|.
        mix: texts to go on predicting meanwhile, such as the pretraining corpus.
        mix_share: their share of the objective, in [0, 1].

    Raises:
        TypeError, ValueError: a prompt or token unknown, an answer too long, a share without a mix.
    """
    share = number(mix_share, "mix_share", 0, 1)
    if share > 0 and mix is None:
        raise ValueError(f"mix must be given with mix_share; mix_share is {share:g}")
    shown = a_corpus(a_model(model, "model").world, demonstrations, "demonstrations")
    counts = (1 - share) * _shares(model, shown, length_normalised)
    if mix is not None:
        counts += share * _shares(model, a_corpus(model.world, mix, "mix"), length_normalised)
    return counted(model, counts)


def log_likelihood(model: LanguageModel, texts: Corpus | Sequence[Text]) -> float:
    """The mean of log pi(y|x) over texts, in nats; -inf if one of them is impossible.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> world = TokenWorld(["?"], "ab", 1)
    >>> round(log_likelihood(LanguageModel(world), [("?", "a"), ("?", "b")]), 4)
    -1.0986
    """
    corpus = a_corpus(a_model(model, "model").world, texts, "texts")
    return _mean_log_prob(model.logits, _shares(model, corpus, False))


def perplexity(model: LanguageModel, texts: Corpus | Sequence[Text]) -> float:
    """exp(- mean log pi of a token): among how many tokens the model hesitates on average.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> world = TokenWorld(["?"], "ab", 1)
    >>> round(perplexity(LanguageModel(world), [("?", "a"), ("?", "b")]), 4)
    3.0
    """
    corpus = a_corpus(a_model(model, "model").world, texts, "texts")
    tokens = float((corpus.weights * corpus.lengths).sum())
    total = log_likelihood(model, corpus) * float(corpus.weights.sum())
    with np.errstate(over="ignore"):  # more than a number can hold is inf
        return float(np.exp(-total / tokens))


@dataclass(frozen=True, eq=False)
class Forced:
    """A step of teacher forcing.

    Attributes:
        model: after the step.
        objective: the mean of log pi(y|x), or of log pi(y|x) / |y|, in nats.
    """

    model: LanguageModel
    objective: float

    def __repr__(self) -> str:
        return f"Forced(objective {self.objective:.4g})"


@algorithm
def teacher_forcing(
    model: LanguageModel,
    demonstrations: Corpus | Sequence[Text],
    *,
    steps: int,
    alpha: float = 1.0,
    length_normalised: bool = False,
) -> Iterator[Forced]:
    """theta <- theta + alpha grad E[log pi_theta(y|x)]; one snapshot a step, over all texts.

    The gradient at a context is its counts minus what the model expects there.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model = LanguageModel(TokenWorld(["?"], "ab", 1))
    >>> learned = teacher_forcing(model, [("?", "a"), ("?", "b")], steps=200).model
    >>> learned.distribution("?").round(2)
    array([0. , 0.5, 0.5])

    Args:
        model: where to start: pretrained, or uniform.
        demonstrations: pairs (prompt, completion).
        steps: how many.
        alpha: step size.
        length_normalised: as `sft`.

    Raises:
        TypeError, ValueError: as `sft`; no steps, alpha not positive.
    """
    shown = a_corpus(a_model(model, "model").world, demonstrations, "demonstrations")
    counts = _shares(model, shown, length_normalised)
    if not (step := number(alpha, "alpha", 0)) > 0:
        raise ValueError(f"alpha must be positive; it is {alpha:g}")
    theta = np.array(model.logits)
    for _ in range(whole(steps, "steps", least=1)):
        theta = theta + step * (counts - counts.sum(axis=-1, keepdims=True) * softmax(theta, -1))
        yield Forced(model.with_logits(theta), _mean_log_prob(theta, counts))


def _shares(model: LanguageModel, corpus: Corpus, length_normalised: bool) -> Array:
    """How much of a text, or of a token of one, follows each context so, (contexts, V)."""
    per_text = corpus.weights / corpus.lengths if length_normalised else corpus.weights
    return token_counts(model, corpus, per_text=per_text) / corpus.weights.sum()


def _mean_log_prob(logits: Array, counts: Array) -> float:
    with np.errstate(invalid="ignore"):
        return float(np.where(counts > 0, counts * log_softmax(logits, axis=-1), 0.0).sum())
