"""The comparisons as a matrix: Bradley-Terry over summed rewards is a logistic regression.

A segment pays phi . r, where phi counts how often it passes each cell of the reward table; a pair
differs by x . r, where x = phi(first) - phi(second). A row of X is a comparison. What X cannot tell
apart, no number of votes can: see `gridrl.preferences.bradley_terry`.

Symbols: X (n, cells) differences of visit counts; mu (n,) share of the preference the first has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from gridrl.preferences.segments import Comparison, Segment
from gridrl.tables import Array, Indices, Mask, table, whole

Pair = tuple[Segment, Segment]


def design(
    comparisons: Iterable[Comparison], shape: Sequence[int], *, observed: bool = False
) -> tuple[Array, Array]:
    """X (n, cells) and mu (n,): a row for every comparison that is not a skip.

    >>> vote = Comparison(Segment([0, 1], [0, 0]), Segment([1, 2], [0, 0]), "left")
    >>> X, mu = design([vote], (3,))
    >>> X, mu
    (array([[ 1.,  0., -1.]]), array([1.]))

    Args:
        comparisons: the votes.
        shape: of the reward table, (S,) or (S, A); cells are counted row by row.
        observed: the rows are observations, r(o) or r(o, a).

    Raises:
        TypeError, ValueError: nothing but skips, two worlds, or a cell beyond the table.
    """
    known = labelled(comparisons)
    return differences(pairs_of(known), shape, observed).toarray(), shares(known)


def labelled(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """The comparisons without the skips: what a loss is made of.

    Raises:
        TypeError: something else among them.
        ValueError: none are left, or they are of different worlds.
    """
    votes = list(comparisons)
    for i, vote in enumerate(votes):
        if not isinstance(vote, Comparison):
            raise TypeError(f"comparisons[{i}] must be a Comparison; it is a {type(vote).__name__}")
        if vote.first.world != votes[0].first.world:
            raise ValueError(
                f"comparisons[{i}] must be of the world of the first, {votes[0].first.world!r};"
                f" it is of {vote.first.world!r}"
            )
    known = [vote for vote in votes if vote.label != "skip"]
    if not known:
        found = f"there are {len(votes)} skips" if votes else "there are none"
        raise ValueError(f"comparisons must hold at least one left, right or tie; {found}")
    return known


def pairs_of(comparisons: Iterable[Comparison]) -> list[Pair]:
    """The segments that were compared."""
    return [(vote.first, vote.second) for vote in comparisons]


def shares(comparisons: Sequence[Comparison]) -> Array:
    """mu(1) of each comparison: 1 for left, 0 for right, 1/2 for a tie, (n,)."""
    return np.array([vote.mu[0] for vote in comparisons if vote.mu is not None])


def differences(pairs: Sequence[Pair], shape: Sequence[int], observed: bool = False) -> Any:
    """phi(first) - phi(second) of each pair: a sparse matrix (n, cells)."""
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    return visits(first, shape, observed) - visits(second, shape, observed)


def visits(segments: Sequence[Segment], shape: Sequence[int], observed: bool = False) -> Any:
    """phi of each segment, all at once: a sparse matrix (n, cells); as `Segment.counts`.

    Raises:
        ValueError: an index beyond the table, or observations that were not kept.
    """
    rows = [_row(clip, observed) for clip in segments]
    ends = np.concatenate([[0], np.cumsum([len(clip) for clip in segments])])
    cells = _within(np.concatenate(rows), shape[0], "observations" if observed else "states", ends)
    if len(shape) == 2:
        actions = np.concatenate([clip.actions for clip in segments])
        cells = cells * shape[1] + _within(actions, shape[1], "actions", ends)
    ones = np.ones(len(cells))
    return sparse.csr_array((ones, cells, ends), shape=(len(segments), int(np.prod(shape))))


def visited(pairs: Sequence[Pair], shape: Sequence[int], observed: bool = False) -> Mask:
    """The cells that some segment passes, (cells,)."""
    seen = visits([clip for pair in pairs for clip in pair], shape, observed)
    return np.bincount(seen.indices, minlength=int(np.prod(shape))) > 0


def reward_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of a reward table, (S,) or (S, A).

    Raises:
        TypeError, ValueError: it is another.
    """
    sizes = (shape,) if np.ndim(shape) == 0 else tuple(shape)
    if len(sizes) not in (1, 2):
        raise ValueError(f"shape must be (S,) or (S, A); it is {sizes}")
    return tuple(whole(size, f"shape[{i}]", least=1) for i, size in enumerate(sizes))


def feature_table(features: ArrayLike | None, cells: int) -> Array | None:
    """Return features (cells, d) of a reward that is linear in them; None stays None."""
    if features is None:
        return None
    F = table(features, "features")
    if F.ndim != 2 or len(F) != cells or F.shape[1] == 0:
        raise ValueError(f"features must have shape ({cells}, d), a row a cell; it has {F.shape}")
    return F


def _row(clip: Segment, observed: bool) -> Indices:
    if not observed:
        return clip.states
    if clip.observations is None:
        raise ValueError("observed needs segments with observations; this one has none")
    return clip.observations


def _within(values: Indices, size: int, name: str, ends: Indices) -> Indices:
    if len(values) and values.max() >= size:
        at = int(values.argmax())
        clip = int(np.searchsorted(ends, at, side="right")) - 1
        raise ValueError(
            f"{name}[{at - ends[clip]}] of segment {clip} must be in 0..{size - 1};"
            f" it is {values[at]}"
        )
    return values
