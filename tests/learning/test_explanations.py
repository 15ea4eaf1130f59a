"""What is written on the board is what learners do."""

from __future__ import annotations

import pickle
import re
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from gridrl import (
    MDP,
    Trajectories,
    penguin_world,
    rollout,
    softmax_policy,
    state_values,
    uniform_policy,
)
from gridrl.learning import (
    Update,
    explain_update,
    n_step_sarsa,
    q_learning,
    reinforce,
    replay,
    reward_to_go,
    sarsa,
    td0,
)
from gridrl.planning import greedy
from gridrl.tables import Array
from tests.learning.oracles import by_hand, descent, roundabout, score

WORLD = penguin_world()
ICE = WORLD.mdp(gamma=0.9)
RING, _ = roundabout("(S, A)", 0.9)
DOWN, _ = descent("(S, A)", 0.8)


def last_numbers(words: str) -> list[float]:
    """What each line comes to."""
    return [float(line.rsplit("= ", 1)[1]) for line in words.splitlines()]


def table(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


# --- the words ------------------------------------------------------------------------------------


def test_td0_on_the_board() -> None:
    V = np.zeros(16)
    V[[8, 4]] = 0.5, 1.0
    words = explain_update(ICE, 8, 0, alpha=0.1, V=V, r=1.0, s_next=4)
    assert words == (
        "delta = r + gamma V(5) - V(9) = 1 + 0.9 * 1 - 0.5 = 1.4\n"
        "V(9) <- V(9) + alpha delta = 0.5 + 0.1 * 1.4 = 0.64"
    )


def test_sarsa_on_the_board() -> None:
    Q = np.zeros((16, 4))
    Q[8], Q[4] = [0, 0, -0.5, 0], [3.0, -1.0, 0, 0]
    words = explain_update(ICE, 8, 2, alpha=0.5, Q=Q, r=0, s_next=4, a_next=1)
    assert words == (
        "delta = r + gamma Q(5,right) - Q(9,down) = 0 + 0.9 * -1 - (-0.5) = -0.4\n"
        "Q(9,down) <- Q(9,down) + alpha delta = -0.5 + 0.5 * (-0.4) = -0.7"
    )
    words = explain_update(ICE, 8, 2, alpha=0.5, Q=Q, r=0, s_next=4)
    assert words.splitlines()[0] == (
        "delta = r + gamma max_a Q(5,a) - Q(9,down) = 0 + 0.9 * max(3, -1, 0, 0) - (-0.5) = 3.2"
    )


def test_reinforce_on_the_board() -> None:
    theta = np.zeros((16, 4))
    words = explain_update(ICE, 0, 1, alpha=0.4, theta=theta, G=1.0, baseline=3.0)
    lines = words.splitlines()
    assert lines[0] == "G - b = 1 - 3 = -2"
    assert lines[2] == (
        "theta(1,right) <- theta(1,right) + alpha (G - b) [1 - pi(right|1)]"
        " = 0 + 0.4 * (-2) * (1 - 0.25) = -0.6"
    )
    assert last_numbers(words) == [-2, 0.2, -0.6, 0.2, 0.2]


@pytest.mark.parametrize("seed", range(5))
def test_the_last_number_is_the_update(seed: int) -> None:
    rng = np.random.default_rng(seed)
    V, Q, theta = table(seed, 16), table(seed, 16, 4), table(seed, 16, 4)
    s, s_next, a, a_next = (int(i) for i in rng.integers([16, 16, 4, 4]))
    alpha, r, G, b = rng.random(), *rng.normal(size=3)
    step: dict[str, Any] = {"alpha": alpha, "r": r, "s_next": s_next}
    close = partial(pytest.approx, rel=1e-3, abs=1e-12)  # four digits are written
    _, new = last_numbers(explain_update(ICE, s, a, V=V, **step))
    assert new == close(V[s] + alpha * (r + 0.9 * V[s_next] - V[s]))
    delta, new = last_numbers(explain_update(ICE, s, a, Q=Q, **step))
    assert delta == close(r + 0.9 * Q[s_next].max() - Q[s, a])
    assert new == close(Q[s, a] + alpha * (r + 0.9 * Q[s_next].max() - Q[s, a]))
    _, new = last_numbers(explain_update(ICE, s, a, Q=Q, a_next=a_next, **step))
    assert new == close(Q[s, a] + alpha * (r + 0.9 * Q[s_next, a_next] - Q[s, a]))
    gap, *rows = last_numbers(explain_update(ICE, s, a, alpha=alpha, theta=theta, G=G, baseline=b))
    assert gap == close(G - b)
    pi = softmax_policy(theta)
    assert rows == close((theta[s] + alpha * (G - b) * score(pi, s, a)).tolist())


@pytest.mark.parametrize("learner", [td0, q_learning, sarsa])
def test_a_learners_first_step_is_the_one_on_the_board(learner: Any) -> None:
    process, diary = by_hand(RING)
    options = (uniform_policy(RING),) if learner is td0 else ()
    first = learner(process, *options, episodes=1, steps=1, alpha=0.3, rng=0)
    (s, s_next), (a,), (r,), _ = diary.episodes[0]
    kind, values = ("V", first.V) if learner is td0 else ("Q", first.Q)
    empty = {kind: np.zeros_like(values)}
    more = {"a_next": 0} if learner is sarsa else {}
    words = explain_update(RING, s, a, alpha=0.3, r=r, s_next=s_next, **empty, **more)
    found = values[s] if learner is td0 else values[s, a]
    assert last_numbers(words)[1] == pytest.approx(found, rel=1e-3)
    assert np.count_nonzero(values) == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "exactly one of V, Q and theta must be given; 0 are"),
        ({"V": np.zeros(16), "Q": np.zeros((16, 4))}, ValueError, "exactly one .* 2 are"),
        ({"V": np.zeros(16)}, ValueError, "s_next must be given: where the step led"),
        ({"Q": np.zeros((16, 4))}, ValueError, "s_next must be given"),
        ({"V": np.zeros(4), "s_next": 1}, ValueError, r"V must have shape \(16,\); it has \(4,\)"),
        ({"Q": np.zeros(16), "s_next": 1}, ValueError, r"Q must have shape \(16, 4\)"),
        ({"theta": np.zeros((4, 16))}, ValueError, r"theta must have shape \(16, 4\)"),
        ({"theta": np.full((16, 4), np.nan)}, ValueError, r"theta\[0, 0\] must be finite"),
        ({"V": np.zeros(16), "s_next": 16}, ValueError, r"s_next must be in 0\.\.15; it is 16"),
        ({"Q": np.zeros((16, 4)), "s_next": 1, "a_next": 4}, ValueError, r"a_next .* it is 4"),
        ({"V": np.zeros(16), "s_next": 1, "alpha": -1}, ValueError, "alpha must be .*; it is -1"),
        ({"V": np.zeros(16), "s_next": 1, "r": np.nan}, ValueError, "r must be finite"),
        ({"theta": np.zeros((16, 4)), "G": np.inf}, ValueError, "G must be finite; it is inf"),
        ({"V": np.zeros(16), "s_next": 1.0}, TypeError, "s_next must be a whole number"),
    ],
)
def test_bad_updates_are_named(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        explain_update(ICE, 0, 1, **({"alpha": 0.5} | options))


def test_bad_steps_are_named() -> None:
    with pytest.raises(ValueError, match=r"s must be in 0\.\.15; it is 16"):
        explain_update(ICE, 16, 1, alpha=0.5, theta=np.zeros((16, 4)))
    with pytest.raises(ValueError, match=r"a must be in 0\.\.3; it is -1"):
        explain_update(ICE, 0, -1, alpha=0.5, theta=np.zeros((16, 4)))
    with pytest.raises(TypeError, match="mdp must be an MDP; it is a GridWorld"):
        explain_update(WORLD, 0, 0, alpha=0.5, V=np.zeros(16), s_next=0)  # type: ignore[arg-type]


# --- replay ---------------------------------------------------------------------------------------


def told(mdp: MDP, episode: tuple[Any, ...]) -> Trajectories:
    states, actions, rewards, ended = episode
    return Trajectories(*(np.array(x) for x in (states, actions, rewards, len(actions), ended[-1])))


@pytest.mark.parametrize("kind", ["V", "Q"])
@pytest.mark.parametrize("seed", range(4))
def test_replayed_episodes_teach_what_learners_learned(kind: str, seed: int) -> None:
    process, diary = by_hand(RING)
    same: dict[str, Any] = {"episodes": 4, "alpha": 0.3, "rng": seed}
    if kind == "V":
        tables = [f.V for f in td0.iterates(process, uniform_policy(RING), **same)]
    else:
        tables = [f.Q for f in q_learning.iterates(process, epsilon=0.5, **same)]
    values = np.zeros_like(tables[0])
    for after, episode in zip(tables, diary.episodes, strict=True):
        steps = list(replay.iterates(RING, told(RING, episode), alpha=0.3, **{kind: values}))
        assert len(steps) == len(episode[1])
        values = steps[-1].table
        np.testing.assert_array_equal(values, after)  # number for number
        for t, step in enumerate(steps):
            assert step.s == episode[0][t]
            s, a = episode[0][t], episode[1][t]
            new = step.table[s] if kind == "V" else step.table[s, a]
            assert last_numbers(step.words)[1] == pytest.approx(new, rel=1e-3, abs=1e-12)


def test_reinforce_replayed_adds_up_to_the_estimate() -> None:
    theta, pi = table(1, 4, 2), softmax_policy(table(1, 4, 2))
    for seed in range(5):
        episode = rollout(DOWN, pi, episodes=1, steps=5, rng=seed)[0]
        estimate = np.zeros((4, 2))
        credit = reward_to_go(episode.rewards, 0.8)
        for t, (s, a) in enumerate(zip(episode.states, episode.actions, strict=False)):
            estimate[s] += credit[t] * score(pi, int(s), int(a))
        small = 1e-6  # theta moves on within the episode, by as much: an error of its square
        last = replay(DOWN, episode, alpha=small, theta=theta)
        np.testing.assert_allclose((last.table - theta) / small, estimate, atol=1e-4)


def test_reinforce_of_one_step_is_the_learner() -> None:
    process, diary = by_hand(RING)
    learned = reinforce(process, updates=1, alpha=0.7, steps=1, rng=3)
    last = replay(RING, told(RING, diary.episodes[0]), alpha=0.7, theta=np.zeros((3, 2)))
    np.testing.assert_allclose(last.table, learned.theta, atol=1e-15)


def test_what_an_update_shows() -> None:
    pi = uniform_policy(ICE)
    episode = rollout(ICE, pi, episodes=1, steps=6, rng=0)[0]
    for step in replay.iterates(ICE, episode, alpha=0.5, V=table(0, 16)):
        assert step.policy is None
        np.testing.assert_array_equal(step.V, step.table)
    for step in replay.iterates(ICE, episode, alpha=0.5, Q=table(0, 16, 4)):
        np.testing.assert_array_equal(step.V, step.table.max(axis=1))
        np.testing.assert_array_equal(step.policy, greedy(step.table))
    theta = table(0, 16, 4)
    for step in replay.iterates(ICE, episode, alpha=0.5, theta=theta):
        soft = softmax_policy(step.table)
        np.testing.assert_array_equal(step.policy, soft)
        np.testing.assert_allclose(step.V, state_values(ICE, soft))
    np.testing.assert_array_equal(theta, table(0, 16, 4))  # what was given is not touched


def test_updates_are_frozen_and_travel() -> None:
    episode = rollout(ICE, uniform_policy(ICE), episodes=1, steps=9, rng=1)[0]
    film = list(replay.iterates(ICE, episode, alpha=0.5, Q=table(2, 16, 4)))
    again: Update = pickle.loads(pickle.dumps(film[0]))
    np.testing.assert_array_equal(again.table, film[0].table)
    for values in (film[0].V, film[0].policy, film[0].table, again.table):
        assert values is not None
        assert not values.flags.writeable
    assert film[0].explain() == film[0].explain(film[0].s) == film[0].words
    assert film[0].explain(film[0].s + 1) == "nothing was learned here in this step"
    assert re.fullmatch(r"Update\(state \d+\)", repr(film[0]))
    assert any((one.table != other.table).any() for one, other in pairwise(film))


def test_bad_replays_are_named() -> None:
    many = rollout(ICE, uniform_policy(ICE), episodes=2, steps=5, rng=0)
    with pytest.raises(TypeError, match=r"a single episode, say episodes\[0\]; it is Traj"):
        replay(ICE, many, alpha=0.5, V=np.zeros(16))
    with pytest.raises(TypeError, match="trajectory must be a single episode"):
        replay(ICE, [0, 1], alpha=0.5, V=np.zeros(16))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="exactly one of V, Q and theta must be given; 0 are"):
        replay(ICE, many[0], alpha=0.5)
    with pytest.raises(ValueError, match="exactly one of V, Q and theta must be given; 2 are"):
        replay(ICE, many[0], alpha=0.5, V=np.zeros(16), theta=np.zeros((16, 4)))
    with pytest.raises(ValueError, match=r"V must have shape \(16,\); it has \(15,\)"):
        replay(ICE, many[0], alpha=0.5, V=np.zeros(15))
    with pytest.raises(ValueError, match=r"s must be in 0\.\.2|s_next must be in 0\.\.2"):
        replay(RING, many[0], alpha=0.5, V=np.zeros(3))


def test_an_episode_without_steps_is_refused() -> None:
    over = Trajectories(np.array([2]), np.zeros(0, int), np.zeros(0), np.array(0), np.array(True))
    with pytest.raises(ValueError, match="trajectory"):
        replay(RING, over, alpha=0.5, V=np.zeros(3))


def test_n_steps_of_one_are_on_the_board_too() -> None:
    process, diary = by_hand(RING)
    first = n_step_sarsa(process, n=1, episodes=1, steps=1, alpha=0.3, rng=0)
    (s, s_next), (a,), (r,), _ = diary.episodes[0]
    words = explain_update(RING, s, a, alpha=0.3, Q=np.zeros((3, 2)), r=r, s_next=s_next, a_next=1)
    assert last_numbers(words)[1] == pytest.approx(first.Q[s, a], rel=1e-3)
