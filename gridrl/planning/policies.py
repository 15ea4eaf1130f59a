"""Policies: tables pi[s, a] = pi(a|s) whose rows are distributions, deterministic ones too.

A time-dependent policy has a leading axis, (T, S, A); functions of Q or theta work on the last
axis, so the same line serves (S, A), (T, S, A) and (runs, S, A).

Reading: the lecture's slides on policies; Sutton & Barto (2018), sections 2.2, 3.5 and 13.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gridrl.processes import MDP, POMDP
from gridrl.processes.decision import an_mdp
from gridrl.tables import Array, best, indices, number, softmax, table, whole


def uniform_policy(mdp: MDP | POMDP) -> Array:
    """pi(a|s) = 1 / A, shape (S, A).

    >>> from gridrl.worlds import penguin_world
    >>> uniform_policy(penguin_world().mdp(gamma=0.9))[0]
    array([0.25, 0.25, 0.25, 0.25])
    """
    model = mdp.mdp if isinstance(mdp, POMDP) else an_mdp(mdp)
    return np.full(model.R.shape, 1 / model.n_actions)


def deterministic_policy(actions: ArrayLike, n_actions: int) -> Array:
    """pi(a|s) = 1 where a = actions[s]; (S,) -> (S, A), and (T, S) -> (T, S, A).

    >>> deterministic_policy([1, 0], n_actions=2)
    array([[0., 1.],
           [1., 0.]])

    Raises:
        TypeError, ValueError: an action that is no whole number from 0 to A - 1, named.
    """
    A = whole(n_actions, "n_actions", least=1)
    return np.eye(A)[indices(actions, "actions", A)]


def greedy(Q: ArrayLike) -> Array:
    """pi(a|s) > 0 only where Q(s,a) is largest, ties shared evenly.  [Sutton & Barto 2018, eq. 4.9]

    >>> greedy([[1.0, 3.0, 3.0]])
    array([[0. , 0.5, 0.5]])
    """
    top = best(_action_table(Q))
    return top / top.sum(axis=-1, keepdims=True)


def epsilon_greedy(Q: ArrayLike, epsilon: float) -> Array:
    """pi(a|s) = epsilon / A, and the rest evenly over the best actions.  [Sutton & Barto, sec. 5.4]

    >>> epsilon_greedy([[1.0, 3.0]], epsilon=0.1)
    array([[0.05, 0.95]])
    """
    epsilon, Q = number(epsilon, "epsilon", 0, 1), _action_table(Q)
    return (1 - epsilon) * greedy(Q) + epsilon / Q.shape[-1]


def softmax_policy(theta: ArrayLike) -> Array:
    """pi(a|s) = exp(theta(s,a)) / sum_b exp(theta(s,b)).  [Sutton & Barto 2018, eq. 13.2]

    >>> softmax_policy([[0.0, np.log(3)]])
    array([[0.25, 0.75]])
    """
    return softmax(_action_table(theta, "theta"))


def _action_table(Q: Any, name: str = "Q") -> Array:
    values = table(Q, name)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError(f"{name} must have shape (..., A); it has {values.shape}")
    return values
