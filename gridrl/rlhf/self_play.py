"""Two players who learn: mirror descent on preferences, and whom to play against.

After each step the policy moves towards the answers that beat its opponent, and back towards the
reference. All depends on the opponent and on the step. Against itself without a reference the
policy runs in circles, and only its average settles. Against a mixture with the reference it
settles itself (Nash-MD), and so it does against the mixture of its past, if it answers that at once
(a step of 1 / tau: smooth fictitious play); with small steps that opponent too makes it circle.

Symbols: M[y, y'] = P(y is preferred to y'), (..., n, n); pi (..., n) policy; mu reference; tau
weight of the KL to it; eta step.

Reading: lecture 002; Munos et al. (2024), arXiv:2312.00886, section 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax

from gridrl.iterates import algorithm
from gridrl.rlhf.games import regularised, wins, with_reference
from gridrl.tables import Array, called, distributions, number, read_only, restore, whole

Step = Callable[[int], float]


@dataclass(frozen=True, eq=False)
class Playing:
    """A player after a step.

    Attributes:
        policy: pi_t, (..., n).
        average: of all policies so far, the first included, (..., n).
        opponent: whom the last step was made against, (..., n).
        iteration: t; steps so far.
    """

    policy: Array
    average: Array
    opponent: Array
    iteration: int

    __setstate__ = restore


def current_policy(now: Playing) -> Array:
    """Self-play: the opponent is the policy as it is.

    >>> pi, average, opponent = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    >>> current_policy(Playing(pi, average, opponent, iteration=1))
    array([1., 0.])
    """
    return now.policy


def past_mixture(now: Playing) -> Array:
    """The opponent is the average of all policies so far.

    >>> pi, average, opponent = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    >>> past_mixture(Playing(pi, average, opponent, iteration=1))
    array([0.5, 0.5])
    """
    return now.average


@algorithm
def nash_md(
    M: ArrayLike,
    reference: ArrayLike,
    *,
    tau: float,
    iterations: int = 1000,
    step: float | Step | None = None,
) -> Iterator[Playing]:
    """Nash-MD: pi_{t+1} ~ q exp(eta P(. > q)), q ~ pi_t^{1 - eta tau} mu^{eta tau}.

    The opponent q lies between the policy and the reference. With the step of theorem 1 the last
    iterate is within KL(pi* || pi_T) <= 8 / (tau^2 (T + 1)).  [arXiv:2312.00886, sec. 6, thm. 1]

    >>> M = [[0.5, 0.9, 0.3], [0.1, 0.5, 0.8], [0.7, 0.2, 0.5]]
    >>> nash_md(M, [1 / 3] * 3, tau=0.1).policy.round(3)
    array([0.392, 0.225, 0.383])

    Args:
        M: P(y is preferred to y'), (..., n, n).
        reference: mu, (..., n), where it starts; an answer of probability 0 keeps it.
        tau: weight of the KL to the reference, in units of probability a nat.
        iterations: T.
        step: eta, a number or a function of t = 0, 1, ...; None is 2 / (tau (t + 2)). A constant
            converges, but to the solution of tau log(pi / mu) = P(. > q): another point, if
            there are more than two answers.

    Raises:
        ValueError: as `regularised_nash`; a step above 1 / tau.
    """
    P, mu, tau = regularised(M, reference, tau)
    eta_of = _steps(step, tau)
    now = Playing(mu, mu, mu, 0)
    log_mu = log_pi = _log(mu)
    for t in range(whole(iterations, "iterations", least=1)):
        eta = eta_of(t)
        log_q = _between(log_pi, log_mu, eta * tau)
        log_pi = log_softmax(log_q + eta * wins(P, q := np.exp(log_q)), axis=-1)
        yield (now := _after(now, np.exp(log_pi), q))


@algorithm
def mirror_descent(
    M: ArrayLike,
    reference: ArrayLike,
    *,
    tau: float = 0.0,
    iterations: int = 1000,
    step: float | Step = 0.05,
    against: Callable[[Playing], Array] = current_policy,
) -> Iterator[Playing]:
    """Online mirror descent: pi_{t+1} ~ pi_t^{1 - eta tau} mu^{eta tau} exp(eta P(. > opponent)).

    It differs from `nash_md` only in the opponent. With tau = 0 and against itself it is
    multiplicative weights: the policy spirals outward while its average converges.

    >>> from gridrl.rlhf.games import exploitability
    >>> M = [[0.5, 0.9, 0.3], [0.1, 0.5, 0.8], [0.7, 0.2, 0.5]]
    >>> played = mirror_descent(M, [0.5, 0.3, 0.2], iterations=5000)
    >>> float(exploitability(M, played.average).round(4))
    0.0033

    Args:
        M: P(y is preferred to y'), (..., n, n).
        reference: mu, (..., n), where it starts.
        tau: weight of the KL to the reference; 0 is none.
        iterations: steps.
        step: eta, a number or a function of t = 0, 1, ...
        against: the opponent, of the player as it stands: `current_policy`, `past_mixture`, or
            another function that gives a policy.

    Raises:
        ValueError: as `nash_md`.
    """
    P, mu = with_reference(M, reference)
    tau = number(tau, "tau", 0)
    if step is None:
        raise TypeError("step must be a number or a function; only nash_md has one of its own")
    eta_of = _steps(step, tau)
    called(against, "against")
    now = Playing(mu, mu, mu, 0)
    log_mu = log_pi = _log(mu)
    for t in range(whole(iterations, "iterations", least=1)):
        eta, opponent = eta_of(t), distributions(against(now), "against", mu.shape)
        mixed = _between(log_pi, log_mu, eta * tau)
        log_pi = log_softmax(mixed + eta * wins(P, opponent), axis=-1)
        yield (now := _after(now, np.exp(log_pi), opponent))


def _after(now: Playing, policy: Array, opponent: Array) -> Playing:
    t = now.iteration + 1
    average = now.average + (policy - now.average) / (t + 1)
    return Playing(read_only(policy), read_only(average), read_only(opponent), t)


def _between(log_pi: Array, log_mu: Array, share: float) -> Array:
    """log of pi^{1 - share} mu^share, made a distribution; 0 where mu is."""
    absent = np.isneginf(log_mu)
    mixed = (1 - share) * np.where(absent, 0, log_pi) + share * np.where(absent, 0, log_mu)
    return np.asarray(log_softmax(np.where(absent, -np.inf, mixed), axis=-1))


def _log(p: Array) -> Array:
    with np.errstate(divide="ignore"):  # an answer never given
        return np.log(p)


def _steps(step: float | Step | None, tau: float) -> Step:
    """eta of t; in Nash-MD and with a reference it is at most 1 / tau."""
    high = 1 / tau if tau else np.finfo(np.float64).max
    if step is None:
        return lambda t: 2 / (tau * (t + 2))
    if callable(step):
        return lambda t: number(step(t), f"step({t})", 0, high)
    eta = number(step, "step", 0, high)
    return lambda t: eta
