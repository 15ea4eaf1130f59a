"""The text of Cassandra's format: tokens, statements, names, and what is wrong on which line.

A file is a list of statements: a word, a colon, and what follows up to the next word with a colon.
Line ends are spaces; `#` begins a comment. A comment that begins with `# gridrl:` is a note of ours
(JSON), which other programs skip: it holds what the format has no words for.

Reading: pomdp.org, "POMDP file format"; the grammar of Cassandra's pomdp-solve.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridrl.tables import Array

ANY = -1  # the place of a wildcard
LARGEST = 20_000_000  # entries of a table; more would not fit in a small machine's memory
MANY = 1_000_000  # states, actions or observations
PREAMBLE = ("discount", "values", "states", "actions", "observations", "start")
TABLES = ("T", "O", "R")
VALUES = ("uniform", "identity", "reset", "reward", "cost", "include", "exclude")
RESERVED = frozenset(PREAMBLE + TABLES + VALUES)
HEADS = {w for word in PREAMBLE for w in (word, word.title(), word.upper())} | set(TABLES)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
LONE_SIGN = re.compile(r"(?<![^\s:])([+-])\s+(?=[\d.])")  # "- 5" is a number in the grammar
NOTE = re.compile(r"\s*#\s*gridrl:(.*)")
NOTES: dict[str, type] = {
    "labels": list, "action_labels": list, "observation_labels": list, "terminal": list,
    "seen_at_once": bool,
}  # fmt: skip
SHOWN = 8  # names in a message


@dataclass(frozen=True, eq=False)
class Statement:
    """One statement: its word, the tokens after the colon, and the line of each.

    Attributes:
        word: "T", "states", ..., or "start include", "start exclude".
        tokens, lines: what follows, and where it stands.
        line: where the word stands.
        source: the file's name.
    """

    word: str
    tokens: list[str]
    lines: list[int]
    line: int
    source: str

    def wrong(self, rule: str, at: int | None = None) -> ValueError:
        """The error to raise: the file, the line of token `at` (None: of the word), the rule."""
        line = self.line if at is None else self.lines[at]
        return ValueError(f"{self.source}, line {line}: {rule}")

    def numbers(self, at: int, count: int, what: str) -> Array:
        """The tokens from `at` on, which must be `count` finite numbers."""
        tokens = self.tokens[at:]
        if len(tokens) > 1 and tokens[0].lower() in VALUES:
            raise self.unexpected(at + 1, f"nothing more after {tokens[0]!r}")
        for k, token in enumerate(tokens, at):
            if not NUMBER.fullmatch(token):
                raise self.unexpected(k, "a number")
        if len(tokens) != count:
            raise self.wrong(f"{self.word!r} wants {count} {what}; it has {len(tokens)}")
        values = np.array(tokens, dtype=np.float64)
        if not np.isfinite(values).all():
            k = int(np.argmin(np.isfinite(values)))
            raise self.unexpected(at + k, "a finite number")
        return values

    def probabilities(self, at: int, count: int, what: str) -> Array:
        """The tokens from `at` on, which must be `count` numbers from 0 to 1."""
        values = self.numbers(at, count, what)
        bad = (values < 0) | (values > 1)
        if bad.any():
            raise self.unexpected(at + int(np.argmax(bad)), "a probability, from 0 to 1")
        return values

    def unexpected(self, at: int, wanted: str) -> ValueError:
        """The error of a token that is not what is `wanted`; perhaps it is a misspelt word."""
        token = self.tokens[at]
        if self.tokens[at + 1 : at + 2] == [":"]:
            words = ", ".join(PREAMBLE + TABLES)
            return self.wrong(f"{token!r} is no word of the format; there are {words}", at)
        return self.wrong(f"{self.word!r} wants {wanted}; found {token!r}", at)

    def places(self, kinds: Sequence[Names]) -> tuple[tuple[int, ...], int]:
        """The indices, ANY for a wildcard, of `a : s : ...`, and where the values begin."""
        if not self.tokens:
            raise self.wrong(f"{self.word!r} wants an action; it has nothing")
        end = 1
        while self.tokens[end : end + 1] == [":"]:
            end += 2
        if (end + 1) // 2 > len(kinds):
            names = ", ".join(kind.kind for kind in kinds)
            rule = f"{self.word!r} names at most {len(kinds)} ({names})"
            at = min(2 * len(kinds), len(self.tokens) - 1)
            raise self.wrong(f"{rule}, and no colon stands before the values", at)
        if end > len(self.tokens):
            raise self.wrong(f"{self.word!r} ends with a colon", end - 2)
        found = zip(kinds, range(0, end, 2), strict=False)
        return tuple(kind.find(self, at) for kind, at in found), end


@dataclass(frozen=True, eq=False)
class Names:
    """The states, actions or observations: their labels, and the index of each word for them."""

    kind: str
    labels: tuple[str, ...]
    index: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.labels)

    def find(self, statement: Statement, at: int) -> int:
        """The index that a token names, by name or by number from 0; ANY for `*`."""
        token = statement.tokens[at]
        place = self.index.get(token)
        if place is not None:
            return place
        if token.isdecimal() and int(token) < len(self):  # 007
            return int(token)
        shown = ", ".join(self.labels[:SHOWN]) + ", ..." * (len(self) > SHOWN)
        known = f"; there are {shown}" if self.labels else ""
        raise statement.wrong(f"{statement.word!r}: {token!r} is no {self.kind}{known}", at)


def names(kind: str, labels: Sequence[str]) -> Names:
    """`Names` of labels, which can also be called by their numbers."""
    index = {str(i): i for i in range(len(labels))}
    index |= {label: i for i, label in enumerate(labels)}
    return Names(kind, tuple(labels), index | {"*": ANY})


def read_names(statement: Statement, kind: str) -> Names:
    """How many there are, or their names.

    Raises:
        ValueError: none, too many, a name twice, a number or a word of the format for a name.
    """
    tokens = statement.tokens
    if ":" in tokens:
        raise statement.unexpected(max(tokens.index(":") - 1, 0), "names")
    if len(tokens) == 1 and tokens[0].isdecimal():
        count = int(tokens[0])
        if not 1 <= count <= MANY:
            raise statement.unexpected(0, f"a number from 1 to {MANY}")
        return names(kind, [str(i) for i in range(count)])
    if not tokens:
        raise statement.wrong(f"{statement.word!r} wants a number or names; it has nothing")
    seen: set[str] = set()
    for at, token in enumerate(tokens):
        if token == "*" or token in RESERVED or NUMBER.fullmatch(token):
            rule = "names that are no numbers and no words of the format"
            raise statement.unexpected(at, rule)
        if token in seen:
            raise statement.wrong(f"{statement.word!r} has {token!r} twice", at)
        seen.add(token)
    return names(kind, tokens)


def read_statements(text: str, source: str) -> dict[str, list[Statement]]:
    r"""All statements, in their order, by their word.

    >>> found = read_statements("discount: 0.9 # per step\nT: go : *\nuniform", "a.POMDP")
    >>> found["T"][0].tokens, found["T"][0].lines
    (['go', ':', '*', 'uniform'], [2, 2, 2, 3])

    Raises:
        ValueError: the text does not begin with a statement.
    """
    tokens, lines = _tokens(text)
    heads = [i for i, token in enumerate(tokens) if token in HEADS and _is_head(tokens, i)]
    if tokens and heads[:1] != [0]:
        words = ", ".join(PREAMBLE)
        raise ValueError(
            f"{source}, line {lines[0]}: a file begins with one of {words}; found {tokens[0]!r}"
        )
    found: dict[str, list[Statement]] = {}
    for head, end in zip(heads, [*heads[1:], len(tokens)], strict=False):
        colon = head + (1 if tokens[head + 1] == ":" else 2)
        word = tokens[head] if tokens[head] in TABLES else " ".join(tokens[head:colon]).lower()
        statement = Statement(
            word, tokens[colon + 1 : end], lines[colon + 1 : end], lines[head], source
        )
        found.setdefault(word, []).append(statement)
    return found


def read_notes(text: str, source: str) -> dict[str, Any]:
    """What the notes of ours say, if there are any.

    >>> read_notes('# gridrl: {"terminal": [3]}', "a.POMDP")
    {'terminal': [3]}

    Raises:
        ValueError: a note that is no JSON object, or says what no note says.
    """
    notes: dict[str, Any] = {}
    for number, line in enumerate(text.split("\n") if "gridrl:" in text else [], 1):
        if match := NOTE.match(line):
            where = f"{source}, line {number}: the note"
            try:
                note = json.loads(match[1])
            except json.JSONDecodeError as error:
                raise ValueError(f"{where} is no JSON: {error}") from error
            if not isinstance(note, dict):
                raise ValueError(f"{where} must be a JSON object; it is {note!r}")
            for key, value in note.items():
                if not isinstance(value, NOTES.get(key, ())):
                    raise ValueError(f"{where} says {key!r} of {value!r}, which no note does")
            notes |= note
    return notes


def _tokens(text: str) -> tuple[list[str], list[int]]:
    tokens: list[str] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        code = line.partition("#")[0]
        if "- " in code or "+ " in code:
            code = LONE_SIGN.sub(r"\1", code)
        found = code.replace(":", " : ").replace("*", " * ").split()
        tokens += found
        lines += [number] * len(found)
    return tokens, lines


def _is_head(tokens: list[str], i: int) -> bool:
    """Whether a statement begins here: a word and a colon, and no state called, say, Start."""
    after = tokens[i + 1 : i + 3]
    if tokens[i].lower() == "start" and after and after[0].lower() in ("include", "exclude"):
        after = after[1:]
    return after[:1] == [":"] and (tokens[i] in RESERVED or i == 0 or tokens[i - 1] != ":")
