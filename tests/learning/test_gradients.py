"""The exact gradient against differences, against all trajectories, and at its limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridrl import (
    MDP,
    POMDP,
    advantages,
    expected_return,
    lost_penguin_world,
    occupancy,
    penguin_world,
    softmax_policy,
)
from gridrl.learning import (
    exact_policy_gradient,
    exact_returns,
    fisher_information,
    naive_gradient,
    reward_to_go,
    whole_return,
)
from gridrl.learning.gradients import sum_of_scores
from gridrl.tables import Array
from gridrl.worlds import random_walk, short_corridor, tiger
from tests.learning.oracles import Story, descent, differences, every_story, returns, score
from tests.strategies import mdps, seeds

CORRIDOR, LOST = short_corridor().pomdp(gamma=1), lost_penguin_world().pomdp(gamma=0.9)
ICE, WALK = penguin_world().mdp(gamma=0.9), random_walk(3).mdp(gamma=1)
few = settings(max_examples=20, deadline=None)


def logits(mdp: MDP | POMDP, seed: int) -> Array:
    Z = mdp.n_observations if isinstance(mdp, POMDP) else mdp.n_states
    return np.random.default_rng(seed).normal(size=(Z, mdp.n_actions))


def J(mdp: MDP | POMDP, theta: Array, horizon: int | None = None) -> float:
    """What is climbed, by a linear solve or backwards in time."""
    pi = softmax_policy(theta)
    model, acts = (mdp.mdp, mdp.O @ pi) if isinstance(mdp, POMDP) else (mdp, pi)
    return expected_return(model, acts if horizon is None else np.stack([acts] * horizon))


def steepness(mdp: MDP) -> float:
    """The order of J's derivatives: rewards, as long as they count, twice over."""
    reach = 1 / max(1 - mdp.gamma, 0.01)
    return float(1 + np.abs(mdp.R).max() * reach**2)


@few
@given(mdps(), seeds, st.sampled_from([None, 1, 4]))
def test_the_exact_gradient_is_the_difference(mdp: MDP, seed: int, horizon: int | None) -> None:
    theta = logits(mdp, seed)
    exact = exact_policy_gradient(mdp, theta, horizon=horizon)
    found = differences(lambda x: J(mdp, x, horizon), theta)
    # h^4 = 1e-12 of a fifth derivative, and rounding 1e-16 / h
    np.testing.assert_allclose(exact, found, atol=1e-8 * steepness(mdp))


@pytest.mark.parametrize("mdp", [CORRIDOR, LOST, LOST.replace(gamma=0.5), WALK])
@pytest.mark.parametrize("horizon", [None, 1, 6])
def test_also_behind_observations(mdp: Any, horizon: int | None) -> None:
    for seed in range(3):
        theta = logits(mdp, seed)
        found = differences(lambda x: J(mdp, x, horizon), theta)
        exact = exact_policy_gradient(mdp, theta, horizon=horizon)
        assert exact.shape == theta.shape
        # as above; in the corridor J is about -20, and steep
        np.testing.assert_allclose(exact, found, atol=1e-7)


@few
@given(seeds, st.integers(1, 4))
def test_also_behind_observations_that_are_drawn(seed: int, Z: int) -> None:
    rng = np.random.default_rng(seed)
    mdp, _ = descent("(S, A)", 0.9, seed)
    pomdp = POMDP(mdp, rng.dirichlet(np.ones(Z), size=4))
    theta = logits(pomdp, seed)
    found = differences(lambda x: J(pomdp, x), theta)
    np.testing.assert_allclose(exact_policy_gradient(pomdp, theta), found, atol=1e-8)


@few
@given(mdps(max_states=3, max_actions=2), seeds, st.integers(1, 3))
def test_all_trajectories_say_the_same(mdp: MDP, seed: int, horizon: int) -> None:
    theta = logits(mdp, seed)
    exact = exact_policy_gradient(mdp, theta, horizon=horizon)
    slow = naive_gradient(mdp, theta, horizon=horizon)
    np.testing.assert_allclose(slow, exact, atol=1e-12)  # sums of 648 terms at most


@few
@given(mdps(), seeds)
def test_what_must_vanish(mdp: MDP, seed: int) -> None:
    theta, small = logits(mdp, seed), 1e-12 * steepness(mdp)
    for horizon in (None, 3):
        gradient = exact_policy_gradient(mdp, theta, horizon=horizon)
        assert np.abs(gradient.sum(axis=1)).max() <= small  # a constant more changes no policy
        assert (gradient[mdp.terminal] == 0).all()
    shifted = theta + np.arange(mdp.n_states)[:, None]
    again = exact_policy_gradient(mdp, shifted)
    np.testing.assert_allclose(again, exact_policy_gradient(mdp, theta), atol=1e4 * small)


@few
@given(mdps(), seeds)
def test_without_a_future_only_the_first_reward_counts(mdp: MDP, seed: int) -> None:
    today, theta = mdp.replace(gamma=0.0), logits(mdp, seed)
    pi = softmax_policy(theta)
    better = mdp.R - (pi * mdp.R).sum(axis=1, keepdims=True)
    by_hand = mdp.start[:, None] * pi * better
    np.testing.assert_allclose(exact_policy_gradient(today, theta), by_hand, atol=1e-14)
    np.testing.assert_allclose(exact_policy_gradient(mdp, theta, horizon=1), by_hand, atol=1e-14)


def test_one_state_by_hand() -> None:
    arms = MDP(np.ones((1, 3, 1)), [[1.0, 2.0, 6.0]], 0.75)
    by_hand = np.array([[1 - 3, 2 - 3, 6 - 3]]) / 3 / (1 - 0.75)
    np.testing.assert_allclose(exact_policy_gradient(arms, np.zeros((1, 3))), by_hand, rtol=1e-12)
    lonely = MDP([[[1.0]]], [[5.0]], 0.9)
    np.testing.assert_array_equal(exact_policy_gradient(lonely, [[3.0]]), [[0.0]])
    np.testing.assert_array_equal(naive_gradient(lonely, [[3.0]], horizon=4), [[0.0]])


@few
@given(mdps(), seeds)
def test_the_natural_gradient_is_the_advantage(mdp: MDP, seed: int) -> None:
    theta = logits(mdp, seed)
    pi = softmax_policy(theta)
    F, gradient = fisher_information(mdp, theta), exact_policy_gradient(mdp, theta)
    inverse = np.linalg.pinv(F, rcond=1e-9, hermitian=True)  # of rank A - 1
    natural = (inverse @ gradient[:, :, None])[:, :, 0]
    A = advantages(mdp, pi)
    met = occupancy(mdp, pi).sum(axis=1) > 1e-6  # what is met less often is all rounding
    centred = A - A.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(natural[met], centred[met], atol=1e-6 * steepness(mdp))


def met_by_stories(mdp: MDP, pi: Array, shows: Array | None = None) -> Array:
    """E[sum_t gamma^t 1(o_t = o) phi_t phi_t^T], every episode by itself, (Z, A, A)."""
    F = np.zeros((*pi.shape, pi.shape[1]))
    for story in every_story(mdp, pi, 3, shows=shows):
        for t, (o, a) in enumerate(zip(story.seen, story.actions, strict=True)):
            phi = score(pi, o, a)
            F[o] += story.chance * mdp.gamma**t * np.outer(phi, phi)
    return F


@pytest.mark.parametrize("gamma", [0.8, 1.0])
def test_fisher_information_by_all_stories(gamma: float) -> None:
    mdp, _ = descent("(S, A)", gamma)
    theta = logits(mdp, 0)
    F, by_hand = fisher_information(mdp, theta), met_by_stories(mdp, softmax_policy(theta))
    np.testing.assert_allclose(F[:3], by_hand[:3], atol=1e-14)


@pytest.mark.parametrize("gamma", [0.8, 1.0])
def test_nobody_acts_at_the_end(gamma: float) -> None:
    mdp, _ = descent("(S, A)", gamma)
    theta = logits(mdp, 0)
    assert (fisher_information(mdp, theta)[3] == 0).all()


@pytest.mark.parametrize("gamma", [0.8, 1.0])
def test_nobody_acts_at_an_end_that_looks_like_the_rest(gamma: float) -> None:
    mdp, _ = descent("(S, A)", gamma)
    theta = logits(mdp, 0)
    pomdp = POMDP(mdp, [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.5, 0.5]])
    pi = softmax_policy(theta[:2])
    F = fisher_information(pomdp, theta[:2])
    np.testing.assert_allclose(F, met_by_stories(mdp, pi, pomdp.O), atol=1e-14)


@few
@given(mdps(), seeds, st.integers(1, 4))
def test_exact_returns_one_by_one(mdp: MDP, seed: int, runs: int) -> None:
    thetas = np.random.default_rng(seed).normal(size=(runs, mdp.n_states, mdp.n_actions))
    each = [J(mdp, theta) for theta in thetas]
    np.testing.assert_array_equal(exact_returns(mdp, softmax_policy(thetas)), each)
    alone = exact_returns(mdp, softmax_policy(thetas[0]))
    assert alone.shape == ()
    assert alone == each[0]


def test_exact_returns_behind_observations_and_in_films() -> None:
    thetas = np.random.default_rng(0).normal(size=(2, 3, 5, 4))
    film = exact_returns(LOST, softmax_policy(thetas))
    assert film.shape == (2, 3)
    for at in np.ndindex(2, 3):
        assert film[at] == J(LOST, thetas[at])
    right = 2 - np.sqrt(2)  # [Sutton & Barto 2018, example 13.1]
    best = -2 * (2 - right) / (right * (1 - right))
    np.testing.assert_allclose(exact_returns(CORRIDOR, [[1 - right, right]]), best, rtol=1e-12)


def test_a_policy_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be a distribution; it sums to 1\.2"):
        exact_returns(ICE, np.full((2, 16, 4), 0.3))
    with pytest.raises(ValueError, match=r"shape \(..., 16, 4\); it has \(4, 16\)"):
        exact_returns(ICE, np.full((4, 16), 1 / 16))
    with pytest.raises(ValueError, match=r"shape \(..., 5, 4\); it has \(16, 4\)"):
        exact_returns(LOST, np.full((16, 4), 1 / 4))


def test_a_row_that_is_no_distribution_is_refused_behind_observations_too() -> None:
    half = POMDP(MDP(np.full((2, 2, 2), 0.5), [1, 0], 0.9), np.full((2, 2), 0.5))
    with pytest.raises(ValueError, match=r"must be a distribution; it sums to 0\.8"):
        exact_returns(half, [[[0.4, 0.4], [0.6, 0.6]]])


@pytest.mark.parametrize("function", [exact_policy_gradient, fisher_information])
def test_bad_logits_and_endless_worlds_are_refused(function: Any) -> None:
    with pytest.raises(ValueError, match=r"theta must have shape \(16, 4\); it has \(4, 16\)"):
        function(ICE, np.zeros((4, 16)))
    with pytest.raises(ValueError, match=r"theta must have shape \(5, 4\); it has \(16, 4\)"):
        function(LOST, np.zeros((16, 4)))
    with pytest.raises(ValueError, match=r"theta\[0, 1\] must be finite; it is nan"):
        function(CORRIDOR, [[0.0, np.nan]])
    with pytest.raises(ValueError, match="not finite at gamma = 1"):
        function(ICE.replace(gamma=1.0), np.zeros((16, 4)))
    with pytest.raises(ValueError, match="must show something in every state"):
        function(tiger(), np.zeros((2, 3)))
    with pytest.raises(TypeError, match="mdp must be an MDP; it is a GridWorld"):
        function(penguin_world(), np.zeros((16, 4)))


def test_bad_horizons_are_refused() -> None:
    for function in (exact_policy_gradient, naive_gradient):
        with pytest.raises(ValueError, match="horizon must be at least 1; it is 0"):
            function(ICE, np.zeros((16, 4)), horizon=0)
    with pytest.raises(TypeError, match=r"use its \.mdp"):
        naive_gradient(LOST, np.zeros((5, 4)), horizon=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"theta must have shape \(16, 4\)"):
        naive_gradient(ICE, np.zeros((4, 4)), horizon=1)


def test_a_limit_makes_gamma_one_legal() -> None:
    theta, endless = logits(ICE, 0), ICE.replace(gamma=1.0)
    found = differences(lambda x: J(endless, x, 5), theta)
    np.testing.assert_allclose(exact_policy_gradient(endless, theta, horizon=5), found, atol=1e-9)


@pytest.mark.parametrize("mdp", [ICE, LOST, CORRIDOR.replace(gamma=0.9)])
def test_huge_logits_are_a_certain_policy(mdp: Any) -> None:
    sure = 1e3 * np.sign(logits(mdp, 1))
    gradient = exact_policy_gradient(mdp, sure)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient.sum(axis=1)).max() < 1e-12
    lone = (sure == sure.max(axis=1, keepdims=True)).sum(axis=1) == 1
    assert np.abs(gradient[lone]).max(initial=0) < 1e-12  # nothing to gain from no doubt
    assert np.isfinite(fisher_information(mdp, sure)).all()


def test_gradients_scale_with_rewards() -> None:
    theta = logits(ICE, 2)
    rich = ICE.replace(R=1e8 * ICE.R)
    exact, poor = exact_policy_gradient(rich, theta), exact_policy_gradient(ICE, theta)
    np.testing.assert_allclose(exact, 1e8 * poor, rtol=1e-9, atol=1e-5)  # of 1e8: rounding


@few
@given(seeds, st.integers(1, 6), st.floats(0, 1))
def test_credit_by_definition(seed: int, T: int, gamma: float) -> None:
    r = np.random.default_rng(seed).normal(size=(2, T))
    for k in range(2):
        G = returns(Story(1.0, (), (), tuple(r[k])), gamma)
        later = [gamma**t * g for t, g in enumerate(G)]
        np.testing.assert_allclose(reward_to_go(r, gamma)[k], later, atol=1e-12)
        np.testing.assert_allclose(whole_return(r, gamma)[k], [G[0]] * T, atol=1e-12)


def test_scores_are_summed_step_by_step() -> None:
    rng = np.random.default_rng(0)
    pi = rng.dirichlet(np.ones(3), size=(2, 4))
    k, o, a = (rng.integers(n, size=50) for n in (2, 4, 3))
    w = rng.normal(size=50)
    total = np.zeros(pi.shape)
    for step in range(50):
        total[k[step], o[step]] += w[step] * score(pi[k[step]], int(o[step]), int(a[step]))
    np.testing.assert_allclose(sum_of_scores(k, o, a, w, pi), total, atol=1e-13)
