"""From votes to a policy in one step, without a reward model: DPO and its kin.

The regularised optimum has R(x,y) = beta log(p*(y|x) / p_ref(y|x)) + beta log Z(x). A vote compares
two answers to one prompt, so Z cancels, and Bradley-Terry's likelihood of the votes can be written
with the policy in place of the reward. Each method is a loss on margins (see `direct_losses`), and
a descent that all share: theta <- theta - alpha sum_xy (d loss / d h(x,y)) d log pi(y|x) / d theta.

What they reach with infinitely many votes of pairs drawn from the reference, and a free table:

    dpo                     p_ref exp(R / beta) / Z, if the human is Bradley-Terry with reward R
    dpo_without_reference   softmax(R), whatever the reference
    ipo                     p_ref exp(P(y is preferred to one of the reference's) / tau) / Z
    kto                     the answer that is liked more often than not, alone

Symbols: x prompt; y answer; h log pi / pi_ref; K runs; P prompts, N answers; theta logits,
(K, contexts, V).

Reading: lecture 004; Rafailov et al. (2023), arXiv:2305.18290; Azar et al. (2023),
arXiv:2310.12036; Ethayarajh et al. (2024), arXiv:2402.01306.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from gridrl.iterates import algorithm
from gridrl.rlhf.answers import Answers
from gridrl.rlhf.descent import (
    Descent,
    Direct,
    Rng,
    Rule,
    Start,
    adam,
    descend,
    on_margins,
    on_ratios,
)
from gridrl.rlhf.direct_losses import above_0, dpo_loss, dpo_slope, ipo_loss, ipo_slope
from gridrl.rlhf.divergences import must_cover_tokens, must_share_world
from gridrl.rlhf.duels import Comparisons, duels_of, must_be_written
from gridrl.rlhf.language import LanguageModel, a_model
from gridrl.rlhf.votes import Pairs
from gridrl.tables import Array

# --- the methods --------------------------------------------------------------------------------


@algorithm
def dpo(
    model: LanguageModel,
    comparisons: Comparisons,
    *,
    reference: LanguageModel | None = None,
    beta: float = 1.0,
    alpha: float = 0.05,
    iterations: int = 1000,
    batch: int | None = None,
    rule: Rule | None = None,
    runs: int | None = None,
    rng: Rng = None,
) -> Iterator[Direct]:
    """Minimise the mean of - log sigma(beta margin).  [arXiv:2305.18290, eq. 7]

    Where votes on a pair are all one way there is no minimum: its margin grows for ever, whatever
    beta is, and the reference is forgotten; `.endless` counts these pairs.
    [arXiv:2310.12036, sec. 4.2]

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> world = TokenWorld(["?"], "a", 1)
    >>> votes = Pairs(world, [0] * 4, [1, 1, 1, 0], [0, 0, 0, 1])  # 3 to 1 for "a"
    >>> dpo(LanguageModel(world), votes).probs.round(3)
    array([[0.25, 0.75]])

    Args:
        model: where it starts.
        comparisons: votes; or weights (P, N, N), such as `all_pairs` gives; or a sequence of
            votes, one a run.
        reference: pi_ref; None is the model.
        beta: KL coefficient, in reward units a nat.
        alpha: size of the first step, in logits; it falls evenly to 0.
        iterations: steps.
        batch: votes drawn for each step, with replacement; None takes all, each time.
        rule: makes a step of a gradient: None is `adam`; or `steepest`.
        runs: K, learners in lock-step; None is one, without its axis.
        rng: a seed, a Generator, or None for fresh chance; used if there is a batch.

    Raises:
        TypeError, ValueError: beta <= 0, no votes, votes of another world, a reference or a model
            that gives an answer that was voted on probability 0: it is named.
    """
    start = Start(model, comparisons, reference, runs, likelihood=True)
    loss, slope = partial(dpo_loss, beta=beta), partial(dpo_slope, beta=above_0(beta, "beta"))
    how = Descent(alpha, iterations, batch, adam if rule is None else rule)
    yield from descend(start, on_margins(start.log_ref, loss, slope), how, rng)


@algorithm
def dpo_without_reference(
    model: LanguageModel,
    comparisons: Comparisons,
    *,
    alpha: float = 0.05,
    iterations: int = 1000,
    batch: int | None = None,
    rule: Rule | None = None,
    runs: int | None = None,
    rng: Rng = None,
) -> Iterator[Direct]:
    """Maximise log sigma(log pi(chosen) - log pi(rejected)): the DPO of lecture 004.

    There is no beta and no reference: the optimum is softmax(R), wherever it starts. Arguments are
    those of `dpo`.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model = LanguageModel(TokenWorld(["?"], "ab", 1))
    >>> votes = [[[0.5, 0.6, 0.6], [0.4, 0.5, 0.5], [0.4, 0.5, 0.5]]]
    >>> dpo_without_reference(model, votes).probs.round(4)
    array([[0.4286, 0.2857, 0.2857]])

    Raises:
        TypeError, ValueError: as `dpo`.
    """
    start = Start(model, comparisons, None, runs, likelihood=True)
    loss, slope = partial(dpo_loss, beta=1.0), partial(dpo_slope, beta=1.0)
    how = Descent(alpha, iterations, batch, adam if rule is None else rule)
    yield from descend(start, on_margins(0.0, loss, slope), how, rng)


@algorithm
def ipo(
    model: LanguageModel,
    comparisons: Comparisons,
    *,
    reference: LanguageModel | None = None,
    tau: float = 1.0,
    length_normalised: bool = False,
    alpha: float = 0.05,
    iterations: int = 1000,
    batch: int | None = None,
    rule: Rule | None = None,
    runs: int | None = None,
    rng: Rng = None,
) -> Iterator[Direct]:
    """Minimise the mean of (margin - 1 / (2 tau))^2.  [arXiv:2310.12036, eq. 17]

    Its optimum is finite, also where all votes are one way. tau is the KL coefficient, in units of
    probability a nat; other arguments are those of `dpo`.

    `length_normalised` takes h(x,y) / |y|, a mean over tokens, as many libraries do. The paper does
    not: it is another objective, with another optimum.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> world = TokenWorld(["?"], "a", 1)
    >>> ipo(LanguageModel(world), Pairs(world, [0], [1], [0]), tau=1).probs.round(4)  # sigma(1/2)
    array([[0.3775, 0.6225]])

    Raises:
        TypeError, ValueError: as `dpo`; tau <= 0.
    """
    start = Start(model, comparisons, reference, runs)
    loss, slope = partial(ipo_loss, tau=tau), partial(ipo_slope, tau=above_0(tau, "tau"))
    scale = 1 / start.duels.answers.lengths if length_normalised else 1.0
    how = Descent(alpha, iterations, batch, adam if rule is None else rule)
    yield from descend(start, on_margins(start.log_ref, loss, slope, scale), how, rng)


@algorithm
def kto(
    model: LanguageModel,
    comparisons: Comparisons,
    *,
    reference: LanguageModel | None = None,
    beta: float = 1.0,
    weights: tuple[float, float] = (1.0, 1.0),
    alpha: float = 0.05,
    iterations: int = 1000,
    batch: int | None = None,
    rule: Rule | None = None,
    runs: int | None = None,
    rng: Rng = None,
) -> Iterator[Direct]:
    """Minimise the mean of lambda - v: answers one by one, liked or not.  [arXiv:2402.01306, eq. 8]

    Of each vote the chosen answer is taken for liked, the other for not liked. The point z0 where
    nothing is felt is the exact KL(pi || pi_ref) of the prompt, not differentiated. Where labels
    contradict each other the majority wins everything.  [ibid., thm. 4.3]

    beta says how sharply gains and losses are felt, `weights` are lambda of the liked and of the
    others; other arguments are those of `dpo`.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> world = TokenWorld(["?"], "a", 1)
    >>> votes = Pairs(world, [0], [1], [0], 0.55)
    >>> kto(LanguageModel(world), votes).probs.round(2)
    array([[0., 1.]])

    Raises:
        TypeError, ValueError: as `dpo`; a negative weight.
    """
    start = Start(model, comparisons, reference, runs)
    if reference is not None:
        must_cover_tokens(reference, model)  # the KL to it is part of the loss
    how = Descent(alpha, iterations, batch, adam if rule is None else rule)
    yield from descend(start, on_ratios(start, above_0(beta, "beta"), weights), how, rng)


# --- what a vote does ---------------------------------------------------------------------------


def margins(model: LanguageModel, reference: LanguageModel, votes: Pairs) -> Array:
    """h(x, chosen) - h(x, rejected) of each vote, (n,), in nats; times beta a difference in reward.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> uniform = LanguageModel(TokenWorld(["?"], "ab", 1))
    >>> model = uniform.with_logits([[0.0, 1.0, 0.0]])
    >>> margins(model, uniform, Pairs.from_texts(model.world, [("?", "a", "b"), ("?", "b", "a")]))
    array([-1.,  1.])

    Raises:
        ValueError: one of the models gives an answer of a vote probability 0.
    """
    a_model(model, "model")
    must_share_world(model.world, a_model(reference, "reference").world, "reference")
    if not isinstance(votes, Pairs):
        raise TypeError(f"votes must be Pairs; it is {votes!r}")
    duels = duels_of(votes, model, None)
    for name, asked in (("model", model), ("reference", reference)):
        must_be_written(duels, asked, name)
    h = []
    for y in (votes.chosen, votes.rejected):
        run = np.zeros(len(votes), dtype=np.intp)
        shown = Answers(model, run, votes.prompt, model.world.tokens_of(y))
        steps = shown.log_probs(model.logits[None]) - shown.log_probs_under(reference)
        h.append(steps.sum(axis=-1))
    return np.asarray(h[0] - h[1])


def displacement(model: LanguageModel, prompt: str, chosen: str, rejected: str) -> float:
    """g_w . (g_w - g_l): how log pi(chosen) moves, a unit of step size and DPO weight.

    g = d log pi(y|x) / d logits. Never negative if each prefix has logits of its own. With shared
    logits it may be: the vote then makes the chosen answer less likely.  [arXiv:2410.08847]

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> bigram = LanguageModel(TokenWorld(["?"], "ab", 5), context=1)
    >>> round(displacement(bigram, "?", "aaa$", "aaaa$"), 9)
    -1.0
    """
    world = a_model(model, "model").world
    x, run = np.full(2, world.prompt(prompt)), np.arange(2)
    both = Answers(
        model,
        run,
        x,
        np.array([world.answer(chosen, "chosen"), world.answer(rejected, "rejected")]),
    )
    g, other = both.gradient(np.stack([model.logits] * 2), np.ones((2, 1)))
    return float((g * (g - other)).sum())
