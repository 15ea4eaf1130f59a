"""An upper bound on V* from its value at some beliefs, since V* is convex.

V* is at most a corner value in each state, and so at most their average, corner . b. Where V*(b_i)
is known to be at most v_i, which is less than that, this holds in proportion at any belief b that
contains a part phi_i of b_i:

    V*(b) <= corner . b + min_i phi_i (v_i - corner . b_i),
    phi_i = min b(s) / b_i(s) over the states s with b_i(s) > 0 that are not terminal,

which looks like the teeth of a saw. What has come to an end is worth nothing whatever follows, so
it need not be contained, and phi_i may be larger than 1.

Reading: Hauskrecht (2000), section 4.5; Smith & Simmons (2005), section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gridrl.planning.alpha_vectors import CELLS
from gridrl.tables import Array, Mask, restore

TINY = 1e-300


@dataclass(frozen=True, eq=False)
class Sawtooth:
    """An upper bound on V* in every belief.

    Attributes:
        Q: (S, A), the fast informed bound.
        alive: (S,), False in terminal states.
        points: (n, S), beliefs; over: (n, S), 1 / points, inf where a point has no living mass.
        drops: (n,), v_i - corner . b_i, at most 0.
    """

    Q: Array
    alive: Mask
    points: Array
    over: Array
    drops: Array

    __setstate__ = restore

    def V(self, b: Array) -> Array:
        """The bound at beliefs (m, S), shape (m,)."""
        corner = self.Q.max(axis=1)
        below = np.zeros(len(b))
        size = max(1, CELLS // max(1, self.points.size))
        for k in range(0, len(b) if len(self.drops) else 0, size):
            below[k : k + size] = (self._parts(b[k : k + size]) * self.drops).min(axis=1)
        return np.minimum((b @ self.Q).max(axis=1), b @ corner + below)

    def with_point(self, b: Array, v: float) -> Sawtooth:
        """The bound that also knows V*(b) <= v."""
        with np.errstate(divide="ignore"):
            over = np.concatenate([self.over, 1 / np.where(self.alive, b, 0.0)[None]])
        drops = np.append(self.drops, v - b @ self.Q.max(axis=1))
        points = np.concatenate([self.points, b[None]])
        return Sawtooth(self.Q, self.alive, points, over, drops)

    def pruned(self) -> Sawtooth:
        """Without the points at which the others are as low."""
        kept = np.ones(len(self.drops), bool)
        for i, b in enumerate(self.points):
            kept[i] = False
            others = (self._parts(b[None], kept) * self.drops[kept]).min(initial=0.0)
            kept[i] = others > self.drops[i]
        return Sawtooth(self.Q, self.alive, self.points[kept], self.over[kept], self.drops[kept])

    def _parts(self, b: Array, among: Any = slice(None)) -> Array:
        """phi: how much of each point is in each belief, (m, n)."""
        return (np.maximum(b, TINY)[:, None] * self.over[among]).min(axis=2)
