"""The objective of RLHF, and its optimum in closed form.

J(p) = E_p[R] - beta KL(p || p_ref), the mean over prompts. Its optimum is known,

    p*(y|x) = p_ref(y|x) exp(R(x,y) / beta) / Z(x),     J(p*) = beta log Z,

and J(p*) - J(p) = beta KL(p || p*) for every policy p: how far any method is from the best is a
number that can be printed. Token by token, p* is what soft value iteration finds, since an answer
is a path and its reward comes at the end.

Symbols: x prompt; y answer; p policy; beta reward units per nat; Z (P,); V, Q soft values; P
prompts, N answers, n prefixes; a leading axis of runs may stand before tables of policies.

Reading: Korbak et al. (2022), arXiv:2205.11275; Rafailov et al. (2023), arXiv:2305.18290, section 4
and appendix A.1; Rafailov et al. (2024), arXiv:2404.12358.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import log_softmax, logsumexp

from gridrl.rlhf.divergences import (
    Policy,
    against,
    expected,
    log_probs_of,
    log_ratio,
    must_share_world,
)
from gridrl.rlhf.language import LanguageModel, a_model
from gridrl.rlhf.tokens import Reward, TokenWorld
from gridrl.tables import Array, best, distributions, number, read_only, restore


@dataclass(frozen=True, eq=False)
class Optimum:
    """p*, the best policy of the regularised objective.

    Attributes:
        probs: p*(y|x), (P, N).
        log_probs: log p*(y|x), (P, N), in nats.
        log_z: log Z(x), (P,).
        value: J(p*) = beta log Z, the mean over prompts, in reward units.
        model: p* as a language model, token by token.
    """

    probs: Array
    log_probs: Array
    log_z: Array
    value: float
    model: LanguageModel

    def __post_init__(self) -> None:
        for values in (self.probs, self.log_probs, self.log_z):
            read_only(values)

    __setstate__ = restore

    def __repr__(self) -> str:
        return f"Optimum(value {self.value:.4g}, {self.model.world!r})"


def objective(model: Policy, reference: LanguageModel, reward: Reward, beta: float) -> Any:
    """J(p) = E_p[R] - beta KL(p || p_ref), exact.  [arXiv:2305.18290, eq. 3]

    The mean over prompts; with runs before the table of `model`, one number a run.

    >>> world = TokenWorld(["?"], "a", 1)
    >>> uniform = LanguageModel(world)
    >>> objective([[1.0, 0.0]], uniform, [[1.0, 0.0]], 0.0)
    1.0
    >>> round(objective([[1.0, 0.0]], uniform, [[1.0, 0.0]], 1.0), 4)  # 1 - log 2
    0.3069

    It is -inf for a policy that leaves the support of the reference, if beta > 0.

    Raises:
        TypeError, ValueError: beta < 0, a policy or a reward that does not fit the world.
    """
    lp, lq, R = three(model, reference, reward)
    scale = number(beta, "beta", 0)
    if scale == 0:
        return _number(expected(lp, R).mean(axis=-1))
    return _number(expected(lp, R - scale * log_ratio(lp, lq)).mean(axis=-1))


def regularised_optimum(reference: LanguageModel, reward: Reward, beta: float) -> Optimum:
    """p*(y|x) = p_ref(y|x) exp(R(x,y) / beta) / Z(x).  [arXiv:2305.18290, eq. 4]

    >>> best = regularised_optimum(LanguageModel(TokenWorld(["?"], "a", 1)), [[np.log(3), 0.0]], 1)
    >>> best.probs, round(best.value, 4)  # value: log((3 + 1) / 2)
    (array([[0.75, 0.25]]), 0.6931)

    Raises:
        TypeError, ValueError: beta <= 0 (`unregularised_optimum` has beta = 0), a reward that does
            not fit the world.
    """
    R, scale = a_model(reference, "reference").world.rewards(reward), positive(beta)
    tilted = reference.log_probs + R / scale
    log_z = logsumexp(tilted, axis=-1)
    log_probs = tilted - log_z[:, None]
    logits = soft_values(reference, R, scale).log_policy
    model = LanguageModel(reference.world, logits.reshape(-1, logits.shape[-1]))
    value = float(scale * _log_mean_exp(reference.probs, R / scale, log_z).mean())
    return Optimum(np.exp(log_probs), log_probs, log_z, value, model)


def _log_mean_exp(p: Array, r: Array, log_z: Array) -> Array:
    """log E_p[exp(r)], (P,); where r is small, log_z would have lost its digits."""
    if np.abs(r).max() > 0.01:
        return log_z
    return np.log1p((p * np.expm1(r)).sum(axis=-1))


def unregularised_optimum(world: TokenWorld, reward: Reward) -> Array:
    """What beta = 0 makes best: the answers of largest reward, evenly, (P, N).

    Whatever they look like: the reference has no say, and an answer it would never write may win.

    >>> unregularised_optimum(TokenWorld(["?"], "ab", 1), [[2.0, 0.0, 2.0]])
    array([[0.5, 0. , 0.5]])
    """
    top = best(world.rewards(reward)).astype(np.float64)
    return top / top.sum(axis=1, keepdims=True)


def optimality_gap(model: Policy, reference: LanguageModel, reward: Reward, beta: float) -> Any:
    """J(p*) - J(p) = beta KL(p || p*), in reward units, the mean over prompts.

    >>> reference = LanguageModel(TokenWorld(["?"], "a", 1))
    >>> reward = [[np.log(3), 0.0]]
    >>> round(optimality_gap(reference, reference, reward, 1.0), 4)
    0.1438
    >>> optimality_gap([[0.75, 0.25]], reference, reward, 1.0) < 1e-15
    True

    Raises:
        TypeError, ValueError: beta <= 0, a policy or a reward that does not fit the world.
    """
    lp, lq, R = three(model, reference, reward)
    scale = positive(beta)
    optimum = log_softmax(lq + R / scale, axis=-1)
    return _number(scale * expected(lp, log_ratio(lp, optimum)).mean(axis=-1))


def implied_reward(policy: Policy, reference: LanguageModel, beta: float) -> Array:
    """r(x,y) = beta log(p(y|x) / p_ref(y|x)), (..., P, N).  [arXiv:2305.18290, eq. 5]

    The reward that the policy is best for, less beta log Z(x). A pair of answers to one prompt has
    the same Z, so that it cancels in every difference. It is -inf where only the policy is 0, and
    nan where both are.

    >>> uniform = LanguageModel(TokenWorld(["?"], "ab", 1))
    >>> best = regularised_optimum(uniform, [[0.0, 1.0, 3.0]], beta=0.5)
    >>> r = implied_reward(best.probs, uniform, beta=0.5)
    >>> (r - r[:, :1]).round(4)
    array([[0., 1., 3.]])

    Raises:
        TypeError, ValueError: beta <= 0; an answer with probability 0 under the reference only.
    """
    lp, lq, scale = against(policy, reference), reference.log_probs, positive(beta)
    with np.errstate(invalid="ignore"):
        return np.asarray(scale * (lp - lq))


def positive(beta: float) -> float:
    """Beta as a float above 0.

    Raises:
        TypeError, ValueError: it is none.
    """
    scale = number(beta, "beta", 0)
    if scale == 0:
        raise ValueError("beta must be above 0; it is 0")
    return scale


# --- token by token -------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SoftValues:
    """What soft value iteration finds.

    Attributes:
        V: beta log sum_a p_ref(a|s) exp(Q(s,a) / beta), (P, n), in reward units.
        Q: the value of what a token leads to, or its reward, (P, n, tokens).
        log_policy: log p*(a|s) = log p_ref(a|s) + (Q(s,a) - V(s)) / beta, (P, n, tokens).
    """

    V: Array
    Q: Array
    log_policy: Array

    def __post_init__(self) -> None:
        for values in (self.V, self.Q, self.log_policy):
            read_only(values)

    __setstate__ = restore


def soft_values(reference: LanguageModel, reward: Reward, beta: float) -> SoftValues:
    """V(s) = beta log sum_a p_ref(a|s) exp(Q(s,a) / beta), backwards.  [arXiv:2404.12358, sec. 4]

    One sweep is enough, from the longest prefixes to the empty one: nothing comes back.

    >>> uniform = LanguageModel(TokenWorld(["?"], "a", 1))
    >>> found = soft_values(uniform, [[0.0, 1.0]], beta=0.5)
    >>> best = regularised_optimum(uniform, [[0.0, 1.0]], beta=0.5)
    >>> found.V.round(4), (0.5 * best.log_z).round(4)
    (array([[0.7169]]), array([0.7169]))

    Raises:
        TypeError, ValueError: beta <= 0, a reward that does not fit the world.
    """
    world, scale = a_model(reference, "reference").world, positive(beta)
    R, n, W = world.rewards(reward), world.n_prefixes, len(world.vocabulary) - 1
    steps = log_softmax(reference.logits, axis=-1)[reference.tables.contexts]  # (P, n, V)
    Q, V = np.zeros(steps.shape), np.zeros(steps.shape[:2])
    Q[:, :, W] = R[:, :n]
    following = R[:, n:]  # of the full answers; then of the prefixes of a level
    for level in reversed(world.levels):
        Q[:, level, :W] = following.reshape(len(R), -1, W)
        V[:, level] = scale * logsumexp(steps[:, level] + Q[:, level] / scale, axis=-1)
        following = V[:, level]
    return SoftValues(V, Q, steps + (Q - V[:, :, None]) / scale)


def token_model(world: TokenWorld, probs: Any) -> LanguageModel:
    """The language model that writes each answer with its probability in `probs`, (P, N).

    p(token | prefix) is the share of the prefix's answers that go on so; where none does, tokens
    are even, and never needed.

    >>> world = TokenWorld(["?"], "a", 2)
    >>> model = token_model(world, [[0.5, 0.125, 0.375]])
    >>> {token: round(p, 3) for token, p in model.next_token("?", "a").items()}
    {'a': 0.75, '$': 0.25}

    Raises:
        TypeError, ValueError: rows that are no distributions, another shape.
    """
    shape = (len(world.prompts), world.n_completions)
    p = distributions(probs, "probs", shape)
    blank = LanguageModel(world)
    through = blank.tables.flow(p).reshape(-1, len(world.vocabulary))
    with np.errstate(divide="ignore"):
        logits = np.log(through)
    return blank.with_logits(np.where(through.sum(axis=1, keepdims=True) > 0, logits, 0.0))


def three(model: Policy, reference: LanguageModel, reward: Reward) -> tuple[Array, Array, Array]:
    """log p, log p_ref and R, once they are known to fit each other."""
    lq = a_model(reference, "reference").log_probs
    lp = log_probs_of(model, "model")
    if isinstance(model, LanguageModel):
        must_share_world(reference.world, model.world)
    _same_shape(lp, lq)
    return lp, lq, reference.world.rewards(reward, runs=True)


def _same_shape(lp: Array, lq: Array) -> None:
    if lp.shape[-2:] != lq.shape:
        raise ValueError(
            f"model must have shape (..., {lq.shape[0]}, {lq.shape[1]}) as the"
            f" reference; it has {lp.shape}"
        )


def _number(values: Array) -> Any:
    return float(values) if np.ndim(values) == 0 else values
