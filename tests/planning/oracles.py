"""Independent answers: brute force over deterministic policies, drawings, algorithms by name."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy.sparse import csr_array

from gridrl.iterates import algorithm
from gridrl.planning import (
    gauss_seidel,
    linear_program,
    modified_policy_iteration,
    policy_evaluation,
    policy_iteration,
    prioritized_sweeping,
    uniform_policy,
    value_iteration,
)
from gridrl.processes import MDP, SparseTransitions
from gridrl.tables import Array, Indices, Mask
from gridrl.worlds import GridWorld
from tests.strategies import seeds

Planner = algorithm[..., Any]
ARROWS = "↑→↓←"

OPTIMISERS: dict[str, Planner] = {
    "value_iteration": value_iteration,
    "policy_iteration": policy_iteration,
    "modified_policy_iteration": modified_policy_iteration,
    "gauss_seidel": gauss_seidel,
    "prioritized_sweeping": prioritized_sweeping,
    "linear_program": linear_program,
}
BUDGETS = {
    "value_iteration": "max_sweeps",
    "modified_policy_iteration": "max_iterations",
    "gauss_seidel": "max_sweeps",
    "prioritized_sweeping": "max_backups",
    "policy_iteration": "max_iterations",
}


@algorithm
def evaluation(mdp: MDP, *, tol: float = 1e-8) -> Iterator[Any]:
    """Of the uniform policy."""
    yield from policy_evaluation.iterates(mdp, uniform_policy(mdp), tol=tol)


@algorithm
def evaluation_in_place(mdp: MDP, *, tol: float = 1e-8) -> Iterator[Any]:
    """The same, state by state."""
    yield from policy_evaluation.iterates(mdp, uniform_policy(mdp), tol=tol, in_place=True)


ONE_BEHIND = {  # their Q is what V was made of, one sweep earlier
    "value_iteration",
    "modified_policy_iteration",
    "policy_evaluation",
    "policy_evaluation in place",
}
EVERYTHING: dict[str, Planner] = OPTIMISERS | {
    "policy_evaluation": evaluation,
    "policy_evaluation in place": evaluation_in_place,
}


def sparse(mdp: MDP) -> MDP:
    """The same model with a sparse P."""
    S, A = mdp.R.shape
    return mdp.replace(P=SparseTransitions(csr_array(np.asarray(mdp.P).reshape(S * A, S)), A))


def chain(mdp: MDP, policy: Array) -> tuple[Array, Array]:
    """P and R under a policy, (S, S) and (S,), by their definition."""
    P = np.sum(policy[:, :, None] * np.asarray(mdp.P), axis=1)
    return P, (policy * mdp.R).sum(axis=1)


def drawn(world: GridWorld, policy: Array) -> str:
    """A policy as on the page: an arrow for each action that may be taken, a row a line."""
    cells = np.where(world.tiles == "#", "#", " ").astype(object)
    for s, (row, column) in enumerate(world.positions):
        taken = [arrow for arrow, p in zip(ARROWS, policy[s], strict=True) if p > 0]
        cells[row, column] = "." if world.tiles[row, column] in world.terminal else "".join(taken)
    return "\n".join(" ".join(row) for row in cells)


def deterministic_actions(mdp: MDP) -> Indices:
    """Every deterministic policy, (A^S, S)."""
    return np.array(list(product(range(mdp.n_actions), repeat=mdp.n_states)))


def brute_force(mdp: MDP) -> Array:
    """V* at gamma < 1, the best of all deterministic policies, each by its own linear solve."""
    every, s = deterministic_actions(mdp), np.arange(mdp.n_states)
    P, R = np.asarray(mdp.P)[s, every], mdp.R[s, every]  # (n, S, S), (n, S)
    return np.linalg.solve(np.eye(len(s)) - mdp.gamma * P, R[..., None])[..., 0].max(axis=0)


def long_run(P: Array) -> Array:
    """P* = lim 1/T sum_t P^t: the limit of the lazy chain's powers, which have no period."""
    power = (P + np.eye(len(P))) / 2
    for _ in range(60):
        power = power @ power
        power /= power.sum(axis=1, keepdims=True)
    return power


def undiscounted(P: Array, R: Array) -> Array:
    """V at gamma = 1 of one policy, by what it is absorbed in; +-inf where rewards go on for ever.

    A class whose rewards average to 0 must pay nothing at all, which random real rewards see to.
    """
    limit = long_run(P)
    mean, recurrent = limit @ R, np.diag(limit) > 1e-9
    if (mean[recurrent] > 1e-9).any():
        return np.full(len(R), np.inf)
    V, ever = np.zeros(len(R)), ~recurrent
    V[ever] = np.linalg.solve(np.eye(ever.sum()) - P[np.ix_(ever, ever)], R[ever])
    lost: Mask = limit @ (recurrent & (mean < -1e-9)) > 1e-9
    return np.where(lost, -np.inf, V)


def undiscounted_optimum(mdp: MDP) -> Array:
    """V* at gamma = 1 over all deterministic policies: inf everywhere if some loop pays for ever.

    Loops that pay nearly nothing on average (they take for ever to tell) are outside its domain.
    """
    s, best = np.arange(mdp.n_states), np.full(mdp.n_states, -np.inf)
    for actions in deterministic_actions(mdp):
        best = np.maximum(best, undiscounted(np.asarray(mdp.P)[s, actions], mdp.R[s, actions]))
    return best


@st.composite
def undiscounted_models(draw: st.DrawFn) -> MDP:
    """gamma = 1, the last of 3 or 4 states terminal: loops that pay, that cost and that are free.

    Probabilities are quarters, so nothing takes very long; rewards are 0 or at least 0.2 in size.
    """
    rng = np.random.default_rng(draw(seeds))
    S, A = draw(st.integers(3, 4)), 2
    P = rng.multinomial(4, np.ones(S) / S, size=(S, A)) / 4
    alone = rng.random((S, A)) < 0.6  # these pairs lead to one state for sure
    P[alone] = np.eye(S)[rng.integers(S, size=alone.sum())]
    sign = np.where(rng.random((S, A)) < draw(st.sampled_from([0.0, 0.1, 0.5])), 1, -1)
    R = sign * rng.uniform(0.2, 1.2, size=(S, A)) * (rng.random((S, A)) < 0.6)
    return MDP(P, R, 1.0, terminal=np.arange(S) == S - 1)


def plan_undiscounted(name: str, mdp: MDP, *, tol: float = 1e-8) -> Any:
    """Run one optimiser at gamma = 1 with a budget that it must not need."""
    budget = {BUDGETS[name]: 5000} if name != "linear_program" else {}
    promise = {"tol": tol} if name not in ("policy_iteration", "linear_program") else {}
    return OPTIMISERS[name](mdp, **budget, **promise)


def separated(mdp: MDP) -> bool:
    """No policy's average reward is within 0.01 of 0 without being 0."""
    s = np.arange(mdp.n_states)
    for actions in deterministic_actions(mdp):
        P, R = np.asarray(mdp.P)[s, actions], mdp.R[s, actions]
        limit = long_run(P)
        recurrent = np.diag(limit) > 1e-9
        mean, paid = (limit @ R)[recurrent], (limit @ np.abs(R))[recurrent]
        if ((paid > 1e-9) & (np.abs(mean) < 0.01)).any():
            return False
    return True
