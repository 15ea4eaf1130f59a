"""Rewards from votes: consistency, Ford's condition, features, Borda, accuracy and its ceiling."""

from __future__ import annotations

import pickle
from itertools import permutations

import numpy as np
import pytest
from scipy.special import expit, log_expit

from gridrl.preferences import Comparison, Segment, fit_bradley_terry
from gridrl.rlhf.choices import Choices, pairwise, plackett_luce
from gridrl.rlhf.games import borda
from gridrl.rlhf.labelling import all_pairs, label_pairs, label_rankings
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.likeliest import components
from gridrl.rlhf.reward_measures import (
    accuracy_by_gap,
    reward_accuracy,
    reward_calibration,
    reward_ceiling,
)
from gridrl.rlhf.reward_models import (
    Likelihood,
    centred,
    fit_reward_model,
    model_features,
    token_counts,
)
from gridrl.rlhf.tokens import TokenWorld
from gridrl.rlhf.votes import Pairs, Rankings
from gridrl.tables import Array

SIX = TokenWorld(["?"], "abcde", 1)  # six answers


def _case(seed: int) -> tuple[LanguageModel, Array]:
    rng = np.random.default_rng(seed)
    P, V, length = rng.integers(1, 4), rng.integers(2, 5), rng.integers(1, 4)
    world = TokenWorld([f"x{i}" for i in range(P)], "abcd"[: V - 1], int(length))
    blank = LanguageModel(world)
    model = blank.with_logits(rng.normal(size=blank.logits.shape))
    return model, rng.normal(size=(P, world.n_completions))


# --- what is found --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_infinite_votes_give_the_reward_up_to_a_constant_a_prompt(seed: int) -> None:
    model, R = _case(seed)
    fitted = fit_reward_model(model.world, all_pairs(model.world, R, model, 1.7))
    expected = 1.7 * (R - R.mean(axis=1, keepdims=True))
    np.testing.assert_allclose(fitted.reward, expected, atol=1e-8)
    assert fitted.exists
    assert fitted.separable == 0


@pytest.mark.parametrize("l2", [0.0, 0.03])
def test_the_same_as_the_earlier_chapters_bradley_terry(l2: float) -> None:
    R, rng = np.random.default_rng(0).normal(size=(1, 6)), np.random.default_rng(1)
    votes = label_pairs(SIX, R, LanguageModel(SIX), 80, rng=rng)
    votes = Pairs(SIX, votes.prompt, votes.chosen, votes.rejected, rng.choice([1.0, 0.5], size=80))
    clips = [Segment([cell], [0]) for cell in range(6)]
    comparisons = [
        Comparison(clips[y], clips[other], "tie" if mu == 0.5 else "left")
        for y, other, mu in zip(votes.chosen, votes.rejected, votes.mu, strict=True)
    ]
    known = fit_bradley_terry(comparisons, (6,), l2=l2)
    fitted = fit_reward_model(SIX, votes, l2=l2)
    np.testing.assert_allclose(fitted.reward[0], known.reward, atol=1e-7)
    assert fitted.loss == pytest.approx(known.loss, rel=1e-10)
    assert fitted.exists == known.exists
    linear = fit_reward_model(SIX, votes, features=np.eye(6)[None], l2=l2)
    np.testing.assert_allclose(linear.reward[0], known.reward, atol=1e-7)


@pytest.mark.parametrize("likelihood", [pairwise, plackett_luce])
def test_slope_and_curvature_against_differences(likelihood: Likelihood) -> None:
    model, R = _case(2)
    votes = label_rankings(model.world, R, model, 15, min(4, R.shape[1]), rng=0)
    choices = likelihood(model.world, votes)
    r, h = np.random.default_rng(3).normal(size=choices.size), 1e-5
    p = choices.chances(r)
    for k in range(choices.size):
        bump = h * np.eye(choices.size)[k]
        slope = (choices.loss(r + bump) - choices.loss(r - bump)) / (2 * h)
        assert choices.slope(p)[k] == pytest.approx(slope, abs=1e-9)
        bend = choices.slope(choices.chances(r + bump)) - choices.slope(choices.chances(r - bump))
        found = choices.curvature(p).toarray()[k]
        np.testing.assert_allclose(found, bend / (2 * h), atol=1e-8)


def test_k_wise_loss_is_the_papers() -> None:
    votes = Rankings(SIX, [0, 0], [[3, 1, 0, 5], [2, 1, 4, 0]])
    r = np.random.default_rng(0).normal(size=6)
    losses = [
        -np.mean([log_expit(r[y[i]] - r[y[j]]) for i in range(4) for j in range(i + 1, 4)])
        for y in votes.completions
    ]
    assert pairwise(SIX, votes).loss(r) == pytest.approx(np.mean(losses))
    assert pairwise(SIX, votes).loss(r) == pytest.approx(pairwise(SIX, votes.pairs()).loss(r))


def _loss(choices: Choices, r: Array) -> float:
    """Of rewards of all answers to the only prompt."""
    return choices.loss(r[choices.completion])


def test_plackett_luce_is_a_product_of_choices_and_two_are_a_pair() -> None:
    r = np.random.default_rng(0).normal(size=6)
    total = 0.0
    for order in permutations([0, 2, 5]):
        loss = _loss(plackett_luce(SIX, Rankings(SIX, [0], [order])), r)
        odds = np.exp(r[list(order)])
        expected = odds[0] / odds.sum() * odds[1] / odds[1:].sum()
        assert loss == pytest.approx(-np.log(expected))
        total += np.exp(-loss)
    assert total == pytest.approx(1)
    two = Rankings(SIX, [0, 0], [[1, 2], [4, 3]])
    assert _loss(plackett_luce(SIX, two), r) == pytest.approx(_loss(pairwise(SIX, two), r))
    of_pairs = plackett_luce(SIX, two.pairs())
    assert _loss(of_pairs, r) == pytest.approx(_loss(pairwise(SIX, two), r))


@pytest.mark.parametrize("ranks", [[0, 0, 1, 2], [0, 1, 1, 1], [0, 0, 2, 2], [3, 3, 3, 3]])
def test_ties_are_the_mean_over_their_orders(ranks: list[int]) -> None:
    """Of Plackett-Luce by all permutations that the ranks leave open; of pairs, half to each."""
    r, shown = np.random.default_rng(1).normal(size=6), np.array([4, 0, 5, 2])
    orders = [list(o) for o in permutations(range(4)) if (np.diff(np.take(ranks, o)) >= 0).all()]
    tied, plain = (
        Rankings(SIX, [0], [shown], [ranks]),
        [Rankings(SIX, [0], [shown[o]]) for o in orders],
    )
    for likelihood in (plackett_luce, pairwise):
        mean = np.mean([_loss(likelihood(SIX, one), r) for one in plain])
        assert _loss(likelihood(SIX, tied), r) == pytest.approx(mean, rel=1e-12)


def test_a_ranking_of_ties_alone_says_that_all_are_alike() -> None:
    votes = Rankings.from_texts(SIX, [("?", tuple(SIX.texts[:4]))])
    for likelihood in (plackett_luce, pairwise):
        fitted = fit_reward_model(SIX, votes, likelihood=likelihood)
        assert fitted.exists
        np.testing.assert_allclose(fitted.reward, 0, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_all_pairs_of_plackett_luce_rankings_are_bradley_terry(seed: int) -> None:
    """Every pair's marginal is sigma(r_i - r_j), so that all pairs together are consistent."""
    r = np.random.default_rng(seed).normal(size=6)
    shown = [0, 2, 3, 5]
    orders = list(permutations(shown))
    weights = [
        np.exp(-_loss(plackett_luce(SIX, Rankings(SIX, [0], [order])), r)) for order in orders
    ]
    for i in shown:
        for j in shown:
            if i != j:
                above = sum(
                    w
                    for w, order in zip(weights, orders, strict=True)
                    if order.index(i) < order.index(j)
                )
                assert above == pytest.approx(expit(r[i] - r[j]), abs=1e-14)


@pytest.mark.parametrize("likelihood", [pairwise, plackett_luce])
def test_rankings_find_the_reward(likelihood: Likelihood) -> None:
    R = np.random.default_rng(5).normal(size=(1, 6))
    votes = label_rankings(SIX, R, LanguageModel(SIX), 4000, 4, rng=0)
    fitted = fit_reward_model(SIX, votes, likelihood=likelihood)
    # standard errors are near 0.03: ten of them, less than once in 10^20 seeds
    np.testing.assert_allclose(fitted.reward, R - R.mean(), atol=0.3)
    assert np.abs(fitted.reward - (R - R.mean())).max() > 1e-6


def test_plackett_luce_is_the_efficient_one() -> None:
    R = np.array([[0.0, 2.0, -1.0, 1.0, 0.5, -2.0]])
    errors = np.zeros((60, 2))
    for seed in range(60):
        votes = label_rankings(SIX, R, LanguageModel(SIX), 60, 6, rng=seed)
        for k, likelihood in enumerate((pairwise, plackett_luce)):
            fitted = fit_reward_model(SIX, votes, likelihood=likelihood)
            errors[seed, k] = ((fitted.reward - R + R.mean()) ** 2).sum()
    gain = errors[:, 0] - errors[:, 1]
    # a fixed seed, and the gain is above 0 by 3 standard errors or more
    assert gain.mean() > 3 * gain.std() / np.sqrt(60)


@pytest.mark.parametrize("seed", range(5))
def test_what_no_reward_explains_is_ranked_by_borda(seed: int) -> None:
    upper = np.triu(np.random.default_rng(seed).uniform(0.02, 0.98, size=(6, 6)), 1)
    M = upper + np.tril(1 - upper.T, -1) + 0.5 * np.eye(6)
    fitted = fit_reward_model(SIX, M[None])
    r = fitted.reward[0]
    sides = expit(r[:, None] - r[None])
    np.testing.assert_allclose(M.sum(axis=1), sides.sum(axis=1), atol=1e-9)
    assert np.argsort(r).tolist() == np.argsort(borda(M)).tolist()


def test_a_cycle_gets_numbers_too() -> None:
    world = TokenWorld(["?"], "ab", 1)
    M = np.array([[0.5, 0.9, 0.3], [0.1, 0.5, 0.8], [0.7, 0.2, 0.5]])
    r = fit_reward_model(world, M[None]).reward[0]
    np.testing.assert_allclose(r.round(3), [0.270, -0.135, -0.135])


# --- no maximum -----------------------------------------------------------------------------


def test_fords_condition() -> None:
    chain = Pairs(SIX, [0] * 4, [0, 1, 2, 4], [1, 2, 0, 3])  # a circle, and 4 over 3
    fitted = fit_reward_model(SIX, chain)
    assert not fitted.exists
    assert fitted.separable == 1
    assert "no maximum: 1 separable" in repr(fitted)
    assert fitted.reward[0, 4] - fitted.reward[0, 3] > 5
    np.testing.assert_allclose(fitted.reward[0, [0, 1, 2, 5]], 0, atol=1e-9)
    assert fit_reward_model(SIX, chain, l2=0.1).reward[0, 4] < 2
    assert not fit_reward_model(SIX, chain, l2=0.1).exists
    round_trip = fit_reward_model(SIX, chain.take([0, 1, 2]))
    assert round_trip.exists
    assert "no maximum" not in repr(round_trip)


@pytest.mark.parametrize("seed", range(30))
def test_linear_program_agrees_with_ford_where_features_are_the_table(seed: int) -> None:
    rng = np.random.default_rng(seed)
    votes = np.array([rng.permutation(6)[:2] for _ in range(rng.integers(3, 14))])
    mu = rng.choice([1.0, 0.5], size=len(votes))
    pairs = Pairs(SIX, [0] * len(votes), votes[:, 0], votes[:, 1], mu)
    free = fit_reward_model(SIX, pairs)
    linear = fit_reward_model(SIX, pairs, features=np.eye(6)[None])
    assert free.exists == linear.exists
    assert free.separable == linear.separable
    assert free.loss == pytest.approx(linear.loss, abs=1e-5)
    choices = pairwise(SIX, pairs)
    strong, weak = (components(choices, how).max() for how in ("strong", "weak"))
    assert free.exists == (strong == weak)


def test_ties_alone_are_no_reward() -> None:
    fitted = fit_reward_model(SIX, Pairs(SIX, [0, 0], [0, 1], [1, 2], 0.5))
    assert fitted.exists
    np.testing.assert_allclose(fitted.reward, 0, atol=1e-12)
    assert fitted.loss == pytest.approx(np.log(2))


# --- features -------------------------------------------------------------------------------


def test_only_features_know_a_prompt_that_was_never_asked() -> None:
    world = TokenWorld(["x", "y"], "ab", 3)
    F = token_counts(world)
    R = F @ np.array([1.0, -0.5, 0.3])
    seen = all_pairs(world, R, LanguageModel(world), 1.0)
    asked, held_out = seen.copy(), seen.copy()
    asked[1], held_out[0] = 0, 0
    linear = fit_reward_model(world, asked, features=F)
    np.testing.assert_allclose(np.ptp(linear.reward - R), 0, atol=1e-8)
    assert reward_accuracy(linear, held_out) == pytest.approx(reward_ceiling(held_out))
    free = fit_reward_model(world, asked)
    assert reward_accuracy(free, asked) == pytest.approx(reward_ceiling(asked))
    assert reward_accuracy(free, held_out) == pytest.approx(0.5)


def test_features_of_a_model() -> None:
    world = TokenWorld(["x", "y"], "ab", 3)
    blank = LanguageModel(world, context=1)
    model = blank.with_logits(np.random.default_rng(0).normal(size=blank.logits.shape))
    F = model_features(model)
    assert F.shape[:2] == (2, world.n_completions)
    np.testing.assert_array_equal(F.sum(axis=-1), np.tile(world.lengths, (2, 1)))
    flat, target = F.reshape(-1, F.shape[-1]), model.log_probs.ravel()
    weights = np.linalg.lstsq(flat, target, rcond=None)[0]
    np.testing.assert_allclose(flat @ weights, target, atol=1e-10)  # log pi is linear in them
    with pytest.raises(ValueError, match=r"model must share contexts .* is the prefix"):
        model_features(LanguageModel(world))


def test_shortest_weights_where_features_repeat() -> None:
    F = np.repeat(np.arange(6.0)[None, :, None], 2, axis=2)
    R = 0.3 * np.arange(6.0)[None]
    fitted = fit_reward_model(SIX, all_pairs(SIX, R, LanguageModel(SIX), 1.0), features=F)
    np.testing.assert_allclose(fitted.weights, [0.15, 0.15], atol=1e-9)


def test_centred_on_demonstrations() -> None:
    world = TokenWorld(["x", "y"], "ab", 2)
    R = np.random.default_rng(0).normal(size=(2, 7))
    shown = [("x", "a$"), ("y", "bb"), ("y", "bb")]
    moved = centred(world, R, shown)
    scores = [moved[world.prompt(x), world.completion(y)] for x, y in shown]
    assert np.mean(scores) == pytest.approx(0)
    np.testing.assert_allclose(np.ptp(moved - R), 0, atol=1e-12)
    with pytest.raises(ValueError, match="demonstrations must hold at least one"):
        centred(world, R, [])


# --- how good it is -------------------------------------------------------------------------


def test_nothing_beats_the_ceiling_and_the_reward_reaches_it() -> None:
    model, R = _case(6)
    votes = all_pairs(model.world, R, model, 2.0)
    ceiling = reward_ceiling(votes)
    delta = 2 * (R[:, :, None] - R[:, None, :])
    p = expit(delta)
    shown = votes + votes.swapaxes(1, 2)
    assert ceiling == pytest.approx((shown * np.maximum(p, 1 - p)).sum() / 2)
    assert reward_accuracy(R, votes) == pytest.approx(ceiling)
    assert reward_accuracy(-R, votes) == pytest.approx(1 - ceiling)
    rng = np.random.default_rng(0)
    for _ in range(50):
        assert reward_accuracy(rng.normal(size=R.shape), votes) <= ceiling + 1e-12


def test_accuracy_counts_ties_half() -> None:
    votes = Pairs(SIX, [0, 0, 0, 0], [0, 1, 2, 3], [1, 2, 3, 4], [1.0, 1.0, 1.0, 0.5])
    r = [[3.0, 2.0, 2.0, 4.0, 1.0, 0.0]]
    assert reward_accuracy(r, votes) == pytest.approx((1 + 0.5 + 0 + 0.5) / 4)
    accuracy, share = accuracy_by_gap(r, votes, [0.0, 0.5, 1.5, 9.0, 10.0])
    np.testing.assert_allclose(accuracy, [0.5, 1.0, 0.25, np.nan])
    np.testing.assert_allclose(share, [0.25, 0.25, 0.5, 0.0])
    rankings = Rankings(SIX, [0], [[3, 0, 1]])
    assert reward_accuracy(r, rankings) == 1


def test_accuracy_grows_with_the_gap_and_the_true_reward_is_calibrated() -> None:
    model, R = _case(6)
    votes = all_pairs(model.world, R, model, 1.0)
    accuracy, share = accuracy_by_gap(R, votes, [0.0, 0.5, 1.0, 2.0, np.ptp(R) + 1])
    assert (np.diff(accuracy) > 0).all()
    assert share.sum() == pytest.approx(1)
    true = reward_calibration(R, votes)
    np.testing.assert_allclose(true.predicted, true.observed, atol=1e-12)
    assert true.share.sum() == pytest.approx(1)
    loud = reward_calibration(3 * R, votes, bins=5)
    assert (loud.predicted - loud.observed > 0.02).all()


def test_more_votes_predict_better() -> None:
    model, R = _case(6)
    world = model.world
    exact = all_pairs(world, R, model, 1.0)
    found = [
        np.mean([
            reward_accuracy(
                fit_reward_model(world, label_pairs(world, R, model, n, rng=seed), l2=0.01), exact
            )
            for seed in range(20)
        ])
        for n in (20, 200, 2000)
    ]  # fmt: skip
    # means of 20 fixed seeds, apart by several times their standard errors
    assert found[0] < found[1] < found[2] < reward_ceiling(exact)


# --- bad input, and the object --------------------------------------------------------------


def test_a_model_scores_texts_and_pickles() -> None:
    model, R = _case(3)
    world = model.world
    fitted = pickle.loads(pickle.dumps(fit_reward_model(world, all_pairs(world, R, model, 1.0))))
    x, y = world.prompts[0], world.texts[-1]
    assert fitted(x, y) == fitted.reward[0, -1]
    np.testing.assert_array_equal(world.rewards(fitted), fitted.reward)
    with pytest.raises(ValueError, match="read-only"):
        fitted.reward[0] = 0


def test_bad_input() -> None:
    votes = Pairs(SIX, [0], [1], [2])
    other = TokenWorld(["!"], "abcde", 1)
    with pytest.raises(ValueError, match="votes must be of the same world"):
        fit_reward_model(other, votes)
    with pytest.raises(ValueError, match="votes must be of the same world"):
        fit_reward_model(other, Rankings(SIX, [0], [[1, 2]]), likelihood=plackett_luce)
    for nothing in (Pairs(SIX, [], [], []), np.zeros((1, 6, 6))):
        with pytest.raises(ValueError, match="votes must hold at least one vote; there is none"):
            fit_reward_model(SIX, nothing)
    with pytest.raises(ValueError, match=r"votes must have shape \(1, 6, 6\); it has \(6, 6\)"):
        fit_reward_model(SIX, np.ones((6, 6)))
    with pytest.raises(ValueError, match=r"votes\[0, 0, 1\] must not be negative; it is -1"):
        fit_reward_model(SIX, np.eye(6)[None] - 1)
    with pytest.raises(ValueError, match=r"l2 must be in \[0, inf\]; it is -1"):
        fit_reward_model(SIX, votes, l2=-1.0)
    with pytest.raises(ValueError, match=r"features must have shape \(1, 6, d\); it has \(6, 2\)"):
        fit_reward_model(SIX, votes, features=np.ones((6, 2)))
    with pytest.raises(ValueError, match=r"reward must have shape \(1, 6\); it has \(1, 5\)"):
        reward_accuracy(np.zeros((1, 5)), votes)
    with pytest.raises(ValueError, match="bins must be at least 1; it is 0"):
        reward_calibration(np.zeros((1, 6)), votes, bins=0)
    with pytest.raises(ValueError, match=r"M must have shape \(..., n, n\)"):
        borda(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"M\[0, 1\] \+ M\[1, 0\] must be 1; it is 1.5"):
        borda([[0.5, 0.9], [0.6, 0.5]])


def test_choices_of_different_sizes() -> None:
    sets = np.array([[4, 5, 9], [5, 9, -1]])
    choices = Choices.among(np.zeros(2, dtype=int), sets, np.array([0.5, 0.5]))
    assert choices.cells.tolist() == [[0, 1, 2], [1, 2, 3]]  # 3 is nobody
    assert choices.completion.tolist() == [4, 5, 9]
    p = choices.chances(np.zeros(3))
    np.testing.assert_allclose(p, [[1 / 3] * 3, [0.5, 0.5, 0]])
    assert choices.loss(np.zeros(3)) == pytest.approx((np.log(3) + np.log(2)) / 2)
    assert sorted(zip(*(values.tolist() for values in choices.edges), strict=True)) == [
        (0, 1, 0), (0, 2, 0), (1, 2, 1),
    ]  # fmt: skip
