"""Acting on what is seen now, and on nothing else: pi(a|o).

To states that look alike such a policy does alike. A die may help then: walking one way for ever
where it is wrong, now and then one comes out. Which die is best is a hard question (NP-hard), so
what is found by climbing is a lower bound on what there is.

Symbols: pi[o, a]; o what is seen before acting, Pr(o|s) = O[s, o]; rho discounted visits.

Reading: the lecture's slides on partially observable processes; Singh, Jaakkola & Jordan (1994);
Littman (1994).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, product

import numpy as np
from scipy.optimize import minimize

from gridrl.iterates import algorithm
from gridrl.planning.beliefs import a_pomdp
from gridrl.planning.bellman import action_values, expected_return, occupancy, state_values
from gridrl.planning.endings import endless, longest_episode, stays_for_ever
from gridrl.planning.policies import greedy
from gridrl.processes import POMDP
from gridrl.processes.html import html_table
from gridrl.tables import Array, Indices, generator, read_only, restore, whole

BATCH = 2_000_000  # numbers in a batch of linear systems
DICE = 1e-6  # at gamma = 1 a search keeps at least this of every action, so that it ends


@dataclass(frozen=True, eq=False)
class MemorylessPolicy:
    """The best policy found so far among those that act on what is seen now.

    Attributes:
        policy: pi(a|o), (Z, A).
        value: J, its expected return from the start, exact, in reward units.
        tried: number of policies compared, or of searches done.
        stochastic: found by searches, a lower bound on the best; else the best of those compared.
        pomdp: the model.
    """

    policy: Array
    value: float
    tried: int
    stochastic: bool
    pomdp: POMDP = field(repr=False)

    def __post_init__(self) -> None:
        read_only(self.policy)

    __setstate__ = restore

    def __repr__(self) -> str:
        if self.stochastic:
            how = f"a lower bound on the best stochastic one, from {self.tried} searches"
        else:
            how = f"the best of {self.tried} deterministic ones"
        return f"MemorylessPolicy(J = {self.value:.6g}, {how})"

    def _repr_html_(self) -> str:
        seen, acts = self.pomdp.observation_labels, self.pomdp.action_labels
        return f"<p>{self!r}</p>{html_table('o', acts, seen, self.policy, shade=True)}"


@algorithm
def best_memoryless_policy(
    pomdp: POMDP,
    *,
    stochastic: bool,
    restarts: int = 30,
    most: int = 100_000,
    rng: int | np.random.Generator | None = None,
) -> Iterator[MemorylessPolicy]:
    """Maximise J over pi(a|o): deterministic ones by enumeration, stochastic ones by searches.

    The deterministic answer is the best there is. The stochastic one is a lower bound on the best:
    climbs along the exact gradient dJ / dpi(a|o) = sum_s rho(s) O(o|s) Q(s,a) from the best
    deterministic policy, from the uniform one and from random ones; never worse than the first.
    [Singh, Jaakkola & Jordan 1994]

    Args:
        pomdp: the model, O[s', o]: something is seen before every action.
        stochastic: whether a die may be thrown.
        restarts: number of searches from random policies.
        most: largest number of deterministic policies, A^Z, to go through; beyond it they are
            refused, and the searches do without.
        rng: for the random starts: a seed, a Generator, or None for fresh chance.

    >>> from gridrl.worlds import lost_penguin_world
    >>> pomdp = lost_penguin_world().pomdp(gamma=0.9)
    >>> round(best_memoryless_policy(pomdp, stochastic=False).value, 5)
    3.25418

    Raises:
        TypeError: `pomdp` is none.
        ValueError: nothing is seen before the first action; too many deterministic policies; values
            that are not finite at gamma = 1. There a policy that never ends counts as -inf, where
            no reward is positive; else all must end.
    """
    _refuse_blind_start(pomdp)
    chance, searches = generator(rng), whole(restarts, "restarts", least=0)
    best = None
    if not stochastic or _count(pomdp) <= most:
        for best in _enumerate(pomdp, whole(most, "most", least=1)):
            if not stochastic:
                yield best
    if stochastic:
        yield from _climb(pomdp, None if best is None else best.policy, searches, chance)


def memoryless_value(pomdp: POMDP, policy: Array) -> float:
    """J(pi) of pi(a|o), (Z, A), exactly; -inf if it is paid for ever at gamma = 1."""
    try:
        return expected_return(pomdp.mdp, pomdp.O @ policy)
    except ValueError:
        if pomdp.gamma < 1:
            raise
        return -np.inf


def memoryless_gradient(pomdp: POMDP, policy: Array) -> Array:
    """dJ / dpi(a|o) = sum_s rho(s) O(o|s) Q(s,a), each entry by itself, (Z, A)."""
    acts = pomdp.O @ policy
    visits = occupancy(pomdp.mdp, acts).sum(axis=1)
    Q = action_values(pomdp.mdp, state_values(pomdp.mdp, acts))
    return pomdp.O.T @ (visits[:, None] * Q)


def _enumerate(pomdp: POMDP, most: int) -> Iterator[MemorylessPolicy]:
    """The best so far after each batch of all deterministic policies."""
    count, Z, A = _count(pomdp), pomdp.n_observations, pomdp.n_actions
    if count > most:
        raise ValueError(
            f"pomdp must have at most most = {most} deterministic policies to go through; it has"
            f" {A}^{Z} = {float(count):.3g}: stochastic=True searches instead"
        )
    made = np.flatnonzero(pomdp.O.any(axis=0))
    every = product(range(A), repeat=len(made))
    best, value, tried = np.zeros(Z, np.intp), -np.inf, 0
    size = max(1, BATCH // pomdp.n_states**2)
    while batch := list(islice(every, size)):
        acts = np.zeros((len(batch), Z), np.intp)
        acts[:, made] = batch
        J = _values(pomdp, acts)
        if J.max() > value:
            best, value = acts[J.argmax()], float(J.max())
        tried += len(batch)
        yield MemorylessPolicy(np.eye(A)[best], value, tried, False, pomdp)


def _values(pomdp: POMDP, actions: Indices) -> Array:
    """J of deterministic policies (n, Z), by a batch of linear solves, (n,)."""
    choose = np.eye(pomdp.n_actions)[actions]  # (n, Z, A)
    if pomdp.gamma == 1:
        return np.array([memoryless_value(pomdp, policy) for policy in choose])
    pi = pomdp.O @ choose  # (n, S, A)
    P = np.asarray(pomdp.P if isinstance(pomdp.P, np.ndarray) else pomdp.P.toarray())
    P_pi = sum(pi[:, :, a, None] * P[:, a] for a in range(pomdp.n_actions))
    R_pi = (pi * pomdp.R).sum(axis=2)
    V = np.linalg.solve(np.eye(pomdp.n_states) - pomdp.gamma * P_pi, R_pi[..., None])[..., 0]
    return V @ pomdp.start


def _climb(
    pomdp: POMDP, deterministic: Array | None, restarts: int, chance: np.random.Generator
) -> Iterator[MemorylessPolicy]:
    """The best so far after each local search."""
    Z, A = pomdp.n_observations, pomdp.n_actions
    starts = [np.full((Z, A), 1 / A), *chance.dirichlet(np.ones(A), size=(restarts, Z))]
    best, value = starts[0], -np.inf
    if deterministic is not None:
        starts, best = [deterministic, *starts], deterministic
        value = memoryless_value(pomdp, best)
    for k, start in enumerate(starts):
        for policy in _polished(pomdp, _ascend(pomdp, start)):
            if (J := memoryless_value(pomdp, policy)) > value:
                best, value = policy, J
        yield MemorylessPolicy(best.copy(), value, k + 1, True, pomdp)


def _ascend(pomdp: POMDP, start: Array) -> Array:
    """A local maximum of J over tables of distributions, from `start`."""
    shape, floor = start.shape, DICE if pomdp.gamma == 1 else 0.0
    rows = np.kron(np.eye(shape[0]), np.ones(shape[1]))  # each row of pi sums to one

    def table_of(x: Array) -> Array:
        policy = np.maximum(x.reshape(shape), floor)
        return policy / policy.sum(axis=1, keepdims=True)

    found = minimize(
        lambda x: -memoryless_value(pomdp, table_of(x)),
        np.maximum(start, floor).ravel(),
        jac=lambda x: -memoryless_gradient(pomdp, table_of(x)).ravel(),
        method="SLSQP",
        bounds=[(floor, 1.0)] * start.size,
        constraints={"type": "eq", "fun": lambda x: rows @ x - 1, "jac": lambda x: rows},
        options={"maxiter": 300, "ftol": 1e-12},
    )
    return table_of(found.x)


def _polished(pomdp: POMDP, policy: Array) -> list[Array]:
    """The policy; without what is all but 0; and, where an action is all but sure, surely."""
    few = np.where(policy < 1e-4, 0.0, policy)
    few /= few.sum(axis=1, keepdims=True)
    return [policy, few, greedy(policy.round(6))]


def _count(pomdp: POMDP) -> int:
    """A^Z, over the observations that are made."""
    return int(pomdp.n_actions ** int(pomdp.O.any(axis=0).sum()))


def _refuse_blind_start(pomdp: POMDP) -> None:
    if a_pomdp(pomdp).O.ndim == 3:
        raise ValueError(
            "pomdp must show something before every action, O[s', o], to be acted on by what is"
            " seen now; with O[a, s', o] nothing is seen before the first (try pbvi)"
        )
    mdp = pomdp.mdp
    if longest_episode(mdp) == np.inf and (mdp.R > 0).any():
        raise endless(mdp, np.flatnonzero(stays_for_ever(mdp)), "a policy may keep away")
