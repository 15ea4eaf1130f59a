"""Votes on answers: texts and numbers, all pairs of a ranking, a Bradley-Terry human."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from gridrl.rlhf.choices import plackett_luce
from gridrl.rlhf.labelling import all_pairs, label_pairs, label_rankings
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.tokens import TokenWorld
from gridrl.rlhf.votes import Pairs, Rankings
from gridrl.tables import Array

WORLD = TokenWorld(["?", "!"], "ab", 2)
BAD_PAIRS = [
    (([0], [7], [1], 1.0), ValueError, r"chosen\[0\] must be in 0..6; it is 7"),
    (([2], [0], [1], 1.0), ValueError, r"prompt\[0\] must be in 0..1; it is 2"),
    (([0], [0.5], [1], 1.0), TypeError, r"chosen must hold whole numbers"),
    (([0, 1], [0], [1], 1.0), ValueError, r"chosen must have shape \(2,\); it has \(1,\)"),
    (([[0]], [0], [1], 1.0), ValueError, r"prompt must have shape \(n,\); it has \(1, 1\)"),
    (([0, 0], [1, 3], [2, 3], 1.0), ValueError, r"rejected\[1\] must differ from chosen\[1\]"),
    (([0, 0], [1, 1], [2, 2], [0.5, 1.5]), ValueError, r"mu\[1\] must be in \[0, 1\]; it is 1.5"),
    (([0, 0], [1, 1], [2, 2], [0.5]), ValueError, r"mu must have shape \(2,\)"),
]
BAD_TEXTS = [
    ([("?", "a$")], r"votes\[0\] must be \(prompt, chosen, rejected\)"),
    ([("?", "a$", "b$"), "?ab"], r"votes\[1\] must be \(prompt, chosen, rejected\)"),
    ([("x", "a$", "b$")], r"prompt must be one of '\?', '!'; it is 'x'"),
    ([("?", "c$", "b$")], r"votes\[0\]\[0\] must be one of a b \$; it is 'c'"),
    ([("?", "aaa$", "b$")], r"votes\[0\] must have at most 2 tokens; it has 4"),
]


def _model(seed: int = 0) -> LanguageModel:
    blank = LanguageModel(WORLD)
    return blank.with_logits(np.random.default_rng(seed).normal(size=blank.logits.shape))


def _reward(seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=(2, WORLD.n_completions))


def test_texts_and_back() -> None:
    written = [("?", "a$", "bb"), ("!", "$", "b$")]
    votes = Pairs.from_texts(WORLD, written, [1.0, 0.5])
    assert votes.texts == written
    assert votes.mu.tolist() == [1.0, 0.5]
    assert len(votes) == 2
    assert votes.take([False, True]).texts == written[1:]
    assert votes.take([1, 0]).mu.tolist() == [0.5, 1.0]
    assert repr(votes).startswith("Pairs(2 votes, TokenWorld(2 prompts")


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_votes_stay_locked(twin: Callable[[Any], Any]) -> None:
    pairs = Pairs(WORLD, [0], [1], [2])
    rankings = Rankings(WORLD, [0], [[1, 2, 0]])
    for values in (twin(pairs).chosen, twin(pairs).mu, twin(rankings).completions):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0


@pytest.mark.parametrize(("columns", "error", "message"), BAD_PAIRS)
def test_bad_pairs(columns: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Pairs(WORLD, *columns)


@pytest.mark.parametrize(("written", "message"), BAD_TEXTS)
def test_bad_texts(written: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pairs.from_texts(WORLD, written)


def test_bad_rankings() -> None:
    with pytest.raises(ValueError, match=r"completions\[1\] must differ .* it is \[2 0 2\]"):
        Rankings(WORLD, [0, 0], [[0, 1, 2], [2, 0, 2]])
    with pytest.raises(
        ValueError, match=r"must have shape \(1, K\), K at least 2; it has \(1, 1\)"
    ):
        Rankings(WORLD, [0], [[0]])
    with pytest.raises(ValueError, match="rank equally many answers; they rank 2 to 3"):
        Rankings.from_texts(WORLD, [("?", "a$", "b$"), ("?", "a$", "b$", "$")])
    for vote in [("?", "a$"), ("?", ("a$",)), ("?", "a$", ()), "?ab", (("?",), "a$", "$")]:
        with pytest.raises(ValueError, match=r"votes\[0\] must be \(prompt, best, ..., worst\)"):
            Rankings.from_texts(WORLD, [vote])
    with pytest.raises(ValueError, match=r"ranks\[1\] must never fall, .*; it is \[1 0\]"):
        Rankings(WORLD, [0, 0], [[0, 1], [2, 3]], [[0, 1], [1, 0]])
    with pytest.raises(ValueError, match=r"ranks must have shape \(1, 2\) as completions"):
        Rankings(WORLD, [0], [[0, 1]], [0, 1])


def test_all_pairs_of_rankings_stand_together() -> None:
    votes = Rankings.from_texts(WORLD, [("!", "ab", "$", "a$"), ("?", "b$", "bb", "$")])
    assert votes.pairs().texts == [
        ("!", "ab", "$"), ("!", "ab", "a$"), ("!", "$", "a$"),
        ("?", "b$", "bb"), ("?", "b$", "$"), ("?", "bb", "$"),
    ]  # fmt: skip
    assert len(votes) == 2
    assert votes.take([1]).pairs().texts[0] == ("?", "b$", "bb")
    assert repr(votes).startswith("Rankings(2 of 3,")
    tied = Rankings.from_texts(WORLD, [("!", ("ab", "$"), "a$"), ("?", "b$", "bb", "$")])
    assert tied.ranks.tolist() == [[0, 0, 1], [0, 1, 2]]
    assert tied.pairs().mu.tolist() == [0.5, 1, 1, 1, 1, 1]
    assert tied.take([0]).ranks.tolist() == [[0, 0, 1]]


def test_counts_share_ties() -> None:
    votes = Pairs(WORLD, [0, 0, 1, 1], [1, 2, 3, 3], [2, 1, 4, 4], [1.0, 1.0, 0.5, 1.0])
    weights = votes.weights
    assert weights.sum() == 1
    assert weights[0, 1, 2] == weights[0, 2, 1] == 0.25
    assert (weights[1, 3, 4], weights[1, 4, 3]) == (0.375, 0.125)


def test_infinite_votes_follow_bradley_terry() -> None:
    R, model = _reward(), _model()
    w = all_pairs(WORLD, R, model, 2.0)
    assert w.sum() == pytest.approx(1)
    np.testing.assert_allclose(w.sum(axis=(1, 2)), 0.5)
    shown = w + w.swapaxes(1, 2)
    assert (np.diagonal(shown, axis1=1, axis2=2) == 0).all()
    off = ~np.eye(WORLD.n_completions, dtype=bool)
    share = w[:, off] / shown[:, off]
    np.testing.assert_allclose(share, expit(2 * (R[:, :, None] - R[:, None, :]))[:, off])
    p = model.probs  # shown as often as two draws that differ
    expected = (p[:, :, None] * p[:, None, :])[:, off]
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shown[:, off], expected)


def test_sampled_votes_have_the_weights_of_all_pairs() -> None:
    R, model, n = _reward(), _model(), 40_000
    w = all_pairs(WORLD, R, model, 1.5)
    seen = label_pairs(WORLD, R, model, n, beta=1.5, rng=3).weights
    cells = w > 0
    score = n * ((seen[cells] - w[cells]) ** 2 / w[cells]).sum()
    # chi-square with 83 degrees of freedom: above 150 once in 100,000 seeds
    assert cells.sum() == 84
    assert score < 150
    assert (
        label_pairs(WORLD, R, model, 9, rng=3).texts == label_pairs(WORLD, R, model, 9, rng=3).texts
    )


def test_sampled_rankings_are_plackett_luce() -> None:
    world, n = TokenWorld(["?"], "ab", 1), 30_000
    R = np.array([[0.8, -0.3, 0.1]])
    votes = label_rankings(world, R, LanguageModel(world), n, 3, beta=2.0, rng=0)
    odds = np.exp(2 * R[0])
    for order in permutations(range(3)):
        a, b, c = odds[list(order)]
        p = a / (a + b + c) * b / (b + c)
        seen = (votes.completions == order).all(axis=1).mean()
        # 4.5 standard deviations, six times: a false alarm in 24,000 seeds
        assert abs(seen - p) < 4.5 * np.sqrt(p * (1 - p) / n)


def test_rankings_show_what_the_model_writes() -> None:
    world = TokenWorld(["?"], "abc", 1)
    model = LanguageModel(world, [[0.0, 0.0, -np.inf, 0.0]])
    votes = label_rankings(world, np.zeros((1, 4)), model, 200, 2, rng=1)
    silent = world.completion("c")
    assert silent not in votes.completions
    assert set(votes.completions.ravel().tolist()) == {0, 1, 2, 3} - {silent}
    with pytest.raises(
        ValueError, match="k must be at most 3, the answers that the model can give"
    ):
        label_rankings(world, np.zeros((1, 4)), model, 2, 4, rng=1)


def test_bad_questions() -> None:
    model, R = _model(), _reward()
    with pytest.raises(ValueError, match="n must be at least 1; it is 0"):
        label_pairs(WORLD, R, model, 0)
    with pytest.raises(ValueError, match=r"beta must be in \[0, inf\]; it is -1"):
        label_pairs(WORLD, R, model, 2, beta=-1.0)
    with pytest.raises(ValueError, match=r"reward must have shape \(2, 7\); it has \(1, 7\)"):
        all_pairs(WORLD, R[:1], model, 1.0)
    with pytest.raises(ValueError, match="model must be of the same world"):
        all_pairs(WORLD, R, LanguageModel(TokenWorld(["?", "!"], "ac", 2)), 1.0)
    sure = np.zeros(model.logits.shape)
    sure[0, :2] = -np.inf
    with pytest.raises(
        ValueError, match=r"model must have two answers to compare; it has one to '\?'"
    ):
        label_pairs(WORLD, R, model.with_logits(sure), 2)


def test_a_tuple_ties_and_a_list_is_one_answer() -> None:
    votes = Rankings.from_texts(WORLD, [("?", ["a", "$"], ("bb", "$"))])
    assert votes.completions.tolist() == [[1, 6, 0]]
    assert votes.ranks.tolist() == [[0, 1, 1]]
    for vote in [(), 5, ("?",), ("?", 3)]:
        with pytest.raises((ValueError, TypeError)):
            Rankings.from_texts(WORLD, [vote])  # type: ignore[list-item]


def test_too_many_ties_for_all_their_orders() -> None:
    world = TokenWorld(["?"], "abc", 2)
    votes = Rankings.from_texts(world, [("?", world.texts[:12])])
    with pytest.raises(ValueError, match=r"at most 10 answers that tie .* one has 12"):
        plackett_luce(world, votes)
    assert len(votes.pairs()) == 66
