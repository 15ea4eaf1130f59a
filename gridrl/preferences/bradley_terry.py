"""A reward from comparisons by maximum likelihood, and what comparisons can never tell.

P(first preferred) = sigma(phi(first) . r - phi(second) . r), equation 1 of Christiano et al., is a
logistic regression without intercept on the differences X of visit counts. Two things can be
missing, and both are reported.

Rewards that differ by a direction of X's null space agree about every pair. Segments of one length
leave the constant open. On ice where every step changes the colour of a chess board, segments of
one even length leave the colouring open too; unequal lengths settle the constant, since a longer
segment collects more: length is then a signal about the reward.

And where some reward never contradicts a vote, and agrees with one strictly, a larger multiple of
it is always better: there is no maximum. For whole segments as the competitors this is Ford's
condition, a graph of wins that is not strongly connected.

Symbols: X (n, cells); mu (n,) share of the preference; theta (d,) weights, r = F theta; F (cells,
d) features, the identity for a table; J mean loss + l2/2 |theta|^2; k rank.

Reading: Bradley & Terry (1952), Biometrika 39; Ford (1957), Amer. Math. Monthly 64; Albert &
Anderson (1984), Biometrika 71, on separation; Christiano et al. (2017), arXiv:1706.03741.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.linalg import qr
from scipy.optimize import linprog, minimize

from gridrl.preferences.design import design, differences, feature_table, reward_shape
from gridrl.preferences.likelihood import (
    curvature,
    information,
    loss_and_slope,
    preference_loss,
    preferred,
)
from gridrl.preferences.segments import Comparison, Segment
from gridrl.tables import Array, number, read_only, restore, table

LEAST = 1e-6  # l2 where there is no maximum
SMALL = 1e-10  # singular values below it, relative to the largest, are 0


@dataclass(frozen=True, eq=False)
class BradleyTerry:
    """What the comparisons say about the reward, and what they do not.

    Attributes:
        reward: r-hat, (shape), without a part in the null space.
        weights: theta, (d,); the reward itself, flat, without features.
        null_space: rewards that no comparison can tell from 0, orthonormal, (directions, shape).
        rank: how many directions the comparisons do tell.
        exists: the bare likelihood, error = 0 and l2 = 0, has a maximum.
        separable: comparisons that a reward satisfies strictly which contradicts none; 0 if exists.
        fisher: information on theta of all comparisons together, (d, d).
        information: information on each cell's reward if the others were known, (shape).
        loss: mean over the comparisons, without l2, in nats.
    """

    reward: Array
    weights: Array
    null_space: Array
    rank: int
    exists: bool
    separable: int
    fisher: Array
    information: Array
    loss: float

    def __post_init__(self) -> None:
        for values in (self.reward, self.weights, self.null_space, self.fisher, self.information):
            read_only(values)

    __setstate__ = restore

    def __repr__(self) -> str:
        maximum = "" if self.exists else f", no maximum: {self.separable} separable"
        return f"BradleyTerry{self.reward.shape}, rank {self.rank}{maximum}"


def preference_probability(
    reward: ArrayLike,
    first: Segment,
    second: Segment,
    error: float = 0.0,
    *,
    observed: bool = False,
) -> float:
    """P(first preferred) = (1 - error) sigma(r(first) - r(second)) + error / 2, undiscounted sums.

    >>> preference_probability([0.0, np.log(3)], Segment([1], [0]), Segment([0], [0]))
    0.75

    Raises:
        TypeError, ValueError: a reward that is no table (S,) or (S, A), a cell beyond it.
    """
    r = table(reward, "reward")
    X = differences([(first, second)], reward_shape(r.shape), observed)
    return float(preferred(X @ r.ravel(), number(error, "error", 0, 1))[0])


def fit_bradley_terry(
    comparisons: Iterable[Comparison],
    shape: Sequence[int],
    *,
    l2: float = 0.0,
    error: float = 0.0,
    observed: bool = False,
    features: ArrayLike | None = None,
) -> BradleyTerry:
    """Minimise J = mean loss + l2/2 |theta|^2 by Newton's method.  [arXiv:1706.03741, sec. 2.2.3]

    >>> fish, ice = Segment([1], [0]), Segment([0], [0])
    >>> votes = [Comparison(fish, ice, label) for label in ("left", "left", "left", "right")]
    >>> fitted = fit_bradley_terry(votes, (2,))
    >>> fitted.reward.round(4)  # log 3 apart
    array([-0.5493,  0.5493])
    >>> fit_bradley_terry(votes[:3], (2,))
    BradleyTerry(2,), rank 1, no maximum: 3 separable

    Of all rewards that are as good, the one with the smallest theta is given: its part in the null
    space is 0. Where the maximum does not exist, it is the one of l2 = 1e-6. If all are ties, the
    reward is 0, and exists. With error > 0 the loss is not convex: the search begins at the bare
    fit and ends in the nearest valley; the loss is bounded, so that a finite minimum is promised
    by l2 > 0 only.

    Args:
        comparisons: the votes; skips are left out.
        shape: of the reward table, (S,) or (S, A).
        l2: how much large weights cost.
        error: the share of answers taken for guesses; 0.1 in the paper.
        observed: the rows are observations, r(o) or r(o, a).
        features: (cells, d); the reward is linear in them.

    Raises:
        TypeError, ValueError: nothing but skips, two worlds, a cell beyond the table, l2 < 0, error
            outside [0, 1).
    """
    ridge, guesses = number(l2, "l2", 0), number(error, "error", 0, 1 - 1e-9)
    sizes = reward_shape(shape)
    X, mu = design(comparisons, sizes, observed=observed)
    F = feature_table(features, X.shape[1])
    D = X if F is None else X @ F
    row_space, null = _spaces(D)
    separable = _separable(D, mu)
    if separable and not ridge:
        ridge = LEAST
    theta = _fitted(D, mu, row_space, ridge, guesses)
    seen = information(D @ theta, guesses)
    return BradleyTerry(
        reward=(theta if F is None else F @ theta).reshape(sizes).copy(),
        weights=theta,
        null_space=_rewards(null, F).reshape(-1, *sizes),
        rank=row_space.shape[1],
        exists=not separable,
        separable=separable,
        fisher=D.T @ (seen[:, None] * D),
        information=(seen @ X**2).reshape(sizes),
        loss=float(preference_loss(D @ theta, mu, guesses).mean()),
    )


def objective(theta: Array, D: Array, mu: Array, l2: float, error: float) -> tuple[float, Array]:
    """J(theta) = mean loss + l2/2 |theta|^2, and its gradient D' slope / n + l2 theta."""
    loss, slope = loss_and_slope(D @ theta, mu, error)
    return float(loss.mean() + l2 * (theta @ theta) / 2), D.T @ slope / len(mu) + l2 * theta


def hessian(theta: Array, D: Array, mu: Array, l2: float, error: float) -> Array:
    """D' diag(curvature) D / n + l2 I: of J, (d, d)."""
    bend = curvature(D @ theta, mu, error) / len(mu)
    return np.asarray(D.T @ (bend[:, None] * D) + l2 * np.eye(len(theta)))


def _fitted(D: Array, mu: Array, row_space: Array, l2: float, error: float) -> Array:
    """Search in the row space of D only, where J has one minimum: theta = V z."""
    z, seen = np.zeros(row_space.shape[1]), D @ row_space
    if not len(z):
        return np.zeros(D.shape[1])
    for guesses in [0.0, error] if error else [0.0]:
        z = minimize(
            objective, z, args=(seen, mu, l2, guesses), jac=True, hess=hessian,
            method="trust-ncg", options={"gtol": 1e-10, "maxiter": 500},
        ).x  # fmt: skip
    return np.asarray(row_space @ z)


def _spaces(D: Array) -> tuple[Array, Array]:
    """Orthonormal columns (d, k) that D tells apart, and rows (d - k, d) that it does not."""
    R: Array = np.asarray(np.linalg.qr(D, mode="r")) if len(D) > D.shape[1] else D
    columns, triangle, _ = qr(R.T, pivoting=True)
    sizes = np.abs(np.diag(triangle))
    rank = int((sizes > SMALL * sizes[0]).sum()) if sizes[0] > 0 else 0
    return columns[:, :rank], columns[:, rank:].T


def _rewards(null: Array, F: Array | None) -> Array:
    """Directions of theta as orthonormal rewards; those that are no reward at all are left out."""
    if F is None or not len(null):
        return null if F is None else np.zeros((0, len(F)))
    _, sizes, rows = np.linalg.svd(null @ F.T, full_matrices=False)
    return np.asarray(rows[sizes > SMALL * np.linalg.norm(F)])


def _separable(D: Array, mu: Array) -> int:
    """How many votes a reward can satisfy strictly that contradicts none; a linear program.

    Maximise sum t, 0 <= t <= 1, t_i <= a_i . theta, where a_i is turned to the preferred side; a
    tie is contradicted by either side. Theta may be as long as it likes, so each t is 0 or 1.
    """
    ties, decided = mu == 0.5, mu != 0.5
    if not decided.any():
        return 0
    A = D[decided] * (2 * mu[decided] - 1)[:, None]
    (n, d), tied = A.shape, sparse.csr_array(D[ties])
    found = linprog(
        np.concatenate([np.zeros(d), -np.ones(n)]),
        A_ub=sparse.hstack([sparse.csr_array(-A), sparse.eye_array(n)]),
        b_ub=np.zeros(n),
        A_eq=sparse.hstack([tied, sparse.csr_array((tied.shape[0], n))]),
        b_eq=np.zeros(tied.shape[0]),
        bounds=[(None, None)] * d + [(0, 1)] * n,
        method="highs",
    )
    return int((found.x[d:] > 0.5).sum())
