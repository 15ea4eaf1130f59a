"""Texts in Cassandra's format, beside the tables that they mean; what two models have in common."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gridrl import MDP, POMDP
from gridrl.processes.transitions import stacked
from gridrl.tables import Array
from gridrl.worlds.cassandra import read_pomdp
from gridrl.worlds.cassandra_writer import write_pomdp
from tests.strategies import sparse_rows

Place = tuple[Any, str]  # an index, and its name
HEAD = """discount: 0.9
values: reward
states: a b c
actions: x y
observations: o p
"""
TABLES = "T: *\nuniform\nO: *\nuniform\n"  # lines 6 to 9 of HEAD + TABLES
MDP_HEAD = HEAD.replace("observations: o p\n", "")


def read(tmp_path: Path, text: str, **options: float) -> Any:
    """Read `text` as a file; a POMDP or an MDP."""
    (tmp_path / "file.POMDP").write_bytes(text.encode())
    return read_pomdp(tmp_path / "file.POMDP", **options)


def again(tmp_path: Path, process: POMDP | MDP) -> Any:
    """The process written, and read."""
    write_pomdp(process, tmp_path / "again.POMDP")
    return read_pomdp(tmp_path / "again.POMDP")


def assert_same(found: Any, process: Any) -> None:
    """The same kind, probabilities to the last digit, labels, and rewards up to rounding."""
    assert type(found) is type(process)
    for name in ("gamma", "labels", "action_labels", "n_states"):
        assert getattr(found, name) == getattr(process, name), name
    for name in ("start", "terminal"):
        np.testing.assert_array_equal(getattr(found, name), getattr(process, name))
    np.testing.assert_array_equal(stacked(found.P).toarray(), stacked(process.P).toarray())
    np.testing.assert_allclose(found.R, process.R, rtol=1e-13, atol=1e-13)
    if isinstance(process, POMDP):
        np.testing.assert_array_equal(found.O, process.O)
        assert found.observation_labels == process.observation_labels


def typed(rng: np.random.Generator) -> tuple[str, Array, Array, Array, Array]:
    """A file of statements in all their forms, and its tables: each statement an assignment.

    P (A, S, S), O (A, S, Z), R (A, S, S, Z), start (S,).
    """
    S, A, Z = (int(size) for size in rng.integers([2, 1, 1], [4, 3, 4]))
    start = sparse_rows(rng, S)
    lines = [f"discount: 0.5 values: reward states: {S} actions: {A} observations: {Z}"]
    lines.append(f"start: {written(start)}")
    P, O, R = np.zeros((A, S, S)), np.zeros((A, S, Z)), np.zeros((A, S, S, Z))  # noqa: E741
    for word, table in (("T", P), ("O", O)):
        lines += matrix(rng, word, (slice(None), "*"), table, start)
        for _ in range(4):
            form = rng.choice(np.array([matrix, row, entries], dtype=object))
            lines += form(rng, word, place(rng, A), table, start)
    for _ in range(rng.integers(12)):
        places = [place(rng, size) for size in R.shape][: rng.integers(2, 5)]
        values = rng.normal(size=R.shape[len(places) :]).round(3)
        R[tuple(at for at, _ in places)] = values
        lines.append(f"R: {' : '.join(name for _, name in places)}\n{written(values)}")
    return "\n".join(lines), P, O, R, start


def matrix(
    rng: np.random.Generator, word: str, a: Place, table: Array, start: Array
) -> Iterable[str]:
    """`T: a` and a matrix, or a word for one."""
    shape = table.shape[1:]
    rows = sparse_rows(rng, *shape)
    meant = {written(rows): rows, "uniform": np.full(shape, 1 / shape[1])}
    if word == "T":
        meant |= {"identity": np.eye(*shape), "reset": np.tile(start, (len(start), 1))}
    said = str(rng.choice(list(meant)))
    table[a[0]] = meant[said]
    return [f"{word}: {a[1]}\n{said}"]


def row(rng: np.random.Generator, word: str, a: Place, table: Array, start: Array) -> Iterable[str]:
    """`T: a : s` and a row, or a word for one."""
    s, n = place(rng, table.shape[1]), table.shape[2]
    p = sparse_rows(rng, n)
    meant = {written(p): p, "uniform": np.full(n, 1 / n)}
    if word == "T":
        meant["reset"] = start
    said = str(rng.choice(list(meant)))
    table[a[0], s[0]] = meant[said]
    return [f"{word} : {a[1]} :{s[1]} {said}"]


def entries(
    rng: np.random.Generator, word: str, a: Place, table: Array, start: Array
) -> Iterable[str]:
    """`T: a : s : * 0` and then entry by entry, in any order."""
    s = place(rng, table.shape[1])
    p = sparse_rows(rng, table.shape[2])
    table[a[0], s[0]] = p
    said = [f"{word}: {a[1]} : {s[1]} : {t} {p[t]!s}" for t in rng.permutation(np.flatnonzero(p))]
    return [f"{word}:{a[1]}:{s[1]}:* 0.0", *said]


def place(rng: np.random.Generator, size: int) -> Place:
    """An index and its name; one in three is a wildcard."""
    k = int(rng.integers(size))
    return (slice(None), "*") if rng.random() < 1 / 3 else (k, str(k))


def written(values: Array) -> str:
    return " ".join(map(repr, values.ravel().tolist()))
