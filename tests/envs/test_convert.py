"""From Gymnasium to tables and back, and environments that a learner tries without any."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from gridrl import RewardDistribution, policy_iteration, value_iteration, worlds
from gridrl.envs import as_process, make_env, mdp_from_gymnasium
from gridrl.processes.transitions import SparseTransitions, dense
from tests.envs.test_conformance import WORLDS

TO_GYMNASIUM = {"left": 0, "down": 1, "right": 2, "up": 3}  # FrozenLake's own order
TOY_TEXT = ["FrozenLake-v1", "FrozenLake8x8-v1", "CliffWalking-v1", "CliffWalkingSlippery-v1",
            "Taxi-v4"]  # fmt: skip


class Toy(gym.Env[Any, Any]):
    """Just a table."""

    def __init__(self, P: Any, start: Any = (1.0, 0.0)) -> None:
        self.P = P
        if start is not None:
            self.initial_state_distrib = start


# --- the same worlds ------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "rate"), [(4, 1 / 3), (8, 1 / 3), (4, 0.8)])
def test_frozen_lake_is_gymnasiums(size: int, rate: float) -> None:
    theirs = gym.make("FrozenLake-v1", map_name=f"{size}x{size}", success_rate=rate)
    ours, read = (
        worlds.frozen_lake(size, rate).mdp(gamma=0.9),
        mdp_from_gymnasium(theirs, gamma=0.9),
    )
    order = [TO_GYMNASIUM[a] for a in ours.action_labels]
    np.testing.assert_allclose(dense(read.P)[:, order], dense(ours.P), atol=1e-15)
    np.testing.assert_allclose(read.R[:, order], ours.R, atol=1e-15)
    np.testing.assert_array_equal(read.terminal, ours.terminal)
    np.testing.assert_array_equal(read.start, ours.start)


def test_cliff_walking_is_gymnasiums_where_one_can_be() -> None:
    ours = worlds.cliff_walking().mdp(gamma=1)
    read = mdp_from_gymnasium(gym.make("CliffWalking-v1"))
    states = [int(label) - 1 for label in ours.labels]  # they count the cliff's squares too
    alive = ~ours.terminal
    np.testing.assert_array_equal(dense(read.P)[np.ix_(states, range(4), states)], ours.P)
    np.testing.assert_array_equal(read.R[states][alive], ours.R[alive])
    np.testing.assert_array_equal(read.terminal[states], ours.terminal)
    assert read.start[36] == 1
    assert policy_iteration(read).V[36] == -13


def test_taxi_is_solved() -> None:
    """Nothing is left to chance after the start, so every best return is V(start)."""
    read = mdp_from_gymnasium(gym.make("Taxi-v4"), gamma=0.99)
    assert isinstance(read.P, SparseTransitions)
    assert read.n_states == 500
    assert read.terminal.sum() == 4
    answer, env = value_iteration(read), gym.make("Taxi-v4")
    total = []
    for seed in range(50):
        s, _ = env.reset(seed=seed)
        first, discounted, t, over = s, 0.0, 0, False
        while not over:
            s, r, terminated, truncated, _ = env.step(int(answer.policy[s].argmax()))
            discounted += 0.99**t * float(r)
            t, over = t + 1, terminated or truncated
        total.append(discounted - answer.V[first])
    np.testing.assert_allclose(total, 0, atol=1e-6)


# --- there and back -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WORLDS)
def test_our_worlds_survive_the_way_through_gymnasium(name: str) -> None:
    mdp = make_env(WORLDS[name]()).mdp
    again = mdp_from_gymnasium(make_env(WORLDS[name]()), gamma=mdp.gamma)
    np.testing.assert_allclose(dense(again.P), dense(mdp.P), atol=1e-14)
    np.testing.assert_allclose(again.R, mdp.R, atol=1e-12)
    np.testing.assert_array_equal(again.start, mdp.start)
    np.testing.assert_array_equal(again.terminal, mdp.terminal)
    assert (again.labels, again.action_labels) == (mdp.labels, mdp.action_labels)
    there, back = make_env(mdp).P, make_env(again).P
    assert there.keys() == back.keys()
    for s, a in np.ndindex(mdp.R.shape):  # the rewards' distribution too, not only its mean
        np.testing.assert_allclose(there[s][a], back[s][a], atol=1e-12)


@pytest.mark.parametrize("id", TOY_TEXT)
def test_their_tables_survive_the_way_through_ours(id: str) -> None:
    env = gym.make(id)
    read = mdp_from_gymnasium(env)
    ours = make_env(read)
    assert (ours.observation_space, ours.action_space) == (env.observation_space, env.action_space)
    theirs = env.unwrapped.P  # type: ignore[attr-defined]
    for s in np.flatnonzero(~read.terminal).tolist():
        for a in range(read.n_actions):
            merged: dict[tuple[int, float, bool], float] = {}
            for p, s_next, r, terminated in theirs[s][a]:
                key = int(s_next), float(r), bool(terminated)
                merged[key] = merged.get(key, 0.0) + p
            found = {(s_next, r, over): p for p, s_next, r, over in ours.P[s][a]}
            if id == "Taxi-v4":  # where nobody gets, driving onto a delivered passenger is an end
                merged = {(k[0], k[1], bool(read.terminal[k[0]])): p for k, p in merged.items()}
            assert found == pytest.approx(merged)


# --- ends that are none, rewards by chance --------------------------------------------------------


def test_a_state_that_is_an_end_and_is_not_gets_an_end_beside_it() -> None:
    P = {
        0: {0: [(0.5, 1, 2.0, True), (0.5, 1, 1.0, False)]},
        1: {0: [(1.0, 0, 0.0, False)]},
    }
    mdp = mdp_from_gymnasium(Toy(P), gamma=0.5)
    assert mdp.labels == ("1", "2", "the end")
    assert mdp.terminal.tolist() == [False, False, True]
    np.testing.assert_array_equal(mdp.P[0, 0], [0, 0.5, 0.5])
    assert mdp.R[0, 0] == 1.5
    V = value_iteration(mdp).V  # V0 = 1.5 + V1 / 4, V1 = V0 / 2
    np.testing.assert_allclose(V, [1.5 / 0.875, 0.75 / 0.875, 0], atol=1e-8)


def test_several_rewards_of_one_step_keep_their_distribution() -> None:
    P = {
        0: {0: [(0.25, 0, 4.0, False), (0.25, 0, 0.0, False), (0.5, 1, 2.0, True)]},
        1: {0: [(1.0, 1, 0.0, True)]},
    }
    mdp = mdp_from_gymnasium(Toy(P))
    assert isinstance(mdp.payment, RewardDistribution)
    assert mdp.R[0, 0] == 2
    assert make_env(mdp).P[0][0] == [
        (0.25, 0, 0.0, False),
        (0.25, 0, 4.0, False),
        (0.5, 1, 2.0, True),
    ]


def test_entries_that_agree_are_added() -> None:
    P = {0: {0: [(0.5, 0, 1.0, False), (0.25, 0, 1.0, False), (0.25, 1, 0.0, False)]},
         1: {0: [(1.0, 1, 0.0, False)]}}  # fmt: skip
    mdp = mdp_from_gymnasium(Toy(P), gamma=0.9)
    np.testing.assert_array_equal(mdp.P[0, 0], [0.75, 0.25])
    assert mdp.R[0, 0] == 0.75


# --- what is refused ------------------------------------------------------------------------------


def test_an_environment_without_a_table() -> None:
    with pytest.raises(ValueError, match=r"must have a table of its model.*Blackjack.* has none"):
        mdp_from_gymnasium(gym.make("Blackjack-v1"))


def test_no_environment() -> None:
    with pytest.raises(TypeError, match=r"env must be a Gymn.*it is 'Taxi-v4': gym.make\('Taxi"):
        mdp_from_gymnasium("Taxi-v4")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="env must be a Gymnasium environment; it is MDP"):
        as_process(worlds.forest(), gamma=0.9)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("P", "message"),
    [
        ({}, "P must hold something for each state and action; it is {}"),
        ({0: {0: [(1.0, 0, 0.0, False)]}, 2: {}}, r"P\[1\]\[0\] must be a list.*KeyError: 1"),
        ({0: {0: [(1.0, 0, 0.0)]}}, r"P\[0\]\[0\] must be a list of \(p, s', r, terminated\)"),
        ({0: {0: [(1.0, 7, 0.0, False)]}}, r"P, next states\[0\] must be in 0\.\.0; it is 7"),
        ({0: {0: [(1.0, 0, np.nan, False)]}}, r"P, rewards\[0\] must be finite; it is nan"),
        ({0: {0: [(0.9, 0, 0.0, False)]}}, r"P\[0, 0\] must be a distribution; it sums to 0\.9"),
    ],
)
def test_tables_with_a_mistake(P: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mdp_from_gymnasium(Toy(P, start=np.eye(max(len(P), 1))[0]))


def test_a_start_is_needed_and_can_be_given() -> None:
    P = {0: {0: [(1.0, 1, 0.0, False)]}, 1: {0: [(1.0, 0, 0.0, False)]}}
    with pytest.raises(
        ValueError, match=r"start must be given: env\.unwrapped has no initial_state"
    ):
        mdp_from_gymnasium(Toy(P, start=None))
    assert mdp_from_gymnasium(Toy(P, start=None), start=[0.0, 1.0]).start[1] == 1
    with pytest.raises(ValueError, match=r"start must have shape \(2,\); it has \(3,\)"):
        mdp_from_gymnasium(Toy(P), start=[1.0, 0.0, 0.0])


# --- environments to be tried ---------------------------------------------------------------------


class Shifted(gym.Env[Any, Any]):
    """Observations 5 and 6, actions -1 and 0; 0 leads to 6 and all is over; -1 is cut off."""

    observation_space = gym.spaces.Discrete(2, start=5)
    action_space = gym.spaces.Discrete(2, start=-1)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return 5, {}

    def step(self, action: int) -> Any:
        assert action in self.action_space
        return 6 if action == 0 else 5, float(action), action == 0, action == -1, {}


def test_spaces_that_do_not_begin_at_0_are_shifted() -> None:
    process = as_process(Shifted(), gamma=0.5)
    assert (process.n_states, process.n_actions, process.gamma) == (3, 2, 0.5)
    assert process.labels == ("1", "2", "the end")
    assert process.reset(0) == 0
    assert process.step(0) == (0, -1.0, False, True)
    assert process.step(1) == (2, 0.0, True, False)


def test_the_end_is_a_state_of_its_own() -> None:
    lake = make_env(worlds.frozen_lake(success_rate=1.0))
    process = as_process(lake, gamma=0.9)
    assert process.labels == (*lake.observation_labels, "the end")
    assert process.action_labels == ("up", "right", "down", "left")
    assert process.reset(0) == 0
    assert process.step(1) == (1, 0.0, False, False)
    assert process.step(2) == (16, 0.0, True, False)  # square 6, a hole


def test_a_seed_reaches_the_environment() -> None:
    process = as_process(gym.make("FrozenLake-v1"), gamma=0.9)

    def story() -> list[Any]:
        return [process.reset(4), *(process.step(1) for _ in range(3))]

    assert story() == story()


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("CartPole-v1", r"env\.observation_space must be Discrete; it is Box"),
        ("Blackjack-v1", r"env\.observation_space must be Discrete; it is Tuple"),
    ],
)
def test_only_discrete_spaces_can_be_tried(id: str, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        as_process(gym.make(id), gamma=0.9)


def test_gamma_is_a_discount() -> None:
    with pytest.raises(ValueError, match=r"gamma must be in \[0, 1\]; it is 1\.1"):
        as_process(gym.make("FrozenLake-v1"), gamma=1.1)
    with pytest.raises(ValueError, match=r"gamma must be in \[0, 1\]; it is 1\.1"):
        mdp_from_gymnasium(gym.make("FrozenLake-v1"), gamma=1.1)
