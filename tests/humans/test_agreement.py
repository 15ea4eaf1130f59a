from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gridrl.humans import SimulatedHuman, agreement, ask_human
from gridrl.preferences import Comparison, PreferenceDataset, PreferenceOracle
from tests.humans.worlds import ANSWERS, FISH, ICE, ORACLE, PAIRS

DISTINCT = [PAIRS[0], *PAIRS[2:]]


def votes(voter: str, *labels: str) -> list[Comparison]:
    return [Comparison(*pair, label, voter) for pair, label in zip(DISTINCT, labels, strict=True)]


def test_two_voters_by_hand() -> None:
    ada = votes("Ada", "left", "right", "left", "tie")
    bob = votes("Bob", "left", "right", "right", "left")
    found = agreement([*ada, *bob])
    assert found.names == ("Ada", "Bob")
    assert found.pairs.tolist() == [[4, 4], [4, 4]]
    np.testing.assert_allclose(found.shares, [[1, 0.5], [0.5, 1]])
    by_chance = (2 * 2 + 1 * 2 + 1 * 0) / 16  # left, right, tie
    kappa = (0.5 - by_chance) / (1 - by_chance)
    np.testing.assert_allclose(found.kappas, [[1, kappa], [kappa, 1]])
    assert "50% of 4 (0.20)" in repr(found)


def test_you_the_oracle_and_the_learned_reward() -> None:
    dataset = PreferenceDataset()
    ask_human(ICE, DISTINCT, dataset, front=SimulatedHuman(ORACLE), checks=1.0, rng=0)
    upside_down = -np.array(FISH)
    found = agreement({"you": dataset, "the oracle": ORACLE, "wrong": upside_down, "list": FISH})
    assert found.names == ("you", "the oracle", "wrong", "list")
    np.testing.assert_allclose(found.shares[0], [1, 1, 0.5, 1])  # two of four are ties
    assert (found.consistency[0].agreed, found.consistency[0].repeats) == (4, 4)
    assert found.consistency[1].repeats == 0
    lines = repr(found).splitlines()
    assert lines[0].split("  ")[-1] == "asked again, said the same"
    assert lines[1].endswith("4 of 4")
    assert "100% of 4 (1.00)" in lines[1]


def test_it_does_not_matter_who_saw_which_clip_on_the_left() -> None:
    ada = votes("Ada", "left", "right", "left", "tie")
    bob = votes("Bob", "left", "right", "right", "left")
    swap = {"left": "right", "right": "left", "tie": "tie"}
    turned = [Comparison(v.second, v.first, swap[v.label], "Bob") for v in bob]
    found = agreement([*ada, bob[0], *turned[1:]])
    np.testing.assert_array_equal(found.kappas, agreement([*ada, *bob]).kappas)
    np.testing.assert_array_equal(found.kappas, found.kappas.T)


def test_an_oracle_that_guesses_is_asked_with_the_given_chance() -> None:
    guesser = PreferenceOracle(FISH, error=1.0)
    you = [Comparison(a, b, label) for (a, b), label in zip(PAIRS, ANSWERS, strict=True)]
    entries = {"you": you, "guesser": guesser}
    first, again = (agreement(entries, rng=3).shares for _ in range(2))
    np.testing.assert_array_equal(first, again)
    several = {float(agreement(entries, rng=k).shares[0, 1]) for k in range(20)}
    assert len(several) > 1


def test_strangers_have_no_agreement() -> None:
    found = agreement({"Ada": votes("", *ANSWERS[:4])[:1], "Bob": votes("", *ANSWERS[:4])[1:]})
    assert found.pairs[0, 1] == 0
    assert np.isnan(found.kappas[0, 1])
    assert repr(found).splitlines()[1].split() == ["Ada", "-", "-"]


def test_the_table_escapes_names() -> None:
    page = agreement({"<b>Ada</b>": votes("", *ANSWERS[:4])})._repr_html_()
    assert "&lt;b&gt;Ada" in page
    assert "<b>" not in page


def test_no_votes_and_other_things_are_refused() -> None:
    empty: list[Any] = [[], {"the oracle": ORACLE}, PreferenceDataset()]
    for nothing in empty:
        with pytest.raises(ValueError, match="votes must hold at least one vote of a person"):
            agreement(nothing)
    with pytest.raises(TypeError, match=r"votes\[0\] must be a Comparison; it is a str"):
        agreement(["left"])
    with pytest.raises(TypeError, match="votes must be comparisons, an oracle or a reward; found"):
        agreement({"you": 3})
