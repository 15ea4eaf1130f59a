"""Any size, fast: inexact policy iteration on sparse tables, with a bound that holds.

Policy iteration whose linear systems are solved roughly: each greedy policy is evaluated, from the
values at hand, by a few sweeps; where these hardly move, BiCGSTAB goes on until the residual has
shrunk to a twentieth. Sweeps are enough where episodes are short, whatever gamma is; without them
the Krylov solver overshoots, and policies are misled. What is returned is certified by the Bellman
residual alone, so that nothing depends on the solver keeping its word:

    c min_s (T V - V)(s)  <=  V* - T V  <=  c max_s (T V - V)(s),    c = gamma / (1 - gamma),

and the middle of the two is returned.

At gamma = 1, where every policy ends, weights w(s) >= 1 + max_a sum_s' P(s'|s,a) w(s') take the
place of 1 / (1 - gamma): |T V - V*|(s) <= w(s) max |T V - V|. Where some policy never ends no
residual bounds anything, and exact policy iteration takes over, from a policy that ends.

Reading: Puterman (1994), sections 6.4 to 6.6; van der Vorst (1992), Bi-CGSTAB.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from gridrl.iterates import algorithm
from gridrl.planning.bellman import action_values
from gridrl.planning.dynamic_programming import policy_iteration
from gridrl.planning.endings import stays_for_ever
from gridrl.planning.policies import greedy
from gridrl.planning.promises import largest, not_converged
from gridrl.processes import MDP
from gridrl.processes.decision import an_mdp
from gridrl.processes.transitions import Chain, chosen, stacked
from gridrl.tables import Array, Indices, read_only, tolerance, whole

SHRINK = 0.05  # of a policy's residual, before the policy is looked at again
SWEEPS = 20  # of plain evaluation, before the Krylov solver is called


@dataclass(frozen=True, eq=False)
class Solution:
    """Where `solve` stands.

    Attributes:
        V: state values, (S,), in reward units.
        bound: |V - V*| <= bound, in reward units.
        backups: number of pairs (s, a) looked up so far.
        products: sums over next states, in units of one product P @ V of all pairs.
        seconds: since it began.
        method: what was done, in words.
        mdp: the model.
    """

    V: Array
    bound: float
    backups: int
    products: float
    seconds: float
    method: str
    mdp: MDP = field(repr=False)

    def __post_init__(self) -> None:
        read_only(self.V)

    @cached_property
    def Q(self) -> Array:
        """R(s,a) + gamma sum_s' P(s'|s,a) V(s'), (S, A)."""
        return read_only(action_values(self.mdp, self.V))

    @cached_property
    def policy(self) -> Array:
        """Greedy in Q, ties split, (S, A)."""
        return read_only(greedy(self.Q))

    def __repr__(self) -> str:
        work = f"{self.products:.0f} products, {self.seconds:.2g} s"
        return f"Solution({len(self.V)} states, bound={self.bound:.3g}, {work}: {self.method})"


@algorithm
def solve(mdp: MDP, *, tol: float = 1e-6, max_iterations: int = 10_000) -> Iterator[Solution]:
    """V* to within `tol`, of any size: inexact policy iteration with a certified bound.

    >>> from gridrl.worlds import forest
    >>> solve(forest()).V.round(4)
    array([26.244, 29.484, 33.484])

    Args:
        mdp: the model; sparse tables stay sparse.
        tol: the promise on |V - V*|, in reward units.
        max_iterations: greedy policies looked at.

    Raises:
        ValueError: gamma = 1 and values are not finite; the states that never end are named.
        NotConverged: the bound is still above `tol` after `max_iterations`.
    """
    tol, started = tolerance(tol), time.perf_counter()
    if an_mdp(mdp).gamma == 1 and stays_for_ever(mdp).any():
        yield from _exactly(mdp, tol, started)
        return
    work = _Work(mdp)
    weight = _longest(work) if mdp.gamma == 1 else 1 / (1 - mdp.gamma)
    V, stalled = np.zeros(mdp.n_states), False
    for _ in range(whole(max_iterations, "max_iterations", least=1)):
        V_new, actions = work.backup(V)
        best, bound = _between(mdp, V_new, mdp.gamma * weight * (V_new - V))
        method = "inexact policy iteration" + ", sweeps where BiCGSTAB stalled" * stalled
        yield Solution(best, bound, work.backups, work.products,
                       time.perf_counter() - started, method, mdp)  # fmt: skip
        if bound <= tol:
            return
        V, good = work.evaluate(V, V_new - V, actions)
        stalled = stalled or not good
    raise not_converged(bound, tol, f"{max_iterations} policies")


def _between(mdp: MDP, V: Array, change: Array) -> tuple[Array, float]:
    """The middle of where V* must be, V + min change <= V* <= V + max change, and half the width.

    [MacQueen 1966; Puterman 1994, sec. 6.6.3]
    """
    low, high = float(change.min()), float(change.max())
    if mdp.gamma == 1:  # the change counts as often as there are steps, which may be none
        low, high = min(low, 0.0), max(high, 0.0)
    return np.where(mdp.terminal, 0.0, V + (low + high) / 2), (high - low) / 2


class _Work:
    """The model's tables, and the work done on them.

    `R` may be another reward than the model's; states that are `over` keep their value, 0.
    """

    def __init__(self, mdp: MDP, R: Array | None = None) -> None:
        self.mdp, self.P = mdp, stacked(mdp.P)
        self.R = mdp.R if R is None else R
        self.backups, self.products = 0, 0.0

    def backup(self, V: Array) -> tuple[Array, Indices]:
        """max_a [R + gamma P V] and the first action that attains it."""
        Q = self.R + self.mdp.gamma * (self.P @ V).reshape(self.R.shape)
        self.backups, self.products = self.backups + Q.size, self.products + 1
        actions = Q.argmax(axis=1)
        return Q[np.arange(len(Q)), actions], actions

    def evaluate(self, V: Array, r: Array, actions: Indices) -> tuple[Array, bool]:
        """V + x, x solving (I - gamma P_pi) x = r roughly; False: the solver stalled.

        A few sweeps, x = r + gamma P r + (gamma P)^2 r + ...; what they leave, if it is more than
        half, is for BiCGSTAB.
        """
        P, gamma = self._transient(chosen(self.mdp.P, np.arange(len(V)), actions)), self.mdp.gamma
        x, left, first, good = r.copy(), r, float(np.linalg.norm(r)), True
        for _ in range(SWEEPS):
            left = gamma * (P @ left)
            x += left
            self.products += 1 / self.mdp.n_actions
            if np.linalg.norm(left) <= SHRINK * first:
                break
        if np.linalg.norm(left) > 0.5 * first:
            y, good = self._krylov(P, gamma * (P @ left))
            x = x + y if good else x
        return V + x, good

    def _krylov(self, P: Chain, r: Array) -> tuple[Array, bool]:
        """BiCGSTAB on (I - gamma P) x = r until the residual is a twentieth, if it gets there."""
        from scipy.sparse.linalg import LinearOperator, bicgstab

        count = 1

        def without(x: Array) -> Array:
            nonlocal count
            count += 1
            return x - self.mdp.gamma * (P @ x)

        operator = LinearOperator((len(r),) * 2, matvec=without, dtype=np.float64)
        x, info = bicgstab(operator, r, rtol=SHRINK, atol=0.0, maxiter=500)
        self.products += count / self.mdp.n_actions
        return x, info == 0 and bool(np.isfinite(x).all())

    def _transient(self, P: Chain) -> Chain:
        """At gamma = 1 without the states where all is over, which else make I - P singular."""
        if self.mdp.gamma < 1:
            return P
        from scipy.sparse import csr_array, diags_array

        return csr_array(diags_array((~self.mdp.terminal).astype(float)) @ csr_array(P))


def _longest(work: _Work) -> float:
    """The most steps that any policy can take, from above: w >= 1 + max_a P w, checked."""
    alive = (~work.mdp.terminal).astype(np.float64)[:, None]
    steps = _Work(work.mdp, np.repeat(alive, work.mdp.n_actions, axis=1))
    w = np.zeros(work.mdp.n_states)
    while True:
        w_new, actions = steps.backup(w)
        gap = largest(w_new - w)
        if gap < 0.1:  # 1 + max_a P w <= w + gap, so that w / (1 - gap) is large enough
            work.products += steps.products
            return float(w_new.max(initial=1.0)) / (1 - gap)
        w, _ = steps.evaluate(w, w_new - w, actions)


def _exactly(mdp: MDP, tol: float, started: float) -> Iterator[Solution]:
    for sweep in policy_iteration.iterates(mdp):
        yield Solution(sweep.V.copy(), sweep.bound, sweep.backups, sweep.backups / mdp.R.size,
                       time.perf_counter() - started,
                       "exact policy iteration, since some policy never ends", mdp)  # fmt: skip
    if sweep.bound > tol:
        raise not_converged(sweep.bound, tol, "exact policy iteration")
