"""The reward that makes votes likeliest: whether there is one, and Newton's method to find it.

The loss of votes as choices is convex in r. It has a minimum exactly if no reward satisfies a
choice strictly while it contradicts none.

Symbols: r (C,) rewards of the C answers that stand in a vote; F (C, d) features, r = F theta.

Reading: Ford (1957), Amer. Math. Monthly 64; Hunter (2004), Ann. Statist. 32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.optimize import linprog
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import spsolve

from gridrl.errors import NotConverged
from gridrl.rlhf.choices import Choices
from gridrl.tables import Array, Indices

STEPS = 200  # Newton steps; a dozen are usual
CLOSE = 1e-9  # a Newton step that small leaves an error of its square
SMALL = 1e-13  # curvature below it, relative to the largest, is 0


def components(choices: Choices, connection: str) -> Indices:
    """Which group of connected cells each belongs to, (C,); "strong" or "weak"."""
    winner, loser, _ = choices.edges
    shape = (choices.size, choices.size)
    graph = sparse.coo_array((np.ones(len(winner)), (winner, loser)), shape=shape)
    _, labels = connected_components(graph.tocsr(), connection=connection)
    return np.asarray(labels, dtype=np.intp)


def unbeaten(choices: Choices) -> int:
    """How many choices some reward satisfies strictly while it contradicts none.  [Ford 1957]

    Those between answers of which the loser never wins, not even by way of others.
    """
    group = components(choices, "strong")
    winner, loser, which = choices.edges
    return len(np.unique(which[group[winner] != group[loser]]))


def separable(choices: Choices, F: Array) -> int:
    """The same among rewards F theta, by a linear program.

    Maximise sum t, 0 <= t <= 1, t <= (F[winner] - F[loser]) theta; where both have won, theta must
    not tell them apart. Theta may be as long as it likes, so each t is 0 or 1.
    """
    winner, loser, which = choices.edges
    code, back = winner * choices.size + loser, loser * choices.size + winner
    mutual = np.isin(code, back)
    once, first = np.unique(code[~mutual], return_inverse=True)
    if not len(once):
        return 0
    A = F[once // choices.size] - F[once % choices.size]
    tied = _row_space(F[winner[mutual]] - F[loser[mutual]]).T
    (n, d) = A.shape
    found = linprog(
        np.concatenate([np.zeros(d), -np.ones(n)]),
        A_ub=sparse.hstack([sparse.csr_array(-A), sparse.eye_array(n)]),
        b_ub=np.zeros(n),
        A_eq=sparse.hstack([sparse.csr_array(tied), sparse.csr_array((len(tied), n))]),
        b_eq=np.zeros(len(tied)),
        bounds=[(None, None)] * d + [(0, 1)] * n,
        method="highs",
    )
    return len(np.unique(which[~mutual][(found.x[d:] > 0.5)[first]]))


# --- Newton's method ------------------------------------------------------------------------


def fit_table(choices: Choices, l2: float) -> Array:
    """Minimise loss + l2/2 |r|^2, (C,); connected answers have the mean 0.

    In each group of connected answers one is held, which is what makes the curvature regular.
    """
    group = components(choices, "weak")
    _, held = np.unique(group, return_index=True)
    free = np.ones(choices.size, dtype=bool)
    if not l2:
        free[held] = False

    def step(r: Array) -> Array:
        p, move = choices.chances(r), np.zeros(choices.size)
        slope = choices.slope(p) + l2 * r
        curvature = choices.curvature(p)[free][:, free] + l2 * sparse.eye_array(int(free.sum()))
        move[free] = -spsolve(curvature.tocsc(), slope[free]) if free.any() else 0.0
        return move

    r = _newton(lambda r: choices.loss(r) + l2 * float(r @ r) / 2, step, choices.size)
    means = np.bincount(group, r) / np.bincount(group)
    return r if l2 else np.asarray(r - means[group])


def fit_linear(choices: Choices, F: Array, l2: float) -> Array:
    """Minimise loss + l2/2 |theta|^2, (d,), in the weights that choices tell apart."""
    winner, loser, _ = choices.edges
    Z = _row_space(F[winner] - F[loser])
    G = F @ Z

    def step(z: Array) -> Array:
        p = choices.chances(G @ z)
        slope = G.T @ choices.slope(p) + l2 * z
        curvature = G.T @ (choices.curvature(p) @ G) + l2 * np.eye(len(z))
        return np.asarray(-np.linalg.solve(curvature, slope))

    z = _newton(lambda z: choices.loss(G @ z) + l2 * float(z @ z) / 2, step, Z.shape[1])
    return np.asarray(Z @ z)


def _newton(loss: Callable[[Array], float], step: Callable[[Array], Array], n: int) -> Array:
    """Newton's method from 0, halving steps that go up; it stops where rounding does."""
    z, last = np.zeros(n), np.inf
    for _ in range(STEPS):
        move = step(z)
        size = float(np.abs(move).max(initial=0.0))
        if size < CLOSE or last / 2 < size < np.sqrt(CLOSE):
            return np.asarray(z + move)
        before = loss(z)
        while loss(z + move) > before + 1e-15 * abs(before) and np.abs(move).max() > CLOSE:
            move = move / 2
        z, last = z + move, size
    raise NotConverged(f"no minimum was found in {STEPS} Newton steps; raise l2")


def _row_space(A: Array) -> Array:
    """Orthonormal columns (d, k) that the rows of A (n, d) tell apart, whatever their units."""
    if not len(A):
        return np.zeros((A.shape[1], 0))
    units = np.abs(A).max(axis=0)
    units = np.where(units > 0, units, 1.0)
    even = A / units
    _, sizes, rows = np.linalg.svd(even.T @ even if len(A) > A.shape[1] else even,
                                   full_matrices=False)  # fmt: skip
    seen = rows[sizes > SMALL * max(sizes[0], SMALL)]
    return np.asarray(np.linalg.qr((seen * units).T)[0])
