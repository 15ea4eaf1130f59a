"""The "deep" in deep reinforcement learning from human preferences, by hand.

Two hidden layers of leaky ReLU, as the paper has them for its robots; the gradient goes backward
through the same lines. All members of an ensemble are one array, members first.

Symbols: theta (m, d) all parameters of m networks; h (m, cells, units) activations, z before the
bend; W, b weights and biases of a layer.

Reading: Christiano et al. (2017), arXiv:1706.03741, appendix A.1; Kingma & Ba (2015),
arXiv:1412.6980, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gridrl.preferences.likelihood import Votes
from gridrl.tables import Array

LEAK = 0.01
STEPS = 100  # of Adam, each over all comparisons
RATE = 0.01


@dataclass(frozen=True, eq=False)
class Network:
    """r = W3 bend(W2 bend(W1 x + b1) + b2) + b3 for the features x of every cell.

    Attributes:
        features: (cells, d); the identity for a network that sees which cell it is.
        hidden: units of the hidden layers.
        steps: of Adam, each time it is fitted.

    >>> network = Network(np.eye(3), (4, 4))
    >>> theta = network.start(2, np.random.default_rng(0))
    >>> theta.shape, network.rewards(theta).shape  # 3 x 4 + 4, 4 x 4 + 4, 4 + 1
    ((2, 41), (2, 3))
    """

    features: Array
    hidden: tuple[int, ...] = (64, 64)
    steps: int = STEPS

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of every layer, features first."""
        return (self.features.shape[1], *self.hidden, 1)

    def start(self, members: int, rng: np.random.Generator) -> Array:
        """Weights drawn so that activations keep their size, biases 0.  [He et al. 2015, eq. 10]"""
        parts = []
        for units, more in zip(self.sizes, self.sizes[1:], strict=False):
            W = rng.normal(0, np.sqrt(2 / units), (members, units * more))
            parts += [W, np.zeros((members, more))]
        return np.concatenate(parts, axis=1)

    def layers(self, theta: Array) -> list[tuple[Array, Array]]:
        """(W (m, units, more), b (m, 1, more)) of each layer: views into theta."""
        found, at = [], 0
        for units, more in zip(self.sizes, self.sizes[1:], strict=False):
            W, at = theta[:, at : at + units * more], at + units * more
            b, at = theta[:, at : at + more], at + more
            found.append((W.reshape(-1, units, more), b[:, None, :]))
        return found

    def forward(self, theta: Array) -> tuple[Array, list[Array]]:
        """Rewards r (m, cells), and what went into each layer."""
        h = np.broadcast_to(self.features, (len(theta), *self.features.shape))
        inputs, z = [], h
        for W, b in self.layers(theta):
            inputs.append(h)
            z = h @ W + b
            h = np.where(z > 0, z, LEAK * z)
        return z[:, :, 0], inputs  # the last layer is not bent

    def rewards(self, theta: Array) -> Array:
        """r of every cell, (m, cells)."""
        return self.forward(theta)[0]

    def backward(self, theta: Array, inputs: list[Array], slopes: Array) -> Array:
        """Slopes by r (m, cells) as slopes by theta (m, d)."""
        dz, parts = slopes[:, :, None], []
        for (W, _), h in zip(reversed(self.layers(theta)), reversed(inputs), strict=True):
            dW = h.transpose(0, 2, 1) @ dz
            parts += [dz.sum(axis=1), dW.reshape(len(dW), -1)]
            dz = (dz @ W.transpose(0, 2, 1)) * np.where(h > 0, 1.0, LEAK)  # h > 0 where z > 0
        return np.concatenate(parts[::-1], axis=1)

    def fit(self, votes: Votes, theta: Array, l2: Array) -> Array:
        """Some steps of Adam down mean loss + l2/2 |theta|^2, from `theta`; l2 is (m,)."""

        def gradient(theta: Array) -> Array:
            r, inputs = self.forward(theta)
            _, slopes = votes.loss_and_slope(r)
            return self.backward(theta, inputs, slopes) + l2[:, None] * theta

        return adam(gradient, theta, steps=self.steps)


def adam(
    gradient: Callable[[Array], Array], theta: Array, *, steps: int, alpha: float = RATE
) -> Array:
    """theta <- theta - alpha m / (sqrt(v) + 1e-8), m and v corrected.  [arXiv:1412.6980, alg. 1]

    >>> adam(lambda x: 2 * (x - 3), np.zeros(1), steps=2000).round(3)
    array([3.])

    Args:
        gradient: of what is minimised.
        theta: where to start; it is not changed.
        steps: how many.
        alpha: step size.
    """
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t in range(1, steps + 1):
        g = gradient(theta)
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        theta = theta - alpha * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return theta
