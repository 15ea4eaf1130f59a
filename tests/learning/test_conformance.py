"""One suite over every learner: runs in lock-step are what each would be alone."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from gridrl import (
    MDP,
    POMDP,
    RewardDistribution,
    lost_penguin_world,
    penguin_world,
    uniform_policy,
)
from gridrl.learning import (
    PPOSettings,
    actor_critic,
    double_q_learning,
    dyna_q,
    epsilon_greedy_bandit,
    expected_sarsa,
    mc_control,
    mc_exploring_starts,
    mc_prediction,
    n_step_sarsa,
    n_step_td,
    natural_policy_gradient,
    off_policy_mc,
    optimal_baseline,
    ppo,
    q_learning,
    reinforce,
    sarsa,
    sarsa_lambda,
    td0,
    td_lambda,
    thompson,
    ucb,
)
from gridrl.worlds import bandit, cliff_walking, frozen_lake, random_walk, short_corridor, tiger

Learner = Callable[..., Iterator[Any]]
PREDICTORS: dict[str, Learner] = {
    "mc_prediction": mc_prediction.iterates,
    "every visit": partial(mc_prediction.iterates, first_visit=False),
    "td0": td0.iterates,
    "td_lambda": partial(td_lambda.iterates, lambda_=0.7),
    "n_step_td": partial(n_step_td.iterates, n=4),
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
    "n_step_sarsa": partial(n_step_sarsa.iterates, n=4),
}
STARTERS: dict[str, Learner] = {"mc_exploring_starts": mc_exploring_starts.iterates}
BANDITS: dict[str, Learner] = {
    "epsilon": epsilon_greedy_bandit.iterates,
    "ucb": ucb.iterates,
    "thompson": thompson.iterates,
}
CLIMBERS: dict[str, Learner] = {
    "reinforce": reinforce.iterates,
    "optimal baseline": partial(reinforce.iterates, baseline=optimal_baseline),
    "actor_critic": actor_critic.iterates,
    "natural_policy_gradient": natural_policy_gradient.iterates,
    "ppo": ppo.iterates,
    "ppo, scaled": partial(ppo.iterates, settings=PPOSettings(entropy=0.1, scale=np.std)),
}
EVERYBODY = [*PREDICTORS, *CONTROLLERS, *STARTERS, *BANDITS, *CLIMBERS]
every_learner = pytest.mark.parametrize("name", EVERYBODY)

WALK, LAKE = random_walk().mdp(gamma=0.95), frozen_lake().mdp(gamma=0.95)
ARMS = bandit([0.1, 0.5, 0.3])


def films(name: str, n: int = 6, **options: Any) -> list[Any]:
    if name in BANDITS:
        return list(BANDITS[name](ARMS, pulls=4 * n, **options))
    if name in PREDICTORS:
        return list(PREDICTORS[name](WALK, uniform_policy(WALK), episodes=n, **options))
    if name in STARTERS:
        return list(STARTERS[name](LAKE, episodes=n, steps=60, **options))
    if name in CLIMBERS:
        return list(CLIMBERS[name](WALK, updates=n, **({"episodes": 3} | options)))
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
def test_no_two_runs_tell_the_same_story(name: str) -> None:
    film = [arrays(snapshot).values() for snapshot in films(name, n=12, runs=5, rng=0)]
    for one, other in combinations(range(5), 2):
        assert any((value[one] != value[other]).any() for values in film for value in values)


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


@pytest.mark.parametrize("name", [*PREDICTORS, *CONTROLLERS, *STARTERS])
def test_episodes_are_counted_and_ends_are_worth_nothing(name: str) -> None:
    for snapshot in films(name, runs=5, rng=1):
        assert (snapshot.lengths >= 1).all()
        assert (snapshot.returns <= 1).all()
        mdp = WALK if name in PREDICTORS else LAKE
        over = (snapshot.V if name in PREDICTORS else snapshot.Q)[:, mdp.terminal]
        assert (over == 0).all()


@pytest.mark.parametrize("name", [*PREDICTORS, *CONTROLLERS, *STARTERS])
def test_a_time_limit_cuts_episodes_off(name: str) -> None:
    ice = penguin_world().mdp(gamma=0.9)
    settings = (uniform_policy(ice),) if name in PREDICTORS else ()
    learner = (PREDICTORS | CONTROLLERS | STARTERS)[name]
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


# --- learners of policies -------------------------------------------------------------------------

LOST, CORRIDOR = lost_penguin_world().pomdp(gamma=0.9), short_corridor().pomdp(gamma=1)
every_climber = pytest.mark.parametrize("name", CLIMBERS)


@every_climber
def test_run_k_does_not_depend_on_its_neighbours_behind_observations(name: str) -> None:
    hazy = POMDP(LOST.mdp, np.random.default_rng(0).dirichlet(np.ones(3), size=16))
    same: dict[str, Any] = {"updates": 4, "episodes": 3, "steps": 5, "rng": 7}
    few, many = (list(CLIMBERS[name](hazy, runs=runs, **same)) for runs in (2, 9))
    for one, other in zip(few, many, strict=True):
        for field, value in arrays(one).items():
            np.testing.assert_array_equal(value, arrays(other)[field][:2], err_msg=field)


@every_climber
def test_snapshots_of_climbers_have_the_shapes_they_say(name: str) -> None:
    for world, Z, A in ((WALK, 7, 2), (LOST, 5, 4), (CORRIDOR, 1, 2)):
        for runs in (None, 1, 3):
            f = next(CLIMBERS[name](world, updates=1, runs=runs, steps=9, rng=0))
            batch = () if runs is None else (runs,)
            assert f.theta.shape == f.policy.shape == (*batch, Z, A)
            assert f.V.shape == (*batch, Z)
            for field in ("returns", "lengths", "kl", "clipped"):
                assert np.shape(getattr(f, field)) == batch
            np.testing.assert_allclose(f.policy.sum(axis=-1), 1, atol=1e-12)
            assert (np.asarray(f.kl) >= 0).all()
            who = "1 run" if runs is None else f"{runs} runs"
            assert repr(f) == f"Ascent({Z} states, {A} actions, {who})"


@every_climber
def test_a_time_limit_cuts_batches_off(name: str) -> None:
    ice = penguin_world().mdp(gamma=0.9)
    for f in CLIMBERS[name](ice, updates=2, episodes=3, steps=7, runs=4, rng=0):
        assert (f.lengths == 7).all()
    for f in CLIMBERS[name](CORRIDOR, updates=2, episodes=3, steps=4, runs=4, rng=0):
        assert (f.lengths <= 4).all()
        assert (f.returns == -f.lengths).all()


@every_climber
def test_the_first_logits_are_where_it_begins(name: str) -> None:
    theta = np.arange(14.0).reshape(7, 2) / 3
    still = list(CLIMBERS[name](WALK, updates=3, alpha=0.0, theta=theta, runs=2, rng=0))
    for f in still:
        np.testing.assert_array_equal(f.theta, np.stack([theta] * 2))
        assert (f.kl == 0).all()
    moved = films(name, rng=0)[-1].theta
    assert (moved[1:-1] != 0).any()
    np.testing.assert_allclose(moved.sum(axis=1), 0, atol=1e-9)  # gradients have no constant
    np.testing.assert_allclose(moved[[0, -1]], 0)  # nobody acts at the ends


@every_climber
def test_step_sizes_are_functions_of_the_update(name: str) -> None:
    asked: list[float] = []

    def alpha(update: int) -> float:
        asked.append(float(np.max(update)))
        return 3.0 / float(np.max(update))  # more than 1 is allowed

    films(name, n=4, alpha=alpha, rng=0)
    assert sorted(set(asked)) == [1, 2, 3, 4]


@every_climber
def test_climbers_without_an_end_and_a_limit_are_refused(name: str) -> None:
    for ice in (penguin_world().mdp(gamma=0.9), LOST):
        with pytest.raises(ValueError, match=r"steps must be given: from states \{1, 2, 3, 4, 5"):
            list(CLIMBERS[name](ice, updates=1))


@every_climber
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"updates": 0}, "updates must be at least 1; it is 0"),
        ({"episodes": 0}, "episodes must be at least 1; it is 0"),
        ({"runs": 0}, "runs must be at least 1; it is 0"),
        ({"steps": 0}, "steps must be at least 1; it is 0"),
        ({"rng": -1}, "rng must be at least 0; it is -1"),
        ({"alpha": -0.5}, r"alpha must be in \[0, inf\]; it is -0.5"),
        ({"alpha": float("nan")}, "alpha must be in .*; it is nan"),
        ({"alpha": lambda n: -0.1 * n}, "alpha must be in .*; it is -0.1"),
        ({"theta": np.zeros((2, 7))}, r"theta must have shape \(7, 2\); it has \(2, 7\)"),
        ({"theta": np.zeros((3, 7, 2))}, r"theta must have shape \(7, 2\); it has \(3, 7, 2\)"),
        ({"theta": np.full((7, 2), np.nan)}, r"theta\[0, 0\] must be finite; it is nan"),
    ],
)
def test_bad_settings_of_climbers_are_named(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        list(CLIMBERS[name](WALK, **({"updates": 2} | options)))


@pytest.mark.parametrize("learner", [actor_critic, natural_policy_gradient])
def test_bad_critics_are_named(learner: Any) -> None:
    for alpha_critic in (1.5, -0.5, float("nan")):
        with pytest.raises(ValueError, match=r"alpha_critic must be in \[0, 1\]; it is"):
            learner(WALK, updates=1, alpha_critic=alpha_critic)


@pytest.mark.parametrize("epsilon", [1.1, -0.1, float("nan")])
def test_bad_clipping_is_named(epsilon: float) -> None:
    with pytest.raises(ValueError, match=rf"epsilon must be in \[0, 1\]; it is {epsilon:g}"):
        ppo(WALK, updates=1, epsilon=epsilon)


@every_climber
def test_bad_worlds_are_named(name: str) -> None:
    with pytest.raises(ValueError, match="mdp must show something in every state"):
        list(CLIMBERS[name](tiger(), updates=1, steps=3))
    with pytest.raises(ValueError, match=r"theta must have shape \(5, 4\); it has \(16, 4\)"):
        list(CLIMBERS[name](LOST, updates=1, steps=3, theta=np.zeros((16, 4))))
    with pytest.raises(TypeError, match=r"mdp must be an MDP; it is a GridWorld: use its \.mdp"):
        list(CLIMBERS[name](penguin_world(), updates=1, steps=3))


# --- everybody ------------------------------------------------------------------------------------


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
    assert asked == [1, 2, 3, 4]
