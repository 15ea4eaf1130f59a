"""Processes as text in Cassandra's format, which pomdp-solve and its kin read.

What the format has no words for stands in a comment that `read_pomdp` understands: labels that
are no words, terminal states, and observations that are made in the first state already.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from gridrl.files import write_whole
from gridrl.processes import MDP, POMDP, RewardDistribution
from gridrl.processes.payments import Payment, ShapedReward
from gridrl.processes.transitions import stacked
from gridrl.tables import Array, Indices
from gridrl.worlds.cassandra_rewards import by_pair
from gridrl.worlds.cassandra_text import RESERVED

WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def write_pomdp(pomdp: POMDP | MDP, path: str | PathLike[str]) -> None:
    """Write a POMDP, or an MDP (a file without observations), in Cassandra's format.

    `read_pomdp` gives the same model back, to the last digit of its probabilities: labels, terminal
    states and the shape of O too. A reward that is drawn is written as its expectation given
    (s, a, s'). The file appears whole or not at all.

    >>> from tempfile import TemporaryDirectory
    >>> from gridrl.worlds.cassandra import read_pomdp
    >>> from gridrl.worlds.classics import tiger
    >>> with TemporaryDirectory() as folder:
    ...     write_pomdp(tiger(), Path(folder, "tiger.POMDP"))
    ...     read_pomdp(Path(folder, "tiger.POMDP"))
    POMDP(2 states, 3 actions, 2 observations, gamma=0.95)

    Raises:
        TypeError: `pomdp` is neither.
        OSError: it could not be written; what was there before is still there.
    """
    if not isinstance(pomdp, POMDP | MDP):
        raise TypeError(f"pomdp must be a POMDP or an MDP; it is a {type(pomdp).__name__}")
    lines = _lines(pomdp, None) if isinstance(pomdp, MDP) else _lines(pomdp.mdp, pomdp)
    write_whole(Path(path), "\n".join([*lines, ""]).encode())


def _lines(mdp: MDP, seen: POMDP | None) -> Iterator[str]:
    a, s = _words(mdp.action_labels), _words(mdp.labels)
    yield from _notes(mdp, seen)
    yield f"discount: {float(mdp.gamma)!r}"
    yield "values: reward"
    yield f"states: {_declared(mdp.labels)}"
    yield f"actions: {_declared(mdp.action_labels)}"
    if seen is not None:
        yield f"observations: {_declared(seen.observation_labels)}"
    yield from _start(mdp.start, s, seen is not None)
    yield from _transitions(mdp, a, s)
    if seen is not None:
        yield from _observations(seen, a, s)
    yield from _rewards(mdp, a, s, " : *" if seen is not None else "")


def _notes(mdp: MDP, seen: POMDP | None) -> Iterator[str]:
    notes: dict[str, Any] = {}
    labels = {"labels": mdp.labels, "action_labels": mdp.action_labels}
    if seen is not None:
        labels["observation_labels"] = seen.observation_labels
        notes = {"seen_at_once": True} if seen.O.ndim == 2 else {}
    if mdp.terminal.any():
        notes["terminal"] = np.flatnonzero(mdp.terminal).tolist()
    notes |= {name: names for name, names in labels.items() if not _sayable(names)}
    if notes:
        yield f"# gridrl: {json.dumps(notes)}"


def _is_word(label: str) -> bool:
    return bool(WORD.fullmatch(label)) and label not in RESERVED


def _counted(labels: Sequence[str]) -> bool:
    return list(labels) == [str(i) for i in range(len(labels))]


def _sayable(labels: Sequence[str]) -> bool:
    return _counted(labels) or all(map(_is_word, labels))


def _declared(labels: Sequence[str]) -> str:
    return " ".join(labels) if all(map(_is_word, labels)) else str(len(labels))


def _words(labels: Sequence[str]) -> list[str]:
    return list(labels) if all(map(_is_word, labels)) else [str(i) for i in range(len(labels))]


def _start(start: Array, s: list[str], hidden: bool) -> Iterator[str]:
    """The start: pomdp-solve wants a single state of an MDP, and a list of a POMDP."""
    among = np.flatnonzero(start)
    if not (start[among] == 1 / len(among)).all():
        yield f"start: {' '.join(map(repr, start.tolist()))}"
    elif len(among) == len(s):
        yield "start: uniform"
    elif len(among) == 1 and not hidden:
        yield f"start: {s[among[0]]}"
    else:
        yield f"start include: {' '.join(s[i] for i in among)}"


def _transitions(mdp: MDP, a: list[str], s: list[str]) -> Iterator[str]:
    for k, i, j, p in zip(*_steps(_matrix(mdp)), strict=True):
        yield f"T: {a[k]} : {s[i]} : {s[j]} {p!r}"


def _observations(seen: POMDP, a: list[str], s: list[str]) -> Iterator[str]:
    o = _words(seen.observation_labels)
    tables = seen.O if seen.O.ndim == 3 else seen.O[None]
    alike = bool((tables == tables[0]).all())
    for action, table in zip(["*"] if alike else a, tables, strict=False):
        for i, k in np.argwhere(table > 0).tolist():
            yield f"O: {action} : {s[i]} : {o[k]} {float(table[i, k])!r}"


def _rewards(mdp: MDP, a: list[str], s: list[str], any_o: str) -> Iterator[str]:
    P = _matrix(mdp)
    actions, states, reached, _ = _steps(P)
    steps = np.array(states, np.intp), np.array(actions, np.intp), np.array(reached, np.intp)
    paid = np.where(mdp.terminal[steps[0]], 0.0, _expected(mdp.payment, *steps))
    pairs = by_pair(P, paid)
    if pairs is None:
        for k, i, j, r in zip(actions, states, reached, paid.tolist(), strict=True):
            if r:
                yield f"R: {a[k]} : {s[i]} : {s[j]}{any_o} {r!r}"
    else:
        for (i, k), r in np.ndenumerate(pairs.reshape(len(s), len(a))):
            if r:
                yield f"R: {a[k]} : {s[i]} : *{any_o} {float(r)!r}"


def _expected(payment: Payment, s: Indices, a: Indices, s_next: Indices) -> Array:
    """E[r | s, a, s'] on steps (n,)."""
    if isinstance(payment, RewardDistribution):
        mean = payment.mean()
        return mean[(s, a, s_next)[: mean.ndim]]
    if isinstance(payment, ShapedReward):
        change = payment.gamma * payment.potential[s_next] - payment.potential[s]
        return _expected(payment.payment, s, a, s_next) + change
    return payment.draw(s, a, s_next, np.zeros(len(s)))  # the others are no matter of chance


def _matrix(mdp: MDP) -> csr_array:
    matrix = stacked(mdp.P).copy()
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def _steps(P: csr_array) -> tuple[list[int], list[int], list[int], list[float]]:
    """Action, state, next state and probability of each step, in the order of the data."""
    row = np.repeat(np.arange(P.shape[0]), np.diff(P.indptr))
    s, a = np.divmod(row, P.shape[0] // P.shape[1])
    return a.tolist(), s.tolist(), P.indices.tolist(), P.data.tolist()
