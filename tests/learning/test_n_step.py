"""n steps and a guess: against TD(0), SARSA, Monte Carlo, the book's box, and by hand."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from gridrl import MDP, state_values, uniform_policy
from gridrl.learning import n_step_sarsa, n_step_td, rms_error, sarsa, td0
from gridrl.tables import Array
from gridrl.worlds import frozen_lake, random_walk
from tests.learning.oracles import Diary, by_hand
from tests.strategies import sparse_rows

WALK, LAKE = random_walk().mdp(gamma=0.9), frozen_lake().mdp(gamma=0.9)
SCHEDULES: list[Any] = [0.3, lambda n: 1 / n]
CHAIN = MDP(
    np.eye(4)[[1, 2, 3, 3]][:, None], [[1.0], [2.0], [4.0], [0.0]], 0.5, start=0,
    terminal=[False] * 3 + [True],
)  # fmt: skip


def maze() -> MDP:
    """Five states and an end, the last one, which comes after some six steps."""
    rng = np.random.default_rng(8)
    P = sparse_rows(rng, 6, 2, 6)
    P[:5, :, 5] = 0.15
    R = rng.normal(size=(6, 2))
    return MDP(P / P.sum(axis=2, keepdims=True), R, 0.9, terminal=np.arange(6) == 5)


MAZE = maze()


@pytest.mark.parametrize("alpha", SCHEDULES)
@pytest.mark.parametrize("steps", [None, 3])
def test_one_step_is_td0_and_sarsa_number_for_number(alpha: Any, steps: int | None) -> None:
    same: dict[str, Any] = {
        "episodes": 15, "alpha": alpha, "steps": steps, "runs": 5, "rng": 3
    }  # fmt: skip
    pi = uniform_policy(WALK)
    one = n_step_td.iterates(WALK, pi, n=1, initial=0.5, **same)
    for f, g in zip(one, td0.iterates(WALK, pi, initial=0.5, **same), strict=True):
        for field in ("V", "returns", "lengths", "td_error"):
            np.testing.assert_array_equal(getattr(f, field), getattr(g, field))
    films = (
        n_step_sarsa.iterates(LAKE, n=1, epsilon=0.4, **same),
        sarsa.iterates(LAKE, epsilon=0.4, **same),
    )
    for h, i in zip(*films, strict=True):
        for field in ("Q", "returns", "lengths", "td_error"):
            np.testing.assert_array_equal(getattr(h, field), getattr(i, field))


def test_an_episode_by_hand() -> None:
    first, second = n_step_td.iterates(CHAIN, np.ones((4, 1)), n=2, episodes=2, alpha=0.5)
    # G_0 = 1 + 0.5 * 2 + 0.25 V(2), G_1 = 2 + 0.5 * 4, G_2 = 4; all V begin with 0
    np.testing.assert_array_equal(first.V, [1, 2, 2, 0])
    assert first.td_error == (2 + 4 + 4) / 3
    # G_0 = 2 + 0.25 * 2, and V(2) is not yet 3
    np.testing.assert_array_equal(second.V, [1.75, 3, 3, 0])


def test_a_cut_guesses_and_an_end_does_not() -> None:
    cut = n_step_td(CHAIN, np.ones((4, 1)), n=5, episodes=1, alpha=1.0, initial=8.0, steps=2)
    # after two steps V(2) = 8 stands for the rest: G_0 = 1 + 1 + 2, G_1 = 2 + 4
    np.testing.assert_array_equal(cut.V, [4, 6, 8, 0])
    assert cut.lengths == 2
    whole = n_step_td(CHAIN, np.ones((4, 1)), n=5, episodes=1, alpha=1.0, initial=8.0, steps=3)
    np.testing.assert_array_equal(whole.V, [3, 4, 4, 0])


def book_updates(
    visited: list[int], rewards: list[float], guesses: list[Any], n: int, gamma: float
) -> Iterator[tuple[int, float]]:
    """[Sutton & Barto 2018, box in section 7.1]: (what is learned about, G), time by time.

    guesses[t]() is asked at time t what is to come after it.
    """
    T = len(rewards)
    for t in range(T):
        ahead = guesses[t + 1]()
        last = t + 1 == T  # all that is left learns at once, oldest first
        for tau in range(max(t - n + 1, 0), T if last else t - n + 2):
            G = sum(gamma ** (i - tau) * rewards[i] for i in range(tau, t + 1))
            yield visited[tau], G + gamma ** (t + 1 - tau) * ahead


def book_td(diary: Diary, V: Array, n: int, alpha: Any, gamma: float) -> list[Array]:
    film, visits = [], np.zeros(len(V))
    for states, _, rewards, _ in diary.episodes:
        guesses = [partial(V.__getitem__, s) for s in states]  # V of the end is 0
        for s, G in book_updates(states, rewards, guesses, n, gamma):
            visits[s] += 1
            step = alpha(visits[s]) if callable(alpha) else alpha
            V[s] += step * (G - V[s])
        film.append(V.copy())
    return film


@pytest.mark.parametrize("n", [1, 2, 3, 10])
@pytest.mark.parametrize("alpha", SCHEDULES)
@pytest.mark.parametrize("limit", [None, 4])
def test_the_books_box(n: int, alpha: Any, limit: int | None) -> None:
    process, diary = by_hand(MAZE, limit=limit)
    film = n_step_td.iterates(
        process, uniform_policy(MAZE), n=n, episodes=12, alpha=alpha, initial=0.5, rng=2
    )
    found = [f.V for f in film]
    exact = book_td(diary, np.where(MAZE.terminal, 0.0, 0.5), n, alpha, 0.9)
    ended = [bool(episode[3][-1]) for episode in diary.episodes]
    assert any(ended)
    assert limit is None or not all(ended)
    np.testing.assert_allclose(found, exact, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_the_books_box_for_actions(n: int) -> None:
    process, diary = by_hand(MAZE)
    learned = n_step_sarsa(process, n=n, episodes=25, alpha=0.3, epsilon=0.5, rng=2)
    Q = np.zeros((6, 2))
    for states, actions, rewards, _ in diary.episodes:
        pairs = list(zip(states, actions, strict=False))
        guesses = [*(partial(Q.__getitem__, pair) for pair in pairs), lambda: 0.0]
        for pair, G in book_updates(pairs, rewards, guesses, n, 0.9):  # type: ignore[arg-type]
            Q[pair] += 0.3 * (G - Q[pair])
    np.testing.assert_allclose(learned.Q, Q, atol=1e-12)


def test_an_n_beyond_the_end_is_monte_carlo() -> None:
    process, diary = by_hand(MAZE)
    V = n_step_td(process, uniform_policy(MAZE), n=500, episodes=20, alpha=0.2, rng=4).V
    exact = np.zeros(6)
    for states, _, rewards, _ in diary.episodes:
        assert len(rewards) < 500
        for t, s in enumerate(states[:-1]):  # every visit, with a constant step size
            G = sum(0.9**k * r for k, r in enumerate(rewards[t:]))
            exact[s] += 0.2 * (G - exact[s])
    np.testing.assert_allclose(V, exact, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 4, 30])
@pytest.mark.parametrize("steps", [None, 3])
def test_with_one_action_pairs_are_states(n: int, steps: int | None) -> None:
    alone = MDP(np.asarray(MAZE.P).mean(axis=1, keepdims=True), MAZE.R[:, :1], 0.9,
                start=MAZE.start, terminal=MAZE.terminal)  # fmt: skip
    same: dict[str, Any] = {
        "n": n, "episodes": 10, "alpha": 0.3, "steps": steps, "runs": 6, "rng": 1
    }  # fmt: skip
    V = n_step_td(alone, np.ones((6, 1)), **same).V
    np.testing.assert_array_equal(n_step_sarsa(alone, **same).Q[:, :, 0], V)


@pytest.mark.parametrize("n", [1, 3, 100])
def test_every_n_comes_close(n: int) -> None:
    pi = uniform_policy(MAZE)
    learned = n_step_td(
        MAZE, pi, n=n, episodes=400, alpha=lambda count: count**-0.7, runs=100, rng=0
    )
    # the mean of 100 runs deviates by about 0.01 (returns by about 2, averaged over 100 or more)
    np.testing.assert_allclose(learned.V.mean(axis=0), state_values(MAZE, pi), atol=0.06)


def test_figure_7_2() -> None:
    walk = random_walk(19, left=-1.0).mdp(gamma=1)
    pi, exact = uniform_policy(walk), np.arange(-9, 10) / 10

    def error(n: int, alpha: float) -> float:
        film = n_step_td.iterates(walk, pi, n=n, episodes=10, alpha=alpha, runs=50, rng=0)
        return float(np.mean([rms_error(f.V[:, 1:-1], exact).mean() for f in film]))

    # read off the figure, each at its best alpha: 0.29, 0.25, 0.33 or so
    assert error(4, 0.4) < 0.29
    assert error(4, 0.4) < error(1, 0.9) - 0.02
    assert error(4, 0.4) < error(64, 0.1) - 0.02


def test_ends_are_worth_nothing_whatever_one_begins_with() -> None:
    for f in n_step_td.iterates(
        WALK, uniform_policy(WALK), n=3, episodes=5, initial=7.0, runs=3, rng=0
    ):
        assert (f.V[:, [0, 6]] == 0).all()
    for h in n_step_sarsa.iterates(LAKE, n=3, episodes=5, runs=3, rng=0):
        assert (h.Q[:, LAKE.terminal] == 0).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n": 0}, ValueError, "n must be at least 1; it is 0"),
        ({"n": 2.0}, TypeError, "n must be a whole number; it is 2.0"),
        ({"alpha": 1.5}, ValueError, r"alpha must be in \[0, 1\]; it is 1.5"),
        ({"alpha": np.nan}, ValueError, r"alpha must be in \[0, 1\]; it is nan"),
        ({"episodes": 0}, ValueError, "episodes must be at least 1; it is 0"),
        ({"steps": 0}, ValueError, "steps must be at least 1; it is 0"),
        ({"initial": np.nan}, ValueError, "initial must be finite; it is nan"),
    ],
)
def test_bad_settings_are_named(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        n_step_td(WALK, uniform_policy(WALK), **({"n": 2, "episodes": 2} | options))
    if "initial" not in options:
        with pytest.raises(error, match=message):
            n_step_sarsa(LAKE, **({"n": 2, "episodes": 2} | options))


def test_bad_policies_are_named() -> None:
    with pytest.raises(ValueError, match=r"policy\[0\] must be a distribution; it sums to 0.8"):
        n_step_td(WALK, np.full((7, 2), 0.4), n=1, episodes=1)
    with pytest.raises(ValueError, match=r"policy must have shape \(7, 2\)"):
        n_step_td(WALK, np.full((2, 7), 1 / 7), n=1, episodes=1)
