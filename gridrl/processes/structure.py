"""Where a Markov chain leads: classes, periods, stationary distributions, hitting times.

Each function takes the table P (S, S), dense or sparse; a class is a tuple of state indices.

Symbols: mu stationary distribution; B[s, c] = Pr(end in class c | start in s); h hitting time.
Reading: Kemeny & Snell, Finite Markov Chains (1960), chapters 2 to 5; Norris, Markov Chains
(1997), sections 1.2 to 1.8.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, issparse
from scipy.sparse.csgraph import breadth_first_order, connected_components, dijkstra

from gridrl.processes.transitions import Chain, dense, solve_linear
from gridrl.tables import Array, Indices, Mask

Class = tuple[int, ...]


def classes(P: Chain) -> tuple[Class, ...]:
    """Return the communicating classes, by their first state.  [Norris 1997, sec. 1.2]"""
    return _grouped(_components(P))


def closed_classes(P: Chain) -> tuple[Class, ...]:
    """Return the classes that no path leaves.  [Norris 1997, sec. 1.2]"""
    component = _components(P)
    edges = _edges(P).tocoo()
    leaving = component[edges.row] != component[edges.col]
    return _grouped(np.where(np.isin(component, component[edges.row[leaving]]), -1, component))


def period(P: Chain, states: Class) -> int:
    """Return the gcd of a class's cycle lengths: gcd of d(s) + 1 - d(s') over edges s -> s'.

    d is the number of steps from the class's first state.  [Kemeny & Snell 1960, sec. 1.4]
    """
    inside = _edges(P)[list(states)][:, list(states)]
    d = dijkstra(inside, indices=0, unweighted=True).astype(np.intp)
    edges = inside.tocoo()
    return int(np.gcd.reduce(d[edges.row] + 1 - d[edges.col]))


def stationary(P: Chain, states: Class) -> Array:
    """Solve mu = mu P on one closed class: mu = 1 on its first state, then scaled to sum 1."""
    first, others = [states[0]], list(states[1:])
    mu = np.ones(len(states))
    if others:
        from_first = dense(P[first][:, others])[0]
        mu[1:] = solve_linear(P[others][:, others].T, from_first)
    return mu / mu.sum()


def absorption_probabilities(P: Chain, closed: tuple[Class, ...]) -> Array:
    """B = (I - P_TT)^-1 P_TC, (S, n_classes), T the transient states.  [Kemeny & Snell, 3.3.7]"""
    B = np.zeros((P.shape[0], len(closed)))
    for k, states in enumerate(closed):
        B[list(states), k] = 1
    T = np.flatnonzero(B.sum(axis=1) == 0)
    if len(T):
        B[T] = solve_linear(P[T][:, T], P[T] @ B)
    return B


def hitting_times(P: Chain, targets: Indices) -> Array:
    """h = 0 on targets, h(s) = 1 + sum_s' Pr(s'|s) h(s') elsewhere; inf where it may not be."""
    until = _without_rows(_edges(P), targets)
    never = np.flatnonzero(~reachable(until.T, targets))  # no path leads to a target
    lost = reachable(until.T, never)  # some path leads to such a state
    h = np.where(lost, np.inf, 0.0)
    sure = np.setdiff1d(np.flatnonzero(~lost), targets)
    if len(sure):
        h[sure] = solve_linear(P[sure][:, sure], np.ones(len(sure)))
    return h


def reachable(edges: Chain, sources: Indices) -> Mask:
    """Say which states some path from `sources` leads to, themselves included, shape (S,)."""
    S = edges.shape[0]
    seen = np.zeros(S + 1, bool)
    hub = np.full(len(sources), S)  # one more state, with an edge to each source
    coo = _edges(edges).tocoo()
    ends = np.concatenate([coo.row, hub]), np.concatenate([coo.col, sources])
    grown = csr_array((np.ones(len(ends[0])), ends), shape=(S + 1, S + 1))
    seen[breadth_first_order(grown, S, return_predecessors=False)] = True
    return seen[:S]


def _components(P: Chain) -> Indices:
    return connected_components(_edges(P), directed=True, connection="strong")[1]


def _grouped(component: Indices) -> tuple[Class, ...]:
    """Turn a class number for each state (-1: none) into the classes, by their first state."""
    kept = np.flatnonzero(component >= 0)
    order = kept[np.argsort(component[kept], kind="stable")]
    cuts = np.flatnonzero(np.diff(component[order])) + 1
    return tuple(sorted(tuple(part.tolist()) for part in np.split(order, cuts) if len(part)))


def _edges(P: Chain) -> csr_array:
    edges = csr_array(P, copy=issparse(P))
    edges.eliminate_zeros()
    return edges


def _without_rows(edges: csr_array, rows: Indices) -> csr_array:
    keep = np.ones(edges.shape[0])
    keep[rows] = 0
    return _edges(edges.multiply(keep[:, None]))
