"""Cassandra's .POMDP files: the format in which the field exchanges its benchmarks.

The chapter is four files: `cassandra_text` (statements), `cassandra_tables` (T and O),
`cassandra_rewards` (R), and here what holds them together; `cassandra_writer` writes.

Reading: pomdp.org, "POMDP file format"; Cassandra's thesis (1998) for the problems themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from gridrl.processes import MDP, POMDP
from gridrl.tables import SUM_TOLERANCE, Array, Mask, indices, number
from gridrl.worlds.cassandra_rewards import Rewards, by_pair
from gridrl.worlds.cassandra_tables import Rows, distributions_of, read_rows
from gridrl.worlds.cassandra_text import (
    ANY,
    LARGEST,
    NUMBER,
    Names,
    Statement,
    read_names,
    read_notes,
    read_statements,
)
from gridrl.worlds.grid import DENSE_STATES

Statements = dict[str, list[Statement]]
STARTS = ("start", "start include", "start exclude")


def read_pomdp(path: str | PathLike[str], *, tol: float = 1e-5) -> POMDP | MDP:
    """Read a POMDP in Cassandra's format; without observations, an MDP.

    What the file leaves out is 0, what it says twice holds as said last, and no `start` is uniform.
    States, actions and observations that are only counted are labelled "0", "1", ... R(a, s, s', o)
    becomes its expectation over o given a and s', and costs become negative rewards. Rewards of
    steps with probability 0 are dropped. O is (A, S, Z): nothing is seen before the first action.
    P is sparse beyond 400 states; no table may have more than 20 million entries.

    Args:
        path: the file.
        tol: files print rounded numbers. A row whose sum is one within `tol` (1e-5 is that of the
            field's own solver) is divided by it; every other row is refused. 0 divides none.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "toss.POMDP")
    ...     size = file.write_text('''discount: 0.9   values: reward
    ...     states: head tail   actions: toss   observations: 2
    ...     T: toss
    ...     uniform
    ...     O: * : * : 0   0.5  # nothing is learnt
    ...     O: * : * : 1   0.5
    ...     R: toss : * : head : *   1.0''')
    ...     read_pomdp(file)
    POMDP(2 states, 1 actions, 2 observations, gamma=0.9)

    Raises:
        OSError: the file cannot be read.
        ValueError: it is malformed; the line and the token are named.
    """
    tol, file = number(tol, "tol", 0, 1), Path(path)
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    statements, notes = read_statements(text, file.name), read_notes(text, file.name)
    head = _read_head(statements, file.name, tol)
    P = _read_transitions(statements, head, tol)
    O = _read_observations(statements, head, tol)  # noqa: E741
    mdp = MDP(
        P if head.sparse else P.toarray().reshape(head.shape),
        _read_rewards(statements, head, P, O),
        head.gamma,
        start=head.start,
        terminal=_read_terminal(notes, len(head.states)),
        labels=notes.get("labels", head.states.labels),
        action_labels=notes.get("action_labels", head.actions.labels),
    )
    if O is None or head.observations is None:
        return mdp
    labels = notes.get("observation_labels", head.observations.labels)
    return POMDP(mdp, _seen(O, notes, file.name), observation_labels=labels)


@dataclass(frozen=True, eq=False)
class Head:
    """What the preamble says, and the start distribution (S,)."""

    source: str
    gamma: float
    sign: float
    states: Names
    actions: Names
    observations: Names | None
    start: Array

    @property
    def shape(self) -> tuple[int, int, int]:
        """(S, A, S)."""
        return len(self.states), len(self.actions), len(self.states)

    @property
    def sparse(self) -> bool:
        """Whether P is to be sparse."""
        return len(self.states) > DENSE_STATES


def _read_head(statements: Statements, source: str, tol: float) -> Head:
    states = read_names(_needed(statements, "states", source), "state")
    actions = read_names(_needed(statements, "actions", source), "action")
    seen = _once(statements, "observations")
    discount = _needed(statements, "discount", source)
    gamma = float(discount.numbers(0, 1, "number")[0])
    if not 0 <= gamma <= 1:
        raise discount.unexpected(0, "a number from 0 to 1")
    return Head(
        source,
        gamma,
        _read_sign(_needed(statements, "values", source)),
        states,
        actions,
        None if seen is None else read_names(seen, "observation"),
        _read_start(statements, states, tol),
    )


def _needed(statements: Statements, word: str, source: str) -> Statement:
    found = _once(statements, word)
    if found is None:
        raise ValueError(f"{source}: the statement {word!r} is missing")
    return found


def _once(statements: Statements, word: str) -> Statement | None:
    found = statements.get(word, [])
    if len(found) > 1:
        raise found[1].wrong(f"{word!r} stands here a second time; first on line {found[0].line}")
    return found[0] if found else None


def _read_sign(statement: Statement) -> float:
    """+1 for rewards, -1 for costs."""
    tokens = statement.tokens
    if not tokens:
        raise statement.wrong("'values' wants reward or cost; it has nothing")
    if tokens[0].lower() not in ("reward", "cost"):
        raise statement.unexpected(0, "reward or cost")
    if len(tokens) > 1:
        raise statement.unexpected(1, "one word")
    return 1.0 if tokens[0].lower() == "reward" else -1.0


def _read_start(statements: Statements, states: Names, tol: float) -> Array:
    """The first state's distribution, (S,): uniform, a state, states, all but some, or a vector."""
    said = [found for word in STARTS if (found := _once(statements, word))]
    if not said:
        return np.full(len(states), 1 / len(states))
    statement, S = said[0], len(states)
    if len(said) > 1:
        raise max(said, key=lambda found: found.line).wrong("the start is given a second time")
    if not statement.tokens:
        raise statement.wrong(f"{statement.word!r} wants states or probabilities; it has nothing")
    if statement.word != "start":
        return _read_listed(statement, states)
    if [token.lower() for token in statement.tokens] == ["uniform"]:
        return np.full(S, 1 / S)
    alone = statement.tokens[0] if len(statement.tokens) == 1 else ""
    if alone and (S > 1 or alone == "0" or not NUMBER.fullmatch(alone)):  # of one state, 1 is Pr
        return _read_one(statement, states)
    return _read_vector(statement, S, tol)


def _read_one(statement: Statement, states: Names) -> Array:
    if statement.tokens[0] == "*":
        raise statement.unexpected(0, "one state, or 'uniform'")
    return np.eye(len(states))[states.find(statement, 0)]


def _read_vector(statement: Statement, S: int, tol: float) -> Array:
    for at, token in enumerate(statement.tokens):
        if not NUMBER.fullmatch(token):
            raise statement.unexpected(at, "numbers (states stand after 'start include')")
    p = statement.probabilities(0, S, "probabilities, one a state")
    if abs(p.sum() - 1) > max(tol, SUM_TOLERANCE):
        raise statement.wrong(
            f"'start' must sum to 1 within {tol:g}; it sums to {p.sum():.9g}"
            " (printed with rounding? tol=0.01)"
        )
    return p / p.sum() if abs(p.sum() - 1) > SUM_TOLERANCE else p


def _read_listed(statement: Statement, states: Names) -> Array:
    listed = np.zeros(len(states), bool)
    for at in range(len(statement.tokens)):
        place = states.find(statement, at)
        listed[slice(None) if place == ANY else place] = True
    chosen = listed if statement.word == "start include" else ~listed
    if not chosen.any():
        raise statement.wrong("'start exclude' leaves no state")
    return chosen / chosen.sum()


def _check_size(head: Head, word: str, columns: int) -> None:
    if (size := len(head.states) * len(head.actions) * columns) > LARGEST:
        entries = "rows" if columns == 1 else "entries"
        raise ValueError(f"{head.source}: {word!r} has {size} {entries}; at most {LARGEST} fit")


def _read_transitions(statements: Statements, head: Head, tol: float) -> csr_array:
    """Pr(s'|s,a), (S * A, S), row s * A + a."""
    _check_size(head, "T", 1)
    said = Rows(head.states, head.actions, head.states)
    read_rows(statements.get("T", []), said, head.start)
    return distributions_of(said, "T", head.source, tol)


def _read_observations(statements: Statements, head: Head, tol: float) -> Array | None:
    """Pr(o|a,s'), (A, S, Z); None in an MDP."""
    if head.observations is None:
        if "O" in statements:
            raise statements["O"][0].wrong("'O' stands in a file without 'observations'")
        return None
    S, A, Z = len(head.states), len(head.actions), len(head.observations)
    _check_size(head, "O", Z)
    said = Rows(head.states, head.actions, head.observations)
    read_rows(statements.get("O", []), said, None)
    rows = distributions_of(said, "O", head.source, tol).toarray()
    return np.ascontiguousarray(rows.reshape(S, A, Z).transpose(1, 0, 2))


def _read_rewards(statements: Statements, head: Head, P: csr_array, O: Array | None) -> Any:  # noqa: E741
    """R(s, a) as (S, A) where nothing depends on s'; else R(s, a, s') on the steps of P."""
    said = Rewards(head.actions, head.states, head.observations)
    said.read(statements.get("R", []))
    paid = 0.0 + head.sign * said.on_steps(P, O)  # 0.0 +: no -0.0 among costs
    pairs = by_pair(P, paid)
    if pairs is not None:
        return pairs.reshape(head.shape[:2])
    R = csr_array((paid, P.indices, P.indptr), shape=P.shape)
    return R if head.sparse else R.toarray().reshape(head.shape)


def _read_terminal(notes: dict[str, Any], n_states: int) -> Mask:
    return np.isin(np.arange(n_states), indices(notes.get("terminal", []), "terminal", n_states))


def _seen(O: Array, notes: dict[str, Any], source: str) -> Array:  # noqa: E741
    """O, or with the note (S, Z): what is seen in every state, the first included."""
    if not notes.get("seen_at_once", False):
        return O
    if not (O == O[0]).all():
        raise ValueError(f"{source}: a note says 'seen_at_once', but O depends on the action")
    return O[0]
