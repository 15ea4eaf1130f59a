"""What an examination found: schedules, the end on the board, policies without end."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gridrl import (
    dyna_q,
    explain_update,
    mc_prediction,
    n_step_td,
    off_policy_mc,
    q_learning,
    reinforce,
    replay,
    rollout,
    state_values,
    td0,
    td_lambda,
    uniform_policy,
)
from gridrl.learning import SampledProcess
from gridrl.worlds import dyna_maze, random_walk

WALK = random_walk().mdp(gamma=1)
MAZE = dyna_maze().mdp(gamma=0.95)
SCHEDULES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "max": (lambda n: max(0.1, 1 / n), lambda n: np.maximum(0.1, 1 / n)),
    "if": (lambda n: 0.5 if n < 3 else 0.1, lambda n: np.where(n < 3, 0.5, 0.1)),
    "math": (lambda n: math.exp(-n / 9), lambda n: np.exp(-n / 9)),
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("runs", [None, 1, 5])
def test_a_schedule_may_be_written_for_one_count(name: str, runs: int | None) -> None:
    one, many = SCHEDULES[name]
    settings: Any = {"episodes": 5, "runs": runs, "rng": 0}
    np.testing.assert_array_equal(
        q_learning(WALK, alpha=one, **settings).Q, q_learning(WALK, alpha=many, **settings).Q
    )
    q_learning(WALK, epsilon=one, **settings)
    q_learning(WALK, epsilon=lambda e: [0.0, 1, 0.9, 0.8, 0.7, 0.6][e], **settings)


def test_a_schedule_that_is_none_is_named() -> None:
    with pytest.raises(TypeError, match=r"alpha\(1\.0\) must be a number"):
        q_learning(WALK, episodes=1, alpha=lambda n: "small", runs=3, rng=0)
    with pytest.raises(TypeError, match=r"epsilon\(1\) must be a number"):
        q_learning(WALK, episodes=1, epsilon=lambda n: "some", rng=0)


def test_the_step_size_of_dyna_may_decay() -> None:
    # alpha = 1 / n averages; alpha = 1 remembers the last target
    mean, last = (
        dyna_q(MAZE, episodes=3, planning=2, alpha=alpha, rng=0).Q
        for alpha in (lambda n: 1 / n, 1.0)
    )
    assert np.abs(mean - last).max() > 0.01
    counts: list[float] = []

    def alpha(n: Any) -> Any:
        counts.extend(np.ravel(n))
        return np.full(np.shape(n), 0.5)

    steps = dyna_q(MAZE, episodes=1, planning=2, alpha=alpha, rng=0).lengths
    assert len(counts) == 3 * steps  # each step, and two in the head
    assert max(counts) > 1


def test_nothing_comes_after_the_end_on_the_board() -> None:
    right = np.tile([0.0, 1.0], (7, 1))
    episode = rollout(WALK, right, episodes=1, steps=50, rng=1)[0]
    board = replay(WALK, episode, alpha=0.5, V=np.full(7, 0.5)).V
    last = int(episode.states[-2])
    assert board[last] == 0.5 + 0.5 * (episode.rewards[-1] - 0.5)
    words = explain_update(WALK, 5, 1, alpha=0.5, Q=np.ones((7, 2)), r=1, s_next=6)
    assert "= 1 + 1 * max(0, 0) - 1 = 0" in words
    with pytest.raises(ValueError, match="s must be a state where one acts; 7 is terminal"):
        explain_update(WALK, 6, 1, alpha=0.5, V=np.zeros(7), r=1, s_next=6)


@pytest.mark.parametrize(
    "learner", [td0, mc_prediction, lambda m, p, **k: n_step_td(m, p, n=2, **k),
                lambda m, p, **k: td_lambda(m, p, lambda_=0.5, **k)],
)  # fmt: skip
def test_a_policy_that_never_ends_is_refused_at_once(learner: Any) -> None:
    up = np.tile([1.0, 0, 0, 0], (47, 1))
    with pytest.raises(ValueError, match="no end is reachable under the policy"):
        learner(MAZE, up, episodes=1, rng=0)
    learner(MAZE, up, episodes=1, steps=5, rng=0)
    uniform = uniform_policy(MAZE)
    learner(MAZE, uniform, episodes=1, rng=0)


def test_a_very_long_n_is_monte_carlo() -> None:
    pi = uniform_policy(WALK)
    short, long = (
        n_step_td(WALK, pi, n=n, episodes=20, alpha=0.1, runs=3, rng=0).V for n in (500, 10**9)
    )
    np.testing.assert_array_equal(short, long)


def test_off_policy_learning_by_trying_only() -> None:
    chance = np.random.default_rng(0)
    at = [0]

    def reset(seed: int | None) -> int:
        at[0] = 3
        return 3

    def step(a: int) -> tuple[int, float, bool, bool]:
        at[0] += 2 * a - 1
        over = at[0] in (0, 6)
        return (7 if over else at[0]), float(at[0] == 6), over, False

    names = tuple(str(i) for i in range(8))
    walk = SampledProcess(reset, step, 8, 2, 1.0, names, ("left", "right"))
    target, behaviour = np.tile([0.4, 0.6], (8, 1)), np.full((8, 2), 0.5)
    V = off_policy_mc(walk, target, behaviour, episodes=3000, rng=int(chance.integers(9))).V
    exact = state_values(WALK, np.tile([0.4, 0.6], (7, 1)))
    # weights have a deviation of about 1.5: 5 of 0.03, a false alarm in a million
    assert abs(V[3] - exact[3]) < 0.15


def test_the_step_of_an_update_is_that_updates() -> None:
    first = reinforce(WALK, updates=1, episodes=3, alpha=0.5, rng=0).theta
    stopped = reinforce(WALK, updates=4, episodes=3, alpha=lambda n: 0.5 * (n == 1), rng=0).theta
    np.testing.assert_array_equal(first, stopped)
