"""Slips: where a move leads when the ice has its say.

A slip is a function of the neighbourhood: `open_ways` (S, D) says which of the D directions are
free in each square, and the answer (S, A, D + 1) gives, for each action meant (A = D: each means
one direction), the probability of moving in each direction, and last of staying. Whoever is sent
where the way is blocked bumps and stays. Write your own the same way: any function of `open_ways`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from gridrl.tables import Array, Mask, distributions, number

Slip = Callable[[Mask], Array]


def slip_to_neighbours(intended: float) -> Slip:
    """As meant with probability `intended`, else to another free neighbour, equally likely.

    The lecture's ice: where the way is blocked, equally to any free neighbour; where there is only
    one, always to it; where there is none, one stays.

    >>> up_right_down_left = np.array([[False, True, True, False]])  # the first corner
    >>> slip_to_neighbours(0.8)(up_right_down_left)[0, 1]  # right, meant from there
    array([0. , 0.8, 0.2, 0. , 0. ])
    """
    return partial(_to_neighbours, intended=number(intended, "intended", 0, 1))


def slip_sideways(intended: float) -> Slip:
    """As meant with probability `intended`, else at right angles, half to each side.

    [Russell & Norvig 2010, fig. 17.1, intended = 0.8; Gymnasium's FrozenLake, intended = 1/3]

    >>> everywhere = np.ones((1, 4), bool)
    >>> slip_sideways(0.8)(everywhere)[0, 0]  # up, meant
    array([0.8, 0.1, 0. , 0.1, 0. ])
    """
    return partial(_sideways, intended=number(intended, "intended", 0, 1))


def slip_anywhere(intended: float) -> Slip:
    """As meant with probability `intended`, else in one of the other directions, free or not.

    >>> slip_anywhere(0.7)(np.ones((1, 4), bool))[0, 0].round(2)
    array([0.7, 0.1, 0.1, 0.1, 0. ])
    """
    return partial(_anywhere, intended=number(intended, "intended", 0, 1))


def no_slip() -> Slip:
    """Always as meant; whoever bumps stays.

    >>> no_slip()(np.ones((1, 4), bool))[0, 2]
    array([0., 0., 1., 0., 0.])
    """
    return partial(_anywhere, intended=1.0)


def check_slip(p: Array, n_states: int, n_moves: int) -> Array:
    """Check what a slip answered: (S, A, D + 1), rows distributions."""
    return distributions(p, "slip(open_ways)", (n_states, n_moves, n_moves + 1))


def _to_neighbours(open_ways: Mask, *, intended: float) -> Array:
    S, D = open_ways.shape
    meant = np.eye(D, dtype=bool)
    others = open_ways[:, None, :] & ~meant  # (S, A, D), the free ways that were not meant
    n_others = others.sum(axis=2, keepdims=True)
    as_meant = np.where(n_others > 0, intended, 1.0) * open_ways[:, :, None]  # (S, A, 1)
    p = np.zeros((S, D, D + 1))
    p[:, :, :D] = as_meant * meant + (1 - as_meant) * others / np.maximum(n_others, 1)
    p[~open_ways.any(axis=1), :, D] = 1
    return p


def _sideways(open_ways: Mask, *, intended: float) -> Array:
    S, D = open_ways.shape
    if D % 4:
        raise ValueError(f"slip_sideways needs moves with right angles; there are {D} moves")
    p = np.zeros((D, D + 1))
    a = np.arange(D)
    p[a, a] = intended
    p[a, (a + D // 4) % D] = p[a, (a - D // 4) % D] = (1 - intended) / 2
    return np.broadcast_to(p, (S, D, D + 1))


def _anywhere(open_ways: Mask, *, intended: float) -> Array:
    S, D = open_ways.shape
    p = np.zeros((D, D + 1))
    p[:, :D] = (1 - intended) / max(D - 1, 1)
    p[np.arange(D), np.arange(D)] = intended if D > 1 else 1.0
    return np.broadcast_to(p, (S, D, D + 1))
