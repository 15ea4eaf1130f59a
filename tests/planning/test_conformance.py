"""One suite over every algorithm and many worlds."""

import pickle
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytest

from gridrl.planning import (
    action_values,
    average_reward,
    backward_induction,
    greedy,
    policy_evaluation,
    policy_iteration,
    state_values,
    uniform_policy,
    value_iteration,
)
from gridrl.processes import MDP
from gridrl.worlds import (
    bandit,
    cliff_walking,
    dyna_maze,
    forest,
    frozen_lake,
    gamblers_problem,
    lost_penguin_world,
    maximisation_bias,
    penguin_world,
    random_mdp,
    random_walk,
    russell_norvig_4x3,
    short_corridor,
    sutton_4x4,
    sutton_5x5,
    windy_gridworld,
)
from tests.planning.oracles import EVERYTHING, ONE_BEHIND, OPTIMISERS, Planner, sparse

WORLDS: dict[str, Callable[[], MDP]] = {
    "penguin": lambda: penguin_world().mdp(gamma=0.9),
    "lost penguin": lambda: lost_penguin_world().pomdp(gamma=0.9).mdp,
    "sutton_5x5": lambda: sutton_5x5().mdp(gamma=0.9),
    "sutton_4x4": lambda: sutton_4x4().mdp(gamma=1),
    "random_walk": lambda: random_walk().mdp(gamma=1),
    "cliff_walking": lambda: cliff_walking().mdp(gamma=0.9),
    "dyna_maze": lambda: dyna_maze().mdp(gamma=0.95),
    "short_corridor": lambda: short_corridor().mdp(gamma=1),
    "maximisation_bias": maximisation_bias,
    "gamblers_problem": gamblers_problem,
    "frozen_lake": lambda: frozen_lake().mdp(gamma=1),
    "russell_norvig": lambda: russell_norvig_4x3().mdp(gamma=1),
    "forest": forest,
    "bandit": lambda: bandit([0.1, 0.5, 0.5]),
    "random_mdp": lambda: random_mdp(6, 3, rng=0),
}
WINDY = {"windy_gridworld": lambda: windy_gridworld().mdp(gamma=1)}  # slow under chance
everything = pytest.mark.parametrize("name", EVERYTHING)
every_world = pytest.mark.parametrize("world", WORLDS)


def arrays(snapshot: Any) -> dict[str, Any]:
    """The tables of a snapshot."""
    assert is_dataclass(snapshot)
    found = {field.name: getattr(snapshot, field.name) for field in fields(snapshot)}
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


def agree(one: Any, other: Any) -> None:
    for name, value in arrays(one).items():
        np.testing.assert_array_equal(value, arrays(other)[name], err_msg=name)


@everything
@every_world
def test_snapshots_are_tables_of_their_model(name: str, world: str) -> None:
    mdp = WORLDS[world]()
    last = EVERYTHING[name](mdp)
    assert last.V.shape == (mdp.n_states,)
    assert last.Q.shape == last.policy.shape == (mdp.n_states, mdp.n_actions)
    assert (last.policy >= 0).all()
    np.testing.assert_allclose(last.policy.sum(axis=1), 1)
    assert isinstance(last.bound, float)
    assert last.backups > 0
    looked_up = last.V_old if name in ONE_BEHIND else last.V
    np.testing.assert_allclose(last.Q, action_values(mdp, looked_up), atol=1e-12)
    if name in OPTIMISERS:
        np.testing.assert_array_equal(last.policy, greedy(last.Q))
    else:
        np.testing.assert_array_equal(last.policy, uniform_policy(mdp))


@every_world
def test_all_algorithms_agree_dense_and_sparse(world: str) -> None:
    mdp = WORLDS[world]()
    exact = policy_iteration(mdp).V
    for plan in OPTIMISERS.values():
        np.testing.assert_allclose(plan(mdp).V, exact, atol=1e-7)
        np.testing.assert_allclose(plan(sparse(mdp)).V, exact, atol=1e-7)
    for name in set(EVERYTHING) - set(OPTIMISERS):
        dense, other = EVERYTHING[name](mdp), EVERYTHING[name](sparse(mdp))
        np.testing.assert_allclose(other.V, dense.V, atol=1e-9)


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("world", WORLDS | WINDY)
def test_the_policy_earns_what_the_values_promise(name: str, world: str) -> None:
    mdp = (WORLDS | WINDY)[world]()
    found = OPTIMISERS[name](mdp)
    lost = 1e-8 * (2 / (1 - mdp.gamma) if mdp.gamma < 1 else 1)  # greedy on values within 1e-8
    np.testing.assert_allclose(state_values(mdp, found.policy), found.V, atol=lost + 1e-8)


RUNS: dict[str, tuple[Planner, dict[str, Any]]] = {name: (p, {}) for name, p in EVERYTHING.items()}
RUNS["backward_induction"] = backward_induction, {"horizon": 5}
RUNS["average_reward"] = average_reward, {}
every_run = pytest.mark.parametrize(("plan", "settings"), RUNS.values(), ids=RUNS)


@every_run
@pytest.mark.parametrize("world", ["penguin", "random_mdp", "russell_norvig", "frozen_lake"])
def test_a_snapshot_does_not_change_afterwards(
    plan: Planner, settings: dict[str, Any], world: str
) -> None:
    kept = [
        (snapshot, {name: value.copy() for name, value in arrays(snapshot).items()})
        for snapshot in islice(plan.iterates(WORLDS[world](), **settings), 300)
    ]
    for snapshot, then in kept:
        for name, value in arrays(snapshot).items():
            np.testing.assert_array_equal(value, then[name])


@every_run
def test_the_last_iterate_is_the_answer(plan: Planner, settings: dict[str, Any]) -> None:
    mdp = WORLDS["random_mdp"]()
    *_, last = plan.iterates(mdp, **settings)
    agree(plan(mdp, **settings), last)


@every_run
def test_running_twice_gives_the_same_answer_and_leaves_the_model_alone(
    plan: Planner, settings: dict[str, Any]
) -> None:
    mdp = WORLDS["penguin"]()
    P, R = np.array(mdp.P), mdp.R.copy()
    agree(plan(mdp, **settings), plan(mdp, **settings))
    np.testing.assert_array_equal(mdp.P, P)
    np.testing.assert_array_equal(mdp.R, R)


@every_run
def test_a_bar_shows_progress_and_changes_nothing(
    plan: Planner, settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    mdp = WORLDS["forest"]()
    agree(plan(mdp, **settings, progress=True), plan(mdp, **settings))
    shown = capsys.readouterr()
    assert shown.out == ""
    steps = len(list(plan.iterates(mdp, **settings)))
    assert f"{steps}it" in shown.err
    assert plan.__name__ in shown.err


@every_run
def test_algorithms_travel_to_other_processes(plan: Planner, settings: dict[str, Any]) -> None:
    assert pickle.loads(pickle.dumps(plan)) is plan
    mdp = WORLDS["forest"]()
    agree(pickle.loads(pickle.dumps(partial(plan, **settings)))(mdp), plan(mdp, **settings))


@every_run
def test_answers_travel_to_other_processes(plan: Planner, settings: dict[str, Any]) -> None:
    answer = plan(WORLDS["forest"](), **settings)
    agree(pickle.loads(pickle.dumps(answer)), answer)


@every_run
def test_the_iterates_come_one_at_a_time(plan: Planner, settings: dict[str, Any]) -> None:
    films = plan.iterates(WORLDS["penguin"](), **settings)
    first = next(films)
    del films  # an early stop
    agree(first, next(plan.iterates(WORLDS["penguin"](), **settings)))


def test_a_snapshot_is_frozen() -> None:
    films = value_iteration.iterates(forest())
    first = next(films)
    try:
        first.V[:] = 100
    except ValueError:  # read-only, as the model's tables are
        return
    np.testing.assert_allclose(next(films).V, [0.81, 3.24, 7.24])


def test_an_algorithm_has_a_name_a_page_and_a_signature() -> None:
    from inspect import signature

    assert repr(value_iteration) == "<algorithm value_iteration>"
    assert "Sutton" in str(policy_evaluation.__doc__)
    assert list(signature(value_iteration).parameters) == ["mdp", "tol", "max_sweeps", "progress"]


def test_results_show_themselves_in_jupyter() -> None:
    ice = WORLDS["penguin"]()
    for result in (
        value_iteration(ice),
        backward_induction(ice, 3),
        average_reward(ice),
        ice.under(uniform_policy(ice)).simulate(4, episodes=2, rng=0),
    ):
        html = result._repr_html_()
        assert html.startswith("<p>" + repr(result).split("(")[0])
        assert "<table" in html
        assert "script" not in html
