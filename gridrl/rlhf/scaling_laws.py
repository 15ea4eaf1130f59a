"""Gao's laws: how the gold reward bends as a policy goes after the proxy.

Symbols: d = sqrt(KL), the distance from the reference, in nats^(1/2); R gold reward, less that of
the reference.

Reading: Gao, Schulman, Hilton (2022), arXiv:2210.10760.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from gridrl.tables import Array, table

Law = Callable[[Array, float, float], Array]


def best_of_n_law(d: ArrayLike, alpha: float, beta: float) -> Array:
    """R(d) = d (alpha - beta d), with its peak at d = alpha / (2 beta).  [arXiv:2210.10760, sec. 1]

    >>> best_of_n_law([0.0, 1.0, 2.0], alpha=2, beta=1)
    array([0., 1., 0.])
    """
    d = np.asarray(d, dtype=np.float64)
    return d * (alpha - beta * d)


def rl_law(d: ArrayLike, alpha: float, beta: float) -> Array:
    """R(d) = d (alpha - beta log d), with an infinite slope at 0.  [arXiv:2210.10760, sec. 1]

    >>> rl_law([0.0, 1.0], alpha=2, beta=1)
    array([0., 2.])
    """
    d = np.asarray(d, dtype=np.float64)
    return d * alpha - beta * d * np.log(np.where(d > 0, d, 1.0))


def fit_law(law: Law, distance: ArrayLike, gold: ArrayLike) -> tuple[float, float]:
    """alpha and beta with the least squares to gold - gold[0]; both laws are linear in them.

    >>> d = np.linspace(0, 2, 5)
    >>> alpha, beta = fit_law(best_of_n_law, d, 7 + best_of_n_law(d, 2, 0.5))
    >>> round(alpha, 6), round(beta, 6)
    (2.0, 0.5)

    Raises:
        ValueError: fewer than two policies that are not the reference.
    """
    d, R = table(distance, "distance"), table(gold, "gold")
    if d.shape != R.shape or d.ndim != 1:
        raise ValueError(f"gold must have the shape of distance, {d.shape}; it has {R.shape}")
    if len(d) and (d[0] > 1e-6 * d.max() or (d < 0).any()):
        raise ValueError(
            f"distance must begin with the reference, 0, and not be negative; it is {d}"
        )
    if len(np.unique(d[d > 0])) < 2:
        raise ValueError("distance must hold two policies that differ from the reference")
    columns = np.column_stack([law(d, 1.0, 0.0), law(d, 0.0, 1.0)])
    alpha, beta = np.linalg.lstsq(columns, R - R[0], rcond=None)[0]
    return float(alpha), float(beta)
