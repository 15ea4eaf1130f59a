"""Preference games: equilibria, mirror descent, and what Bradley-Terry would have chosen."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from gridrl.preferences import PreferenceOracle, Segment, intransitive_judge
from gridrl.rlhf.games import (
    bradley_terry_scores,
    exploitability,
    preference_game,
    preference_matrix,
    regularised_nash,
)
from gridrl.rlhf.self_play import Playing, mirror_descent, nash_md, past_mixture
from gridrl.tables import Array, kl, softmax

CIRCLE = np.array([[0.5, 0.9, 0.3], [0.1, 0.5, 0.8], [0.7, 0.2, 0.5]])  # arXiv:2312.00886's game
NASH = np.array([3, 2, 4]) / 9
EVEN = np.full(3, 1 / 3)
SEEDS = st.integers(0, 2**32 - 1)


def random_game(seed: int, *shape: int) -> Array:
    X = np.random.default_rng(seed).normal(size=(*shape, shape[-1]))
    return np.asarray(expit(X - np.swapaxes(X, -1, -2)))


def random_policy(seed: int, *shape: int) -> Array:
    return softmax(np.random.default_rng([seed, 1]).normal(size=shape))


def test_circle_golden() -> None:
    game = preference_game(CIRCLE)
    np.testing.assert_allclose(game.policy, NASH, atol=1e-12)
    np.testing.assert_allclose(game.reward, [0.270, -0.135, -0.135], atol=5e-4)
    np.testing.assert_array_equal(game.bradley_terry_policy, [1, 0, 0])
    assert game.worst_case(game.policy) == pytest.approx(0.5, abs=1e-12)
    assert game.worst_case(game.bradley_terry_policy) == pytest.approx(0.3, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 7))
def test_nobody_beats_an_equilibrium(seed: int, n: int) -> None:
    game = preference_game(random_game(seed, 2, n))
    np.testing.assert_allclose(exploitability(game.M, game.policy), 0, atol=1e-9)
    assert (exploitability(game.M, random_policy(seed, 2, n)) >= -1e-12).all()


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(2, 7))
def test_a_reward_has_a_pure_equilibrium(seed: int, n: int) -> None:
    s = np.random.default_rng(seed).normal(size=n)
    game = preference_game(expit(s[:, None] - s))
    np.testing.assert_allclose(game.policy, np.eye(n)[s.argmax()], atol=1e-8)
    np.testing.assert_allclose(game.reward, s - s.mean(), atol=1e-8)
    np.testing.assert_allclose(game.bradley_terry_policy, game.policy, atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(2, 7))
def test_bradley_terry_ranks_by_borda(seed: int, n: int) -> None:
    M = random_game(seed, n)
    r = bradley_terry_scores(M)
    np.testing.assert_allclose(M.sum(axis=1), expit(r[:, None] - r).sum(axis=1), atol=1e-10)
    np.testing.assert_array_equal(np.argsort(r), np.argsort(M.sum(axis=1)))


def test_oracle_in_a_circle() -> None:
    oracle = PreferenceOracle(judge=intransitive_judge(lambda clip: int(clip.actions[0])))
    clips = [Segment([0], [a]) for a in range(3)]
    M = preference_matrix(oracle.probability, clips)
    np.testing.assert_array_equal(M, [[0.5, 0, 1], [1, 0.5, 0], [0, 1, 0.5]])
    np.testing.assert_allclose(preference_game(M).policy, EVEN, atol=1e-12)
    np.testing.assert_allclose(bradley_terry_scores(M), 0, atol=1e-12)


# --- with a reference ---------------------------------------------------------------------------


def test_regularised_golden() -> None:
    pi = regularised_nash(CIRCLE, EVEN, tau=0.1)
    np.testing.assert_allclose(pi, [0.39234, 0.22500, 0.38266], atol=5e-6)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(2, 6), st.floats(0.02, 3))
def test_regularised_nash_is_its_fixed_point(seed: int, n: int, tau: float) -> None:
    M, mu = random_game(seed, n), random_policy(seed, n)
    pi = regularised_nash(M, mu, tau=tau)
    np.testing.assert_allclose(pi, softmax(np.log(mu) + M @ pi / tau), atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0.1, 1))
def test_no_deviation_gains_in_the_regularised_game(seed: int, tau: float) -> None:
    M, mu, other = random_game(seed, 5), random_policy(seed, 5), random_policy(seed + 1, 5)
    pi = regularised_nash(M, mu, tau=tau)
    gain = other @ M @ pi - tau * kl(other, mu) + tau * kl(pi, mu) - 0.5
    assert gain <= 1e-10
    assert gain == pytest.approx(-tau * kl(other, pi), abs=1e-9)


@pytest.mark.parametrize(("T", "gap"), [(10, 7.8e-4), (100, 7.4e-6), (1000, 9.355e-8)])
def test_nash_md_golden(T: int, gap: float) -> None:
    exact = regularised_nash(CIRCLE, EVEN, tau=0.1)
    found = nash_md(CIRCLE, EVEN, tau=0.1, iterations=T)
    assert kl(exact, found.policy) == pytest.approx(gap, rel=0.03)
    assert found.iteration == T


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(2, 5), st.floats(0.05, 1))
def test_nash_md_keeps_theorem_1(seed: int, n: int, tau: float) -> None:
    M, mu = random_game(seed, n), random_policy(seed, n)
    exact = regularised_nash(M, mu, tau=tau)
    gaps = [float(kl(exact, mu))]
    for now in nash_md.iterates(M, mu, tau=tau, iterations=60):
        eta = 2 / (tau * (now.iteration + 1))
        gaps.append(float(kl(exact, now.policy)))
        assert gaps[-1] <= (1 - eta * tau) * gaps[-2] + 2 * eta**2 + 1e-12
        assert gaps[-1] <= 8 / (tau**2 * (now.iteration + 1))


@pytest.mark.parametrize(("eta", "floor"), [(0.2, 7.8e-6), (0.05, 4.8e-7), (0.01, 1.9e-8)])
def test_constant_step_settles_elsewhere(eta: float, floor: float) -> None:
    exact = regularised_nash(CIRCLE, EVEN, tau=0.1)
    pi = nash_md(CIRCLE, EVEN, tau=0.1, step=eta, iterations=round(400 / eta)).policy
    assert kl(exact, pi) == pytest.approx(floor, rel=0.03)
    q = pi ** (1 - eta * 0.1)
    np.testing.assert_allclose(pi, softmax(CIRCLE @ (q / q.sum()) / 0.1), atol=1e-10)


def test_nash_md_plays_prompts_side_by_side() -> None:
    M, mu = random_game(0, 3, 4), random_policy(0, 3, 4)
    together = nash_md(M, mu, tau=0.3, iterations=50).policy
    for x in range(3):
        alone = nash_md(M[x], mu[x], tau=0.3, iterations=50).policy
        np.testing.assert_allclose(together[x], alone, atol=1e-14)


def test_an_answer_the_reference_never_gives_stays_out() -> None:
    mu = np.array([0.5, 0.5, 0.0])
    exact = regularised_nash(CIRCLE, mu, tau=0.2)
    assert exact[2] == 0
    found = nash_md(CIRCLE, mu, tau=0.2, iterations=2000).policy
    np.testing.assert_allclose(found, exact, atol=1e-4)  # sqrt(KL / 2), KL about 1e-8
    assert mirror_descent(CIRCLE, mu, iterations=5).policy[2] == 0


def test_self_play_spirals_outward_while_its_average_settles() -> None:
    start = np.array([0.5, 0.3, 0.2])
    played = mirror_descent(CIRCLE, start, iterations=5000)
    assert kl(NASH, start) == pytest.approx(0.153, abs=5e-4)
    assert kl(NASH, played.policy) == pytest.approx(0.195, abs=5e-4)
    assert 0.5 - exploitability(CIRCLE, played.average) == pytest.approx(0.4967, abs=1e-4)


def test_self_play_never_comes_nearer() -> None:
    path = mirror_descent.iterates(CIRCLE, [0.5, 0.3, 0.2], iterations=500)
    gaps = [float(kl(NASH, now.policy)) for now in path]
    assert (np.diff(gaps) > 0).all()


def test_the_past_is_a_better_opponent() -> None:
    """Answering the opponent at once (step 1 / tau) settles against the past only."""
    exact = regularised_nash(CIRCLE, EVEN, tau=0.1)
    answer = partial(mirror_descent, CIRCLE, EVEN, tau=0.1, step=10.0, iterations=10_000)
    assert kl(exact, answer(against=past_mixture).policy) < 1e-7
    assert kl(exact, answer().policy) > 0.5  # circling


def test_a_small_constant_step_against_the_past_circles() -> None:
    played = mirror_descent(CIRCLE, [0.5, 0.3, 0.2], iterations=5000, against=past_mixture)
    assert exploitability(CIRCLE, played.policy) > 0.2


def test_mirror_descent_with_a_reference_reaches_the_exact_point() -> None:
    exact = regularised_nash(CIRCLE, EVEN, tau=0.1)
    found = mirror_descent(CIRCLE, EVEN, tau=0.1, step=0.05, iterations=8000)
    np.testing.assert_allclose(found.policy, exact, atol=1e-10)


def test_average_is_of_all_policies() -> None:
    path = list(mirror_descent.iterates(CIRCLE, [0.5, 0.3, 0.2], iterations=7))
    policies = np.array([[0.5, 0.3, 0.2], *(now.policy for now in path)])
    np.testing.assert_allclose(path[-1].average, policies.mean(axis=0), atol=1e-14)
    np.testing.assert_array_equal(path[-1].opponent, path[-2].policy)


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("M", "message"),
    [
        ([[0.5, 0.9], [0.2, 0.5]], r"M\[0, 1\] \+ M\[1, 0\] must be 1; it is 1.1"),
        ([[0.6, 0.5], [0.5, 0.5]], r"M\[0, 0\] \+ M\[0, 0\] must be 1; it is 1.2"),
        ([[0.5, 1.5], [-0.5, 0.5]], r"M\[0, 1\] must be in \[0, 1\]; it is 1.5"),
        ([[0.5, 0.5]], r"M must have shape \(..., n, n\); it has \(1, 2\)"),
    ],
)
def test_matrices_that_are_no_preferences(M: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        preference_game(M)
    with pytest.raises(ValueError, match=message):
        nash_md(M, [0.5, 0.5], tau=1)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="tau must be above 0; it is 0"):
        nash_md(CIRCLE, EVEN, tau=0)
    with pytest.raises(ValueError, match=r"step must be in \[0, 10\]; it is 11"):
        nash_md(CIRCLE, EVEN, tau=0.1, step=11)
    with pytest.raises(ValueError, match=r"step\(0\) must be in \[0, 10\]; it is 20"):
        nash_md(CIRCLE, EVEN, tau=0.1, step=lambda t: 20 / (t + 1))
    with pytest.raises(ValueError, match=r"reference must be a distribution; it sums to 0\.9"):
        nash_md(CIRCLE, [0.3, 0.3, 0.3], tau=1)
    with pytest.raises(ValueError, match=r"policy must have shape \(3,\); it has \(2,\)"):
        exploitability(CIRCLE, [0.5, 0.5])
    with pytest.raises(ValueError, match="against must be a distribution"):
        mirror_descent(CIRCLE, EVEN, against=lambda now: 2 * now.policy)
    with pytest.raises(ValueError, match=r"M\[0, 1\] must be in \[0, 1\]; it is 2"):
        preference_matrix(lambda y, other: 2.0, ["a", "b"])


def test_bradley_terry_without_a_maximum() -> None:
    M = [[0.5, 1.0, 1.0], [0.0, 0.5, 0.6], [0.0, 0.4, 0.5]]
    with pytest.raises(ValueError, match="Bradley-Terry's rewards diverge"):
        bradley_terry_scores(M)
    np.testing.assert_allclose(preference_game(M).policy, [1, 0, 0], atol=1e-12)


def test_opponents_are_functions_of_the_player() -> None:
    def stubborn(now: Playing) -> Array:
        return np.array([1.0, 0.0, 0.0])

    beaten = mirror_descent(CIRCLE, EVEN, against=stubborn, iterations=2000).policy
    np.testing.assert_allclose(beaten, [0, 0, 1], atol=1e-6)
