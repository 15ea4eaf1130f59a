"""What a model of the human makes of a difference in reward: the softmax, and 10% who guess.

P(first preferred) = (1 - error) sigma(Delta) + error / 2, Delta the first sum minus the second.
With error = 0 the loss is convex, and a wrong answer costs ever more. With error = 0.1, as in the
paper, no answer costs more than -log 0.05 = 2.9957, none less than -log 0.95 = 0.0513: a slip of
the mouse stops mattering, and the loss is not convex.

Symbols: delta (...,) differences; mu (...,) share of the preference the first has; X (n, cells) as
in `gridrl.preferences.design`; r (m, cells) rewards of m models; W (m, n) what a vote counts.

Reading: Christiano et al. (2017), arXiv:1706.03741, section 2.2.3 and equation 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_expit

from gridrl.tables import Array


def preferred(delta: ArrayLike, error: float = 0.0) -> Array:
    """(1 - error) sigma(delta) + error / 2.  [arXiv:1706.03741, eq. 1]

    >>> preferred([0.0, 100.0], error=0.1)
    array([0.5 , 0.95])
    """
    return np.asarray((1 - error) * expit(delta) + error / 2)


def preference_loss(delta: ArrayLike, mu: ArrayLike, error: float = 0.0) -> Array:
    """- mu log P(first) - (1 - mu) log P(second), in nats, elementwise.

    >>> preference_loss([100.0, -100.0], [1.0, 1.0], error=0.1).round(4)
    array([0.0513, 2.9957])
    """
    return loss_and_slope(np.asarray(delta), np.asarray(mu), error)[0]


def loss_and_slope(delta: Array, mu: Array, error: float = 0.0) -> tuple[Array, Array]:
    """The loss and its derivative by delta: for error = 0 it is sigma(delta) - mu."""
    yes, no = log_expit(delta), log_expit(-delta)
    log_first, log_second = _mixed(yes, error), _mixed(no, error)
    loss = -mu * log_first - (1 - mu) * log_second
    width = (1 - error) * np.exp(yes + no)  # dP / d delta
    if not error:
        return loss, np.exp(yes) - mu
    return loss, width * ((1 - mu) * np.exp(-log_second) - mu * np.exp(-log_first))


def _mixed(log_p: Array, error: float) -> Array:
    return np.log((1 - error) * np.exp(log_p) + error / 2) if error else log_p


def curvature(delta: Array, mu: Array, error: float = 0.0) -> Array:
    """The second derivative of the loss by delta; below zero somewhere if error > 0."""
    s = expit(delta)
    if not error:
        return s * (1 - s)
    p, width = preferred(delta, error), (1 - error) * s * (1 - s)
    bend = width * (1 - 2 * s)
    first = (width / p) ** 2 - bend / p
    second = (width / (1 - p)) ** 2 + bend / (1 - p)
    return np.asarray(mu * first + (1 - mu) * second)


def information(delta: Array, error: float = 0.0) -> Array:
    """Fisher information on delta of one answer: P'^2 / (P (1 - P)); p (1 - p) for error = 0."""
    s = expit(delta)
    if not error:
        return s * (1 - s)
    p = preferred(delta, error)
    return np.asarray(((1 - error) * s * (1 - s)) ** 2 / (p * (1 - p)))


@dataclass(frozen=True, eq=False)
class Votes:
    """Comparisons as m models see them.

    Attributes:
        X: differences of visit counts, (n, cells), sparse or not.
        mu: share of the preference the first has, (n,).
        W: how much each counts for each model, (m, n); 0 is left out.
        error: the share of answers that are guesses.
    """

    X: Any
    mu: Array
    W: Array
    error: float

    @property
    def weights(self) -> Array:
        """W with rows that sum to one; a row of zeros stays so."""
        return np.asarray(self.W / np.maximum(self.W.sum(axis=1, keepdims=True), 1e-300))

    def delta(self, r: Array) -> Array:
        """What each pair differs by under each reward, (m, n)."""
        return np.asarray((self.X @ r.T).T)

    def pulled(self, slopes: Array) -> Array:
        """Slopes by delta (m, n) as slopes by r, (m, cells)."""
        return np.asarray((self.X.T @ slopes.T).T)

    def loss_and_slope(self, r: Array) -> tuple[Array, Array]:
        """Mean loss of each model (m,), and its slope by r (m, cells)."""
        loss, slope = loss_and_slope(self.delta(r), self.mu, self.error)
        weights = self.weights
        return (weights * loss).sum(axis=1), self.pulled(weights * slope)
