"""The best policy as a linear program: another road to V*, and so a check on the others.

Symbols: rho[s, a] discounted visits, the dual variables; c[s] > 0 weights.

Reading: Puterman, Markov Decision Processes (1994), section 6.9.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, kron

from gridrl.errors import NotConverged
from gridrl.iterates import algorithm
from gridrl.planning.bellman import action_values, state_values
from gridrl.planning.dynamic_programming import policy_iteration
from gridrl.planning.endings import (
    can_rest,
    ending_policy,
    longest_episode,
    refuse_endless_loops,
)
from gridrl.planning.policies import uniform_policy
from gridrl.planning.promises import Sweep, largest, with_ties
from gridrl.processes import MDP
from gridrl.processes.decision import an_mdp
from gridrl.processes.transitions import stacked

INFEASIBLE = 2  # HiGHS's status
VISITED = 1e-9  # a state with less of the dual's visits rests there


@algorithm
def linear_program(mdp: MDP) -> Iterator[Sweep]:
    """Minimise sum_s V(s) subject to V(s) >= R(s,a) + gamma sum_s' P(s'|s,a) V(s'), by HiGHS.

    HiGHS allows 1e-7 of infeasibility, so its policy (the dual's, rho(s,a) normalised) is evaluated
    exactly, and bounded by the residual of Bellman's equation; where some policy never ends at
    gamma = 1, by the distance to the program's own V, which is at least V*. One snapshot.
    [Puterman 1994, sec. 6.9]

    >>> from gridrl.worlds import forest
    >>> linear_program(forest()).V.round(4)
    array([26.244, 29.484, 33.484])

    Raises:
        ValueError: gamma = 1 and values are not finite; the states that never end are named.
        NotConverged: HiGHS did not find the optimum.
    """
    finite = an_mdp(mdp).gamma < 1
    S, A = mdp.R.shape
    at_rest = uniform_policy(mdp) if finite else ending_policy(mdp)  # refuses what never ends
    least = np.full(S, -np.inf) if finite else np.where(can_rest(mdp), 0.0, -np.inf)
    expand = kron(eye_array(S), np.ones((A, 1)))  # V(s) for each pair, (S * A, S)
    found = linprog(
        np.ones(S),
        A_ub=csr_array(mdp.gamma * stacked(mdp.P) - expand),
        b_ub=-mdp.R.ravel(),
        bounds=np.column_stack([least, np.full(S, np.inf)]),
        method="highs",
    )
    if found.status == INFEASIBLE and not finite:
        policy_iteration(mdp)  # says which states are paid for ever
    if found.status != 0:
        raise NotConverged(f"HiGHS found no optimum: {found.message}")
    rho = np.maximum(-found.ineqlin.marginals.reshape(S, A), 0)
    visits = rho.sum(axis=1, keepdims=True)
    policy = np.where(visits > VISITED, rho / np.maximum(visits, VISITED), at_rest)
    V = state_values(mdp, policy)
    Q, horizon = action_values(mdp, V), longest_episode(mdp)
    certified = horizon * largest(Q.max(axis=1) - V) if horizon < np.inf else largest(V - found.x)
    refuse_endless_loops(mdp, V, Q)
    shown = with_ties(mdp, Q, V, policy)
    yield Sweep(V, Q, shown, certified, Q.size, mdp, found.x.copy())
