"""Which pairs are shown: each choice against its definition, counted by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from gridrl.preferences.design import Pair
from gridrl.preferences.ensembles import RewardEnsemble
from gridrl.preferences.queries import (
    Choice,
    candidate_pairs,
    disagreement_queries,
    information_queries,
    random_queries,
)
from gridrl.preferences.segments import Comparison, Segment, pair_of
from gridrl.tables import Array

CLIPS = [Segment([s], [0]) for s in range(6)]
PAIRS = [(CLIPS[0], clip) for clip in CLIPS[1:]]


class Opinions:
    """A reward model that says what it is told to."""

    def __init__(self, p: Sequence[Sequence[float]]) -> None:
        self.p = np.array(p)

    @property
    def reward(self) -> Array:
        return np.zeros(6)

    def fit(self, comparisons: Iterable[Comparison]) -> Opinions:
        return self

    def predictions(self, pairs: Sequence[Pair]) -> Array:
        return self.p[:, : len(pairs)]


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_random_queries_are_equally_likely_and_different() -> None:
    counts = np.zeros(5)
    for seed in range(1000):
        chosen = random_queries(PAIRS, None, 2, chance(seed))
        assert len(set(chosen)) == 2
        counts[chosen] += 1
    # each is chosen with probability 2/5; 5.3 deviations of a binomial(1000, 0.4), five times:
    # a false alarm in 10^6
    assert np.abs(counts - 400).max() < 5.3 * np.sqrt(1000 * 0.4 * 0.6)


def test_disagreement_is_the_variance_of_the_predicted_preference() -> None:
    #          sure       even       split      some       little
    p = [[0.95, 0.5, 0.05, 0.3, 0.6], [0.95, 0.5, 0.95, 0.6, 0.5]]
    assert disagreement_queries(PAIRS, Opinions(p), 3, chance()) == [2, 3, 4]


def test_information_is_mutual_information_not_entropy() -> None:
    p = np.array([[0.95, 0.5, 0.05, 0.3, 0.6], [0.95, 0.5, 0.95, 0.6, 0.5]])

    def entropy(q: Array) -> Array:
        return -q * np.log(q) - (1 - q) * np.log(1 - q)

    gain = entropy(p.mean(axis=0)) - entropy(p).mean(axis=0)
    assert gain[1] == pytest.approx(0, abs=1e-12)  # even for everybody: nothing to learn of them
    chosen = information_queries(PAIRS, Opinions(p.tolist()), 5, chance())
    assert chosen[:3] == np.argsort(-gain)[:3].tolist()
    assert set(chosen[3:]) == {0, 1}


def test_information_and_disagreement_may_differ() -> None:
    # near certainty a small difference says much: variance 0.0020 and 0.0025, gain 0.0184 > 0.0050
    p = [[0.001, 0.45, 0.5, 0.5, 0.5], [0.091, 0.55, 0.5, 0.5, 0.5]]
    assert disagreement_queries(PAIRS, Opinions(p), 1, chance()) == [1]
    assert information_queries(PAIRS, Opinions(p), 1, chance()) == [0]


@pytest.mark.parametrize("choose", [disagreement_queries, information_queries])
def test_ties_are_broken_at_random(choose: Choice) -> None:
    alone = Opinions([[0.9, 0.1, 0.5, 0.7, 0.3]])  # a single member never disagrees
    firsts = {choose(PAIRS, alone, 1, chance(seed))[0] for seed in range(100)}
    assert firsts == set(range(5))  # misses one with chance 5 * 0.8**100 = 1e-9


@pytest.mark.parametrize("choose", [random_queries, disagreement_queries, information_queries])
def test_a_real_ensemble_is_asked(choose: Choice) -> None:
    votes = [Comparison(CLIPS[s], CLIPS[5], "left") for s in range(5)] * 3
    ensemble = RewardEnsemble((6,), rng=0).fit(votes)
    chosen = choose(PAIRS, ensemble, 5, chance())
    assert sorted(chosen) == list(range(5))
    if choose is disagreement_queries:
        spread = [ensemble.predict(*PAIRS[i]).var() for i in chosen]
        assert spread == sorted(spread, reverse=True)


@pytest.mark.parametrize("choose", [random_queries, disagreement_queries, information_queries])
def test_more_than_there_are_is_refused(choose: Choice) -> None:
    with pytest.raises(ValueError, match="count must be at most 5, the number of pairs; it is 6"):
        choose(PAIRS, Opinions([[0.5] * 5]), 6, chance())
    with pytest.raises(ValueError, match="count must be at least 0; it is -1"):
        choose(PAIRS, Opinions([[0.5] * 5]), -1, chance())


def test_candidates_are_new_pairs_of_different_clips() -> None:
    shown = {pair_of(*PAIRS[0]), pair_of(*PAIRS[1])}
    twins = [*CLIPS, *(Segment([s], [0]) for s in range(6))]  # equal clips are one clip
    pairs = candidate_pairs(twins, 100, lambda one, two: pair_of(one, two) in shown, chance())
    names = [pair_of(*pair) for pair in pairs]
    # 15 pairs less 2; 300 draws miss one with chance below 13 * (1 - 2 / 36)**300 = 5e-7
    assert len(names) == len(set(names)) == 13
    assert not shown & set(names)
    assert len(candidate_pairs(CLIPS, 4, lambda one, two: False, chance())) == 4


def test_without_clips_there_are_no_candidates() -> None:
    assert candidate_pairs([], 5, lambda one, two: False, chance()) == []
