"""Losses that need no reward model: a policy's own log-probabilities are its reward.

All are functions of h, how much more than the reference a policy gives an answer:

    h(x,y) = log pi(y|x) / pi_ref(y|x),     margin = h(x, chosen) - h(x, rejected).

A loss says what a vote costs, its slope is the derivative: of `dpo_loss` and `ipo_loss` by the
margin, of `kto_loss` by h. Elementwise; all are minimised.

Symbols: beta how sharply, tau how strongly the policy is held to the reference; sigma(z) =
1 / (1 + exp(-z)).

Reading: Rafailov et al. (2023), arXiv:2305.18290; Azar et al. (2023), arXiv:2310.12036; Ethayarajh
et al. (2024), arXiv:2402.01306.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_expit

from gridrl.tables import Array, number


def dpo_loss(margin: ArrayLike, beta: float) -> Array:
    """- log sigma(beta margin), in nats.  [arXiv:2305.18290, eq. 7]

    >>> dpo_loss([0.0, np.log(3)], 1.0).round(4)
    array([0.6931, 0.2877])

    Raises:
        ValueError: beta <= 0.
    """
    return np.asarray(-log_expit(above_0(beta, "beta") * np.asarray(margin, dtype=np.float64)))


def dpo_weight(margin: ArrayLike, beta: float) -> Array:
    """sigma(-beta margin), the weight of a vote.  [arXiv:2305.18290, sec. 4]

    It says how wrong the implied reward is about the vote.
    The gradient of the loss is - beta weight (grad log pi(chosen) - grad log pi(rejected)).
    Equation 21 of the paper's appendix has this weight with the other sign; section 4 is right.

    >>> dpo_weight([0.0, np.log(3)], 1.0)
    array([0.5 , 0.25])
    """
    return np.asarray(expit(-above_0(beta, "beta") * np.asarray(margin, dtype=np.float64)))


def dpo_slope(margin: ArrayLike, beta: float) -> Array:
    """d dpo_loss / d margin = - beta weight."""
    return -beta * dpo_weight(margin, beta)


def ipo_loss(margin: ArrayLike, tau: float) -> Array:
    """(margin - 1 / (2 tau))^2.  [arXiv:2310.12036, eq. 17]

    >>> ipo_loss([0.0, 5.0], 0.1)
    array([25.,  0.])

    Raises:
        ValueError: tau <= 0.
    """
    return np.asarray((np.asarray(margin, dtype=np.float64) - 0.5 / above_0(tau, "tau")) ** 2)


def ipo_slope(margin: ArrayLike, tau: float) -> Array:
    """d ipo_loss / d margin = 2 (margin - 1 / (2 tau))."""
    return 2 * (np.asarray(margin, dtype=np.float64) - 0.5 / above_0(tau, "tau"))


def kto_loss(
    log_ratio: ArrayLike,
    desirable: ArrayLike,
    beta: float,
    *,
    kl: ArrayLike = 0.0,
    weights: tuple[float, float] = (1.0, 1.0),
) -> Array:
    """lambda_y - v: v = lambda_D sigma(beta (h - z0)) or lambda_U sigma(beta (z0 - h)).

    >>> kto_loss([0.0, np.log(3)], [True, False], 1.0)
    array([0.5 , 0.75])

    Args:
        log_ratio: h of each answer.
        desirable: whether somebody liked it.
        beta: how sharply gains and losses are felt.
        kl: z0 = KL(pi || pi_ref) of the prompt, where nothing is felt; not differentiated.
        weights: lambda_D and lambda_U.

    [arXiv:2402.01306, eqs. 7 and 8]

    Raises:
        ValueError: beta <= 0, a negative weight.
    """
    felt, weight = _felt(log_ratio, desirable, beta, kl, weights)
    return np.asarray(weight * expit(-felt))


def kto_slope(
    log_ratio: ArrayLike,
    desirable: ArrayLike,
    beta: float,
    *,
    kl: ArrayLike = 0.0,
    weights: tuple[float, float] = (1.0, 1.0),
) -> Array:
    """d kto_loss / d log_ratio: -+ lambda beta s (1 - s), s the sigma of the loss."""
    felt, weight = _felt(log_ratio, desirable, beta, kl, weights)
    side = np.where(desirable, -beta, beta)
    return np.asarray(side * weight * expit(felt) * expit(-felt))


def _felt(
    log_ratio: ArrayLike,
    desirable: ArrayLike,
    beta: float,
    kl: ArrayLike,
    weights: tuple[float, float],
) -> tuple[Array, Array]:
    """beta times gain if liked, times loss if not; and lambda."""
    if len(weights) != 2:
        raise ValueError(f"weights must be two, of the liked and of the others; it is {weights!r}")
    liked, unliked = (number(w, f"weights[{i}]", 0) for i, w in enumerate(weights))
    gain = above_0(beta, "beta") * (np.subtract(log_ratio, kl, dtype=np.float64))
    return np.where(desirable, gain, -gain), np.where(desirable, liked, unliked)


def above_0(value: float, name: str) -> float:
    """A number above 0.

    Raises:
        TypeError, ValueError: it is none.
    """
    if not (found := number(value, name)) > 0:
        raise ValueError(f"{name} must be above 0; it is {found:g}")
    return found
