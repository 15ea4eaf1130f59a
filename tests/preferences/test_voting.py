"""Agreement: numbers worked out by hand, and what sides and repetitions do to them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given

from gridrl.preferences.segments import LABELS, Comparison, Segment
from gridrl.preferences.voting import (
    TURNED,
    cohens_kappa,
    label_as_asked,
    paired_labels,
    self_consistency,
)
from tests.strategies import seeds


def vote(i: int, label: str, *, voter: str = "", swapped: bool = False) -> Comparison:
    """A vote on pair i, whose label is meant for the sides as they are shown."""
    clips = Segment([2 * i], [0]), Segment([2 * i + 1], [0])
    first, second = clips[::-1] if swapped else clips
    return Comparison(first, second, label, voter)


def votes(labels: str, **more: bool) -> list[Comparison]:
    names = {label[0]: label for label in LABELS}
    return [vote(i, names[letter], **more) for i, letter in enumerate(labels)]  # type: ignore[arg-type]


def turned(sheet: list[Comparison]) -> list[Comparison]:
    return [Comparison(v.second, v.first, TURNED[v.label], v.voter) for v in sheet]


def test_kappa_by_hand() -> None:
    # 50 questions: both left 20, both right 15, a left and b right 5, the other way round 10
    a, b = votes("l" * 25 + "r" * 25), votes("l" * 20 + "r" * 5 + "l" * 10 + "r" * 15)
    # p_o = 35/50, p_e = 1/2 * 30/50 + 1/2 * 20/50 = 1/2
    assert cohens_kappa(a, b) == pytest.approx(0.4, abs=1e-12)
    assert cohens_kappa(votes("lrts"), votes("lrts")) == 1
    assert cohens_kappa(votes("lr"), votes("rl")) == -1
    assert cohens_kappa(votes("llrr"), votes("lrlr")) == 0
    assert cohens_kappa(votes("lrts"), votes("lrtt")) == pytest.approx((3 / 4 - 1 / 4) / (3 / 4))


def test_one_answer_throughout_says_nothing() -> None:
    assert math.isnan(cohens_kappa(votes("lll"), votes("lll")))
    assert cohens_kappa(votes("lll"), votes("rrr")) == 0


def test_only_pairs_in_common_count_and_the_last_vote_on_each() -> None:
    a = [*votes("llrr"), vote(0, "right"), vote(50, "tie")]
    b = [*votes("rlrr"), vote(60, "skip")]
    assert paired_labels(a, b) == [("right", "right"), ("left", "left"), *[("right", "right")] * 2]
    with pytest.raises(ValueError, match="votes_a and votes_b must have a pair in common"):
        cohens_kappa(votes("lr"), [vote(9, "left")])
    with pytest.raises(ValueError, match="there is none"):
        cohens_kappa([], [])


@given(seeds)
def test_sides_do_not_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (votes("".join(rng.choice(list("lrts"), 12))) for _ in range(2))
    there = cohens_kappa(a, b)
    assert there == pytest.approx(cohens_kappa(b, a), nan_ok=True)
    assert there == pytest.approx(cohens_kappa(a, turned(b)), nan_ok=True)
    assert there <= 1
    assert not cohens_kappa(a, a) < 1


def test_chance_agrees_no_more_than_chance() -> None:
    rng = np.random.default_rng(0)
    a, b = (votes("".join(rng.choice(list("lr"), 2000, p=[0.8, 0.2]))) for _ in range(2))
    # kappa of independent voters has standard deviation 1 / sqrt(n); 5 of them: 6e-7
    assert abs(cohens_kappa(a, b)) < 5 / np.sqrt(2000)


def test_a_label_as_it_was_asked() -> None:
    question = vote(0, "tie", swapped=True)
    answers = [label_as_asked(vote(0, label), question) for label in LABELS]
    assert answers == ["right", "left", "tie", "skip"]
    assert label_as_asked(vote(0, "left"), vote(0, "skip")) == "left"
    with pytest.raises(ValueError, match=r"vote must be on pair .*; it is on "):
        label_as_asked(vote(0, "left"), vote(1, "left"))


def test_who_says_the_same_when_the_sides_are_swapped() -> None:
    told = [
        vote(0, "left"), vote(1, "left"), vote(2, "tie"), vote(3, "left"), vote(4, "skip"),
        vote(0, "right", swapped=True),  # the same clip
        vote(1, "left", swapped=True),  # the same key
        vote(2, "tie", swapped=True),
        vote(3, "left"),  # not swapped: the same
        vote(3, "tie"),  # compared with the time before
    ]  # fmt: skip
    found = self_consistency(told)
    assert (found.repeats, found.agreed, found.share) == (5, 3, 0.6)
    assert repr(found) == "Consistency(3 of 5 repeated questions)"


@pytest.mark.parametrize(
    ("labels", "swapped", "agreed"),
    [
        (["left", "right"], True, 1),
        (["left", "left"], True, 0),
        (["left", "left"], False, 1),
        (["skip", "skip"], True, 1),
        (["left", "tie", "tie"], False, 1),
        (["left", "tie", "left"], False, 0),
    ],
)
def test_each_answer_is_compared_with_the_one_before(
    labels: list[str], swapped: bool, agreed: int
) -> None:
    told = [vote(0, label, swapped=swapped and i % 2 == 1) for i, label in enumerate(labels)]
    found = self_consistency(told)
    assert (found.repeats, found.agreed) == (len(labels) - 1, agreed)


def test_voters_are_asked_about_themselves_only() -> None:
    told = [vote(0, "left", voter="Ada"), vote(0, "right", voter="Bob")]
    none = self_consistency(told)
    assert (none.repeats, none.agreed) == (0, 0)
    assert math.isnan(none.share)
    assert self_consistency([*told, vote(0, "left", voter="Ada")]).share == 1
