"""The policy-gradient laboratory: dJ/dtheta exactly, by all trajectories, and by samples.

Policies are softmax tables, pi(a|s) = exp(theta(s,a)) / sum_b exp(theta(s,b)), so that

    d log pi(a|s) / d theta(s,.) = e_a - pi(.|s),

and no automatic differentiation is needed. Of a POMDP with O[s', o] the policy sees observations:
theta has a row for each of them, and no memory.

Symbols: Z things to see (states, or observations), A actions; rho occupancy; G_t return from t on;
phi_t = d log pi(a_t|o_t) / d theta the score; b(o) a baseline.

Reading: lectures 003 (log-derivative trick) and 004 (policy gradients); Sutton & Barto (2018),
chapter 13.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from gridrl.learning.simulation import behind
from gridrl.planning.bellman import advantages, expected_return, occupancy, q_values
from gridrl.planning.policies import softmax_policy
from gridrl.planning.returns import discounted_return, enumerate_trajectories, returns_to_go
from gridrl.processes import MDP, POMDP
from gridrl.processes.decision import an_mdp
from gridrl.tables import Array, Indices, check_distributions, table, whole

Credit = Callable[[Array, float], Array]  # (rewards, gamma) -> what an action is credited with


def exact_policy_gradient(
    mdp: MDP | POMDP, theta: ArrayLike, *, horizon: int | None = None
) -> Array:
    """dJ/dtheta(s,a) = rho(s,a) A(s,a): occupancy times advantage, (S, A).  [eq. 13.5, in a table]

    Of a POMDP, (Z, A): the states behind an observation are weighted by how often they show it.

    Args:
        mdp: the world, gamma < 1 or every policy ends.
        theta: logits, (S, A), or (Z, A) for a POMDP.
        horizon: J counts only so many steps; None is all of them.

    >>> from gridrl.worlds import penguin_world
    >>> mdp = penguin_world().mdp(gamma=0.9)
    >>> exact_policy_gradient(mdp, np.zeros((16, 4)))[4].round(3)  # square 5: down, never up
    array([-0.032, -0.022,  0.054,  0.   ])

    Raises:
        ValueError: theta of another shape; gamma = 1 and an unending world.
    """
    model, seen, pi, acts = lifted(mdp, theta)
    acts = acts if horizon is None else _always(acts, horizon)
    if seen is None:
        gradient = occupancy(model, acts) * advantages(model, acts)
        return gradient if horizon is None else gradient.sum(axis=0)
    visits = occupancy(model, acts).sum(axis=-1, keepdims=True)
    worth = visits * q_values(model, acts)
    worth = seen.T @ (worth if horizon is None else worth.sum(axis=0))
    return pi * (worth - (pi * worth).sum(axis=1, keepdims=True))


def naive_gradient(mdp: MDP, theta: ArrayLike, *, horizon: int) -> Array:
    """sum_tau P(tau|theta) G(tau) d log P(tau|theta) / dtheta, over all trajectories, (S, A).

    What J(theta) = E[G] says when taken at its word, and why nobody computes it: there are up to
    S^(T+1) A^T trajectories.  [lecture 003]

    >>> from gridrl.worlds import forest
    >>> theta, mdp = np.zeros((3, 2)), forest()
    >>> slow = naive_gradient(mdp, theta, horizon=4)
    >>> bool(np.allclose(slow, exact_policy_gradient(mdp, theta, horizon=4)))
    True

    Raises:
        ValueError: theta of another shape, a horizon below 1.
    """
    model, T = an_mdp(mdp), whole(horizon, "horizon", least=1)
    pi = softmax_policy(table(theta, "theta", model.R.shape))
    gradient = np.zeros(pi.shape)
    for states, actions, probability in enumerate_trajectories(model, pi, T):
        G = discounted_return(model.R[states[:-1], actions], model.gamma)
        for s, a in zip(states, actions, strict=False):
            gradient[s] += probability * G * (np.eye(len(pi[s]))[a] - pi[s])
    return gradient


def fisher_information(mdp: MDP | POMDP, theta: ArrayLike) -> Array:
    """F(s) = rho(s) [diag pi(.|s) - pi(.|s) pi(.|s)^T], the blocks of E[phi phi^T], (S, A, A).

    The natural gradient is F^+ dJ/dtheta, here A(s,a) up to a constant a state.
    [Kakade 2001, A Natural Policy Gradient]

    >>> from gridrl.worlds import random_walk
    >>> walk = random_walk(1).mdp(gamma=1)
    >>> fisher_information(walk, np.zeros((3, 2)))[1]
    array([[ 0.25, -0.25],
           [-0.25,  0.25]])

    Raises:
        ValueError: as `exact_policy_gradient`.
    """
    model, seen, pi, acts = lifted(mdp, theta)
    visits = occupancy(model, acts).sum(axis=1) * ~model.terminal  # at the end nobody acts
    visits = visits if seen is None else seen.T @ visits
    own = pi[:, :, None] * np.eye(pi.shape[1]) - pi[:, :, None] * pi[:, None, :]
    return visits[:, None, None] * own


def reward_to_go(rewards: Array, gamma: float) -> Array:
    """gamma^t G_t: an action is credited with what came after it, (..., T).  [eq. 13.8]

    >>> reward_to_go(np.array([1.0, 0.0, 1.0]), 0.5)
    array([1.25, 0.25, 0.25])
    """
    return gamma ** np.arange(rewards.shape[-1]) * returns_to_go(rewards, gamma)


def whole_return(rewards: Array, gamma: float) -> Array:
    """G_0: every action is credited with the whole episode, (..., T).  [lecture 003]

    >>> whole_return(np.array([1.0, 0.0, 1.0]), 0.5)
    array([1.25, 1.25, 1.25])
    """
    return np.broadcast_to(discounted_return(rewards, gamma)[..., None], rewards.shape)


def sum_of_scores(k: Indices, o: Indices, a: Indices, weight: Array, pi: Array) -> Array:
    """sum over steps of weight * (e_a - pi(.|o)), in the row of each k and o, shape of `pi`.

    Args:
        k: the policy of each step, (N,).
        o: what was seen, (N,).
        a: what was done, (N,).
        weight: of each step, (N,).
        pi: policies, (K, Z, A).
    """
    K, Z, A = pi.shape
    done = np.bincount((k * Z + o) * A + a, weights=weight, minlength=K * Z * A).reshape(pi.shape)
    return done - done.sum(axis=2, keepdims=True) * pi


def sum_by_sight(k: Indices, o: Indices, weight: ArrayLike, shape: tuple[int, ...]) -> Array:
    """sum over steps of weight, in the row of each k and o, (K, Z); `shape` begins with K, Z.

    >>> sum_by_sight(np.array([0, 0, 1]), np.array([1, 1, 0]), [1.0, 2.0, 5.0], (2, 2))
    array([[0., 3.],
           [5., 0.]])
    """
    K, Z = shape[:2]
    weights = np.broadcast_to(np.asarray(weight, dtype=np.float64), k.shape)
    total: Array = np.bincount(k * Z + o, weights=weights, minlength=K * Z).astype(np.float64)
    return total.reshape(K, Z)


def exact_returns(mdp: MDP | POMDP, policies: ArrayLike) -> Array:
    """J of many policies at once, (K, S, A) -> (K,): what learners' policies are really worth.

    Take it of a snapshot: `exact_returns(mdp, learned.policy)`, or of the policy that explores,
    `exact_returns(mdp, epsilon_greedy(learned.Q, 0.1))`. Of a POMDP policies are (K, Z, A).

    >>> from gridrl.learning import q_learning
    >>> from gridrl.worlds import penguin_world
    >>> mdp = penguin_world().mdp(gamma=0.9)
    >>> learned = q_learning(mdp, episodes=200, steps=50, runs=3, rng=0)
    >>> exact_returns(mdp, learned.policy).shape
    (3,)

    Raises:
        ValueError: a row that is no distribution; gamma = 1 and a policy that is paid for ever.
    """
    model, seen = behind(mdp)
    pi = table(policies, "policies")
    shape = (model.n_states if seen is None else seen.shape[1], model.n_actions)
    if pi.shape[-2:] != shape:
        raise ValueError(
            f"policies must have shape (..., {shape[0]}, {shape[1]}); it has {pi.shape}"
        )
    check_distributions(pi, "policies")
    many = pi.reshape(-1, *shape)
    J = [expected_return(an_mdp(model), p if seen is None else seen @ p) for p in many]
    return np.array(J).reshape(pi.shape[:-2])


def lifted(mdp: MDP | POMDP, theta: ArrayLike) -> tuple[MDP, Array | None, Array, Array]:
    """The process behind, Pr(o|s), the policy (Z, A), and what it does in every state, (S, A)."""
    world, seen = behind(mdp)
    model = an_mdp(world)
    Z = model.n_states if seen is None else seen.shape[1]
    pi = softmax_policy(table(theta, "theta", (Z, model.n_actions)))
    return model, seen, pi, pi if seen is None else seen @ pi


def _always(pi: Array, horizon: int) -> Array:
    """The same policy at each of `horizon` times, (T, S, A)."""
    return np.broadcast_to(pi, (whole(horizon, "horizon", least=1), *pi.shape))
