"""Identities of imitation, best of n and reward models, on random worlds.

Each side is computed by other code: the library's on the left, a sum over all answers, tokens,
groups or orders, or a difference of one, on the right.
"""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit

from gridrl.rlhf import (
    LanguageModel,
    Pairs,
    Rankings,
    TokenWorld,
    accuracy_by_gap,
    all_pairs,
    best_of_n,
    centred,
    fit_reward_model,
    gradient_terms,
    log_likelihood,
    pairwise,
    perplexity,
    plackett_luce,
    rejection_sampling,
    reward_accuracy,
    reward_calibration,
    reward_ceiling,
    sft,
    teacher_forcing,
)
from gridrl.tables import Array
from tests.rlhf.identities import CONTEXTS, SEEDS, beside, corpus_of, few, is_gradient_of
from tests.rlhf.strategies import models, rewarded
from tests.strategies import seeds

# --- imitation ----------------------------------------------------------------------------------


@settings(max_examples=15)
@given(few(), seeds)
def test_the_likelihood_is_of_every_token_and_the_end(model: LanguageModel, seed: int) -> None:
    world = model.world
    weights = np.random.default_rng(seed).exponential(size=model.probs.shape)
    total = sum(
        weights[world.prompt(x), world.completion(y)] * np.log(model.next_token(x, y[:t])[token])
        for x in world.prompts
        for y in world.texts
        for t, token in enumerate(y)
    )
    corpus, tokens = corpus_of(world, weights), (weights * [len(y) for y in world.texts]).sum()
    assert log_likelihood(model, corpus) == pytest.approx(total / weights.sum(), rel=1e-12)
    assert perplexity(model, corpus) == pytest.approx(np.exp(-total / tokens), rel=1e-12)


@settings(max_examples=20)
@given(models(CONTEXTS), seeds, st.booleans())
def test_imitation_by_counting_is_the_best_of_its_objective(
    model: LanguageModel, seed: int, by_length: bool
) -> None:
    weights = np.random.default_rng(seed).exponential(size=model.probs.shape)
    per = weights / np.array([len(y) for y in model.world.texts]) if by_length else weights

    def likelihood(m: LanguageModel) -> float:
        return float((per * m.log_probs).sum() / weights.sum())

    learned = sft(model, corpus_of(model.world, weights), length_normalised=by_length)
    is_gradient_of(np.zeros(model.logits.shape), likelihood, learned)  # it is concave in the logits
    assert likelihood(learned) >= likelihood(model) - 1e-12


# --- the best of n ------------------------------------------------------------------------------


@given(rewarded(CONTEXTS), st.integers(1, 1000))
def test_the_best_of_n_is_a_difference_of_powers(case: Any, n: int) -> None:
    model, R = case
    p, below = model.probs, R[:, None, :] < R[:, :, None]
    under = (below * p[:, None, :]).sum(axis=2)
    tied = ((R[:, None, :] == R[:, :, None]) * p[:, None, :]).sum(axis=2)
    powers = p / tied * ((under + tied) ** n - under**n)
    np.testing.assert_allclose(best_of_n(model, R, n).probs, powers, atol=1e-11)  # n roundings


@given(rewarded(CONTEXTS), st.integers(2, 1000))
def test_with_atoms_the_kl_is_below_its_bound(case: Any, n: int) -> None:
    model, R = case
    best = best_of_n(model, R, n)
    assert (best.kl < np.log(n) - 1 + 1 / n - 1e-6).all()  # at most 40 answers: a gap of 1e-4
    assert (best.win_rate < n / (n + 1) - 1e-6).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_without_atoms_it_meets_the_bound(seed: int) -> None:
    even = LanguageModel(TokenWorld(["?"], "ab", 12), [[0.0, 0.0, -np.inf]], context=0)
    n = 2 + 3 * seed
    best = best_of_n(even, np.random.default_rng(seed).normal(size=even.probs.shape), n)
    # 4096 answers as likely as each other: what is missing is of order (n / 4096)^2
    assert best.kl == pytest.approx(np.log(n) - 1 + 1 / n, abs=(n / 4096) ** 2)
    assert best.win_rate == pytest.approx(n / (n + 1), abs=(n / 4096) ** 2)


@settings(max_examples=20)
@given(rewarded(CONTEXTS), st.integers(1, 20))
def test_rejection_sampling_is_imitation_of_the_winners(case: Any, n: int) -> None:
    model, R = case
    imitated = sft(model, corpus_of(model.world, best_of_n(model, R, n).probs))
    learned = rejection_sampling(model, R, n)
    np.testing.assert_allclose(learned.probs, imitated.probs, atol=1e-12)


@settings(max_examples=20)
@given(models(CONTEXTS), seeds)
def test_learning_what_is_right_climbs_its_log_chance(model: LanguageModel, seed: int) -> None:
    """The policy gradient of a reward of 0 or 1, over the success rate: a prompt's, or of all."""
    right = (np.random.default_rng(seed).random(model.probs.shape) < 0.4).astype(float)
    right[:, 0] = 1
    chance = (model.probs * right).sum(axis=1, keepdims=True)
    for rate in (chance, chance.mean()):
        shown = corpus_of(model.world, model.probs * right / rate)
        step = teacher_forcing(model, shown, steps=1, alpha=1.0).model.logits - model.logits
        policy_gradient = gradient_terms(model, right / rate, beta=0.0).total
        np.testing.assert_allclose(step, policy_gradient, atol=1e-13)
    is_gradient_of(step, lambda m: float(np.log((m.probs * right).sum() / len(right))), model)


# --- reward models ------------------------------------------------------------------------------


@settings(max_examples=15)
@given(few(), seeds)
def test_bradley_terry_is_logistic_regression(model: LanguageModel, seed: int) -> None:
    _, R, beta = beside(model, seed)
    F = np.random.default_rng(seed).normal(size=(*R.shape, 2))
    votes = all_pairs(model.world, R, model, beta)
    x, y, other = np.nonzero(votes)
    weight, D = votes[x, y, other], F[x, y] - F[x, other]

    def loss(theta: Array) -> tuple[float, Array]:
        value = float(weight @ np.logaddexp(0, -D @ theta))
        return value, -D.T @ (weight * expit(-D @ theta))

    found = minimize(loss, np.zeros(2), jac=True, tol=1e-9)
    fitted = fit_reward_model(model.world, votes, features=F)
    assert fitted.loss == pytest.approx(found.fun, abs=1e-9)
    np.testing.assert_allclose(D @ fitted.weights, D @ found.x, atol=1e-3)  # half the digits


@settings(max_examples=40)
@given(seeds, st.integers(2, 14))
def test_a_finite_maximum_exists_unless_some_never_lose_to_others(seed: int, n: int) -> None:
    rng, world = np.random.default_rng(seed), TokenWorld(["?", "!"], "abc", 1)
    votes = np.array([[rng.integers(2), *rng.permutation(4)[:2]] for _ in range(n)])
    W = np.zeros((2, 4, 4))
    np.add.at(W, tuple(votes.T), 1)
    sets = [np.array(s) for s in product([False, True], repeat=4)]
    stands_above = any((w[s][:, ~s] > 0).any() and not w[~s][:, s].any() for w in W for s in sets)
    fitted = fit_reward_model(world, Pairs(world, *votes.T))
    assert fitted.exists != stands_above
    if fitted.exists:
        r = fitted.reward
        due = (W + W.swapaxes(1, 2)) * expit(r[:, :, None] - r[:, None, :])
        np.testing.assert_allclose(W.sum(axis=2), due.sum(axis=2), atol=1e-8)


@settings(max_examples=30)
@given(few(), seeds)
def test_the_k_wise_loss_is_a_mean_over_pairs(model: LanguageModel, seed: int) -> None:
    rng, (P, N) = np.random.default_rng(seed), model.probs.shape
    K, r, x = int(rng.integers(2, N + 1)), rng.normal(size=(P, N)), rng.integers(P, size=3)
    orders = np.array([rng.permutation(N)[:K] for _ in x])
    by_hand = [
        np.log1p(np.exp(r[k, order[j]] - r[k, order[i]]))
        for k, order in zip(x, orders, strict=True)
        for i in range(K)
        for j in range(i + 1, K)
    ]
    choices = pairwise(model.world, Rankings(model.world, x, orders))
    loss = choices.loss(r[choices.prompt, choices.completion])
    assert loss == pytest.approx(np.mean(by_hand), rel=1e-12)


@settings(max_examples=15)
@given(few(), seeds)
def test_all_pairs_of_all_rankings_give_the_reward_back(model: LanguageModel, seed: int) -> None:
    world, (_, R, _) = model.world, beside(model, seed)
    shown = np.random.default_rng(seed).permutation(R.shape[1])[:4]
    votes, odds = np.zeros((*R.shape, R.shape[1])), np.exp(R)
    for x, order in product(range(len(R)), permutations(shown.tolist())):
        p = np.prod([odds[x, y] / odds[x, list(order[k:])].sum() for k, y in enumerate(order)])
        ranking = Rankings(world, [x], [order])
        choices = plackett_luce(world, ranking)
        loss = choices.loss(R[choices.prompt, choices.completion])
        assert np.exp(-loss) == pytest.approx(p, rel=1e-12)
        for i, j in ((i, j) for k, i in enumerate(order) for j in order[k + 1 :]):
            votes[x, i, j] += p
    margin = R[:, shown][:, :, None] - R[:, shown][:, None, :]
    marginal = np.where(np.eye(len(shown)), 0, expit(margin))
    np.testing.assert_allclose(votes[:, shown][:, :, shown], marginal, atol=1e-12)
    r = fit_reward_model(world, votes).reward[:, shown]
    np.testing.assert_allclose(r[:, :, None] - r[:, None, :], margin, atol=1e-8)


@settings(max_examples=20)
@given(models(CONTEXTS), seeds)
def test_the_ceiling_is_what_the_humans_own_reward_gets(model: LanguageModel, seed: int) -> None:
    other, R, beta = beside(model, seed)
    votes = all_pairs(model.world, R, model, beta)
    gap, shown = np.abs(R[:, :, None] - R[:, None, :]), votes + votes.swapaxes(1, 2)
    sure = expit(beta * gap)
    ceiling = (shown * sure).sum() / 2
    assert reward_ceiling(votes) == pytest.approx(ceiling, rel=1e-12)
    assert reward_accuracy(R, votes) == pytest.approx(ceiling, rel=1e-12)
    assert reward_accuracy(other.log_probs, votes) <= ceiling + 1e-12
    edges = [0.0, 0.7, 1.5, 99.0]
    for k, (accuracy, share) in enumerate(zip(*accuracy_by_gap(R, votes, edges), strict=True)):
        mass = np.where((gap >= edges[k]) & (gap < edges[k + 1]), shown, 0.0)
        assert share == pytest.approx(mass.sum() / 2, abs=1e-12)
        assert share == 0 or accuracy * share == pytest.approx((mass * sure).sum() / 2, rel=1e-9)
    reliable = reward_calibration(beta * R, votes)
    np.testing.assert_allclose(reliable.predicted, reliable.observed, atol=1e-12)
    assert reliable.share @ reliable.observed == pytest.approx(ceiling, rel=1e-12)


@given(models(), seeds)
def test_what_people_wrote_scores_zero(model: LanguageModel, seed: int) -> None:
    world, (_, R, _) = model.world, beside(model, seed)
    x, y = np.random.default_rng(seed).integers(R.shape, size=(5, 2)).T
    shown = [(world.prompts[i], world.texts[j]) for i, j in zip(x, y, strict=True)]
    moved = centred(world, R, shown)
    assert moved[x, y].mean() == pytest.approx(0, abs=1e-14)
    np.testing.assert_allclose(moved - moved[0, 0], R - R[0, 0], atol=1e-14)
