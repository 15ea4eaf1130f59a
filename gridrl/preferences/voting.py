"""How far voters agree: with themselves, asked twice, and with each other.

Symbols: p_o the share of pairs with the same answer; p_e the same for two voters who answer by
chance, each as often "left", "right", "tie" and "skip" as they did.

Reading: Cohen (1960), A coefficient of agreement for nominal scales.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from gridrl.preferences.segments import LABELS, Comparison

TURNED = {"left": "right", "right": "left", "tie": "tie", "skip": "skip"}


@dataclass(frozen=True, eq=False)
class Consistency:
    """How a voter answered what was asked before.

    Attributes:
        repeats: how many questions were about a pair the voter had seen.
        agreed: how many of them were answered as the time before, whichever clip was on the left.
    """

    repeats: int
    agreed: int

    @property
    def share(self) -> float:
        """agreed / repeats; nan where nothing was asked twice."""
        return self.agreed / self.repeats if self.repeats else float("nan")

    def __repr__(self) -> str:
        return f"Consistency({self.agreed} of {self.repeats} repeated questions)"


def self_consistency(comparisons: Iterable[Comparison]) -> Consistency:
    """Count how often a voter who is asked again about a pair says the same; voters apart.

    >>> from gridrl.preferences.segments import Segment
    >>> a, b = Segment([0], [0]), Segment([1], [0])
    >>> self_consistency([Comparison(a, b, "left"), Comparison(b, a, "right")])
    Consistency(1 of 1 repeated questions)
    """
    before: dict[tuple[str, str], Comparison] = {}
    repeats = agreed = 0
    for vote in comparisons:
        last = before.get((vote.voter, vote.pair))
        if last is not None:
            repeats += 1
            agreed += vote.label == label_as_asked(last, vote)
        before[vote.voter, vote.pair] = vote
    return Consistency(repeats, agreed)


def label_as_asked(vote: Comparison, question: Comparison) -> str:
    """The label of a vote as if its clips had been on the sides of `question`'s.

    Raises:
        ValueError: they are about different pairs.
    """
    if vote.pair != question.pair:
        raise ValueError(f"vote must be on pair {question.pair}; it is on {vote.pair}")
    return vote.label if vote.first.key == question.first.key else TURNED[vote.label]


def paired_labels(
    votes_a: Iterable[Comparison], votes_b: Iterable[Comparison]
) -> list[tuple[str, str]]:
    """What each of two voters said about the pairs that both saw, as a saw them.

    The last vote on a pair counts.
    """
    theirs = {vote.pair: vote for vote in votes_b}
    last = {vote.pair: vote for vote in votes_a}
    return [
        (vote.label, label_as_asked(theirs[pair], vote))
        for pair, vote in last.items()
        if pair in theirs
    ]


def cohens_kappa(votes_a: Iterable[Comparison], votes_b: Iterable[Comparison]) -> float:
    """kappa = (p_o - p_e) / (1 - p_e): 1 is full agreement, 0 is that of chance.  [Cohen 1960]

    >>> from gridrl.preferences.segments import Segment
    >>> a, b, c = (Segment([s], [0]) for s in range(3))
    >>> ada = [Comparison(a, b, "left"), Comparison(b, c, "right"), Comparison(a, c, "left")]
    >>> bob = [Comparison(a, b, "left"), Comparison(c, b, "left"), Comparison(a, c, "right")]
    >>> round(cohens_kappa(ada, bob), 2)  # p_o = 2/3, p_e = 4/9
    0.4

    Over the pairs that both saw; sides are those of a. nan where both always gave one and the same
    answer: chance would agree as well.

    Raises:
        ValueError: no pair in common.
    """
    said = paired_labels(votes_a, votes_b)
    if not said:
        raise ValueError("votes_a and votes_b must have a pair in common; there is none")
    n = len(said)
    observed = sum(a == b for a, b in said) / n
    times_a, times_b = (Counter(labels) for labels in zip(*said, strict=True))
    by_chance = sum(times_a[label] * times_b[label] for label in LABELS) / n**2
    return (observed - by_chance) / (1 - by_chance) if by_chance < 1 else float("nan")
