"""KL(p || q) exactly, and what three estimators of it give: as a number, and as a loss.

With y drawn from the policy and r = reference(y) / policy(y): k1 = -log r and k3 = r - 1 - log r
have the expectation KL(policy || reference), k2 = (log r)^2 / 2 has not. Differentiated as a loss,
the draws taken as given, they change roles: k1 has the expected gradient 0, k2 that of
KL(policy || reference), and k3 that of KL(reference || policy).

An estimator here is any function of (log policy, log reference), elementwise, that is smooth: its
slope is taken by a complex step, f(z + ih) = f(z) + ih f'(z), which is exact to rounding. So
`np.real(z)` is a number that the loss is not differentiated through.

Symbols: lp, lq log-probabilities of answers under the policy p and the reference q, (P, N).

Reading: Schulman (2020), Approximating KL divergence; Tang & Munos (2025), arXiv:2506.09477.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax, softmax

from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.tokens import TokenWorld
from gridrl.tables import Array, check_distributions, read_only, restore

Policy = LanguageModel | ArrayLike
Estimator = Callable[[Any, Any], Any]
TINY = 1e-30  # the complex step: its square vanishes beside 1


def log_probs_of(policy: Policy, name: str = "policy") -> Array:
    """log p(y|x), (..., P, N): of a model, or of a table of such probabilities.

    Raises:
        TypeError, ValueError: rows that are no distributions.
    """
    if isinstance(policy, LanguageModel):
        return policy.log_probs
    p = np.array(policy, dtype=np.float64)
    check_distributions(p, name)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(p))


def kl(p: Policy, q: Policy) -> Any:
    """KL(p || q) = sum_y p(y) log(p(y) / q(y)), in nats, along the last axis.

    Of two models: of each prompt, (P,); of two tables (..., N): (...).

    >>> round(kl([0.5, 0.5], [0.25, 0.75]), 4)
    0.1438

    It is inf if only q(y) is 0: p leaves the support of q.

    Raises:
        TypeError, ValueError: rows that are no distributions, or not of the same answers.
    """
    if isinstance(p, LanguageModel) and isinstance(q, LanguageModel):
        must_share_world(p.world, q.world, "q")
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
        return np.asarray(np.where(np.isneginf(lp), 0.0, np.exp(lp) * values).sum(axis=-1))


def must_share_world(world: TokenWorld, other: TokenWorld, name: str = "model") -> None:
    """Say that another world's numbers mean something else.

    Raises:
        ValueError: prompts, tokens or length differ.
    """
    first, second = ((w.prompts, w.vocabulary, w.length) for w in (world, other))
    if first != second:
        raise ValueError(f"{name} must be of the same world, {world!r}; it is of {other!r}")


def must_cover(reference: LanguageModel, lp: Array) -> None:
    """Say which answer of the policy (..., P, N) the reference cannot give.

    Raises:
        ValueError: its log-ratio is infinite.
    """
    outside = np.isneginf(reference.log_probs) & ~np.isneginf(lp)
    if outside.any():
        x, y = (int(i) for i in np.argwhere(outside)[0][-2:])
        world = reference.world
        raise ValueError(
            f"reference must not give probability 0 to an answer of the policy; it does to"
            f" {world.texts[y]!r} of prompt {world.prompts[x]!r}"
        )


# --- estimators -----------------------------------------------------------------------------


def k1(log_prob_policy: Any, log_prob_reference: Any) -> Any:
    """k1 = -log r = log p - log q, elementwise: unbiased, and often negative.

    >>> round(float(k1(np.log(0.5), np.log(0.25))), 4)
    0.6931
    """
    return log_prob_policy - log_prob_reference


def k2(log_prob_policy: Any, log_prob_reference: Any) -> Any:
    """k2 = (log r)^2 / 2, elementwise: biased, never negative; as a loss, the right gradient.

    >>> round(float(k2(np.log(0.5), np.log(0.25))), 4)
    0.2402
    """
    return (log_prob_policy - log_prob_reference) ** 2 / 2


def k3(log_prob_policy: Any, log_prob_reference: Any) -> Any:
    """k3 = r - 1 - log r, elementwise: unbiased, never negative.  [arXiv:2402.03300, eq. 4]

    Its variance is smaller than that of k1 near the reference only: far from it, r has a long tail.
    And it is too small by the reference's probability of answers that the policy never gives.

    >>> round(float(k3(np.log(0.5), np.log(0.25))), 4)
    0.1931
    """
    log_r = log_prob_reference - log_prob_policy
    return np.exp(log_r) - 1 - log_r


def importance_weighted(estimator: Estimator) -> Estimator:
    """(p / p_old) k at p_old = p, the ratio differentiated too: mends the gradient of k1 and k3."""

    def weighted(lp: Any, lq: Any) -> Any:
        return np.exp(lp - np.real(lp)) * estimator(lp, lq)

    return weighted


def as_reward(estimator: Estimator) -> Estimator:
    """k as a number that REINFORCE is charged, not a loss: (p / p_old) k, k not differentiated."""

    def charged(lp: Any, lq: Any) -> Any:
        return np.exp(lp - np.real(lp)) * estimator(np.real(lp), lq)

    return charged


@dataclass(frozen=True, eq=False)
class Moments:
    """What one draw of an estimator gives, exactly, for each prompt.

    Attributes:
        mean: E_p[k], (P,), in nats.
        variance: (P,).
        bias: E_p[k] - KL(p || q), (P,).
        least: the smallest value it can take, (P,).
    """

    mean: Array
    variance: Array
    bias: Array
    least: Array

    def __post_init__(self) -> None:
        for values in (self.mean, self.variance, self.bias, self.least):
            read_only(values)

    __setstate__ = restore


def moments(estimator: Estimator, policy: Policy, reference: LanguageModel) -> Moments:
    """Mean, variance and bias of an estimator on one answer of the policy.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> world = TokenWorld(["?"], "a", 1)
    >>> found = moments(k3, [[0.75, 0.25]], LanguageModel(world))
    >>> found.mean.round(4), abs(found.bias) < 1e-15
    (array([0.1308]), array([ True]))

    Raises:
        ValueError: the reference cannot give an answer of the policy.
    """
    lp = log_probs_of(policy)
    must_cover(reference, lp)
    lq = np.where(np.isneginf(lp), 0.0, reference.log_probs)
    values = estimator(np.where(np.isneginf(lp), 0.0, lp), lq)
    mean = expected(lp, values)
    return Moments(
        mean=mean,
        variance=expected(lp, (values - mean[..., None]) ** 2),
        bias=mean - expected(lp, log_ratio(lp, reference.log_probs)),
        least=np.where(np.isneginf(lp), np.inf, values).min(axis=-1),
    )


# --- gradients ------------------------------------------------------------------------------


def kl_gradient(model: LanguageModel, reference: LanguageModel) -> Array:
    """Grad KL(p || q) = E_p[(log p - log q) grad log p], the mean over prompts, as the logits."""
    must_cover(reference, lp := model.log_probs)
    ratio = np.where(np.isneginf(lp), 0.0, log_ratio(lp, reference.log_probs))
    return _gradient(model, model.probs * ratio)


def forward_kl_gradient(model: LanguageModel, reference: LanguageModel) -> Array:
    """Grad KL(q || p) = -E_q[grad log p], the mean over prompts, as the logits."""
    return _gradient(model, -reference.probs)


def loss_gradient(estimator: Estimator, model: LanguageModel, reference: LanguageModel) -> Array:
    """E_p[grad k(y)], the draws y taken as given: what automatic differentiation gives on average.

    The mean over prompts, of the shape of the logits.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> uniform = LanguageModel(TokenWorld(["?"], "a", 1))
    >>> model = uniform.with_logits([[1.0, 0.0]])
    >>> loss_gradient(k1, model, uniform)  # no penalty at all
    array([[0., 0.]])
    >>> loss_gradient(k2, model, uniform).round(4), kl_gradient(model, uniform).round(4)
    (array([[ 0.1966, -0.1966]]), array([[ 0.1966, -0.1966]]))

    Raises:
        ValueError: the reference cannot give an answer of the policy.
    """
    must_cover(reference, lp := model.log_probs)
    return _gradient(model, model.probs * _slope(estimator, lp, reference.log_probs))


def token_loss_gradient(
    estimator: Estimator, model: LanguageModel, reference: LanguageModel
) -> Array:
    """E_p[sum_t grad k(token t)]: the estimator on each token, as is usual in training.

    Even with k2 it is not grad KL of the answers: each token answers for its own ratio, not for the
    prefixes it leads to.
    """
    must_cover(reference, model.log_probs)
    lp, lq = (log_softmax(m.logits, axis=-1)[m.tables.contexts] for m in (model, reference))
    reached = np.exp(model.tables.reached(lp))[..., None] * np.exp(lp)
    weights = reached * np.where(reached > 0, _slope(estimator, lp, lq), 0.0) / len(lp)
    pi = softmax(model.logits, axis=-1)[model.tables.contexts]
    steps = weights - weights.sum(axis=-1, keepdims=True) * pi
    return model.tables.gather(steps, model.logits.shape)


def _slope(estimator: Estimator, lp: Array, lq: Array) -> Array:
    """dk / d log p by a complex step; 0 where the policy never goes."""
    never = np.isneginf(lp)
    z = np.where(never, 0.0, lp) + 1j * TINY
    slopes = np.imag(estimator(z, np.where(never | np.isneginf(lq), 0.0, lq))) / TINY
    return np.where(never, 0.0, slopes)


def _gradient(model: LanguageModel, weights: Array) -> Array:
    return model.tables.gradient(model.logits, weights / len(weights))
