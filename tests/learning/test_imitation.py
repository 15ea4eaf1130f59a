"""Clones, how they drift, and hints that change no answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridrl import (
    MDP,
    POMDP,
    Trajectories,
    advantages,
    epsilon_greedy,
    lost_penguin_world,
    penguin_world,
    policy_iteration,
    q_values,
    rollout,
    state_values,
    uniform_policy,
)
from gridrl.learning import (
    behaviour_cloning,
    exact_returns,
    imitation_drift,
    potential_shaping,
    q_learning,
)
from gridrl.tables import Array
from tests.learning.oracles import descent
from tests.strategies import mdps, policies, rewards, seeds, sparse_rows

ICE, LOST = penguin_world().mdp(gamma=0.9), lost_penguin_world().pomdp(gamma=0.9)
few = settings(max_examples=20, deadline=None)


def log_likelihood(shown: Trajectories, pi: Array) -> float:
    """log Pr(actions | what was seen), step by step."""
    seen = shown.states if shown.observations is None else shown.observations
    total = 0.0
    for k in range(len(shown)):
        for t in range(int(shown.lengths[k])):
            total += float(np.log(pi[seen[k, t], shown.actions[k, t]]))
    return total


@pytest.mark.parametrize("world", [ICE, LOST, descent("(S, A)", 0.9)[0]])
def test_no_table_makes_what_was_shown_more_likely(world: Any) -> None:
    rng = np.random.default_rng(0)
    Z = world.n_observations if isinstance(world, POMDP) else world.n_states
    A = world.n_actions
    shown = rollout(world, rng.dirichlet(np.ones(A), size=Z), episodes=20, steps=6, rng=0)
    clone = behaviour_cloning(shown, Z, A)
    best = log_likelihood(shown, clone)
    for _ in range(20):
        other = 0.97 * clone + 0.03 * rng.dirichlet(np.ones(A), size=Z)
        assert log_likelihood(shown, other) < best


def test_the_clone_is_the_share_of_what_was_done() -> None:
    shown = Trajectories(
        states=np.array([[0, 1, 0, 2], [0, 2, 2, 2]]),
        actions=np.array([[1, 0, 1], [0, -1, -1]]),  # after the end nobody acts
        rewards=np.zeros((2, 3)),
        lengths=np.array([3, 1]),
        terminated=np.array([True, True]),
    )
    clone = behaviour_cloning(shown, 4, 2)
    np.testing.assert_allclose(clone, [[1 / 3, 2 / 3], [1.0, 0.0], [0.5, 0.5], [0.5, 0.5]])
    # the last state was reached, not acted in
    np.testing.assert_allclose(behaviour_cloning(shown[0], 4, 2)[0], [0, 1])
    seen = Trajectories(
        shown.states, shown.actions, shown.rewards, shown.lengths, shown.terminated,
        observations=np.array([[0, 0, 0, 1], [1, 1, 1, 1]]),
    )  # fmt: skip
    np.testing.assert_allclose(behaviour_cloning(seen, 2, 2), [[1 / 3, 2 / 3], [1.0, 0.0]])


def test_with_much_to_see_the_clone_is_the_expert() -> None:
    expert = np.random.default_rng(1).dirichlet(np.ones(4), size=16)
    shown = rollout(ICE, expert, episodes=500, steps=40, rng=2)
    visits = np.bincount(shown.states[:, :-1].ravel(), minlength=16)[:, None]
    error = np.sqrt(expert * (1 - expert) / visits)
    # 5 deviations: 6e-7, 64 numbers: 4e-5
    assert (np.abs(behaviour_cloning(shown, 16, 4) - expert) < 5 * error).all()


def test_clones_of_the_lost_have_a_row_for_each_view() -> None:
    blind = np.eye(4)[[2, 1, 1, 0, 3]]
    shown = rollout(LOST, blind, episodes=200, steps=30, rng=0)
    assert shown.observations is not None
    clone = behaviour_cloning(shown, 5, 4)
    met = np.unique(shown.observations[:, :-1])
    np.testing.assert_array_equal(clone[met], blind[met])


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ((2, 4), ValueError, r"states\[\d+\] must be in 0\.\.1"),
        ((16, 2), ValueError, r"actions\[\d+\] must be in 0\.\.1"),
        ((0, 4), ValueError, "n_states must be at least 1; it is 0"),
        ((16, 0), ValueError, "n_actions must be at least 1; it is 0"),
        ((16.0, 4), TypeError, "n_states must be a whole number; it is 16.0"),
    ],
)
def test_bad_sizes_are_named(sizes: Any, error: type[Exception], message: str) -> None:
    shown = rollout(ICE, uniform_policy(ICE), episodes=5, steps=20, rng=0)
    with pytest.raises(error, match=message):
        behaviour_cloning(shown, *sizes)


def test_nothing_to_imitate_is_refused() -> None:
    with pytest.raises(TypeError, match="trajectories must be Trajectories; it is list"):
        behaviour_cloning([], 2, 2)  # type: ignore[arg-type]
    walk = Trajectories(np.array([0, 1]), np.array([-1]), np.array([0.0]), np.array(1),
                        np.array(True))  # fmt: skip
    with pytest.raises(ValueError, match="must hold at least one action; nobody acts in them"):
        behaviour_cloning(walk, 2, 2)
    empty = Trajectories(
        np.zeros((0, 3), int), np.zeros((0, 2), int), np.zeros((0, 2)), np.zeros(0, int),
        np.zeros(0, bool),
    )  # fmt: skip
    with pytest.raises(ValueError, match="must hold at least one action"):
        behaviour_cloning(empty, 2, 2)


# --- drift ----------------------------------------------------------------------------------------


def test_drift_is_the_distance_of_simulated_crowds() -> None:
    expert = policy_iteration(ICE).policy
    clone = epsilon_greedy(expert, 0.4)
    drift = imitation_drift(ICE, expert, clone, horizon=6)
    n = 20_000
    crowds = [rollout(ICE, pi, episodes=n, steps=6, rng=seed).states
              for seed, pi in ((0, expert), (1, clone))]  # fmt: skip
    for t in range(7):
        share = [np.bincount(s[:, t], minlength=16) / n for s in crowds]
        # each of 32 shares deviates by at most 0.0035: the half sum is off by less than 0.03
        assert abs(np.abs(share[0] - share[1]).sum() / 2 - drift[t]) < 0.03
    assert drift.max() > 0.07


def chance_at(mdp: MDP, pi: Array, T: int) -> Array:
    """Pr(s_t = s) for t = 0 .. T, with loops."""
    P, now = np.asarray(mdp.P), mdp.start
    film = [now]
    for _ in range(T):
        now = np.array(
            [
                sum(now[s] * pi[s, a] * P[s, a, to] for s, a in np.ndindex(*pi.shape))
                for to in range(len(now))
            ]
        )
        film.append(now)
    return np.array(film)


@few
@given(mdps(), seeds, st.integers(0, 4), st.floats(0, 1))
def test_drift_by_definition_and_its_bound(mdp: MDP, seed: int, T: int, epsilon: float) -> None:
    rng = np.random.default_rng(seed)
    expert, other = policies(rng, mdp), policies(rng, mdp)
    clone = (1 - epsilon) * expert + epsilon * other
    drift = imitation_drift(mdp, expert, clone, horizon=T)
    far = np.abs(chance_at(mdp, expert, T) - chance_at(mdp, clone, T)).sum(axis=1) / 2
    np.testing.assert_allclose(drift, far, atol=1e-13)
    errs = np.abs(expert - clone).sum(axis=1).max() / 2
    assert (drift <= errs * np.arange(T + 1) + 1e-12).all()  # errors add up  [Ross & Bagnell]
    assert (drift <= 1 + 1e-12).all()
    assert (imitation_drift(mdp, expert, expert, horizon=T) == 0).all()
    swapped = imitation_drift(mdp, clone, expert, horizon=T)
    np.testing.assert_array_equal(drift, swapped)


def test_bad_drifts_are_named() -> None:
    pi = uniform_policy(ICE)
    with pytest.raises(ValueError, match="horizon must be at least 0; it is -1"):
        imitation_drift(ICE, pi, pi, horizon=-1)
    with pytest.raises(ValueError, match=r"policy\[0\] must be a distribution; it sums to 2"):
        imitation_drift(ICE, pi, 2 * pi, horizon=1)
    with pytest.raises(ValueError, match="policy must have shape"):
        imitation_drift(ICE, pi, np.stack([pi] * 3), horizon=1)
    with pytest.raises(TypeError, match=r"mdp must be an MDP; it is a POMDP: use its \.mdp"):
        imitation_drift(LOST, pi, pi, horizon=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("world", [0.5, penguin_world()])
def test_drift_in_what_is_no_process_is_refused(world: Any) -> None:
    pi = uniform_policy(ICE)
    with pytest.raises(TypeError, match="mdp must be an MDP"):
        imitation_drift(world, pi, pi, horizon=1)


# --- shaping --------------------------------------------------------------------------------------


def potential(mdp: MDP, seed: int) -> Array:
    Phi = np.random.default_rng(seed).normal(size=mdp.n_states)
    return np.where(mdp.terminal, 0.0, Phi)


@few
@given(mdps(), seeds)
def test_advantages_stay_and_values_shift(mdp: MDP, seed: int) -> None:
    pi, Phi = policies(np.random.default_rng(seed), mdp), potential(mdp, seed)
    shaped = potential_shaping(mdp, Phi)
    small = 1e-11 / (1 - mdp.gamma)
    np.testing.assert_allclose(state_values(shaped, pi), state_values(mdp, pi) - Phi, atol=small)
    np.testing.assert_allclose(q_values(shaped, pi), q_values(mdp, pi) - Phi[:, None], atol=small)
    np.testing.assert_allclose(advantages(shaped, pi), advantages(mdp, pi), atol=small)
    best, plain = policy_iteration(shaped), policy_iteration(mdp)
    np.testing.assert_allclose(best.V, plain.V - Phi, atol=small)
    np.testing.assert_allclose(best.Q, plain.Q - Phi[:, None], atol=small)
    clear = np.sort(plain.Q, axis=1)
    sure = clear[:, -1] - clear[:, -2:-1].max(axis=1, initial=-np.inf) > 1e-8
    np.testing.assert_array_equal(best.policy[sure], plain.policy[sure])


@pytest.mark.parametrize("form", list(rewards(np.random.default_rng(0), 2, 2)))
def test_what_is_paid_follows_the_formula(form: str) -> None:
    rng = np.random.default_rng(3)
    R = rewards(rng, 4, 2)[form]
    ends = np.array([False, False, False, True])
    mdp = MDP(sparse_rows(rng, 4, 2, 4), R, 0.8, terminal=ends, start=[0.4, 0.3, 0.3, 0])
    Phi = potential(mdp, 1)
    shaped = potential_shaping(mdp, Phi)
    pi = uniform_policy(mdp)
    plain, hinted = (rollout(m, pi, episodes=60, steps=8, rng=5) for m in (mdp, shaped))
    np.testing.assert_array_equal(plain.states, hinted.states)
    np.testing.assert_array_equal(plain.actions, hinted.actions)
    alive = plain.actions >= 0
    hint = 0.8 * Phi[plain.states[:, 1:]] - Phi[plain.states[:, :-1]]
    np.testing.assert_allclose(hinted.rewards, np.where(alive, plain.rewards + hint, 0), atol=1e-12)
    # every episode's return is shifted by what the potential says about its ends
    last = plain.states[np.arange(60), plain.lengths]
    shift = 0.8**plain.lengths * Phi[last] - Phi[plain.states[:, 0]]
    np.testing.assert_allclose(hinted.returns(0.8), plain.returns(0.8) + shift, atol=1e-12)
    expected = mdp.R + 0.8 * (mdp.P @ Phi) - Phi[:, None]
    np.testing.assert_allclose(shaped.R, np.where(ends[:, None], 0, expected), atol=1e-13)


def test_hints_may_be_given_twice_and_taken_back() -> None:
    Phi = potential(ICE, 0)
    twice = potential_shaping(potential_shaping(ICE, Phi), -Phi)
    np.testing.assert_allclose(twice.R, ICE.R, atol=1e-14)
    np.testing.assert_allclose(potential_shaping(ICE, np.zeros(16)).R, ICE.R, atol=0)


def test_a_good_hint_saves_episodes() -> None:
    V = policy_iteration(ICE).V
    same: dict[str, Any] = {"episodes": 5, "alpha": 0.5, "steps": 20, "runs": 200, "rng": 0}
    plain, hinted = (
        exact_returns(ICE, q_learning(world, **same).policy)
        for world in (ICE, potential_shaping(ICE, V))
    )
    # 1.44 and 1.60 or so; the mean of 200 runs deviates by 0.02
    assert hinted.mean() > plain.mean() + 0.08


def test_bad_potentials_are_named() -> None:
    mdp, _ = descent("(S, A)", 0.9)
    with pytest.raises(ValueError, match=r"potential\[3\] must be 0 where .* is over; it is 2"):
        potential_shaping(mdp, [1.0, 0.0, 0.0, 2.0])
    with pytest.raises(ValueError, match=r"potential must have shape \(4,\); it has \(4, 2\)"):
        potential_shaping(mdp, np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"potential\[1\] must be finite; it is nan"):
        potential_shaping(mdp, [0, np.nan, 0, 0])
    with pytest.raises(TypeError, match="mdp must be an MDP; it is a GridWorld"):
        potential_shaping(penguin_world(), np.zeros(16))  # type: ignore[arg-type]
