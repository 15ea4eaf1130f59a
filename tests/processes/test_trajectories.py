"""What happened: shapes, padding, returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from gridrl import MarkovProcess, RewardProcess, Trajectories, interleave
from tests.strategies import seeds

TAU = [1, 2, 6, 10, 9, 10, 11, 15]
FISH = [0, 0, 0, 0, 1, 0, 1, 0]


def test_the_slides_trajectory_is_printed_as_there() -> None:
    printed = "[1, 0, 2, 0, 6, 0, 10, 0, 9, 1, 10, 0, 11, 1, 15, 0]"
    assert str(interleave(TAU, FISH)) == printed
    assert interleave(["a"], [0.5]) == ["a", 0.5]


@pytest.mark.parametrize("bad", [[0, 0], [[0, 0, 0]], 0.0])
def test_interleaving_needs_a_reward_a_state(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"rewards must have shape \(3,\), one a state; it has \("):
        interleave([1, 2, 6], bad)


def batch(**fields: Any) -> Trajectories:
    kept: dict[str, Any] = {
        "states": np.zeros((2, 4), int), "actions": np.zeros((2, 3), int),
        "rewards": np.zeros((2, 3)), "lengths": np.zeros(2, int), "terminated": np.zeros(2, bool),
    }  # fmt: skip
    return Trajectories(**(kept | fields))


@pytest.mark.parametrize(
    ("field", "shape", "wanted"),
    [
        ("actions", (2, 4), r"\(2, 3\)"),
        ("rewards", (3,), r"\(2, 3\)"),
        ("lengths", (3,), r"\(2,\)"),
        ("terminated", (), r"\(2,\)"),
        ("observations", (2, 3), r"\(2, 4\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(field: str, shape: Any, wanted: str) -> None:
    with pytest.raises(ValueError, match=rf"{field} must have shape {wanted} beside states \(2, 4"):
        batch(**{field: np.zeros(shape)})


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (2, 2, 2)])
def test_states_need_a_time_axis(shape: Any) -> None:
    with pytest.raises(ValueError, match=r"states must have shape \(n, T \+ 1\); it has \("):
        batch(states=np.zeros(shape, int))


@given(seeds)
def test_returns_are_discounted_sums(seed: int) -> None:
    rewards = np.random.default_rng(seed).normal(size=(2, 3))
    by_hand = [r[0] + 0.9 * r[1] + 0.81 * r[2] for r in rewards]
    np.testing.assert_allclose(batch(rewards=rewards).returns(0.9), by_hand)
    np.testing.assert_allclose(batch(rewards=rewards).returns(1), rewards.sum(axis=1))
    np.testing.assert_array_equal(batch(rewards=rewards).returns(0), rewards[:, 0])


def test_an_episode_is_cut_to_its_length() -> None:
    walk = RewardProcess(
        [[0.5, 0.5], [0, 1]], [1, 0], 0.9, start=0, terminal=[False, True]
    ).simulate(30, episodes=8, rng=0)
    assert len(walk) == len(list(walk)) == 8
    for k, episode in enumerate(walk):
        T = int(walk.lengths[k])
        assert episode.states.tolist() == [0] * T + [1]
        assert episode.rewards.tolist() == [1] * T
        assert episode.actions.tolist() == [-1] * T
        assert episode.terminated
        assert episode.returns(0.9) == pytest.approx(walk.returns(0.9)[k])


def test_observations_are_cut_with_the_states() -> None:
    seen = np.arange(8).reshape(2, 4)
    picked = batch(observations=seen, lengths=[1, 3])[0].observations
    assert picked is not None
    assert picked.tolist() == [0, 1]


def test_a_single_episode_has_no_others() -> None:
    single = MarkovProcess([[1.0]]).simulate(3)
    assert len(single) == 1
    assert repr(single) == "Trajectories(1 episode, up to 3 steps, 0 ended)"
    assert repr(batch()) == "Trajectories(2 episodes, up to 3 steps, 0 ended)"
    with pytest.raises(TypeError, match="this is a single episode"):
        single[0]
