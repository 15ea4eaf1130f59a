"""Two-argument preference functions from votes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from gridrl.rlhf.games import preference_game, preferences
from gridrl.rlhf.labelling import all_pairs, label_pairs
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.preference_models import (
    fit_bilinear_preferences,
    fit_preference_model,
)
from gridrl.rlhf.tokens import TokenWorld
from gridrl.rlhf.votes import LARGEST, Pairs
from gridrl.tables import Array

WORLD = TokenWorld(["?", "!"], "abc", 1)  # 4 answers to each
SEEDS = st.integers(0, 2**32 - 1)


def circular_votes(M: Array, n: int, rng: int) -> Pairs:
    """Votes on even pairs of answers to the first prompt, by the probabilities M (N, N)."""
    chance = np.random.default_rng(rng)
    first = chance.integers(len(M), size=n)
    second = (first + chance.integers(1, len(M), size=n)) % len(M)
    wins = chance.random(n) < M[first, second]
    chosen, rejected = np.where(wins, first, second), np.where(wins, second, first)
    return Pairs(WORLD, np.zeros(n, dtype=int), chosen, rejected)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_infinite_votes_give_the_human_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    R, model = rng.normal(size=(2, 4)), LanguageModel(WORLD, rng.normal(size=(2, 4)))
    M = fit_preference_model(WORLD, all_pairs(WORLD, R, model, 1.0))
    np.testing.assert_allclose(M, expit(R[:, :, None] - R[:, None, :]), atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.floats(0, 3))
def test_votes_are_counted(seed: int, smoothing: float) -> None:
    rng = np.random.default_rng(seed)
    R = rng.normal(size=(2, 4))
    votes = label_pairs(WORLD, R, LanguageModel(WORLD), 30, rng=seed)
    wins = np.full((2, 4, 4), smoothing)
    for x, y, other in zip(votes.prompt, votes.chosen, votes.rejected, strict=True):
        wins[x, y, other] += 1
    M = preferences(fit_preference_model(WORLD, votes, smoothing=smoothing))
    for x, y, other in np.ndindex(2, 4, 4):
        both = wins[x, y, other] + wins[x, other, y]
        expected = wins[x, y, other] / both if both and y != other else 0.5
        assert M[x, y, other] == pytest.approx(expected, abs=1e-12)


def test_ties_count_half() -> None:
    M = fit_preference_model(WORLD, Pairs(WORLD, [0, 0], [0, 0], [1, 1], [0.5, 1.0]))
    assert M[0, 0, 1] == pytest.approx(0.75)
    assert M[1, 0, 1] == 0.5


def test_a_circle_is_kept_and_its_equilibrium_found() -> None:
    circle = np.full((4, 4), 0.5)
    for y, other, p in ((1, 2, 0.9), (2, 3, 0.8), (3, 1, 0.7), (1, 0, 1.0), (2, 0, 1), (3, 0, 1)):
        circle[y, other], circle[other, y] = p, 1 - p
    M = fit_preference_model(WORLD, circular_votes(circle, 40_000, 0))
    # a pair has about 6700 votes: 5 deviations of at most 0.5 / sqrt(6000), 12 entries: 1e-5
    np.testing.assert_allclose(M[0], circle, atol=5 * 0.5 / np.sqrt(6000))
    np.testing.assert_allclose(preference_game(M).policy[0], [0, 3 / 9, 2 / 9, 4 / 9], atol=0.04)


def test_bilinear_says_what_no_reward_can() -> None:
    votes = Pairs.from_texts(WORLD, [("?", "a", "b"), ("?", "b", "c"), ("?", "c", "a")])
    M = fit_bilinear_preferences(WORLD, votes, np.eye(4), l2=1e-3)
    assert min(M[0, 1, 2], M[0, 2, 3], M[0, 3, 1]) > 0.9


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_bilinear_is_a_preference_matrix_at_a_stationary_point(seed: int) -> None:
    rng = np.random.default_rng(seed)
    phi, R = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 4))
    votes = label_pairs(WORLD, R, LanguageModel(WORLD), 40, rng=seed)
    M = preferences(fit_bilinear_preferences(WORLD, votes, phi, l2=0.01))
    # slope of the loss by w: mean of -(1 - M) (phi(y) - phi(y')) + l2 w = 0, so w from the data
    x, y, other = votes.prompt, votes.chosen, votes.rejected
    i, j = np.triu_indices(3, 1)
    up, down = phi[x, y], phi[x, other]
    seen = np.concatenate([up - down, up[:, i] * down[:, j] - up[:, j] * down[:, i]], axis=1)
    theta = ((1 - M[x, y, other])[:, None] * seen).mean(axis=0) / 0.01
    np.testing.assert_allclose(expit(seen @ theta), M[x, y, other], atol=1e-3)


def test_features_speak_of_pairs_never_compared() -> None:
    """Every answer with "a" beats every other; "a" was never compared with "c"."""
    world = TokenWorld(["?"], "abc", 1)
    phi = [[0.0], [1.0], [0.0], [0.0]]
    votes = Pairs.from_texts(world, [("?", "a", "b")] * 5)
    assert fit_preference_model(world, votes)[0, 1, 3] == 0.5
    assert fit_bilinear_preferences(world, votes, phi, l2=0.01)[0, 1, 3] > 0.8


def test_refusals() -> None:
    votes = Pairs(WORLD, [0], [0], [1])
    with pytest.raises(ValueError, match=r"smoothing must be in \[0, inf\]; it is -1"):
        fit_preference_model(WORLD, votes, smoothing=-1)
    with pytest.raises(ValueError, match="comparisons must hold at least one vote"):
        fit_preference_model(WORLD, np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match="comparisons must be of the same world"):
        fit_preference_model(TokenWorld(["?"], "abc", 1), votes)
    with pytest.raises(ValueError, match="l2 must be above 0; it is 0"):
        fit_bilinear_preferences(WORLD, votes, np.eye(4), l2=0)
    with pytest.raises(ValueError, match=r"features must have shape \(2, 4, d\) or \(4, d\)"):
        fit_bilinear_preferences(WORLD, votes, np.eye(3))
    large = TokenWorld(["?"], "abcdefghij", 4)
    assert large.n_completions**2 > LARGEST
    with pytest.raises(ValueError, match=f"the world must have at most {LARGEST:,} pairs"):
        fit_preference_model(large, Pairs(large, [0], [0], [1]))
