"""Monte Carlo with exploring starts: where episodes begin, what is learned, what is refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from gridrl import MDP, GridWorld, penguin_world, policy_iteration
from gridrl.learning import mc_exploring_starts
from gridrl.tables import Array
from gridrl.worlds import no_slip, random_walk
from tests.learning.oracles import descent

ROW = GridWorld.from_text("S..G", rewards={"G": 1.0}, terminal="G", slip=no_slip(),
                          reward_on="arrive").mdp(gamma=0.9)  # fmt: skip
DOWN, _ = descent("lottery", 0.9, seed=5)  # every policy ends


def test_it_converges_to_the_best_values() -> None:
    best = policy_iteration(DOWN)
    learned = mc_exploring_starts(DOWN, episodes=1500, runs=60, rng=0)
    right = learned.policy[:, :3].argmax(axis=2) == best.policy[:3].argmax(axis=1)
    assert right.mean() > 0.97  # the best action is ahead by 0.47 or more, Q deviates by 0.09
    # the mean of 60 runs deviates by 0.011: 5 of them, 6 numbers: 4e-6
    np.testing.assert_allclose(learned.Q[:, :3].mean(axis=0), best.Q[:3], atol=0.055)
    assert (learned.Q[:, 3] == 0).all()


def test_without_chance_the_policy_is_exact() -> None:
    best = policy_iteration(ROW).policy
    learned = mc_exploring_starts(ROW, episodes=400, steps=20, runs=30, rng=0)
    assert (learned.policy[:, :3] == best[:3]).mean() > 0.98


def first_pairs(starts: Array | None, runs: int) -> Array:
    """How often each pair is the first of an episode: one step each, with rewards that tell."""
    code = np.zeros((4, 2))
    code[:3] = 1 + np.arange(6).reshape(3, 2)
    mdp = DOWN.replace(R=code)
    film = mc_exploring_starts.iterates(mdp, episodes=1, starts=starts, steps=1, runs=runs, rng=0)
    first = next(film)
    assert (first.lengths <= 1).all()
    return np.bincount(first.returns.astype(int), minlength=7)[1:] / runs


def test_every_pair_is_a_start_as_often_as_it_should_be() -> None:
    n = 6000
    for starts in (None, np.array([[0.3, 0.1], [0.05, 0.15], [0.2, 0.2], [0, 0]])):
        exact = np.full(6, 1 / 6) if starts is None else starts[:3].ravel()
        share = first_pairs(starts, n)
        # 5 deviations: 6e-7 each
        assert (np.abs(share - exact) < 5 * np.sqrt(exact * (1 - exact) / n)).all()


def test_after_the_start_it_is_greedy() -> None:
    # two states; from the first one arrives in the second whatever one does
    P = np.zeros((3, 2, 3))
    P[0, :, 1] = P[1, :, 2] = P[2, :, 2] = 1
    mdp = MDP(P, [[0.0, 0.0], [0.0, 1.0], [0.0, 0.0]], 1.0, terminal=[False, False, True])
    film = list(mc_exploring_starts.iterates(mdp, episodes=60, runs=200, rng=0))
    for before, after in pairwise(film):
        long = after.lengths == 2  # began in the first state: the second action is greedy
        sure = before.Q[:, 1, 1] > before.Q[:, 1, 0]
        assert (after.returns[long & sure] == 1).all()
    assert (film[-1].Q[:, 1] == [0, 1]).all()


def test_starts_at_the_end_are_empty_episodes() -> None:
    starts = np.array([[0.1, 0.1], [0.1, 0.1], [0.1, 0.1], [0.4, 0]])
    film = list(mc_exploring_starts.iterates(DOWN, episodes=4, starts=starts, runs=500, rng=0))
    share = np.mean([f.lengths == 0 for f in film])
    assert abs(share - 0.4) < 5 * np.sqrt(0.24 / 2000)  # 6e-7
    assert all((f.Q[:, 3] == 0).all() for f in film)


def test_the_worlds_own_start_does_not_matter() -> None:
    one, other = (
        mc_exploring_starts(DOWN.replace(start=s), episodes=20, runs=3, rng=0).Q for s in (0, 2)
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("starts", "error", "message"),
    [
        (
            [[0.5, 0], [0.1, 0.1], [0.1, 0.2], [0, 0]], ValueError,
            r"starts must give every pair a chance; starts\[0, 1\] is 0: '2' in state 1 is never",
        ),
        (np.full((2, 4), 1 / 8), ValueError, r"starts must have shape \(4, 2\); it has \(2, 4\)"),
        (np.full((4, 2), 0.1), ValueError, r"starts.* must be a distribution; it sums to 0\.8"),
        (
            [[0.5, -0.1], [0.1, 0.1], [0.2, 0.2], [0, 0]], ValueError,
            r"starts.*\[1\] must not be negative; it is -0\.1",
        ),
        (np.full((4, 2), np.nan), ValueError, r"starts\[0, 0\] must be finite; it is nan"),
        ("uniform", TypeError, "starts must hold real numbers"),
    ],
)  # fmt: skip
def test_bad_starts_are_named(starts: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mc_exploring_starts(DOWN, episodes=1, starts=starts)


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="episodes must be at least 1; it is 0"):
        mc_exploring_starts(DOWN, episodes=0)
    with pytest.raises(ValueError, match="runs must be at least 1; it is 0"):
        mc_exploring_starts(DOWN, episodes=1, runs=0)
    with pytest.raises(ValueError, match="steps must be at least 1; it is 0"):
        mc_exploring_starts(DOWN, episodes=1, steps=0)
    with pytest.raises(TypeError, match="mdp must be an MDP; it is a GridWorld"):
        mc_exploring_starts(penguin_world(), episodes=1)  # type: ignore[arg-type]


def test_a_policy_that_may_never_end_needs_a_limit() -> None:
    # the walk ends under the uniform policy, but a greedy one may go to and fro
    walk = random_walk().mdp(gamma=1)
    message = r"steps must be given: there is a policy that never ends from states \{.*3"
    with pytest.raises(ValueError, match=message):
        mc_exploring_starts(walk, episodes=1)
    assert mc_exploring_starts(walk, episodes=5, steps=9, rng=0).lengths <= 9


def test_a_world_that_is_over() -> None:
    over = MDP(np.ones((1, 2, 1)), [[1, 0]], 0.9, terminal=[True])
    np.testing.assert_array_equal(mc_exploring_starts(over, episodes=2).Q, [[0, 0]])
