"""Rewards that are linear in features; a table is the case of a feature a cell.

With the 10% who guess the loss is not convex. The Gauss-Newton matrix, which is the Fisher
information of the answers, is never negative and stands in for the second derivative: the method is
Fisher scoring, its steps found by conjugate gradients, so that X is never squared.

Symbols: theta (m, d) parameters of m models; r = theta F' (m, cells); F (cells, d).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from gridrl.preferences.likelihood import Votes, information
from gridrl.tables import Array

# length of the gradient of a mean loss, where one vote in 1000 pulls ten times as much
ENOUGH = 1e-4


@dataclass(frozen=True, eq=False)
class Linear:
    """r = theta F'.

    Attributes:
        cells: of the reward table.
        features: F, (cells, d), or None for the table itself.
    """

    cells: int
    features: Array | None = None

    def start(self, members: int, rng: np.random.Generator) -> Array:
        """Nothing is better than anything else, (m, d)."""
        d = self.cells if self.features is None else self.features.shape[1]
        return np.zeros((members, d))

    def rewards(self, theta: Array) -> Array:
        """r, (m, cells)."""
        return theta if self.features is None else theta @ self.features.T

    def pulled(self, slopes: Array) -> Array:
        """Slopes by r (m, cells) as slopes by theta (m, d)."""
        return slopes if self.features is None else slopes @ self.features

    def fit(self, votes: Votes, theta: Array, l2: Array) -> Array:
        """Minimise mean loss + l2/2 |theta|^2 of every model, from `theta`; l2 is (m,)."""
        shape, ridge, weights = theta.shape, l2[:, None], votes.weights

        def objective(flat: Array) -> tuple[float, Array]:
            theta = flat.reshape(shape)
            loss, slope = votes.loss_and_slope(self.rewards(theta))
            total = loss.sum() + (ridge * theta**2).sum() / 2
            return float(total), (self.pulled(slope) + ridge * theta).ravel()

        def scoring(flat: Array) -> Array:
            delta = votes.delta(self.rewards(flat.reshape(shape)))
            return weights * information(delta, votes.error)

        def curved(flat: Array, along: Array) -> Array:
            if not np.array_equal(known[0], flat):
                known[:] = [flat.copy(), scoring(flat)]
            step = along.reshape(shape)
            bent = votes.pulled(known[1] * votes.delta(self.rewards(step)))
            return (self.pulled(bent) + ridge * step).ravel()

        known = [theta[:0], theta[:0]]  # the last point, and the information there
        found = minimize(
            objective, theta.ravel(), jac=True, hessp=curved, method="trust-ncg",
            options={"gtol": ENOUGH, "maxiter": 200},
        )  # fmt: skip
        return np.asarray(found.x).reshape(shape)
