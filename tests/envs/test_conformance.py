"""One suite over every world as an environment, and over every name in Gymnasium's registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from gridrl import POMDP, worlds
from gridrl.envs import GridRLEnv, GridRLVectorEnv, make_env
from gridrl.envs.registration import IDS, MAKERS
from gridrl.processes.transitions import dense
from tests.worlds.test_conformance import MAPS, NOT_MAKERS, OTHERS

SEEDED = {"bandit", "random_mdp"}  # they need arguments: no name without them
WORLDS: dict[str, Callable[[], Any]] = {**MAPS, **OTHERS} | {
    "a chain": lambda: worlds.penguin_world().markov_process(),
    "a chain that pays": lambda: worlds.cliff_walking().reward_process(gamma=1),
    "seen through noise": lambda: worlds.penguin_world().pomdp(
        1.0, view=worlds.Window([(0, 0)], noise=0.5)
    ),
}
every_world = pytest.mark.parametrize("name", WORLDS)
every_id = pytest.mark.parametrize("id", IDS)


@every_world
@pytest.mark.parametrize("render_mode", [None, "ansi", "rgb_array", "human"])
def test_gymnasium_finds_nothing_wrong(name: str, render_mode: str | None) -> None:
    env = make_env(WORLDS[name](), steps=50, render_mode=render_mode)
    check_env(env)  # a warning is an error here
    env.close()


@every_id
def test_gymnasium_finds_nothing_wrong_under_the_name(id: str) -> None:
    env = gym.make(id)
    check_env(env.unwrapped)
    assert isinstance(env.unwrapped, GridRLEnv)
    env.close()


def test_every_maker_has_a_name() -> None:
    assert {maker for maker, _ in MAKERS.values()} == set(worlds.__all__) - NOT_MAKERS - SEEDED
    assert {id for id in gym.registry if id.startswith("gridrl/")} == set(IDS)


@every_id
def test_worlds_that_never_end_are_cut_off(id: str) -> None:
    spec, env = gym.spec(id), gym.make(id).unwrapped
    assert isinstance(env, GridRLEnv)
    assert spec.max_episode_steps is not None or env.mdp.terminal.any()


@pytest.mark.parametrize("name", [name for name in WORLDS if name != "large, sparse"])
def test_what_happens_is_as_likely_as_the_tables_say(name: str) -> None:
    """Steps, rewards and observations, counted, against P, R and O."""
    n, steps = 1000, 100
    envs = GridRLVectorEnv(WORLDS[name](), n, steps=20)
    mdp, chance = envs.mdp, np.random.default_rng(0)
    S, A = mdp.n_states, mdp.n_actions
    counts, paid = np.zeros((S, A, S)), np.zeros((S, A))
    s, over = envs.reset(seed=0)[1]["state"], np.zeros(n, bool)
    np.testing.assert_array_equal(mdp.start[s] > 0, True)
    for _ in range(steps):
        a = chance.integers(A, size=n)
        _, r, terminated, truncated, infos = envs.step(a)
        k, to = ~over, infos["state"]
        np.add.at(counts, (s[k], a[k], to[k]), 1)
        np.add.at(paid, (s[k], a[k]), r[k])
        s, over = to, terminated | truncated
    P, N = dense(mdp.P), counts.sum(axis=2)
    assert counts[P == 0].sum() == 0
    # 5 standard errors: 6e-7 an entry by the normal law, at most 5,000 entries with 10 expected
    error = np.abs(counts - N[..., None] * P)
    spread = np.sqrt(N[..., None] * P * (1 - P))
    seen = N[..., None] * P * (1 - P) >= 10
    assert (error[seen] <= 5 * spread[seen]).all()
    variance = variances(make_env(WORLDS[name]()))
    often = N >= 100
    bound = 5 * np.sqrt(N * variance) + 1e-8 * N
    assert (np.abs(paid - N * mdp.R)[often] <= bound[often]).all()


def variances(env: GridRLEnv) -> Any:
    """Var(r | s, a) of the toy-text table, (S, A)."""
    moments = np.zeros((2, env.mdp.n_states, env.mdp.n_actions))
    for s, actions in env.P.items():
        for a, entries in actions.items():
            moments[:, s, a] = np.sum([(p * r, p * r * r) for p, _, r, _ in entries], axis=0)
    return np.maximum(moments[1] - moments[0] ** 2, 0)


@every_world
def test_the_toy_text_table_is_the_process(name: str) -> None:
    env = make_env(WORLDS[name]())
    mdp = env.mdp
    P, R = np.zeros(mdp.P.shape), np.zeros(mdp.R.shape)
    for s, actions in env.P.items():
        for a, entries in actions.items():
            for p, s_next, r, terminated in entries:
                P[s, a, s_next] += p
                R[s, a] += p * r
                assert p > 0
                assert terminated == mdp.terminal[s_next]
    np.testing.assert_allclose(P, dense(mdp.P), atol=1e-14)
    np.testing.assert_allclose(R, mdp.R, atol=1e-12)
    np.testing.assert_array_equal(env.initial_state_distrib, mdp.start)


@pytest.mark.parametrize("name", ["lost penguin", "tiger", "seen through noise"])
def test_what_is_seen_is_as_likely_as_o_says(name: str) -> None:
    pomdp: POMDP = {
        "lost penguin": lambda: worlds.lost_penguin_world().pomdp(gamma=1),
        "tiger": worlds.tiger,
        "seen through noise": WORLDS["seen through noise"],
    }[name]()
    n, A, Z = 4000, pomdp.n_actions, pomdp.n_observations
    O = np.broadcast_to(pomdp.O, (A, pomdp.n_states, Z))  # noqa: E741
    counts = np.zeros(O.shape)
    envs, chance = GridRLVectorEnv(pomdp, n), np.random.default_rng(1)
    envs.reset(seed=1)
    for _ in range(30):
        a = chance.integers(A, size=n)
        o, *_, infos = envs.step(a)
        np.add.at(counts, (a, infos["state"], o), 1)
    expected = counts.sum(axis=2, keepdims=True) * O
    assert counts[O == 0].sum() == 0
    # 5 standard errors: 6e-7 an entry, at most 320 entries
    assert (np.abs(counts - expected) <= 5 * np.sqrt(expected * (1 - O)) + 1e-9).all()
