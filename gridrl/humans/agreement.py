"""How far people, the oracle and a learned reward agree about the same pairs of clips.

Kappa is 1 for full agreement and 0 for that of chance; a person who does not agree with themselves
cannot agree with anybody else: look at the diagonal first.

Reading: Cohen (1960); Christiano et al. (2017), arXiv:1706.03741, appendix B.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from gridrl.preferences import Comparison, PreferenceOracle, cohens_kappa, self_consistency
from gridrl.preferences.voting import Consistency, label_as_asked, paired_labels
from gridrl.tables import Array, Indices, generator, read_only

TOO_FEW = "-"  # where there is no pair in common, or nothing was asked twice


@dataclass(frozen=True, eq=False, repr=False)
class Agreement:
    """Who agrees with whom; in a notebook, a table.

    Attributes:
        names: of the voters, (n).
        consistency: of each: how often one who was asked again said the same.
        pairs: seen by both, (n, n).
        shares: of those pairs with the same answer, (n, n); nan where there are none.
        kappas: Cohen's, (n, n); nan where it has no value.
    """

    names: tuple[str, ...]
    consistency: tuple[Consistency, ...]
    pairs: Indices
    shares: Array
    kappas: Array

    def _cells(self) -> list[list[str]]:
        rows = [["same answer (kappa)", *self.names, "asked again, said the same"]]
        for i, (name, asked) in enumerate(zip(self.names, self.consistency, strict=True)):
            again = f"{asked.agreed} of {asked.repeats}" if asked.repeats else TOO_FEW
            others = ["" if i == j else self._cell(i, j) for j in range(len(self.names))]
            rows.append([name or "(no name)", *others, again])
        return rows

    def _cell(self, i: int, j: int) -> str:
        if not self.pairs[i, j]:
            return TOO_FEW
        kappa = self.kappas[i, j]
        said = TOO_FEW if np.isnan(kappa) else f"{kappa:.2f}"
        return f"{self.shares[i, j]:.0%} of {self.pairs[i, j]} ({said})"

    def __repr__(self) -> str:
        rows = self._cells()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        padded = [[cell.ljust(w) for cell, w in zip(row, widths, strict=True)] for row in rows]
        return "\n".join("  ".join(row).rstrip() for row in padded)

    def _repr_html_(self) -> str:
        head, *rows = ([escape(cell) for cell in row] for row in self._cells())
        top = "".join(f"<th>{cell}</th>" for cell in head)
        body = "".join(
            f"<tr><th>{row[0]}</th>{''.join(f'<td>{cell}</td>' for cell in row[1:])}</tr>"
            for row in rows
        )
        return f"<table><tr>{top}</tr>{body}</table>"


def agreement(votes: Any, *, rng: int | np.random.Generator | None = None) -> Agreement:
    """Say how often voters agree with themselves and with each other, and Cohen's kappa.

    Args:
        votes: a dataset or comparisons, told apart by their voters' names; or a mapping from a name
            to one of these, to an oracle, or to a reward table: {"you": dataset, "the oracle":
            oracle, "the learned reward": learned.reward}. Oracles and rewards are asked about the
            pairs that people were asked about; a reward prefers the larger sum.
        rng: of oracles that answer by chance: a seed, a Generator, or None for fresh chance.

    >>> from gridrl.preferences import Segment
    >>> a, b = Segment([0], [0]), Segment([1], [0])
    >>> you = [Comparison(a, b, "right"), Comparison(b, a, "left")]
    >>> agreement({"you": you, "the oracle": PreferenceOracle([0.0, 1.0])})
    same answer (kappa)  you            the oracle     asked again, said the same
    you                                 100% of 1 (-)  1 of 1
    the oracle           100% of 1 (-)                 -

    Raises:
        TypeError: an entry is none of these.
        ValueError: there are no votes of a person.
    """
    named = dict(votes) if isinstance(votes, Mapping) else _by_voter(votes)
    people = {name: _comparisons(entry) for name, entry in named.items() if not _judges(entry)}
    asked: dict[str, Comparison] = {}
    for vote in (vote for theirs in people.values() for vote in theirs):
        asked.setdefault(vote.pair, vote)
    if not asked:
        raise ValueError("votes must hold at least one vote of a person; there is none")
    chance = generator(rng)
    said = {
        name: people[name] if name in people else _answers(entry, list(asked.values()), chance)
        for name, entry in named.items()
    }
    rows = [[_turned(vote, asked[vote.pair]) for vote in theirs] for theirs in said.values()]
    both = [[paired_labels(ours, theirs) for theirs in rows] for ours in rows]
    pairs = np.array([[len(seen) for seen in row] for row in both])
    shares = [[_share(seen) for seen in row] for row in both]
    kappas = [[_kappa(ours, theirs) for theirs in rows] for ours in rows]
    return Agreement(
        tuple(map(str, said)), tuple(map(self_consistency, said.values())),
        read_only(pairs), read_only(np.array(shares)), read_only(np.array(kappas)),
    )  # fmt: skip


def _turned(vote: Comparison, question: Comparison) -> Comparison:
    """The vote with its clips on the sides of `question`'s: kappa depends on who counts as left."""
    label = label_as_asked(vote, question)
    return Comparison(question.first, question.second, label, vote.voter)


def _share(seen: Sequence[tuple[str, str]]) -> float:
    return float(np.mean([a == b for a, b in seen])) if seen else float("nan")


def _kappa(ours: Sequence[Comparison], theirs: Sequence[Comparison]) -> float:
    return cohens_kappa(ours, theirs) if paired_labels(ours, theirs) else float("nan")


def _by_voter(votes: Iterable[Any]) -> dict[str, list[Comparison]]:
    found: dict[str, list[Comparison]] = {}
    for vote in _comparisons(votes):
        found.setdefault(vote.voter, []).append(vote)
    return found


def _judges(entry: Any) -> bool:
    """Say whether this is an oracle or a reward, rather than somebody's votes."""
    numbers = isinstance(entry, np.ndarray) or (
        isinstance(entry, Sequence) and len(entry) > 0 and isinstance(entry[0], int | float)
    )
    return numbers or hasattr(entry, "label")


def _comparisons(entry: Any) -> list[Comparison]:
    if not isinstance(entry, Iterable):
        raise TypeError(f"votes must be comparisons, an oracle or a reward; found {entry!r}")
    theirs = list(entry)
    for i, vote in enumerate(theirs):
        if not isinstance(vote, Comparison):
            raise TypeError(f"votes[{i}] must be a Comparison; it is a {type(vote).__name__}")
    return theirs


def _answers(entry: Any, asked: list[Comparison], rng: np.random.Generator) -> list[Comparison]:
    """What an oracle, or a reward, says about the pairs that people were asked about."""
    oracle = entry if hasattr(entry, "label") else PreferenceOracle(entry)
    return [
        Comparison(vote.first, vote.second, oracle.label(vote.first, vote.second, rng))
        for vote in asked
    ]
