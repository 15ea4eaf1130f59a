"""What an iteration promises: a snapshot with a bound on |V - V*| that holds.

At gamma < 1 a sweep shrinks every error by gamma, so the last change tells how far the end may be:

    max_s |V_new(s) - V*(s)| <= gamma / (1 - gamma) max_s |V_new(s) - V(s)|.

At gamma = 1 the longest episode takes the place of 1 / (1 - gamma); where some policy never ends,
the bound is the distance to the exact answer. See `endings`.

Reading: Puterman, Markov Decision Processes (1994), theorem 6.3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from gridrl.errors import NotConverged
from gridrl.planning.bellman import explain_backup, state_values
from gridrl.planning.endings import ending_policy, longest_episode
from gridrl.planning.policies import greedy
from gridrl.processes import MDP
from gridrl.processes.html import html_table
from gridrl.tables import Array, read_only, restore

PATIENCE = 1000  # iterations between two looks at the rate of convergence


@dataclass(frozen=True, eq=False)
class Sweep:
    """Where an algorithm stands.

    Attributes:
        V: state values, (S,), in reward units.
        Q: action values, (S, A), that V was made of: V = max_a Q, or sum_a pi Q.
        policy: (S, A), greedy in Q, ties split; in `policy_evaluation`, the one evaluated.
        bound: |V - V*| <= bound, in reward units.
        backups: number of pairs (s, a) looked up so far.
        mdp, V_old: the model, and the values that the last backup looked up, (S,).
        averaged_over: the policy that the last backup averaged over; None: it took the maximum.
        in_place: states were backed up one after the other, each seeing the new values before it.
        state: the one state that was backed up; None: all of them.
    """

    V: Array
    Q: Array
    policy: Array
    bound: float
    backups: int
    mdp: MDP = field(repr=False)
    V_old: Array = field(repr=False)
    averaged_over: Array | None = None
    in_place: bool = False
    state: int | None = None

    def __post_init__(self) -> None:
        for values in (self.V, self.Q, self.policy, self.V_old):
            read_only(values)

    __setstate__ = restore

    def explain(self, s: int | None = None) -> str:
        """The arithmetic of the last backup of state `s`; None: of the one that changed most."""
        if s is None:
            s = int(np.abs(self.V - self.V_old).argmax()) if self.state is None else self.state
        seen = self.V_old
        if self.in_place:
            seen = np.concatenate([self.V[:s], self.V_old[s:]])
        words = explain_backup(self.mdp, seen, s, policy=self.averaged_over)
        if self.averaged_over is None or (self.policy[s] == self.averaged_over[s]).all():
            return words
        best = " or ".join(self.mdp.action_labels[a] for a in np.flatnonzero(self.policy[s]))
        return f"{words}\npi({self.mdp.labels[s]}) <- {best}"

    def __repr__(self) -> str:
        sizes = f"{len(self.V)} states, {self.Q.shape[1]} actions"
        return f"Sweep({sizes}, bound={self.bound:.3g}, backups={self.backups})"

    def _repr_html_(self) -> str:
        names = self.mdp.action_labels
        heads = ["V", *(f"Q {a}" for a in names), *(f"π {a}" for a in names)]
        cells = np.column_stack([self.V, self.Q, self.policy])
        return f"<p>{self!r}</p>{html_table('s', heads, self.mdp.labels, cells)}"


def error_bound(
    mdp: MDP, tol: float, budget: int, *, of_gaps: bool = False
) -> Callable[[Array, Array], float]:
    """What |V - V*| can be at most, as a function of V and the values before the sweep, V_old.

    gamma * horizon * max_s |V(s) - V_old(s)|, the horizon being 1 / (1 - gamma), or the longest
    episode. Where some policy never ends at gamma = 1, the distance to the exact answer.

    Args:
        mdp: the model.
        tol: the promise that is to be kept,
        budget: and the number of calls within which; the function gives up as soon as it is plain
            that many more are needed.
        of_gaps: the difference given is not the last change but the gap to the next backup.
    """
    horizon = longest_episode(mdp)
    factor, exact = (horizon if of_gaps else mdp.gamma * horizon), np.zeros(0)
    if horizon == np.inf:
        from gridrl.planning.dynamic_programming import policy_iteration

        exact = policy_iteration(mdp).V
    calls, earlier = 0, np.inf

    def bound(V: Array, V_old: Array) -> float:
        nonlocal calls, earlier
        if len(exact):
            error = max(largest(V - exact), largest(V_old - exact))
        else:
            error = factor * largest(V - V_old)
        calls += 1
        if calls % PATIENCE == 0:
            floor = max(tol, 1e-16 * largest(V), 1e-300)  # what rounding allows
            _give_up(error, earlier, floor, budget - calls)
            earlier = error
        return error

    return bound


def _give_up(error: float, earlier: float, tol: float, left: int) -> None:
    """Raise NotConverged if at the rate of the last calls `tol` is far out of reach."""
    if not tol < error < earlier < np.inf:
        return
    needed = PATIENCE * np.log(error / tol) / np.log(earlier / error)
    if needed > 10 * left:
        raise NotConverged(
            f"|V - V*| may still be {error:.3g} > tol = {tol:.3g}, and at this rate {needed:.1g}"
            f" more iterations are needed, not {left}: try policy_iteration, or a larger tol"
        )


def first_values(mdp: MDP, *, below: bool = False) -> Array:
    """The values that sweeps start from: 0; or, where these could mislead them, less than V*.

    At gamma = 1, where some policy never ends and rewards have both signs, sweeps from 0 may get
    stuck above V*: just before a horizon it pays to earn and not to pay the bill. From the values
    of a policy that ends, where these are negative, they rise to V*.

    Args:
        mdp: the model.
        below: start so too where rewards have one sign.
    """
    one_sign = (mdp.R >= 0).all() or (mdp.R <= 0).all()
    if longest_episode(mdp) < np.inf or (one_sign and not below):
        return np.zeros(mdp.n_states)
    return np.minimum(0.0, state_values(mdp, ending_policy(mdp)))


def with_ties(mdp: MDP, Q: Array, V: Array, policy: Array) -> Array:
    """The greedy policy, ties split, if it is worth `V`; else `policy`, which is.

    Sharing a tie may never come to an end (gamma = 1), or bring in what only rounding made equal.
    """
    shared = greedy(Q)
    try:
        worth = state_values(mdp, shared)
    except ValueError:
        return policy
    return shared if np.allclose(worth, V, rtol=1e-9, atol=1e-9 * largest(V)) else policy


def largest(x: Array) -> float:
    """max_s |x(s)|."""
    return float(np.abs(x).max())


def not_converged(bound: float, tol: float, budget: str) -> NotConverged:
    """The error of an iteration that could not keep its promise."""
    return NotConverged(f"|V - V*| may still be {bound:.3g} > tol = {tol:.3g} after {budget}")
