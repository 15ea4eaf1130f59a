"""One suite over every learner: runs in lock-step are what each would be alone."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
import pytest

from gridrl import MDP, RewardDistribution, penguin_world, uniform_policy
from gridrl.learning import (
    double_q_learning,
    dyna_q,
    epsilon_greedy_bandit,
    expected_sarsa,
    mc_control,
    mc_prediction,
    off_policy_mc,
    q_learning,
    sarsa,
    sarsa_lambda,
    td0,
    td_lambda,
    ucb,
)
from gridrl.worlds import bandit, cliff_walking, frozen_lake, random_walk

Learner = Callable[..., Iterator[Any]]
PREDICTORS: dict[str, Learner] = {
    "mc_prediction": mc_prediction.iterates,
    "every visit": partial(mc_prediction.iterates, first_visit=False),
    "td0": td0.iterates,
    "td_lambda": partial(td_lambda.iterates, lambda_=0.7),
    "off_policy_mc": lambda mdp, pi, **k: off_policy_mc.iterates(mdp, pi, pi, **k),
}
CONTROLLERS: dict[str, Learner] = {
    "mc_control": mc_control.iterates,
    "sarsa": sarsa.iterates,
    "expected_sarsa": expected_sarsa.iterates,
    "q_learning": q_learning.iterates,
    "double_q_learning": double_q_learning.iterates,
    "sarsa_lambda": partial(sarsa_lambda.iterates, lambda_=0.7),
    "dyna_q": partial(dyna_q.iterates, planning=3),
}
BANDITS: dict[str, Learner] = {"epsilon": epsilon_greedy_bandit.iterates, "ucb": ucb.iterates}
EVERYBODY = [*PREDICTORS, *CONTROLLERS, *BANDITS]
every_learner = pytest.mark.parametrize("name", EVERYBODY)

WALK, LAKE = random_walk().mdp(gamma=0.95), frozen_lake().mdp(gamma=0.95)
ARMS = bandit([0.1, 0.5, 0.3])


def films(name: str, n: int = 6, **options: Any) -> list[Any]:
    if name in BANDITS:
        return list(BANDITS[name](ARMS, pulls=4 * n, **options))
    if name in PREDICTORS:
        return list(PREDICTORS[name](WALK, uniform_policy(WALK), episodes=n, **options))
    return list(CONTROLLERS[name](LAKE, episodes=n, **options))


def arrays(snapshot: Any) -> dict[str, Any]:
    return {f.name: np.asarray(getattr(snapshot, f.name)) for f in fields(snapshot)}


@every_learner
def test_run_k_does_not_depend_on_its_neighbours(name: str) -> None:
    few, many = films(name, runs=2, rng=7), films(name, runs=9, rng=7)
    for one, other in zip(few, many, strict=True):
        for field, value in arrays(one).items():
            np.testing.assert_array_equal(value, arrays(other)[field][:2], err_msg=field)


@every_learner
def test_a_single_run_is_the_first_without_its_axis(name: str) -> None:
    alone, first = films(name, rng=3)[-1], films(name, runs=1, rng=3)[-1]
    for field, value in arrays(alone).items():
        np.testing.assert_array_equal(value, arrays(first)[field][0], err_msg=field)


@every_learner
def test_a_seed_is_a_story_and_another_is_another(name: str) -> None:
    one, again, other = (arrays(films(name, runs=3, rng=seed)[-1]) for seed in (1, 1, 2))
    for field, value in one.items():
        np.testing.assert_array_equal(value, again[field])
    assert any((value != other[field]).any() for field, value in one.items())
    films(name, rng=np.random.default_rng(0))


@every_learner
def test_snapshots_are_frozen(name: str) -> None:
    kept = []
    for snapshot in films(name, runs=2, rng=0):
        for value in arrays(snapshot).values():
            assert value.ndim == 0 or not value.flags.writeable
        kept.append((snapshot, {f: v.copy() for f, v in arrays(snapshot).items()}))
    for snapshot, before in kept:
        for field, value in before.items():
            np.testing.assert_array_equal(arrays(snapshot)[field], value)
    again = pickle.loads(pickle.dumps(kept[-1][0]))
    for field, value in kept[-1][1].items():
        np.testing.assert_array_equal(arrays(again)[field], value)


@pytest.mark.parametrize("name", [*PREDICTORS, *CONTROLLERS])
def test_episodes_are_counted_and_ends_are_worth_nothing(name: str) -> None:
    for snapshot in films(name, runs=5, rng=1):
        assert (snapshot.lengths >= 1).all()
        assert (snapshot.returns <= 1).all()
        mdp = WALK if name in PREDICTORS else LAKE
        over = (snapshot.V if name in PREDICTORS else snapshot.Q)[:, mdp.terminal]
        assert (over == 0).all()


@pytest.mark.parametrize("name", [*PREDICTORS, *CONTROLLERS])
def test_a_time_limit_cuts_episodes_off(name: str) -> None:
    ice = penguin_world().mdp(gamma=0.9)
    settings = (uniform_policy(ice),) if name in PREDICTORS else ()
    learner = (PREDICTORS | CONTROLLERS)[name]
    last = list(learner(ice, *settings, episodes=3, steps=7, runs=4, rng=0))[-1]
    assert (last.lengths == 7).all()


@pytest.mark.parametrize("name", [*PREDICTORS, *CONTROLLERS])
def test_without_an_end_and_a_limit_it_is_refused(name: str) -> None:
    ice = penguin_world().mdp(gamma=0.9)
    settings = (uniform_policy(ice),) if name in PREDICTORS else ()
    with pytest.raises(ValueError, match=r"steps must be given: from states \{1, 2, 3, 4, 5, 6, 7"):
        list((PREDICTORS | CONTROLLERS)[name](ice, *settings, episodes=1))


@pytest.mark.parametrize("name", CONTROLLERS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"episodes": 0}, "episodes must be at least 1; it is 0"),
        ({"runs": 0}, "runs must be at least 1; it is 0"),
        ({"epsilon": 1.1}, r"epsilon must be in \[0, 1\]; it is 1.1"),
        ({"epsilon": lambda n: -0.1 * n}, r"epsilon must be in \[0, 1\]; it is -0.1"),
        ({"alpha": -0.5}, r"alpha must be in \[0, 1\]; it is -0.5"),
        ({"alpha": float("nan")}, r"alpha must be in \[0, 1\]; it is nan"),
        ({"steps": 0}, "steps must be at least 1; it is 0"),
        ({"lambda_": 1.5}, r"lambda_ must be in \[0, 1\]; it is 1.5"),
    ],
)
def test_bad_settings_are_named(name: str, options: dict[str, Any], message: str) -> None:
    if ("alpha" in options and name == "mc_control") or (
        "lambda_" in options and name != "sarsa_lambda"
    ):
        return
    with pytest.raises(ValueError, match=message):
        list(CONTROLLERS[name](LAKE, **({"episodes": 2} | options)))


@pytest.mark.parametrize("name", BANDITS)
def test_bad_bandits_are_named(name: str) -> None:
    with pytest.raises(ValueError, match="bandit must have one state; it has 16"):
        list(BANDITS[name](LAKE, pulls=1))
    with pytest.raises(ValueError, match="pulls must be at least 1; it is 0"):
        list(BANDITS[name](ARMS, pulls=0))
    with pytest.raises(TypeError, match="mdp must be an MDP; it is a float"):
        list(BANDITS[name](0.5, pulls=1))


def test_rewards_are_drawn_never_averaged() -> None:
    coin = RewardDistribution([0.0, 1.0], [[[0.5, 0.5]], [[1.0, 0.0]]])
    step = MDP([[[0, 1]], [[0, 1]]], coin, 1.0, start=0, terminal=[False, True])
    seen = {float(f.returns) for f in q_learning.iterates(step, episodes=30, rng=0)}
    assert seen == {0.0, 1.0}


def test_schedules_see_the_counts() -> None:
    asked: list[float] = []

    def epsilon(episode: int) -> float:
        asked.append(float(np.max(episode)))
        return 1 / float(np.max(episode))

    q_learning(cliff_walking().mdp(gamma=1), episodes=4, epsilon=epsilon, rng=0)
    assert asked[1:] == [1, 2, 3, 4]
