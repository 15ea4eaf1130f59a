"""What a student types wrong gets a clear error: argument, rule, what was found, where."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gridrl.planning import (
    action_values,
    advantages,
    average_reward,
    backward_induction,
    deterministic_policy,
    discounted_return,
    enumerate_trajectories,
    epsilon_greedy,
    expected_return,
    explain_backup,
    gae,
    gauss_seidel,
    greedy,
    lambda_returns,
    linear_program,
    modified_policy_iteration,
    occupancy,
    policy_evaluation,
    policy_iteration,
    prioritized_sweeping,
    q_values,
    regret,
    returns_to_go,
    softmax_policy,
    state_values,
    trajectory_probability,
    uniform_policy,
    value_iteration,
)
from gridrl.tables import Array
from gridrl.worlds import lost_penguin_world, penguin_world
from tests.planning.oracles import BUDGETS, OPTIMISERS

ICE = penguin_world().mdp(gamma=0.9)
PI, V = uniform_policy(ICE), np.zeros(16)
TIMED = np.tile(PI, (2, 1, 1))
Call = Callable[[], Any]

OF_A_POLICY: dict[str, Callable[..., Any]] = {
    "state_values": state_values,
    "q_values": q_values,
    "advantages": advantages,
    "occupancy": occupancy,
    "expected_return": expected_return,
    "regret": regret,
    "policy_evaluation": policy_evaluation,
    "trajectory_probability": lambda mdp, pi: trajectory_probability(mdp, pi, [0, 1], [1]),
    "enumerate_trajectories": lambda mdp, pi: list(enumerate_trajectories(mdp, pi, 0)),
    "explain_backup": lambda mdp, pi: explain_backup(mdp, V, 0, policy=pi),
}
OF_A_MODEL: dict[str, Callable[..., Any]] = {
    **OPTIMISERS,
    "average_reward": average_reward,
    "backward_induction": lambda mdp: backward_induction(mdp, horizon=2),
    "action_values": lambda mdp: action_values(mdp, V),
}


def broken(row: int, values: list[float]) -> Array:
    policy = PI.copy()
    policy[row] = values
    return policy


@pytest.mark.parametrize("name", OF_A_POLICY)
@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (PI.T, r"policy must have shape \(16, 4\); it has \(4, 16\)"),
        (PI[:15], r"policy must have shape \(16, 4\); it has \(15, 4\)"),
        (np.zeros(16, int), r"policy must have shape \(16, 4\); it has \(16,\)"),
        (np.zeros((0, 16, 4)), r"policy must have shape \(16, 4\); it has \(0, 16, 4\)"),
        (broken(3, [0.5, 0.4, 0, 0]), r"policy\[3\] must be a distribution; it sums to 0\.9"),
        (broken(5, [-0.5, 1.5, 0, 0]), r"policy\[5, 0\] must not be negative; it is -0\.5"),
        (broken(2, [np.nan, 1, 0, 0]), r"policy\[2, 0\] must be finite; it is nan"),
    ],
    ids=["transposed", "too few rows", "actions", "no time", "sum", "negative", "nan"],
)
def test_a_policy_that_is_none(name: str, policy: Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OF_A_POLICY[name](ICE, policy)


@pytest.mark.parametrize("name", OF_A_POLICY)
def test_a_bad_row_of_a_time_dependent_policy(name: str) -> None:
    timed = TIMED.copy()
    timed[1, 7] = 0.5
    named = r"policy\[1, 7\] must be a distribution; it sums to 2"
    with pytest.raises(ValueError, match=named):
        OF_A_POLICY[name](ICE, timed)


@pytest.mark.parametrize("name", OF_A_POLICY)
def test_a_policy_of_words(name: str) -> None:
    with pytest.raises(TypeError, match="policy must hold real numbers"):
        OF_A_POLICY[name](ICE, np.full((16, 4), "left"))


def test_a_ragged_policy() -> None:
    with pytest.raises(ValueError, match="policy must be a rectangular table"):
        state_values(ICE, [[1, 0], [1]])


WRONG_VALUES: dict[str, tuple[Call, str]] = {
    "V too short": (
        lambda: action_values(ICE, V[:15]),
        r"V must have shape \(16,\); it has \(15,\)",
    ),
    "V a number": (lambda: action_values(ICE, 0.0), r"V must have shape \(16,\); it has \(\)"),
    "V nan": (lambda: action_values(ICE, V + np.nan), r"V\[0\] must be finite; it is nan"),
    "V on the board": (lambda: explain_backup(ICE, V[:4], 0), r"V must have shape \(16,\)"),
    "state 16": (lambda: explain_backup(ICE, V, 16), r"s must be in 0\.\.15; it is 16"),
    "state -1": (lambda: explain_backup(ICE, V, -1), r"s must be in 0\.\.15; it is -1"),
    "action 4": (lambda: explain_backup(ICE, V, 0, 4), r"action must be in 0\.\.3; it is 4"),
    "states 16": (
        lambda: trajectory_probability(ICE, PI, [0, 16], [1]),
        r"states\[1\] must be in 0\.\.15; it is 16",
    ),
    "actions -1": (
        lambda: trajectory_probability(ICE, PI, [0, 1], [-1]),
        r"actions\[0\] must be in 0\.\.3; it is -1",
    ),
    "too many actions": (
        lambda: trajectory_probability(ICE, PI, [0, 1], [1, 1]),
        r"states must have shape \(T \+ 1,\) and actions \(T,\); they have \(2,\) and \(2,\)",
    ),
    "a batch of trajectories": (
        lambda: trajectory_probability(ICE, PI, [[0, 1]], [[1]]),
        r"they have \(1, 2\) and \(1, 1\)",
    ),
    "no states": (lambda: trajectory_probability(ICE, PI, [], []), r"\(0,\) and \(0,\)"),
    "longer than its policy": (
        lambda: trajectory_probability(ICE, TIMED, [0, 1, 2, 3], [1, 1, 1]),
        "policy must cover 3 steps; it has 2",
    ),
    "action of a policy": (
        lambda: deterministic_policy([0, 4], 4),
        r"actions\[1\] must be in 0\.\.3; it is 4",
    ),
    "action below 0": (lambda: deterministic_policy([-1], 4), r"actions\[0\] must be in 0\.\.3"),
    "no actions": (lambda: deterministic_policy([0], 0), "n_actions must be at least 1; it is 0"),
    "Q nan": (
        lambda: greedy(np.array([[0, 1], [np.nan, 1]])),
        r"Q\[1, 0\] must be finite; it is nan",
    ),
    "Q inf": (lambda: epsilon_greedy([[0, np.inf]], 0.1), r"Q\[0, 1\] must be finite; it is inf"),
    "Q a number": (lambda: greedy(3.0), r"Q must have shape \(\.\.\., A\); it has \(\)"),
    "Q empty": (lambda: greedy([[]]), r"Q must have shape \(\.\.\., A\); it has \(1, 0\)"),
    "theta nan": (lambda: softmax_policy([[np.nan, 0]]), r"theta\[0, 0\] must be finite"),
    "epsilon above": (
        lambda: epsilon_greedy([[0, 1]], 1.1),
        r"epsilon must be in \[0, 1\]; it is 1\.1",
    ),
    "epsilon below": (lambda: epsilon_greedy([[0, 1]], -0.1), r"epsilon must be in \[0, 1\]"),
    "epsilon nan": (lambda: epsilon_greedy([[0, 1]], np.nan), r"epsilon must be in \[0, 1\]"),
    "gamma above": (lambda: discounted_return([1], 1.1), r"gamma must be in \[0, 1\]; it is 1\.1"),
    "gamma below": (lambda: returns_to_go([1], -0.1), r"gamma must be in \[0, 1\]; it is -0\.1"),
    "gamma of gae": (lambda: gae([1], [0, 0], 1.9, 0.5), r"gamma must be in \[0, 1\]; it is 1\.9"),
    "lambda above": (
        lambda: lambda_returns([1], [0, 0], 0.9, 1.5),
        r"lambda_ must be in \[0, 1\]; it is 1\.5",
    ),
    "lambda below": (lambda: gae([1], [0, 0], 0.9, -0.5), r"lambda_ must be in \[0, 1\]"),
    "rewards nan": (lambda: returns_to_go([1, np.nan], 0.9), r"rewards\[1\] must be finite"),
    "rewards a number": (lambda: discounted_return(1, 0.9), "rewards must have shape"),
    "rewards ragged": (lambda: returns_to_go([[1], [1, 2]], 0.9), "rewards must be a rectangular"),
    "values too short": (
        lambda: lambda_returns([1, 2], [0, 0], 0.9, 0.5),
        r"values must have shape \(3,\); it has \(2,\)",
    ),
    "values of one episode": (
        lambda: gae([[1, 2]], [0, 0, 0], 0.9, 0.5),
        r"values must have shape \(1, 3\); it has \(3,\)",
    ),
    "horizon 0": (lambda: backward_induction(ICE, 0), "horizon must be at least 1; it is 0"),
    "horizon -1": (
        lambda: list(enumerate_trajectories(ICE, PI, -1)),
        "horizon must be at least 0; it is -1",
    ),
    "sweeps -1": (lambda: modified_policy_iteration(ICE, sweeps=-1), "sweeps must be at least 0"),
    "no budget for evaluation": (
        lambda: policy_evaluation(ICE, PI, max_sweeps=0),
        "max_sweeps must be at least 1; it is 0",
    ),
    "no budget for the average": (
        lambda: average_reward(ICE, max_iterations=0),
        "max_iterations must be at least 1; it is 0",
    ),
    "time-dependent": (
        lambda: policy_evaluation(ICE, TIMED),
        r"policy must have shape \(16, 4\); a time-dependent one, \(2, 16, 4\)",
    ),
}


@pytest.mark.parametrize("case", WRONG_VALUES)
def test_wrong_values_are_named(case: str) -> None:
    call, message = WRONG_VALUES[case]
    with pytest.raises(ValueError, match=message):
        call()


WRONG_TYPES: dict[str, tuple[Call, str]] = {
    "state 1.0": (lambda: explain_backup(ICE, V, 1.0), "s must be a whole number; it is 1.0"),  # type: ignore[arg-type]
    "action by name": (
        lambda: explain_backup(ICE, V, 0, "right"),  # type: ignore[arg-type]
        "action must be a whole number; it is 'right'",
    ),
    "states as floats": (
        lambda: trajectory_probability(ICE, PI, [0.0, 1.0], [1]),
        r"states must hold whole numbers \(counted from 0\); it holds float64",
    ),
    "actions as floats": (
        lambda: deterministic_policy([0.0, 1.0], 4),
        "actions must hold whole numbers",
    ),
    "actions as booleans": (
        lambda: deterministic_policy([True, False], 2),
        "actions must hold whole numbers",
    ),
    "horizon 2.0": (lambda: backward_induction(ICE, 2.0), "horizon must be a whole number"),  # type: ignore[arg-type]
    "horizon True": (lambda: backward_induction(ICE, True), "horizon must be a whole number"),
    "sweeps 1.5": (
        lambda: modified_policy_iteration(ICE, sweeps=1.5),  # type: ignore[arg-type]
        "sweeps must be a whole number; it is 1.5",
    ),
    "epsilon as text": (
        lambda: epsilon_greedy([[0, 1]], "0.1"),  # type: ignore[arg-type]
        "epsilon must be a number; it is '0.1'",
    ),
    "gammas": (lambda: discounted_return([1, 2], [0.9, 0.9]), "gamma must be a number"),  # type: ignore[arg-type]
    "Q as text": (lambda: greedy("best"), "Q must hold real numbers"),
    "tol by position": (lambda: value_iteration(ICE, 1e-3), "takes 1 positional argument"),  # type: ignore[call-arg]
    "an unknown setting": (
        lambda: value_iteration(ICE, max_iterations=3),  # type: ignore[call-arg]
        "unexpected keyword argument 'max_iterations'",
    ),
}


@pytest.mark.parametrize("case", WRONG_TYPES)
def test_wrong_types_are_named(case: str) -> None:
    call, message = WRONG_TYPES[case]
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize("name", BUDGETS)
def test_budgets_are_whole_and_at_least_one(name: str) -> None:
    budget = BUDGETS[name]
    with pytest.raises(ValueError, match=f"{budget} must be at least 1; it is 0"):
        OPTIMISERS[name](ICE, **{budget: 0})
    with pytest.raises(TypeError, match=f"{budget} must be a whole number; it is 10.0"):
        OPTIMISERS[name](ICE, **{budget: 10.0})


TOLERANT: dict[str, Callable[..., Any]] = {
    "policy_evaluation": lambda mdp, tol: policy_evaluation(mdp, PI, tol=tol),
    "value_iteration": value_iteration,
    "modified_policy_iteration": modified_policy_iteration,
    "gauss_seidel": gauss_seidel,
    "prioritized_sweeping": prioritized_sweeping,
}


@pytest.mark.parametrize("name", TOLERANT)
@pytest.mark.parametrize("tol", [-1e-8, np.nan])
def test_tolerances_are_not_negative(name: str, tol: float) -> None:
    with pytest.raises(ValueError, match="tol must be in"):
        TOLERANT[name](ICE, tol=tol)


@pytest.mark.parametrize("name", TOLERANT)
@pytest.mark.parametrize("tol", [None, "small", True])
def test_tolerances_are_numbers(name: str, tol: object) -> None:
    with pytest.raises(TypeError, match="tol must be a number"):
        TOLERANT[name](ICE, tol=tol)


# --- gamma = 1 without an end ---------------------------------------------------------------------

NAMES_THEM = r"not finite at gamma = 1: .*\{1, 2, 3, 4, 5, 6, 7, 8, \.\.\.\}"


@pytest.mark.parametrize(
    "of",
    [state_values, q_values, advantages, occupancy, expected_return, regret, policy_evaluation],
)
def test_a_policy_that_is_paid_for_ever(of: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=NAMES_THEM):
        of(ICE.replace(gamma=1), PI)


def test_finite_horizons_and_averages_stay_legal() -> None:
    endless = ICE.replace(gamma=1)
    assert backward_induction(endless, horizon=3).V[0].max() > 0
    assert state_values(endless, TIMED).shape == (3, 16)
    assert expected_return(endless, TIMED) == 0  # no fish within two steps of square 1
    assert occupancy(endless, TIMED).sum() == pytest.approx(2)
    assert average_reward(endless).gain > 0


# --- a model of another kind ----------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_A_MODEL | OF_A_POLICY)
@pytest.mark.parametrize(
    "other", [penguin_world(), lost_penguin_world().pomdp(0.9), ICE.under(PI)], ids=repr
)
def test_planning_needs_an_mdp(name: str, other: object) -> None:
    settings = (PI,) if name in OF_A_POLICY else ()
    with pytest.raises(TypeError, match="mdp must be an MDP; it is "):
        (OF_A_MODEL | OF_A_POLICY)[name](other, *settings)


def test_linear_program_has_no_tolerance() -> None:
    # it is solved exactly, or not at all; so is policy iteration
    for exact in (linear_program, policy_iteration):
        with pytest.raises(TypeError, match="unexpected keyword argument 'tol'"):
            exact(ICE, tol=1e-3)  # type: ignore[call-arg]
