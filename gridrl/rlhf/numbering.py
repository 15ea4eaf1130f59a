"""How all answers are numbered: the nodes of a tree, level by level.

An answer has up to L tokens out of W, or ends earlier with the end token, W itself. Its beginnings,
the prefixes, are numbered level by level, from the empty one, 0; the children of prefix i are
1 + i W, ..., 1 + i W + W - 1. Prefix i closed with the end token is completion i, and the full
answers come after these.

Symbols: W tokens besides the end, L tokens at most; n prefixes, N completions.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike

from gridrl.tables import Indices

LARGEST = 2**62  # completions that can be numbered


def n_prefixes(W: int, L: int) -> int:
    """1 + W + ... + W^(L-1).

    >>> n_prefixes(2, 3)
    7
    """
    return L if W == 1 else (W**L - 1) // (W - 1)


def digits(W: int, L: int) -> float:
    """About log10 of the number of completions, which may be too large to write."""
    return float(L * np.log10(W))


def levels(W: int, L: int) -> tuple[slice, ...]:
    """Which prefixes have 0, 1, ..., L - 1 tokens."""
    sizes = [W**d for d in range(L)]
    return tuple(slice(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True))


def first_of_level(W: int, L: int) -> Indices:
    """The first completion with 0, 1, ..., L tokens before the end, (L + 1,).

    Raises:
        ValueError: there are too many to number.
    """
    if digits(W, L) > 20 or n_prefixes(W, L) + W**L > LARGEST:
        raise ValueError(
            f"the world must have at most {LARGEST:.1e} completions to be numbered; it has about"
            f" 10^{digits(W, L):.0f} (write and score its texts instead)"
        )
    return np.array([n_prefixes(W, d) for d in range(L + 1)], dtype=np.intp)


def tokens_of(numbers: ArrayLike, W: int, L: int) -> Indices:
    """The tokens of completions given by number, (..., L), -1 after their end.

    >>> tokens_of([0, 2, 6], 2, 2)  # nothing, the second token, both of them twice
    array([[ 2, -1],
           [ 1,  2],
           [ 1,  1]])
    """
    y, first = np.asarray(numbers, dtype=np.intp), first_of_level(W, L)
    depth = np.searchsorted(first, y, side="right") - 1
    left, rows = y - first[depth], np.full((*y.shape, L), -1, dtype=np.intp)
    for t in reversed(range(L)):  # the digits of `left` in base W, the last one first
        there = t < depth
        rows[..., t] = np.where(there, left % W, np.where(t == depth, W, -1))
        left = np.where(there, left // W, left)
    return rows


def numbers_of(tokens: ArrayLike, W: int, L: int) -> Indices:
    """The numbers of completions given by tokens (..., L), -1 after their end, (...)."""
    rows = np.asarray(tokens, dtype=np.intp)
    number, body = np.zeros(rows.shape[:-1], dtype=np.intp), (rows >= 0) & (rows < W)
    for t in range(L):
        number = np.where(body[..., t], number * W + rows[..., t], number)
    return np.asarray(first_of_level(W, L)[body.sum(axis=-1)] + number)


def moves(W: int, L: int) -> tuple[Indices, Indices]:
    """Which prefix, and which completion, each token leads to; -1 for none. Both (n, W + 1)."""
    n = n_prefixes(W, L)
    leads, pays = np.full((n, W + 1), -1, dtype=np.intp), np.full((n, W + 1), -1, dtype=np.intp)
    inner = levels(W, L)[-1].start
    leads[:inner, :W] = 1 + np.arange(n - 1).reshape(inner, W)
    pays[:, W] = np.arange(n)
    pays[inner:, :W] = n + np.arange(W**L).reshape(n - inner, W)
    return leads, pays
