"""Transition tables, dense or sparse, behind the same textbook line `P @ V`.

A dense P[s, a, s'] is a NumPy array (S, A, S). A sparse one is `SparseTransitions`: the CSR matrix
whose row s * A + a is Pr(.|s,a). A Markov process holds a plain (S, S) array or CSR matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, eye_array, issparse
from scipy.sparse.linalg import splu

from gridrl.tables import (
    FEW,
    Array,
    Indices,
    Mask,
    check_distributions,
    indices,
    read_only,
    restore,
    table,
)


@dataclass(frozen=True, eq=False)
class SparseTransitions:
    """P[s, a, s'], mostly zeros, as `matrix` (S * A, S) whose row s * A + a is Pr(.|s,a).

    >>> P = SparseTransitions(csr_array([[0, 1.0], [1, 0], [0.5, 0.5], [0, 1]]), n_actions=2)
    >>> P.shape, P[1, 0]
    ((2, 2, 2), array([0.5, 0.5]))
    >>> P @ np.array([10.0, 20.0])
    array([[20., 10.],
           [15., 20.]])
    """

    matrix: csr_array
    n_actions: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(S, A, S)."""
        return self.matrix.shape[1], self.n_actions, self.matrix.shape[1]

    def __matmul__(self, V: Array) -> Array:
        """sum_s' P(s'|s,a) V(s'): (S,) -> (S, A), and (S, k) -> (S, A, k)."""
        V = np.asarray(V)
        return (self.matrix @ V).reshape(self.shape[:2] + V.shape[1:])

    def __getitem__(self, at: Any) -> Array:
        """`P[s]` (A, S), `P[s, a]` (S,), `P[s, a, s']`; or for arrays of them, as NumPy does."""
        if not isinstance(at, tuple):
            s = indices(at, "s", self.shape[0])
            return self[s[..., None], np.arange(self.n_actions)]
        sizes = zip(at, "sat", self.shape, strict=False)
        places = [indices(k, name.replace("t", "s_next"), size) for k, name, size in sizes]
        if len(at) == 3:
            return entries(self, *places)
        rows = places[0] * self.n_actions + places[1]
        return self.matrix[rows.ravel()].toarray().reshape(*rows.shape, self.shape[0])

    def toarray(self) -> Array:
        """The same table as a dense array (S, A, S)."""
        return self.matrix.toarray().reshape(self.shape)

    __setstate__ = restore

    def __repr__(self) -> str:
        return f"SparseTransitions{self.shape} with {self.matrix.nnz} entries"


Transitions = Array | SparseTransitions
Chain = Array | Any  # or a CSR matrix


def chain_table(P: Any, terminal: Mask) -> Chain:
    """Check an (S, S) table row by row, make `terminal` states absorb, and lock it."""
    if not issparse(P):
        return _absorbing(table(P, "P", (len(terminal),) * 2), terminal)
    if P.shape != (len(terminal),) * 2:
        raise ValueError(f"P must have shape {(len(terminal),) * 2}; it has {P.shape}")
    matrix = _absorbing_rows(sparse_table(P, "P"), terminal, np.flatnonzero(terminal))
    _check_rows(matrix, 1)
    return _locked(matrix)


def decision_table(P: Any, terminal: Mask) -> Transitions:
    """Check an (S, A, S) table row by row, make `terminal` states absorb, and lock it."""
    if isinstance(P, SparseTransitions):
        P, n_actions = P.matrix, P.n_actions
    elif issparse(P):
        n_actions = P.shape[0] // P.shape[1]
    else:
        return _absorbing(table(P, "P"), terminal)
    if P.shape[0] != P.shape[1] * n_actions:
        raise ValueError(
            f"P, stacked, must have shape (S * A, S); it has {P.shape} for {n_actions} actions"
        )
    ends = np.repeat(np.flatnonzero(terminal), n_actions)
    matrix = _absorbing_rows(sparse_table(P, "P"), np.repeat(terminal, n_actions), ends)
    _check_rows(matrix, n_actions)
    return SparseTransitions(_locked(matrix), n_actions)


def average_over_actions(P: Transitions, policy: Array) -> Chain:
    """P_pi(s'|s) = sum_a pi(a|s) P(s'|s,a), shape (S, S).  [Sutton & Barto 2018, eq. 3.6]"""
    if not isinstance(P, SparseTransitions):
        return (policy[:, None, :] @ P)[:, 0]
    S, A, _ = P.shape
    weights = csr_array(
        (policy.ravel(), np.arange(S * A), np.arange(0, S * A + 1, A)), shape=(S, S * A)
    )
    return (weights @ P.matrix).tocsr()


def entries(P: Transitions, s: Indices, a: Indices, s_next: Indices) -> Array:
    """P[s, a, s'] for arrays of steps that broadcast against each other, in their shape."""
    if not isinstance(P, SparseTransitions):
        return P[s, a, s_next]
    rows, columns = np.broadcast_arrays(s * P.n_actions + a, s_next)
    return np.asarray(P.matrix[rows.ravel(), columns.ravel()]).reshape(rows.shape)


def staying(P: Transitions | Chain) -> Array:
    """Pr(s|s,a): how likely one stays where one is, (S, A), or (S, 1) where nobody acts."""
    matrix = stacked(P)
    rows, S = np.arange(matrix.shape[0]), matrix.shape[1]
    return np.asarray(matrix[rows, rows // (len(rows) // S)]).reshape(S, -1)


def chosen(P: Transitions, s: Indices, a: Indices) -> Chain:
    """The rows Pr(.|s,a) of pairs, (n, S), sparse if P is."""
    return P.matrix[s * P.n_actions + a] if isinstance(P, SparseTransitions) else P[s, a]


def stacked(P: Transitions | Chain) -> csr_array:
    """The same table as a CSR matrix with a row for each state, or each pair s * A + a."""
    if isinstance(P, SparseTransitions):
        return P.matrix
    return P if issparse(P) else csr_array(P.reshape(-1, P.shape[-1]))


def dense(P: Transitions | Chain) -> Array:
    """The same table as an array."""
    return P if isinstance(P, np.ndarray) else P.toarray()


def solve_linear(P: Chain, b: Array, *, gamma: float = 1.0) -> Array:
    """Solve (I - gamma P) x = b by a factorisation: dense LU, or sparse LU."""
    if issparse(P):
        identity = eye_array(P.shape[0], format="csr")
        return splu((identity - gamma * P).tocsc()).solve(np.asarray(b))
    return np.asarray(np.linalg.solve(np.eye(len(P)) - gamma * P, b))


class Sampler:
    """Draws s' for any rows of a table at once, by a search in its running sum.

    Where no row leads to more than a few states, the search is a comparison with each of them.
    """

    def __init__(self, P: Transitions | Chain) -> None:
        matrix = stacked(P).copy()
        matrix.eliminate_zeros()
        self.first, self.next = matrix.indptr, matrix.indices.astype(np.intp)
        self.total = np.concatenate([[0.0], matrix.data.cumsum()])
        width = int(np.diff(self.first).max())
        self.edges = self._edges(matrix, width) if width <= FEW else None

    def draw(self, rows: Indices, uniform: Array) -> Indices:
        """Return the next state for each of `rows` (n,), given uniform numbers in [0, 1), (n,)."""
        low = self.first[rows]
        if self.edges is not None:
            edges = self.edges[:, rows]
            return self.next[low + np.add.reduce(uniform >= edges, axis=0)]
        high = self.first[rows + 1]
        target = self.total[low] + uniform * (self.total[high] - self.total[low])
        found = np.searchsorted(self.total, target, side="right") - 1
        return self.next[np.clip(found, low, high - 1)]

    def _edges(self, matrix: csr_array, width: int) -> Array:
        """Where each outcome of a row ends in [0, 1), all but the last, (width - 1, rows)."""
        count = np.diff(self.first)
        row = np.repeat(np.arange(len(count)), count)
        p = np.zeros((width, len(count)))
        p[np.arange(len(row)) - self.first[row], row] = matrix.data
        edges = p.cumsum(axis=0)
        edges /= np.where(count > 0, edges[-1], 1.0)
        edges[np.arange(width)[:, None] >= count - 1] = np.inf  # the last outcome, and none
        return edges[:-1]


def _absorbing(P: Array, terminal: Mask) -> Array:
    P = P.copy()
    ends = np.flatnonzero(terminal)
    P[ends] = 0
    P[ends, ..., ends] = 1
    check_distributions(P, "P")
    return read_only(P)


def sparse_table(P: Any, name: str) -> csr_array:
    """Return a float64 CSR copy of a sparse matrix of real numbers."""
    if P.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers; it holds {P.dtype}")
    matrix = csr_array(P, dtype=np.float64, copy=True)
    matrix.sum_duplicates()
    return matrix


def _absorbing_rows(matrix: csr_array, rows: Mask, ends: Indices) -> csr_array:
    if not rows.any():
        return matrix
    keep = np.repeat(~rows, np.diff(matrix.indptr))
    coo = matrix.tocoo()
    data = np.concatenate([coo.data[keep], np.ones(len(ends))])
    row = np.concatenate([coo.row[keep], np.flatnonzero(rows)])
    column = np.concatenate([coo.col[keep], ends])
    return csr_array((data, (row, column)), shape=matrix.shape)


def _check_rows(matrix: csr_array, n_actions: int) -> None:
    def name(row: int) -> str:
        return f"P[{row}]" if n_actions == 1 else f"P[{row // n_actions}, {row % n_actions}]"

    if len(bad := np.flatnonzero(~np.isfinite(matrix.data))):
        row = int(np.searchsorted(matrix.indptr, bad[0], side="right")) - 1
        raise ValueError(f"{name(row)} must be finite; it holds {matrix.data[bad[0]]}")
    if len(negative := np.flatnonzero(matrix.data < 0)):
        row = int(np.searchsorted(matrix.indptr, negative[0], side="right")) - 1
        raise ValueError(
            f"{name(row)} must not be negative; it holds {matrix.data[negative[0]]:.6g}"
        )
    sums = matrix.sum(axis=1)
    if len(bad := np.flatnonzero(np.abs(sums - 1) > 1e-8)):
        raise ValueError(f"{name(bad[0])} must be a distribution; it sums to {sums[bad[0]]:.9g}")


def _locked(matrix: csr_array) -> csr_array:
    for part in (matrix.data, matrix.indices, matrix.indptr):
        read_only(part)
    return matrix
