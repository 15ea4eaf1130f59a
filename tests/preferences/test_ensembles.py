"""The ensemble: its sample, its regularisation, its normalisation, rewards of every kind."""

from __future__ import annotations

import copy
import pickle
import time

import numpy as np
import pytest

from gridrl.preferences.bradley_terry import fit_bradley_terry, preference_probability
from gridrl.preferences.design import differences, pairs_of, shares
from gridrl.preferences.ensembles import HIGH, LEAST, LOW, Losses, RewardEnsemble, _adapted
from gridrl.preferences.likelihood import Votes
from gridrl.preferences.linear import ENOUGH, Linear
from gridrl.preferences.measures import accuracy
from gridrl.preferences.segments import Comparison, Segment
from gridrl.tables import Array

SHAPES = [(16,), (8, 2)]


def votes(
    reward: Array, count: int, seed: int, *, length: int = 5, noise: float = 0.0
) -> list[Comparison]:
    """Answers to random clips; logistic noise of that scale, none for a human without fault."""
    chance, found = np.random.default_rng(seed), []
    for _ in range(count):
        first, second = (
            Segment(chance.integers(0, len(reward), length), chance.integers(0, 2, length))
            for _ in range(2)
        )
        sums = [float((one.counts(reward.shape) * reward).sum()) for one in (first, second)]
        delta = sums[0] - sums[1] + noise * float(chance.logistic())
        found.append(Comparison(first, second, "left" if delta > 0 else "right"))
    return found


def truth(shape: tuple[int, ...], seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_reward_is_learned(shape: tuple[int, ...]) -> None:
    reward = truth(shape)
    ensemble = RewardEnsemble(shape, rng=0).fit(votes(reward, 500, 1))
    assert ensemble.reward.shape == ensemble.spread.shape == shape
    assert np.corrcoef(ensemble.reward.ravel(), reward.ravel())[0, 1] > 0.95
    assert accuracy(ensemble.reward, votes(reward, 500, 2)) > 0.9


def test_members_are_normalised_and_averaged() -> None:
    ensemble = RewardEnsemble((16,), members=4, rng=0).fit(votes(truth((16,)), 200, 1))
    np.testing.assert_allclose(ensemble.members.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(ensemble.members.std(axis=1), 1)
    np.testing.assert_allclose(ensemble.reward, ensemble.members.mean(axis=0))
    np.testing.assert_allclose(ensemble.spread, ensemble.members.std(axis=0))
    raw = ensemble.raw
    np.testing.assert_allclose(
        ensemble.members, (raw - raw.mean(1, keepdims=True)) / raw.std(1, keepdims=True)
    )


def test_normalised_over_visited_cells_only() -> None:
    reward = truth((8,))
    ensemble = RewardEnsemble((12,), rng=0).fit(votes(reward, 200, 1))
    np.testing.assert_allclose(ensemble.members[:, :8].mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(ensemble.members[:, :8].std(axis=1), 1)
    np.testing.assert_array_equal(ensemble.raw[:, 8:], 0)  # where no clip went nothing is known


def test_all_ties_and_before_any_vote() -> None:
    ensemble = RewardEnsemble((3,), rng=0)
    np.testing.assert_array_equal(ensemble.reward, 0)
    assert np.isnan(ensemble.losses.training).all()
    pair = Segment([0, 1], [0, 0]), Segment([2, 2], [0, 0])
    ensemble.fit([Comparison(*pair, "tie")] * 5)
    np.testing.assert_array_equal(ensemble.members, 0)  # a constant member is 0, not 0 / 0
    np.testing.assert_allclose(ensemble.predict(*pair), 0.5)


def test_one_vote_is_enough_and_members_without_it_stay_at_zero() -> None:
    pair = Segment([0], [0]), Segment([1], [0])
    ensemble = RewardEnsemble((2,), members=30, rng=0).fit([Comparison(*pair, "left")])
    out = np.isnan(ensemble.losses.training)
    assert 0 < out.sum() < 30  # 1/e of 30; none or all of them: 1e-6
    np.testing.assert_array_equal(np.isnan(ensemble.losses.validation), ~out)
    np.testing.assert_array_equal(ensemble.members[out], 0)
    np.testing.assert_allclose(ensemble.members[~out], [[1, -1]] * int((~out).sum()))
    assert (ensemble.predict(*pair)[~out] > 0.5).all()


def test_sample_is_poisson_and_kept_for_good() -> None:
    known = votes(truth((16,)), 1000, 1)
    ensemble = RewardEnsemble((16,), members=3, rng=5)
    early = ensemble._sampled(known[:300])
    np.testing.assert_array_equal(ensemble._sampled(known)[:, :300], early)
    np.testing.assert_array_equal(ensemble._sampled(known[200:])[:, :100], early[:, 200:])
    again = RewardEnsemble((16,), members=3, rng=5)
    W = again._sampled(known)
    np.testing.assert_array_equal(W[:, :300], early)
    # 3000 draws: the share of zeros has deviation 0.0088, the mean 0.018: 5 of them, 6e-7 each
    assert abs((W == 0).mean() - 1 / np.e) < 0.044
    assert abs(W.mean() - 1) < 0.092
    assert (
        abs(np.asarray(np.corrcoef(W))[0, 1]) < 0.16
    )  # members draw for themselves: 5 of 1 / sqrt(1000)
    late = RewardEnsemble((16,), members=3, rng=5)._sampled(known[200:])
    np.testing.assert_array_equal(late, W[:, 200:])  # by what it is, not by when it came
    other = RewardEnsemble((16,), members=3, rng=6)._sampled(known)
    assert (other != W).any()


def test_a_pair_asked_twice_is_drawn_once_so_that_nobody_validates_what_it_learned() -> None:
    one = Comparison(Segment([0], [0]), Segment([1], [0]), "left", "Ada")
    swapped = Comparison(one.second, one.first, "right", "Bob")
    ensemble = RewardEnsemble((2,), members=40, rng=0)
    twice = ensemble._sampled([one, swapped])
    np.testing.assert_array_equal(twice[:, 0], twice[:, 1])
    np.testing.assert_array_equal(ensemble._sampled([swapped]), twice[:, :1])


def test_losses_are_means_over_drawn_and_left_out() -> None:
    known = votes(truth((16,)), 100, 1, noise=1.0)
    ensemble = RewardEnsemble((16,), rng=0).fit(known)
    W, mu = ensemble._sampled(known), shares(known)
    p = ensemble.predictions(pairs_of(known))
    loss = -mu * np.log(p) - (1 - mu) * np.log(1 - p)
    np.testing.assert_allclose(ensemble.losses.training, [np.average(a, weights=w)
                               for a, w in zip(loss, W, strict=True)])  # fmt: skip
    np.testing.assert_allclose(ensemble.losses.validation, [a[w == 0].mean()
                               for a, w in zip(loss, W, strict=True)])  # fmt: skip


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_l2_holds_validation_between_1_1_and_1_5(noise: float) -> None:
    known = votes(truth((64,)), 300, 1, noise=noise)
    for l2 in (1e-4, 1e-2, 1.0):
        ensemble = RewardEnsemble((64,), l2=l2, rng=0)
        for _ in range(3):
            ensemble.fit(known)
        ratio = ensemble.losses.validation / ensemble.losses.training
        assert (ratio >= LOW).all(), ratio
        assert (ratio <= HIGH).all(), ratio


def test_l2_moves_the_right_way_and_zero_stays() -> None:
    losses = Losses(np.ones(4), np.array([1.6, 1.05, 1.3, np.nan]))
    np.testing.assert_allclose(_adapted(np.full(4, 0.01), losses), [0.02, 0.005, 0.01, 0.01])
    np.testing.assert_array_equal(_adapted(np.zeros(4), losses), 0)
    np.testing.assert_allclose(_adapted(np.full(4, LEAST), losses)[1], LEAST)
    ensemble = RewardEnsemble((16,), l2=0, rng=0).fit(votes(truth((16,)), 50, 1))
    np.testing.assert_array_equal(ensemble.l2, 0)
    assert np.isfinite(ensemble.reward).all()


def test_a_member_is_the_regularised_fit_of_its_sample() -> None:
    """Without guesses and with l2 the minimum is one point: that of fit_bradley_terry."""
    known = votes(truth((16,)), 200, 1, noise=1.0)
    drawn = RewardEnsemble((16,), members=1, error=0.0, rng=0)
    W = drawn._sampled(known)[0].astype(int)
    model = Linear(16)
    sample = Votes(differences(pairs_of(known), (16,)), shares(known), W[None] * 1.0, 0.0)
    theta = model.fit(sample, np.zeros((1, 16)), np.array([0.1]))
    repeated = [vote for vote, w in zip(known, W, strict=True) for _ in range(w)]
    exact = fit_bradley_terry(repeated, (16,), l2=0.1).weights
    # J is at least 0.1-convex: a gradient of ENOUGH is at most 10 ENOUGH away
    assert np.linalg.norm(theta[0] - exact) <= 10 * ENOUGH


def test_warm_fit_ends_where_a_cold_one_does() -> None:
    known = votes(truth((16,)), 400, 1)
    warm = RewardEnsemble((16,), rng=0)
    for n in (50, 100, 200, 400, 400, 400):
        warm.fit(known[:n])
    cold = RewardEnsemble((16,), rng=0).fit(known)
    # l2 may have come to rest elsewhere in [1.1, 1.5]: the shape of the reward is the same
    assert np.corrcoef(warm.reward, cold.reward)[0, 1] > 0.99


def test_predictions_are_the_mixture_of_raw_rewards() -> None:
    known = votes(truth((8, 2)), 100, 1)
    ensemble = RewardEnsemble((8, 2), rng=0).fit(known)
    pairs = pairs_of(known)[:7]
    expected = [[preference_probability(r, *pair, 0.1) for pair in pairs] for r in ensemble.raw]
    np.testing.assert_allclose(ensemble.predictions(pairs), expected)
    np.testing.assert_allclose(ensemble.predict(*pairs[2]), np.array(expected)[:, 2])


def test_skips_are_in_no_loss() -> None:
    known = votes(truth((16,)), 60, 1)
    extra = [Comparison(c.first, c.second, "skip") for c in votes(truth((16,)), 20, 9)]
    plain, more = (RewardEnsemble((16,), rng=0).fit(c) for c in (known, extra + known))
    np.testing.assert_array_equal(plain.reward, more.reward)


def test_spread_shrinks_with_votes() -> None:
    known = votes(truth((16,)), 1500, 1, noise=1.0)
    few, many = (RewardEnsemble((16,), members=5, rng=0).fit(known[:n]) for n in (60, 1500))
    assert many.spread.mean() < 0.5 * few.spread.mean()


def test_features_generalise_to_cells_never_seen() -> None:
    F = np.stack([np.arange(12.0), np.arange(12.0) % 2], axis=1)
    reward = F @ [0.3, -1.0]
    ensemble = RewardEnsemble((12,), features=F, rng=0).fit(votes(reward[:8], 300, 1))
    assert np.corrcoef(ensemble.reward, reward)[0, 1] > 0.98
    raw = ensemble.raw
    assert (np.abs(raw[:, :8].mean(axis=1)) > 0.1).all()
    np.testing.assert_allclose(ensemble.members[:, :8].mean(axis=1), 0, atol=1e-12)
    on_features = [F @ np.linalg.lstsq(F, r, rcond=None)[0] for r in raw]
    np.testing.assert_allclose(raw, on_features, atol=1e-9)


@pytest.mark.parametrize("one_hot", [True, False])
def test_network(one_hot: bool) -> None:
    grid = np.stack(np.divmod(np.arange(16), 4), axis=1) / 3
    reward = -np.abs(grid - 0.5).sum(axis=1)
    features = None if one_hot else grid
    ensemble = RewardEnsemble((16,), hidden=(32, 32), features=features, rng=0)
    ensemble.fit(votes(reward, 300, 1))
    assert ensemble.raw.shape == (3, 16)
    assert accuracy(ensemble.reward, votes(reward, 300, 2)) > 0.85


def test_observed_rewards() -> None:
    reward, chance = np.array([0.0, 1.0, -1.0]), np.random.default_rng(0)
    known = []
    for _ in range(200):
        first, second = (chance.integers(0, 9, 4) for _ in range(2))
        side = np.sign(reward[first % 3].sum() - reward[second % 3].sum())
        label = {1.0: "left", -1.0: "right", 0.0: "tie"}[float(side)]
        left, right = (Segment(s, [0] * 4, s % 3) for s in (first, second))
        known.append(Comparison(left, right, label))
    learned = RewardEnsemble((3,), observed=True, rng=0).fit(known).reward
    np.testing.assert_allclose(learned, np.sqrt(1.5) * reward, atol=0.15)


def test_same_seed_same_reward_and_copies_keep_it() -> None:
    known = votes(truth((16,)), 100, 1)
    one, two = (RewardEnsemble((16,), rng=3).fit(known[:80]) for _ in range(2))
    np.testing.assert_array_equal(one.reward, two.reward)
    kept, before = copy.copy(one), one.reward
    sent = pickle.loads(pickle.dumps(one))
    one.fit(known)
    assert (one.reward != before).any()
    np.testing.assert_array_equal(kept.reward, before)
    np.testing.assert_array_equal(sent.fit(known).reward, one.reward)
    with pytest.raises(ValueError, match="read-only"):
        one.reward[0] = 1


def test_refit_is_fast() -> None:
    known = votes(truth((144,)), 720, 1, length=10)
    ensemble = RewardEnsemble((144,), rng=0).fit(known[:700])
    seconds = []
    for n in range(702, 722, 2):
        start = time.perf_counter()
        ensemble.fit(known[:n])
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.1  # some 5 to 10 ms on a machine that does nothing else


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="members must be at least 1"):
        RewardEnsemble((3,), members=0)
    with pytest.raises(ValueError, match=r"error must be in \[0, 1\]; it is 2"):
        RewardEnsemble((3,), error=2)
    with pytest.raises(ValueError, match=r"l2 must be in \[0, inf\]; it is -1"):
        RewardEnsemble((3,), l2=-1)
    with pytest.raises(ValueError, match=r"features must have shape \(3, d\)"):
        RewardEnsemble((3,), features=np.ones((4, 2)))
    with pytest.raises(ValueError, match=r"hidden\[1\] must be at least 1; it is 0"):
        RewardEnsemble((3,), hidden=(4, 0))
    with pytest.raises(ValueError, match=r"shape must be \(S,\) or \(S, A\)"):
        RewardEnsemble(())
    ensemble = RewardEnsemble((3,), rng=0)
    with pytest.raises(ValueError, match="at least one left, right or tie; there are none"):
        ensemble.fit([])
    with pytest.raises(ValueError, match=r"states\[0\] of segment 0 must be in 0..2; it is 5"):
        ensemble.fit([Comparison(Segment([5], [0]), Segment([1], [0]), "left")])
