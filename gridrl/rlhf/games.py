"""A game in place of a reward: an answer that none is preferred to, even where no reward exists.

Two players each choose an answer, and whoever's is preferred wins. Where preferences run in a
circle no answer is best, but a policy that nobody beats more than half of the time always exists
(von Neumann): the Nash equilibrium of this symmetric game.

Symbols: M[y, y'] = P(y is preferred to y'), (n, n), M + M^T = 1, diagonal 1/2; pi (n,) policy; mu
reference; tau weight of the KL to it. P(pi > pi') = pi M pi'. Leading axes, such as
prompts, are understood: M (..., n, n), pi (..., n).

Reading: lecture 002; Munos et al. (2024), arXiv:2312.00886.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, softmax

from gridrl.errors import NotConverged
from gridrl.tables import (
    SUM_TOLERANCE,
    Array,
    best,
    distributions,
    number,
    read_only,
    restore,
    table,
)

Answer = TypeVar("Answer")
NEWTON = 500  # steps; a dozen do where answers are not all but certain
SOLVED = 1e-12  # what a fixed point may be off, in nats


def preference_matrix(
    probability: Callable[[Answer, Answer], float], answers: Sequence[Answer]
) -> Array:
    """M[y, y'] of a judge who is asked about every pair once, (n, n).

    >>> preference_matrix(lambda y, other: 0.9 if len(y) > len(other) else 0.2, ["a", "aa"])
    array([[0.5, 0.2],
           [0.8, 0.5]])

    Args:
        probability: that the first of two is preferred, as `PreferenceOracle.probability`.
        answers: what is compared, whatever the judge understands.
    """
    n = len(answers)
    M = np.full((n, n), 0.5)
    for i in range(n):
        for j in range(i + 1, n):
            M[i, j] = number(probability(answers[i], answers[j]), f"M[{i}, {j}]", 0, 1)
            M[j, i] = 1 - M[i, j]
    return M


def preferences(M: ArrayLike) -> Array:
    """A checked preference matrix, (..., n, n).

    Raises:
        ValueError: it is not square, not of probabilities, or M[y, y'] + M[y', y] is not 1.
    """
    P = table(M, "M")
    if P.ndim < 2 or P.shape[-1] != P.shape[-2] or not P.size:
        raise ValueError(f"M must have shape (..., n, n); it has {P.shape}")
    if len(bad := np.argwhere((P < 0) | (P > 1))):
        at = tuple(int(i) for i in bad[0])
        raise ValueError(f"M[{', '.join(map(str, at))}] must be in [0, 1]; it is {P[at]:.9g}")
    sums = P + np.swapaxes(P, -1, -2)
    if len(bad := np.argwhere(np.abs(sums - 1) > SUM_TOLERANCE)):
        at = tuple(int(i) for i in bad[0])
        turned = (*at[:-2], at[-1], at[-2])
        names = (f"M[{', '.join(map(str, place))}]" for place in (at, turned))
        raise ValueError(f"{' + '.join(names)} must be 1; it is {sums[at]:.9g}")
    return P


# --- the game and its equilibrium ---------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PreferenceGame:
    """A game, its equilibrium, and what Bradley-Terry makes of the same preferences.

    Attributes:
        M: P(y is preferred to y'), (..., n, n).
        policy: nobody is preferred to it more than half of the time, (..., n). One of these, if
            there are several.
    """

    M: Array
    policy: Array

    __setstate__ = restore

    @cached_property
    def reward(self) -> Array:
        """Bradley-Terry's, (..., n); see `bradley_terry_scores`."""
        return read_only(bradley_terry_scores(self.M))

    @property
    def bradley_terry_policy(self) -> Array:
        """What a maximiser of that reward does, ties split, (..., n)."""
        top = best(self.reward, 1e-9)
        return top / top.sum(axis=-1, keepdims=True)

    def worst_case(self, policy: ArrayLike) -> Array:
        """min_y P(policy is preferred to y), (...,): at most 1/2."""
        return 0.5 - exploitability(self.M, policy)


def preference_game(M: ArrayLike) -> PreferenceGame:
    """Solve max_pi min_y P(pi > y) by a linear program.  [arXiv:2312.00886, eq. 1]

    >>> game = preference_game([[0.5, 0.9, 0.3], [0.1, 0.5, 0.8], [0.7, 0.2, 0.5]])
    >>> game.policy.round(3)
    array([0.333, 0.222, 0.444])
    >>> round(float(game.worst_case(game.bradley_terry_policy)), 3)
    0.3

    Args:
        M: (..., n, n), one game for each leading index, such as a prompt.

    Raises:
        ValueError: M is not of preferences; the entry is named.
    """
    P = preferences(M)
    n = P.shape[-1]
    solved = [_equilibrium(game) for game in P.reshape(-1, n, n)]
    return PreferenceGame(P, read_only(np.array(solved).reshape(P.shape[:-1])))


def _equilibrium(M: Array) -> Array:
    """Maximise v: v <= (pi M)_y for every y."""
    n = len(M)
    found = linprog(
        np.append(np.zeros(n), -1.0),
        A_ub=np.column_stack([-M.T, np.ones(n)]),
        b_ub=np.zeros(n),
        A_eq=np.append(np.ones(n), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
        method="highs",
    )
    pi = np.maximum(found.x[:n], 0)
    return np.asarray(pi / pi.sum())


def exploitability(M: ArrayLike, policy: ArrayLike) -> Array:
    """max_y P(y > pi) - 1/2, (...,): what the best opponent wins beyond half; 0 at equilibrium.

    >>> exploitability([[0.5, 1.0], [0.0, 0.5]], [0.0, 1.0])
    array(0.5)
    """
    P = preferences(M)
    pi = distributions(policy, "policy", P.shape[:-1])
    return np.asarray(wins(P, pi).max(axis=-1) - 0.5)


def borda(M: ArrayLike) -> Array:
    """How often an answer is preferred to the others, on average, (..., n), of M (..., n, n).

    Of preferences that no reward explains, Bradley-Terry keeps this order: at its optimum
    sum_j M_ij = sum_j sigma(r_i - r_j), if all pairs are asked about equally often.

    >>> borda([[0.5, 0.9, 0.3], [0.1, 0.5, 0.8], [0.7, 0.2, 0.5]])  # a cycle
    array([0.6 , 0.45, 0.45])
    """
    P = preferences(M)
    if (n := P.shape[-1]) < 2:
        raise ValueError("M must compare at least 2 answers; it has 1")
    return np.asarray((P.sum(axis=-1) - 0.5) / (n - 1))


def bradley_terry_scores(M: ArrayLike) -> Array:
    """The r of mean 0 with sum_y' M[y, y'] = sum_y' sigma(r_y - r_y'), (..., n).

    The maximum likelihood of Bradley-Terry when all pairs are asked equally often. It ranks by
    the left side, Borda's count, whatever the preferences are; also where they run in a circle.

    >>> bradley_terry_scores([[0.5, 0.9, 0.3], [0.1, 0.5, 0.8], [0.7, 0.2, 0.5]]).round(3)
    array([ 0.27 , -0.135, -0.135])

    Raises:
        ValueError: there is no maximum: some answers always win against all others.
    """
    P = preferences(M)
    n = P.shape[-1]
    scores = [_scores(game) for game in P.reshape(-1, n, n)]
    return np.array(scores).reshape(P.shape[:-1])


def _scores(M: Array) -> Array:
    parts, part = connected_components(M > 0, connection="strong")  # Ford (1957)
    if parts > 1:
        first = np.flatnonzero(part == part[0]).tolist()
        raise ValueError(
            f"M must let every answer be beaten, if over others, by every other: {first} and the"
            " rest are not; Bradley-Terry's rewards diverge"
        )
    n, r = len(M), np.zeros(len(M))
    for _ in range(NEWTON):
        p = expit(r[:, None] - r)
        slope = (M - p).sum(axis=1)
        if np.abs(slope).max() < SOLVED * n:
            return np.asarray(r - r.mean())
        flat = p * (1 - p)
        bend = np.diag(flat.sum(axis=1)) - flat + 1 / n  # 1/n everywhere fixes the constant
        move = np.linalg.solve(bend, slope)
        r = r + move / max(1.0, np.abs(move).max())
    raise NotConverged(f"Bradley-Terry did not settle in {NEWTON} steps")


# --- with a reference ---------------------------------------------------------------------------


def regularised_nash(M: ArrayLike, reference: ArrayLike, *, tau: float) -> Array:
    """The pi with pi ~ mu exp(P(. > pi) / tau): the equilibrium of P_tau, (..., n).

    P_tau(pi, pi') = P(pi > pi') - tau KL(pi || mu) + tau KL(pi' || mu). Newton's method on the
    log-odds z: the Jacobian I - M (diag pi - pi pi^T) / tau has no singular point, since M - 1/2
    is antisymmetric.  [arXiv:2312.00886, sec. 5]

    >>> M = [[0.5, 0.9, 0.3], [0.1, 0.5, 0.8], [0.7, 0.2, 0.5]]
    >>> regularised_nash(M, [1 / 3] * 3, tau=0.1).round(5)
    array([0.39234, 0.225  , 0.38266])

    Raises:
        ValueError: M or the reference are not what they must be, or tau is not positive.
        NotConverged: tau is too small.
    """
    P, mu, tau = regularised(M, reference, tau)
    n = P.shape[-1]
    pairs = zip(P.reshape(-1, n, n), mu.reshape(-1, n), strict=True)
    return np.array([_fixed_point(game, ref, tau) for game, ref in pairs]).reshape(mu.shape)


def _fixed_point(M: Array, mu: Array, tau: float) -> Array:
    there = mu > 0
    A, log_mu, pi = M[np.ix_(there, there)], np.log(mu[there]), np.zeros(len(mu))

    def miss(z: Array) -> Array:
        return np.asarray(z - log_mu - (A - 0.5) @ softmax(z) / tau)

    z = log_mu
    for _ in range(NEWTON):
        F, p = miss(z), softmax(z)
        if np.abs(F).max() < SOLVED * max(1.0, 1 / tau):
            pi[there] = p
            return pi
        J = np.eye(len(z)) - (A - 0.5) @ (np.diag(p) - np.outer(p, p)) / tau
        move, t = np.linalg.solve(J, F), 1.0
        while np.linalg.norm(miss(z - t * move)) > (1 - 0.1 * t) * np.linalg.norm(F) and t > 1e-9:
            t /= 2
        z = z - t * move
    raise NotConverged(f"the fixed point did not settle in {NEWTON} steps; tau is small: {tau:g}")


def wins(M: Array, opponent: Array) -> Array:
    """P(y > opponent) of every y, (..., n)."""
    return np.asarray((M @ opponent[..., None])[..., 0])


def regularised(M: ArrayLike, reference: ArrayLike, tau: float) -> tuple[Array, Array, float]:
    """M, mu and tau, checked."""
    P, mu = with_reference(M, reference)
    if not (weight := number(tau, "tau")) > 0:
        raise ValueError(f"tau must be above 0; it is {weight:g}")
    return P, mu, weight


def with_reference(M: ArrayLike, reference: ArrayLike) -> tuple[Array, Array]:
    """M and mu, checked."""
    P = preferences(M)
    return P, distributions(reference, "reference", P.shape[:-1])
