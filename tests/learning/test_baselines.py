"""Moments, variances and baselines against every possible episode, and estimates against both."""

from __future__ import annotations

import pickle
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from gridrl import MDP, POMDP, lost_penguin_world, occupancy, penguin_world, softmax_policy
from gridrl.learning import (
    Moments,
    exact_moments,
    exact_policy_gradient,
    gradient_estimates,
    gradient_variance,
    mean_baseline,
    optimal_baseline,
    reward_to_go,
    value_baseline,
    whole_return,
)
from gridrl.planning import state_values, uniform_policy
from gridrl.tables import Array
from gridrl.worlds import random_walk, short_corridor, tiger
from tests.learning.oracles import (
    FORMS,
    Pays,
    descent,
    estimate_and_noise,
    every_story,
    returns,
    roundabout,
    unlikely,
)
from tests.strategies import mdps, seeds

BASELINES = {
    "none": None, "mean": mean_baseline, "value": value_baseline, "optimal": optimal_baseline
}  # fmt: skip
CORRIDOR, LOST = short_corridor().pomdp(gamma=1), lost_penguin_world().pomdp(gamma=0.9)
ICE, WALK = penguin_world().mdp(gamma=0.9), random_walk(3).mdp(gamma=1)
few = settings(max_examples=15, deadline=None)


def logits(mdp: MDP | POMDP, seed: int) -> Array:
    Z = mdp.n_observations if isinstance(mdp, POMDP) else mdp.n_states
    return np.random.default_rng(seed).normal(size=(Z, mdp.n_actions))


def by_all_stories(
    mdp: MDP, pays: Pays, pi: Array, horizon: int, shows: Array | None = None
) -> tuple[dict[str, Array], Array, list[tuple[float, Array, Array]]]:  # fmt: skip
    """The moments, the gradient, and (chance, Y, U) of every episode."""
    Z, each = len(pi), []
    total = {field.name: np.zeros(Z) for field in fields(Moments)}
    for story in every_story(mdp, pi, horizon, shows=shows, pays=pays):
        Y, U = estimate_and_noise(story, pi, mdp.gamma)
        each.append((story.chance, Y, U))
        for t, (o, G) in enumerate(zip(story.seen, returns(story, mdp.gamma), strict=True)):
            total["visits"][o] += story.chance * mdp.gamma**t
            total["returns"][o] += story.chance * mdp.gamma**t * G
        for name, x, y in (("UU", U, U), ("YU", Y, U), ("YY", Y, Y)):
            total[name] += story.chance * (x * y).sum(axis=1)
    gradient = sum((p * Y for p, Y, _ in each), np.zeros(pi.shape))
    return total, gradient, each


def compare(world: MDP | POMDP, mdp: MDP, pays: Pays, steps: int, horizon: int | None) -> None:
    theta = logits(world, 3)
    pi, shows = softmax_policy(theta), world.O if isinstance(world, POMDP) else None
    total, gradient, each = by_all_stories(mdp, pays, pi, steps, shows)
    assert abs(sum(p for p, _, _ in each) - 1) < 1e-12
    found = exact_moments(world, theta, horizon=horizon)
    for name, exact in total.items():  # sums of at most 10,000 terms
        np.testing.assert_allclose(getattr(found, name), exact, atol=1e-11, err_msg=name)
    np.testing.assert_allclose(
        exact_policy_gradient(world, theta, horizon=horizon), gradient, atol=1e-12
    )
    for baseline in BASELINES.values():
        b = np.zeros(len(pi)) if baseline is None else baseline(found)
        square = sum(p * ((Y - b[:, None] * U) ** 2).sum() for p, Y, U in each)
        variance = gradient_variance(world, theta, baseline=baseline, horizon=horizon)
        assert variance == pytest.approx(square - (gradient**2).sum(), abs=1e-11)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("gamma", [0.8, 1.0])
def test_moments_of_episodes_that_end(form: str, gamma: float) -> None:
    mdp, pays = descent(form, gamma)
    compare(mdp, mdp, pays, 3, None)
    compare(mdp, mdp, pays, 2, 2)  # cut short


@pytest.mark.parametrize("form", FORMS)
def test_moments_of_episodes_that_go_round(form: str) -> None:
    mdp, pays = roundabout(form, 0.7)
    compare(mdp, mdp, pays, 3, 3)


@pytest.mark.parametrize("form", ["(S, A)", "lottery"])
@pytest.mark.parametrize("gamma", [0.8, 1.0])
def test_moments_behind_observations(form: str, gamma: float) -> None:
    rng = np.random.default_rng(5)
    mdp, pays = descent(form, gamma)
    compare(POMDP(mdp, rng.dirichlet(np.ones(2), size=4)), mdp, pays, 3, None)
    blind = POMDP(mdp, np.ones((4, 1)))  # the same thing is seen again and again
    compare(blind, mdp, pays, 3, None)
    round_and_round, pays = roundabout(form, gamma, seed=1)
    compare(POMDP(round_and_round, np.ones((3, 1))), round_and_round, pays, 3, 3)


@few
@given(mdps(max_states=4), seeds)
def test_a_long_horizon_is_none(mdp: MDP, seed: int) -> None:
    short_sighted = mdp.replace(gamma=min(mdp.gamma, 0.9))
    theta = logits(mdp, seed)
    without, far = (exact_moments(short_sighted, theta, horizon=T) for T in (None, 400))
    for field in fields(Moments):  # 0.9^400 is 5e-19
        one, other = getattr(without, field.name), getattr(far, field.name)
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("mdp", [ICE, WALK])
def test_moments_that_are_known_otherwise(mdp: MDP) -> None:
    theta = logits(mdp, 0)
    pi, moments = softmax_policy(theta), exact_moments(mdp, theta)
    visits = np.where(mdp.terminal, 0.0, occupancy(mdp, pi).sum(axis=1))
    V = state_values(mdp, pi)
    np.testing.assert_allclose(moments.visits, visits, atol=1e-11)
    np.testing.assert_allclose(moments.returns, visits * V, atol=1e-11)
    np.testing.assert_allclose(value_baseline(moments), V, atol=1e-10)
    np.testing.assert_allclose(mean_baseline(moments), (visits @ V) / visits.sum(), atol=1e-11)


def test_rewards_of_any_size_leave_the_visits_alone() -> None:
    # a fortune at the first step, and then a long way on which nothing is paid
    P = np.zeros((3, 2, 3))
    P[0, :, 1] = P[1, 0, 1] = P[1, 1, 2] = P[2, :, 1] = 1
    rich = MDP(P, [[1e4, 0.0], [0.0, 0.0], [0.0, 0.0]], 0.9, start=0)
    visits = occupancy(rich, uniform_policy(rich)).sum(axis=1)
    np.testing.assert_allclose(exact_moments(rich, np.zeros((3, 2))).visits, visits, rtol=1e-11)


def test_variance_is_in_reward_units_squared() -> None:
    theta = logits(ICE, 1)
    for baseline in BASELINES.values():
        one, rich = (
            gradient_variance(ICE.replace(R=c * ICE.R), theta, baseline=baseline)
            for c in (1.0, 100.0)
        )
        assert rich == pytest.approx(1e4 * one, rel=1e-9)


# --- which baseline -------------------------------------------------------------------------------


@few
@given(mdps(), seeds)
def test_no_baseline_leaves_less_variance_than_the_optimal(mdp: MDP, seed: int) -> None:
    theta, horizon = logits(mdp, seed), 6
    moments = exact_moments(mdp, theta, horizon=horizon)
    best = optimal_baseline(moments)

    def left(b: Any) -> float:
        return gradient_variance(mdp, theta, baseline=b, horizon=horizon)

    least, size = left(optimal_baseline), 1 + float(moments.YY.sum())
    for other in (None, mean_baseline, value_baseline):
        assert least <= left(other) + 1e-12 * size
    assert least >= -1e-12 * size
    # a parabola in every b(o): a step d away costs exactly d^2 E|U_o|^2
    d = np.random.default_rng(seed).normal(size=best.shape)
    costs = left(lambda m: best + d) - least
    assert costs == pytest.approx((d**2 * moments.UU).sum(), abs=1e-9 * size)


def test_what_was_never_seen_has_no_baseline() -> None:
    nothing, some = np.zeros(2), np.array([0.5, 0.0])
    moments = Moments(some, 3 * some, 2 * some, 5 * some, 9 * some)
    np.testing.assert_array_equal(value_baseline(moments), [3, 0])
    np.testing.assert_array_equal(optimal_baseline(moments), [2.5, 0])
    np.testing.assert_array_equal(mean_baseline(moments), [3, 3])
    np.testing.assert_array_equal(mean_baseline(Moments(*[nothing] * 5)), [0, 0])


def test_many_runs_have_a_baseline_each() -> None:
    rng = np.random.default_rng(0)
    runs = [Moments(*rng.random((5, 4))) for _ in range(3)]
    together = Moments(
        *(np.stack([getattr(m, field.name) for m in runs]) for field in fields(Moments))
    )
    for baseline in (mean_baseline, value_baseline, optimal_baseline):
        np.testing.assert_array_equal(baseline(together), [baseline(m) for m in runs])


def test_moments_are_locked_and_travel() -> None:
    moments = exact_moments(WALK, np.zeros((5, 2)))
    again = pickle.loads(pickle.dumps(moments))
    for field in fields(Moments):
        values = getattr(again, field.name)
        np.testing.assert_array_equal(values, getattr(moments, field.name))
        assert not values.flags.writeable
        assert not getattr(moments, field.name).flags.writeable


# --- estimates ------------------------------------------------------------------------------------

SHOWN = [[1.0, 0.0], [1.0, 0.0], [0.3, 0.7], [0.0, 1.0]]
GAMES: dict[str, tuple[Any, int | None]] = {
    "ends": (descent("lottery", 0.8)[0], None),
    "cut": (roundabout("lottery", 0.9)[0], 4),
    "blind": (
        POMDP(descent("lottery", 0.8)[0], [[1.0, 0.0], [1.0, 0.0], [0.3, 0.7], [0.0, 1.0]]),
        None,
    ),
    "corridor": (CORRIDOR, 6),
}


@pytest.mark.parametrize("name", list(BASELINES))
@pytest.mark.parametrize("game", list(GAMES))
def test_no_baseline_moves_the_mean(game: str, name: str) -> None:
    world, steps = GAMES[game]
    theta = logits(world, 7)
    exact = exact_policy_gradient(world, theta, horizon=steps)
    for credit in (reward_to_go, whole_return):
        g = gradient_estimates(
            world, theta, episodes=3000, baseline=BASELINES[name], credit=credit, steps=steps, rng=1
        )
        assert g.shape == (3000, *theta.shape)
        unlikely(g, exact)


@pytest.mark.parametrize("name", list(BASELINES))
@pytest.mark.parametrize("game", list(GAMES))
def test_the_measured_variance_is_the_exact_one(game: str, name: str) -> None:
    world, steps = GAMES[game]
    theta, baseline = logits(world, 7), BASELINES[name]
    g = gradient_estimates(world, theta, episodes=3000, baseline=baseline, steps=steps, rng=2)
    away = g - exact_policy_gradient(world, theta, horizon=steps)
    # the squares are independent, and their own spread (fourth moments) says how far their mean is
    square = (away**2).sum(axis=(1, 2))
    exact = gradient_variance(world, theta, baseline=baseline, horizon=steps)
    unlikely(square[:, None], np.array([exact]))


def test_credit_for_what_was_before_is_noise() -> None:
    theta = logits(ICE, 4)
    spread = {
        credit: gradient_estimates(ICE, theta, episodes=2000, credit=credit, steps=20, rng=0)
        .var(axis=0)
        .sum()
        for credit in (reward_to_go, whole_return)
    }
    # 17.9 (of 200,000 episodes) to 5.9 (exactly); of 2,000 they are off by some per cent
    assert spread[whole_return] > 2 * spread[reward_to_go]


def test_estimates_are_seeded() -> None:
    one, again, other = (
        gradient_estimates(WALK, np.zeros((5, 2)), episodes=5, rng=seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    fewer = gradient_estimates(WALK, np.zeros((5, 2)), episodes=3, rng=0)
    np.testing.assert_array_equal(one[:3], fewer)


def test_bad_laboratories_are_refused() -> None:
    for function in (exact_moments, gradient_variance):
        with pytest.raises(ValueError, match=r"theta must have shape \(16, 4\); it has \(2, 2\)"):
            function(ICE, np.zeros((2, 2)))
        with pytest.raises(ValueError, match="horizon must be at least 1; it is 0"):
            function(ICE, np.zeros((16, 4)), horizon=0)
        with pytest.raises(ValueError, match="not finite at gamma = 1"):
            function(ICE.replace(gamma=1.0), np.zeros((16, 4)))
        with pytest.raises(ValueError, match="must show something in every state"):
            function(tiger(), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"theta\[0, 0\] must be finite; it is nan"):
        gradient_estimates(WALK, np.full((5, 2), np.nan), episodes=1)
    with pytest.raises(ValueError, match="episodes must be at least 1; it is 0"):
        gradient_estimates(WALK, np.zeros((5, 2)), episodes=0)
    with pytest.raises(ValueError, match=r"steps must be given: from states \{1, 2, 3"):
        gradient_estimates(ICE, np.zeros((16, 4)), episodes=1)
    with pytest.raises(ValueError, match="must show something in every state"):
        gradient_estimates(tiger(), np.zeros((2, 3)), episodes=1, steps=2)


def test_huge_logits_leave_no_variance() -> None:
    sure = np.tile([1e3, -1e3, -1e3, -1e3], (16, 1))
    assert gradient_variance(ICE, sure) == pytest.approx(0, abs=1e-12)
    g = gradient_estimates(ICE, sure, episodes=5, baseline=optimal_baseline, steps=5, rng=0)
    np.testing.assert_array_equal(g, np.zeros((5, 16, 4)))


def test_where_all_is_over_from_the_start() -> None:
    over = MDP(np.ones((1, 2, 1)), [[1, 0]], 0.9, terminal=[True])
    assert gradient_variance(over, np.zeros((1, 2)), baseline=optimal_baseline) == 0
    g = gradient_estimates(over, np.zeros((1, 2)), episodes=3, baseline=value_baseline, rng=0)
    np.testing.assert_array_equal(g, np.zeros((3, 1, 2)))
    for field in fields(Moments):
        assert (getattr(exact_moments(over, np.zeros((1, 2))), field.name) == 0).all()
