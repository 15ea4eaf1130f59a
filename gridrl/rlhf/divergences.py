"""KL(p || q), exactly: by all answers, or by all tokens.

    KL(p || q) = sum_y p(y) log(p(y) / q(y)) = sum_c E_p[visits of c] KL(p(.|c) || q(.|c))

The second is the chain rule; c is what is remembered while writing. Of models of the last tokens
that is the last m of them, and writing is a walk on a Markov chain with few states however many
answers there are: the divergence is exact over 10^14 answers as well. (A reward of whole answers
does not add up along the chain; it is sampled.)

Symbols: lp, lq log-probabilities of answers under p and q, (P, N); C memories c; P prompts; V
tokens, the end last; before each table a leading axis of runs may stand.

Reading: Cover & Thomas (2006), Elements of Information Theory, theorem 2.5.3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.special import log_softmax

from gridrl.rlhf.language import LanguageModel, a_model
from gridrl.rlhf.tokens import TokenWorld, a_world
from gridrl.rlhf.trees import first_rows, n_contexts, onward
from gridrl.tables import Array, distributions

Policy = LanguageModel | ArrayLike


def log_probs_of(policy: Policy, name: str = "policy") -> Array:
    """log p(y|x), (..., P, N): of a model, or of a table of such probabilities.

    Raises:
        TypeError, ValueError: rows that are no distributions.
    """
    if isinstance(policy, LanguageModel):
        return policy.log_probs
    p = distributions(policy, name)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(p))


def kl(p: Policy, q: Policy) -> Any:
    """KL(p || q) = sum_y p(y) log(p(y) / q(y)), in nats, along the last axis.

    Of two models: of each prompt, (P,), in worlds of any size; of two tables (..., N): (...).

    >>> round(kl([0.5, 0.5], [0.25, 0.75]), 4)
    0.1438

    It is inf if only q(y) is 0: p leaves the support of q.

    Raises:
        TypeError, ValueError: rows that are no distributions, or not of the same answers.
    """
    if isinstance(p, LanguageModel) and isinstance(q, LanguageModel):
        must_share_world(p.world, q.world, "q")
        if not p.world.enumerable:
            return kl_by_tokens(p, q)
    lp, lq = log_probs_of(p, "p"), log_probs_of(q, "q")
    if lp.shape[-1] != lq.shape[-1]:
        raise ValueError(f"q must have {lp.shape[-1]} answers as p has; it has {lq.shape[-1]}")
    result = expected(lp, log_ratio(lp, lq))
    return result if result.ndim else float(result)


def log_ratio(lp: Array, lq: Array) -> Array:
    """log p - log q, 0 where both are impossible."""
    both = np.isneginf(lp) & np.isneginf(lq)
    with np.errstate(invalid="ignore"):
        return np.where(both, 0.0, lp - lq)


def expected(lp: Array, values: Array) -> Array:
    """E_p[values], along the last axis; what never happens counts nothing, even if infinite."""
    with np.errstate(invalid="ignore"):
        weighed = np.where(np.isinf(values), values, np.exp(lp) * values)  # even if p underflows
    return np.asarray(np.where(np.isneginf(lp), 0.0, weighed).sum(axis=-1))


def must_share_world(world: TokenWorld, other: TokenWorld, name: str = "model") -> None:
    """Say that another world's numbers mean something else.

    Raises:
        ValueError: prompts, tokens or length differ.
    """
    both = (a_world(world, "world"), a_world(other, name))
    first, second = ((w.prompts, w.vocabulary, w.length) for w in both)
    if first != second:
        raise ValueError(f"{name} must be of the same world, {world!r}; it is of {other!r}")


def must_cover(reference: LanguageModel, lp: Array, name: str = "reference") -> None:
    """Say which answer of the policy (..., P, N) the reference cannot give.

    Raises:
        ValueError: its log-ratio is infinite.
    """
    outside = np.isneginf(reference.log_probs) & ~np.isneginf(lp)
    if outside.any():
        x, y = (int(i) for i in np.argwhere(outside)[0][-2:])
        world = reference.world
        raise ValueError(
            f"{name} must not give probability 0 to an answer of the policy; it does to"
            f" {world.texts[y]!r} of prompt {world.prompts[x]!r}"
        )


def against(policy: Policy, reference: LanguageModel) -> Array:
    """log p of a policy of the reference's world, (..., P, N), that stays in its support.

    Raises:
        TypeError, ValueError: another world or shape; an answer that only the policy gives.
    """
    a_model(reference, "reference")
    if isinstance(policy, LanguageModel):
        must_share_world(reference.world, policy.world, "policy")
    lp, shape = log_probs_of(policy), reference.log_probs.shape
    if lp.shape[-2:] != shape:
        raise ValueError(
            f"policy must have shape (..., {shape[0]}, {shape[1]}) as the reference; it has"
            f" {lp.shape}"
        )
    must_cover(reference, lp)
    return lp


# --- token by token -------------------------------------------------------------------------


class Tree:
    """What is remembered while writing, if a model knows all that was written: the prefix."""

    def steps(self, model: LanguageModel, logits: Array) -> Array:
        """Log pi(token | c), (..., P, C, V), of logits (..., contexts, V) of a model."""
        return np.asarray(log_softmax(logits, axis=-1)[..., model.tables.contexts, :])

    def visits(self, model: LanguageModel, steps: Array) -> Array:
        """E[how often c is met] in an answer to each prompt, (..., P, C)."""
        return np.exp(model.tables.reached(steps))


class Chain:
    """What is remembered while writing, if models know the last tokens: the last m of them."""

    def __init__(self, world: TokenWorld, m: int) -> None:
        C, W = n_contexts(world, m), len(world.vocabulary) - 1
        to = onward(world, m, np.arange(C)[:, None], np.arange(W)).ravel()
        self.first, self.own = first_rows(world, m), np.arange(C)
        self.leads = csr_array((np.ones(C * W), (to, np.arange(C * W))), shape=(C, C * W))

    def steps(self, model: LanguageModel, logits: Array) -> Array:
        """Log pi(token | c), (..., 1, C, V), of logits (..., contexts, V) of a model."""
        rows = self.own % len(model.logits)
        return np.asarray(log_softmax(logits, axis=-1)[..., None, rows, :])

    def visits(self, model: LanguageModel, steps: Array) -> Array:
        """E[how often c is met] in an answer to each prompt, (..., P, C)."""
        goes, P = np.exp(steps[..., :-1]), len(self.first)
        now = np.zeros((*steps.shape[:-3], P, len(self.own)))
        now[..., np.arange(P), self.first] = 1.0
        total = now.copy()
        for _ in range(model.world.length - 1):
            flow = (now[..., None] * goes).reshape(-1, self.leads.shape[1])
            now = (self.leads @ flow.T).T.reshape(now.shape)
            total += now
        return total


def memory_of(model: LanguageModel, other: LanguageModel) -> Tree | Chain:
    """What the two remember between them."""
    contexts, world = (model.context, other.context), model.world
    if "prefix" in contexts:
        return Tree()
    m = max(int(n) for n in contexts)
    if world.enumerable and len(world.prompts) * world.n_prefixes < n_contexts(world, m):
        return Tree()  # fewer prefixes than contexts
    return Chain(world, m)


def kl_by_tokens(
    model: LanguageModel,
    other: LanguageModel,
    logits: Array | None = None,
    memory: Tree | Chain | None = None,
) -> Array:
    """KL(model || other) by the chain rule, (..., P), of the model with such logits.

    What is remembered may be given, if it is asked for again and again. An infinity behind a
    prefix of less than 1e-320 is missed.
    """
    theta = model.logits if logits is None else logits
    memory = memory_of(model, other) if memory is None else memory
    lp, lq = memory.steps(model, theta), memory.steps(other, other.logits)
    met, each = memory.visits(model, lp), expected(lp, log_ratio(lp, lq))
    return np.asarray(np.where(met > 0, met * np.where(met > 0, each, 0.0), 0.0).sum(axis=-1))


def must_cover_tokens(
    reference: LanguageModel, model: LanguageModel, name: str = "reference"
) -> None:
    """`must_cover` in worlds of any size: which token is it that only the reference never writes.

    Raises:
        ValueError: the log-ratio of answers with it is infinite.
    """
    memory = memory_of(model, reference)
    lp, lq = memory.steps(model, model.logits), memory.steps(reference, reference.logits)
    outside = (memory.visits(model, lp) > 0)[..., None] & np.isneginf(lq) & ~np.isneginf(lp)
    if outside.any():
        x, _, token = (int(i) for i in np.argwhere(outside)[0])
        world = reference.world
        raise ValueError(
            f"{name} must not give probability 0 to an answer of the policy; it does to"
            f" {world.vocabulary[token]!r} in an answer to prompt {world.prompts[x]!r}"
        )
