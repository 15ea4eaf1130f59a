"""T and O of a .POMDP file: probabilities said entry by entry, row by row or all at once.

Symbols: S, A, Z numbers of states, actions, observations; row s * A + a belongs to action a and to
state s, for T the state that is left, for O the state that is reached.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from gridrl.tables import SUM_TOLERANCE, Array
from gridrl.worlds.cassandra_text import ANY, LARGEST, Names, Statement


class Rows:
    """What a file says of each row, statement by statement; of an entry the last word counts."""

    def __init__(self, states: Names, actions: Names, outcomes: Names) -> None:
        self.states, self.actions, self.outcomes = states, actions, outcomes
        self.pairs = np.arange(len(states) * len(actions)).reshape(len(states), len(actions))
        self.row, self.column, self.value = array("q"), array("q"), array("d")
        self.since = np.zeros(self.pairs.size, np.int64)  # earlier entries are overwritten
        self.line = np.zeros(self.pairs.size, np.int64)  # that spoke of the row last

    def at(self, a: int, s: int) -> list[int]:
        """The rows of action `a` and state `s`, each of which may be ANY."""
        if a >= 0 and s >= 0:
            return [s * len(self.actions) + a]
        every = slice(None)
        return self.pairs[every if s < 0 else s, every if a < 0 else a].ravel().tolist()

    def put(self, statement: Statement, rows: list[int], column: int, p: float) -> None:
        """Say one entry of some rows."""
        self._make_room(statement, len(rows))
        for row in rows:
            self.row.append(row)
            self.column.append(column)
            self.value.append(p)
            self.line[row] = statement.line

    def overwrite(self, statement: Statement, rows: list[int], p: Array) -> None:
        """Say some rows as a whole, all alike: p (n_outcomes,)."""
        column = np.flatnonzero(p)
        self._make_room(statement, len(rows) * len(column))
        self.since[rows], self.line[rows] = len(self.row), statement.line
        self.row.frombytes(np.repeat(np.array(rows, np.int64), len(column)).tobytes())
        self.column.frombytes(np.tile(column.astype(np.int64), len(rows)).tobytes())
        self.value.frombytes(np.tile(p[column], len(rows)).tobytes())

    def _make_room(self, statement: Statement, more: int) -> None:
        if len(self.row) + more > LARGEST:
            raise statement.wrong(f"{statement.word!r} has more than {LARGEST} entries by now")

    def table(self) -> csr_array:
        """The entries that count, as a matrix (S * A, n_outcomes)."""
        row, column = np.array(self.row, np.int64), np.array(self.column, np.int64)
        counts = np.flatnonzero(np.arange(len(row)) >= self.since[row])
        key = row[counts] * len(self.outcomes) + column[counts]
        _, last = np.unique(key[::-1], return_index=True)
        keep = counts[::-1][last]
        shape = (self.pairs.size, len(self.outcomes))
        matrix = csr_array((np.array(self.value)[keep], (row[keep], column[keep])), shape=shape)
        matrix.eliminate_zeros()
        return matrix


def read_rows(statements: Sequence[Statement], said: Rows, start: Array | None) -> None:
    """Go through the statements `T` or `O` in their order; `start` is what `reset` means."""
    for statement in statements:
        places, at = statement.places((said.actions, said.states, said.outcomes))
        if len(places) == 3:
            _read_entry(statement, said, places, at)
        elif len(places) == 2:
            rows = said.at(*places)
            said.overwrite(statement, rows, _row(statement, said, at, start))
        else:
            _read_matrix(statement, said, places[0], at, start)


def _read_entry(statement: Statement, said: Rows, places: tuple[int, ...], at: int) -> None:
    a, s, outcome = places
    p = float(statement.probabilities(at, 1, "probability")[0])
    if outcome == ANY:
        said.overwrite(statement, said.at(a, s), np.full(len(said.outcomes), p))
    else:
        said.put(statement, said.at(a, s), outcome, p)


def _read_matrix(statement: Statement, said: Rows, a: int, at: int, start: Array | None) -> None:
    S, n = len(said.states), len(said.outcomes)
    word = _word(statement, at)
    if word in ("uniform", "reset"):
        said.overwrite(statement, said.at(a, ANY), _row(statement, said, at, start))
    elif word == "identity" and S == n:
        said.overwrite(statement, said.at(a, ANY), np.zeros(n))
        for s in range(S):
            said.put(statement, said.at(a, s), s, 1.0)
    else:
        what = f"probabilities, a row a state and a column {_a(said.outcomes)}"
        matrix = statement.probabilities(at, S * n, what).reshape(S, n)
        for s in range(S):
            said.overwrite(statement, said.at(a, s), matrix[s])


def _row(statement: Statement, said: Rows, at: int, start: Array | None) -> Array:
    """A row's distribution: `uniform`, `reset`, or one number an outcome."""
    n = len(said.outcomes)
    word = _word(statement, at)
    if word == "uniform":
        return np.full(n, 1 / n)
    if word == "reset" and start is not None:
        return start
    return statement.probabilities(at, n, f"probabilities, one {_a(said.outcomes)}")


def _a(names: Names) -> str:
    return f"{'an' if names.kind[0] in 'aeiou' else 'a'} {names.kind}"


def _word(statement: Statement, at: int) -> str:
    return statement.tokens[at].lower() if len(statement.tokens) == at + 1 else ""


def distributions_of(said: Rows, word: str, source: str, tol: float) -> csr_array:
    """The rows as distributions, each divided by its sum where the file has rounded it.

    Raises:
        ValueError: a row that nothing is said of, or whose sum is not one within `tol`.
    """
    matrix = said.table()
    sums = matrix.sum(axis=1)
    if len(bad := np.flatnonzero(np.abs(sums - 1) > max(tol, SUM_TOLERANCE))):
        s, a = divmod(int(bad[0]), len(said.actions))
        row = f"{word}: {said.actions.labels[a]} : {said.states.labels[s]}"
        if not said.line[bad[0]]:
            raise ValueError(f"{source}: nothing is said of '{row}'")
        raise ValueError(
            f"{source}, line {said.line[bad[0]]}: '{row}' must sum to 1 within {tol:g};"
            f" it sums to {sums[bad[0]]:.9g} (printed with rounding? tol=0.01)"
        )
    off = np.abs(sums - 1) > SUM_TOLERANCE
    matrix.data /= np.repeat(np.where(off, sums, 1.0), np.diff(matrix.indptr))
    return matrix
