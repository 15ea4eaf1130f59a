"""KL(p || q) from samples: what three estimators give as a number, and as a loss.

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
from scipy.special import log_softmax, softmax

from gridrl.rlhf.divergences import (
    Policy,
    against,
    expected,
    log_ratio,
    must_cover,
    must_share_world,
)
from gridrl.rlhf.language import LanguageModel, a_model
from gridrl.tables import Array, read_only, restore

Estimator = Callable[[Any, Any], Any]
TINY = 1e-30  # the complex step: its square vanishes beside 1


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
    with np.errstate(over="ignore", invalid="ignore"):  # inf where the policy is far away
        return np.exp(log_r) - 1 - log_r


def importance_weighted(estimator: Estimator) -> Estimator:
    """(p / p_old) k at p_old = p, the ratio differentiated too: mends the gradient of k1 and k3.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> uniform = LanguageModel(TokenWorld(["?"], "a", 1))
    >>> model = uniform.with_logits([[1.0, 0.0]])
    >>> loss_gradient(importance_weighted(k1), model, uniform).round(4)
    array([[ 0.1966, -0.1966]])
    """

    def weighted(lp: Any, lq: Any) -> Any:
        return np.exp(lp - np.real(lp)) * estimator(lp, lq)

    return weighted


def as_reward(estimator: Estimator) -> Estimator:
    """k as a number that REINFORCE is charged, not a loss: (p / p_old) k, k not differentiated.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> uniform = LanguageModel(TokenWorld(["?"], "a", 1))
    >>> model = uniform.with_logits([[1.0, 0.0]])
    >>> loss_gradient(as_reward(k1), model, uniform).round(4)
    array([[ 0.1966, -0.1966]])
    """

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
    lp = against(policy, reference)
    lq = np.where(np.isneginf(lp), 0.0, reference.log_probs)
    values = _finite(estimator(np.where(np.isneginf(lp), 0.0, lp), lq))
    mean = expected(lp, values)
    return Moments(
        mean=mean,
        variance=expected(lp, (values - mean[..., None]) ** 2),
        bias=mean - expected(lp, log_ratio(lp, reference.log_probs)),
        least=np.where(np.isneginf(lp), np.inf, values).min(axis=-1),
    )


# --- gradients ------------------------------------------------------------------------------


def kl_gradient(model: LanguageModel, reference: LanguageModel) -> Array:
    """Grad KL(p || q) = E_p[(log p - log q) grad log p], the mean over prompts, as the logits.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> uniform = LanguageModel(TokenWorld(["?"], "a", 1))
    >>> kl_gradient(uniform.with_logits([[1.0, 0.0]]), uniform).round(4)
    array([[ 0.1966, -0.1966]])
    """
    lp = against(a_model(model, "model"), reference)
    ratio = np.where(np.isneginf(lp), 0.0, log_ratio(lp, reference.log_probs))
    return _gradient(model, model.probs * ratio)


def forward_kl_gradient(model: LanguageModel, reference: LanguageModel) -> Array:
    """Grad KL(q || p) = -E_q[grad log p], the mean over prompts, as the logits.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> uniform = LanguageModel(TokenWorld(["?"], "a", 1))
    >>> forward_kl_gradient(uniform.with_logits([[1.0, 0.0]]), uniform).round(4)
    array([[ 0.2311, -0.2311]])
    """
    must_share_world(a_model(model, "model").world, a_model(reference, "reference").world)
    must_cover(model, reference.log_probs, "model")
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
    lp = against(a_model(model, "model"), reference)
    return _gradient(model, model.probs * _slope(estimator, lp, reference.log_probs))


def token_loss_gradient(
    estimator: Estimator, model: LanguageModel, reference: LanguageModel
) -> Array:
    """E_p[sum_t grad k(token t)]: the estimator on each token, as is usual in training.

    Even with k2 it is not grad KL of the answers: each token answers for its own ratio, not for the
    prefixes it leads to.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> uniform = LanguageModel(TokenWorld(["?"], "a", 1))
    >>> model = uniform.with_logits([[1.0, 0.0]])
    >>> token_loss_gradient(k2, model, uniform).round(4)  # one token: nothing is led to
    array([[ 0.1966, -0.1966]])
    """
    against(a_model(model, "model"), reference)
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
    values = estimator(z, np.where(never | np.isneginf(lq), 0.0, lq))
    slopes = _finite(np.imag(_finite(values)) / TINY)
    return np.where(never, 0.0, slopes)


def _finite(values: Any) -> Any:
    """What an estimator gave.

    Raises:
        TypeError, ValueError: it is no finite number, or None.
    """
    found = np.asarray(values)
    if found.dtype.kind not in "biufc":
        raise TypeError(f"estimator must give numbers; it gives {values!r}")
    if not np.isfinite(found).all():
        where = [int(i) for i in np.argwhere(~np.isfinite(found))[0]]
        raise ValueError(f"estimator must be finite; it is not at {where}")
    return found


def _gradient(model: LanguageModel, weights: Array) -> Array:
    return model.tables.gradient(model.logits, weights / len(weights))
