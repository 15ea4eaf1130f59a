"""Probability tables: what every chapter checks, draws from and compares.

A table is a read-only float64 array whose last axis runs over outcomes; a distribution is a row
that is not negative and sums to one (to 1e-8, the sum of rounding errors and no more).

Symbols: p, q distributions; theta logits; S, A numbers of states and actions.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]
Entries = TypeVar("Entries", bound=np.generic)

SUM_TOLERANCE = 1e-8
FEW = 8  # outcomes that are gone through one by one
TIE = 1e-12  # values closer than this, relative to the largest, differ by rounding only


def table(values: ArrayLike, name: str, *shapes: tuple[int, ...]) -> Array:
    """Return a read-only float64 copy of `values`: numbers, finite, of one of `shapes` if any.

    >>> table([[1, 2], [3, 4]], "R", (2,), (2, 2))
    array([[1., 2.], [3., 4.]])
    >>> table([1, 2, 3], "V", (2,))
    Traceback (most recent call last):
    ValueError: V must have shape (2,); it has (3,)

    Raises:
        TypeError: something in it is not a real number.
        ValueError: a wrong shape (both are named), or the first entry that is not finite.
    """
    try:
        raw = np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{name} must be a rectangular table; its rows differ in length"
        ) from error
    if raw.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers; it holds {raw.dtype}")
    if shapes and raw.shape not in shapes:
        wanted = " or ".join(str(shape) for shape in dict.fromkeys(shapes))
        raise ValueError(f"{name} must have shape {wanted}; it has {raw.shape}")
    copy = np.array(raw, dtype=np.float64)
    if len(bad := np.argwhere(~np.isfinite(copy))):
        at = tuple(int(i) for i in bad[0])
        raise ValueError(f"{_entry(name, at)} must be finite; it is {copy[at]}")
    return read_only(copy)


def distributions(values: ArrayLike, name: str, *shapes: tuple[int, ...]) -> Array:
    """Return a table whose rows, along the last axis, are distributions.

    >>> distributions([[0.5, 0.5], [0.4, 0.5]], "P")
    Traceback (most recent call last):
    ValueError: P[1] must be a distribution; it sums to 0.9

    Raises:
        TypeError: as `table` does.
        ValueError: as `table` does, or the first row that is negative somewhere or sums to
            another number.
    """
    p = table(values, name, *shapes)
    check_distributions(p, name)
    return p


def check_distributions(p: Array, name: str) -> None:
    """Raise a ValueError that names the first row of `p` (..., n) that is not a distribution."""
    if p.ndim == 0 or p.shape[-1] == 0:
        raise ValueError(f"{name} must not be empty; it has shape {p.shape}")
    if len(negative := np.argwhere(p < 0)):
        at = tuple(int(i) for i in negative[0])
        raise ValueError(f"{_entry(name, at)} must not be negative; it is {p[at]:.6g}")
    sums = p.sum(axis=-1)
    if len(bad := np.argwhere(~(np.abs(sums - 1) <= SUM_TOLERANCE))):
        at = tuple(int(i) for i in bad[0])
        raise ValueError(f"{_entry(name, at)} must be a distribution; it sums to {sums[at]:.9g}")


def indices(values: ArrayLike, name: str, size: int) -> Indices:
    """Return whole numbers from 0 to `size` - 1; a float, even 1.0, is refused.

    >>> indices([0, 16], "states", 16)
    Traceback (most recent call last):
    ValueError: states[1] must be in 0..15; it is 16
    """
    raw = np.asarray(values)
    if raw.size == 0:
        return np.zeros(raw.shape, np.intp)
    if raw.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold whole numbers (counted from 0); it holds {raw.dtype}")
    if len(bad := np.argwhere((raw < 0) | (raw >= size))):
        at = tuple(int(i) for i in bad[0])
        raise ValueError(f"{_entry(name, at)} must be in 0..{size - 1}; it is {raw[at]}")
    return raw.astype(np.intp)


def index(value: Any, name: str, size: int) -> int:
    """Return one whole number from 0 to `size` - 1."""
    return int(indices(whole(value, name), name, size))


def whole(value: Any, name: str, *, least: int | None = None) -> int:
    """Return `value` as an int; True and 2.0 are not whole numbers here.

    >>> whole(0, "horizon", least=1)
    Traceback (most recent call last):
    ValueError: horizon must be at least 1; it is 0
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be a whole number; it is {value!r}")
    if least is not None and number < least:
        raise ValueError(f"{name} must be at least {least}; it is {number}")
    return number


def number(value: Any, name: str, low: float = -np.inf, high: float = np.inf) -> float:
    """Return `value` as a finite float in [low, high].

    >>> number(1.1, "gamma", 0, 1)
    Traceback (most recent call last):
    ValueError: gamma must be in [0, 1]; it is 1.1
    """
    if isinstance(value, bool | np.bool_ | str):
        raise TypeError(f"{name} must be a number; it is {value!r}")
    try:
        result = float(value)
    except TypeError as error:
        raise TypeError(f"{name} must be a number; it is {value!r}") from error
    unbounded = (low, high) == (-np.inf, np.inf)
    if (np.isinf(result) and low <= result <= high) or (np.isnan(result) and unbounded):
        raise ValueError(f"{name} must be finite; it is {result}")
    if not low <= result <= high:
        raise ValueError(f"{name} must be in [{low:g}, {high:g}]; it is {result:g}")
    return result


def called(value: Any, name: str) -> Any:
    """Return a function."""
    if not callable(value):
        raise TypeError(f"{name} must be a function; it is {value!r}")
    return value


def tolerance(tol: Any) -> float:
    """Return a promise on an error: a finite number, not negative."""
    return number(tol, "tol", 0)


def mask(values: ArrayLike | None, name: str, size: int) -> Mask:
    """Return `values` as True or False for each state, shape (size,); None is False everywhere."""
    if values is None:
        return read_only(np.zeros(size, bool))
    raw = np.asarray(values)
    if raw.dtype != bool:
        raise TypeError(f"{name} must say True or False for each state; it holds {raw.dtype}")
    if raw.shape != (size,):
        raise ValueError(f"{name} must have shape ({size},); it has {raw.shape}")
    return read_only(raw.copy())


def names(values: Sequence[str | int] | None, name: str, size: int) -> tuple[str, ...]:
    """Return `size` different labels; None counts from 1, as pictures do.

    >>> names(None, "labels", 3), names(["A", 7], "labels", 2)
    (('1', '2', '3'), ('A', '7'))

    Raises:
        TypeError: a label is neither text nor a whole number.
        ValueError: too many, too few, or one twice.
    """
    if values is None:
        return tuple(str(i) for i in range(1, size + 1))
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a sequence of labels; it is {values!r}")
    entries = list(values)
    for i, value in enumerate(entries):
        if isinstance(value, bool) or not isinstance(value, str | int | np.integer):
            raise TypeError(f"{name}[{i}] must be text or a whole number; it is {value!r}")
    labels = tuple(str(value) for value in entries)
    if len(labels) != size:
        raise ValueError(f"{name} must hold {size} labels; it holds {len(labels)}")
    if len(set(labels)) != size:
        twice = next(label for i, label in enumerate(labels) if label in labels[:i])
        raise ValueError(f"{name} must differ from each other; {twice!r} stands there twice")
    return labels


def generator(rng: int | np.random.Generator | None) -> np.random.Generator:
    """Make a Generator of a seed; a Generator stays itself, None is seeded afresh.

    Raises:
        TypeError, ValueError: `rng` is none of these.
    """
    if rng is None or isinstance(rng, np.random.Generator):
        return np.random.default_rng(rng)
    return np.random.default_rng(whole(rng, "rng", least=0))


def restore(self: object, state: dict[str, Any]) -> None:
    """Put back a frozen object's fields after pickling or copying, and lock their arrays again."""
    for name, value in state.items():
        parts: list[Any] = [value] if isinstance(value, np.ndarray) else []
        if hasattr(value, "indptr"):
            parts = [value.data, value.indices, value.indptr]
        for part in parts:
            read_only(part)
        object.__setattr__(self, name, value)


def read_only(values: NDArray[Entries]) -> NDArray[Entries]:
    """Lock an array and return it."""
    values.flags.writeable = False
    return values


def softmax(theta: ArrayLike) -> Array:
    """p_i = exp(theta_i) / sum_j exp(theta_j), on the last axis.  [Sutton & Barto 2018, eq. 13.2]

    >>> softmax([0.0, np.log(3)]).round(2)
    array([0.25, 0.75])
    """
    theta = np.asarray(theta, dtype=np.float64)
    with np.errstate(over="ignore"):  # a difference too large for a float is -inf: probability 0
        odds = np.exp(theta - theta.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def log_softmax(theta: ArrayLike) -> Array:
    """log softmax(theta), along the last axis, in nats; finite where the probability underflows.

    >>> log_softmax([0.0, 1000.0])
    array([-1000.,     0.])
    """
    from scipy.special import log_softmax as stable

    return stable(np.asarray(theta, dtype=np.float64), axis=-1)


def entropy(p: ArrayLike) -> Array:
    """H(p) = - sum_i p_i log p_i, along the last axis, in nats.

    >>> round(float(entropy([0.5, 0.5])), 4)
    0.6931
    """
    from scipy.special import entr

    return np.asarray(entr(p).sum(axis=-1))


def kl(p: ArrayLike, q: ArrayLike) -> Array:
    """KL(p || q) = sum_i p_i log(p_i / q_i), in nats, along the last axis; inf if only q_i is 0.

    >>> round(float(kl([0.5, 0.5], [0.25, 0.75])), 4)
    0.1438
    """
    from scipy.special import rel_entr

    return np.asarray(rel_entr(p, q).sum(axis=-1))


def best(Q: Array, tol: float | None = None) -> Mask:
    """Say which entries of the last axis are the largest, ties included.

    Entries tie that are closer than `tol`; None is 1e-12 of the row's largest size: rounding.

    >>> best(np.array([[1.0, 2.0, 2.0 + 1e-15]]))
    array([[False,  True,  True]])
    """
    top = Q.max(axis=-1, keepdims=True)
    close = TIE * np.abs(Q).max(axis=-1, keepdims=True) if tol is None else tol
    return Q >= top - close


def draw(p: Array, uniform: Array) -> Indices:
    """Draw an index from each row of `p` (n, m): invert its running sum at `uniform` (n,).

    >>> draw(np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]), np.array([0.7, 0.999]))
    array([1, 1])
    """
    if p.shape[1] > FEW:
        sums = np.add.accumulate(p, axis=1)
        return np.add.reduce((uniform * sums[:, -1])[:, None] >= sums[:, :-1], axis=1)
    edges = list(accumulate(p.T))  # outcome by outcome: m sums of n, faster than n sums of m
    target = uniform * edges[-1]
    return sum((target >= edge for edge in edges[:-1]), np.zeros(len(p), np.intp))


def _entry(name: str, at: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, at))}]" if at else name
