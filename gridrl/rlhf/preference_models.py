"""A function of two arguments in place of a reward: P(y is preferred to y' | x), from votes.

A reward has N numbers a prompt and can say only what is consistent with an order; a preference
model has N (N - 1) / 2 and can say anything, circles included. It is fitted by supervised learning:
counting in a table, or a logistic regression on features, where what was seen of some pairs is
carried over to others.

Symbols: x prompt; y, y' answers; M (P, N, N); phi (P, N, d) features; P prompts, N answers.

Reading: lecture 002; Munos et al. (2024), arXiv:2312.00886, section 3; Zhang et al. (2024),
arXiv:2410.02197.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from gridrl.errors import NotConverged
from gridrl.rlhf.duels import counted
from gridrl.rlhf.tokens import TokenWorld
from gridrl.rlhf.votes import Pairs, pair_shape, vote_table
from gridrl.tables import Array, number, read_only, table


def fit_preference_model(
    world: TokenWorld, comparisons: Pairs | ArrayLike, *, smoothing: float = 0.0
) -> Array:
    """M[x, y, y'] = P(y is preferred to y'), by counting, (P, N, N).

    (wins of y over y' + smoothing) / (votes on the two + 2 smoothing): the maximum of the
    likelihood without smoothing. A pair that nobody saw is 1/2.

    >>> votes = Pairs.from_texts(world := TokenWorld(["?"], "a", 1), [("?", "a", "$")] * 3)
    >>> fit_preference_model(world, votes, smoothing=1)
    array([[[0.5, 0.2],
            [0.8, 0.5]]])

    Args:
        world: prompts and answers.
        comparisons: votes; or weights (P, N, N), how often each answer (rows) was preferred to each
            other, such as `all_pairs` gives.
        smoothing: votes imagined for either answer of every pair.

    Raises:
        TypeError, ValueError: no votes, votes of another world, a world that is too large, negative
            smoothing.
    """
    shape, count = pair_shape(world), number(smoothing, "smoothing", 0)
    x, y, other, weight = counted(comparisons, world)
    if isinstance(comparisons, Pairs):
        votes = float(len(comparisons))
    else:
        votes = float(vote_table(comparisons, world, "comparisons").sum())
    wins = np.full(shape, count)
    wins[x, y, other] += votes * weight
    return read_only(_shares(wins))


def fit_bilinear_preferences(
    world: TokenWorld,
    comparisons: Pairs | ArrayLike,
    features: ArrayLike,
    *,
    l2: float = 1e-3,
) -> Array:
    """M = sigma(w . (phi(y) - phi(y')) + phi(y) A phi(y')), A antisymmetric, (P, N, N).

    Minimises the mean of -log M[x, chosen, rejected] plus l2 / 2 (|w|^2 + |A|^2). With A = 0 it is
    Bradley-Terry with a linear reward; A says what no reward can.  [arXiv:2410.02197]

    >>> world = TokenWorld(["?"], "abc", 1)
    >>> circle = Pairs.from_texts(world, [("?", "a", "b"), ("?", "b", "c"), ("?", "c", "a")])
    >>> fit_bilinear_preferences(world, circle, np.eye(4), l2=0.1)[0, 1:, 1:].round(2)
    array([[0.5 , 0.72, 0.28],
           [0.28, 0.5 , 0.72],
           [0.72, 0.28, 0.5 ]])

    Args:
        world: prompts and answers.
        comparisons: as `fit_preference_model`.
        features: phi, (P, N, d), or (N, d) for all prompts alike.
        l2: pull towards indifference, above 0: without it votes that are all one way diverge.

    Raises:
        TypeError, ValueError: as `fit_preference_model`; features of another shape, l2 <= 0.
        NotConverged: the search did not settle.
    """
    (P, N, _), ridge = pair_shape(world), number(l2, "l2", 0)
    if not ridge:
        raise ValueError("l2 must be above 0; it is 0")
    phi = _features(features, P, N)
    x, y, other, weight = counted(comparisons, world)
    theta = _logistic(_antisymmetric(phi[x, y], phi[x, other]), weight, ridge)
    d = phi.shape[-1]
    A = np.zeros((d, d))
    A[np.triu_indices(d, 1)] = theta[d:]
    reward = phi @ theta[:d]
    circle = phi @ (A - A.T) @ np.swapaxes(phi, -1, -2)
    return read_only(np.asarray(expit(reward[..., :, None] - reward[..., None, :] + circle)))


def _antisymmetric(first: Array, second: Array) -> Array:
    """The features of pairs that change sign when the two change places, (m, d + d (d - 1) / 2)."""
    i, j = np.triu_indices(first.shape[1], 1)
    circles = first[:, i] * second[:, j] - first[:, j] * second[:, i]
    return np.concatenate([first - second, circles], axis=1)


def _logistic(X: Array, weight: Array, l2: float) -> Array:
    def loss(theta: Array) -> tuple[float, Array]:
        z = X @ theta
        slope = -weight * expit(-z)
        return -weight @ log_expit(z) + l2 / 2 * theta @ theta, X.T @ slope + l2 * theta

    found = minimize(
        loss, np.zeros(X.shape[1]), jac=True, method="L-BFGS-B",
        options={"maxiter": 10_000, "ftol": 1e-15, "gtol": 1e-10},
    )  # fmt: skip
    if np.abs(loss(found.x)[1]).max() > 1e-5:
        raise NotConverged(f"the preference model did not settle: {found.message}")
    return np.asarray(found.x)


def _shares(wins: Array) -> Array:
    both = wins + np.swapaxes(wins, -1, -2)
    known = both > 0
    M = np.where(known, wins / np.where(known, both, 1.0), 0.5)
    M[..., np.arange(M.shape[-1]), np.arange(M.shape[-1])] = 0.5
    return M


def _features(features: ArrayLike, P: int, N: int) -> Array:
    phi = table(features, "features")
    if phi.ndim not in (2, 3) or phi.shape[:-1] not in ((N,), (P, N)) or not phi.shape[-1]:
        raise ValueError(f"features must have shape ({P}, {N}, d) or ({N}, d); it has {phi.shape}")
    return np.broadcast_to(phi, (P, N, phi.shape[-1]))
