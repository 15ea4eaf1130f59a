"""gamma = 1: who comes to an end, what idling is worth, and what is refused."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings

from gridrl.planning import (
    gauss_seidel,
    policy_evaluation,
    policy_iteration,
    state_values,
    uniform_policy,
    value_iteration,
)
from gridrl.planning.endings import can_rest, ending_policy, is_over, longest_episode
from gridrl.processes import MDP
from gridrl.worlds import frozen_lake, penguin_world, random_walk, sutton_4x4
from tests.planning.oracles import (
    BUDGETS,
    OPTIMISERS,
    chain,
    deterministic_actions,
    plan_undiscounted,
    separated,
    sparse,
    undiscounted,
    undiscounted_models,
    undiscounted_optimum,
)

every_optimiser = pytest.mark.parametrize("name", OPTIMISERS)


def jumps(to: list[list[int]], R: Any, **fields: Any) -> MDP:
    """gamma = 1, every action leads to one state for sure; the last state is terminal."""
    S = len(to)
    return MDP(np.eye(S)[np.array(to)], R, 1.0, terminal=np.arange(S) == S - 1, **fields)


def named_states(error: BaseException) -> set[int]:
    """The labels in an error's set {1, 2}."""
    found = re.search(r"\{([\d, ]+)\}", str(error))
    assert found, f"no states are named: {error}"
    return set(map(int, found[1].split(", ")))


# --- random models against all deterministic policies ---------------------------------------------


@settings(max_examples=40, deadline=None)
@given(mdp=undiscounted_models())
def test_every_algorithm_finds_the_best_of_all_policies_or_names_who_never_ends(mdp: MDP) -> None:
    assume(separated(mdp))
    best = undiscounted_optimum(mdp)
    for name, plan in OPTIMISERS.items():
        if np.isfinite(best).all():
            found = plan_undiscounted(name, mdp)
            np.testing.assert_allclose(found.V, best, atol=1e-7)
            continue
        with pytest.raises(ValueError, match="values are not finite at gamma = 1") as error:
            plan(mdp)
        if np.isneginf(best).any():
            assert named_states(error.value) == set(np.flatnonzero(np.isneginf(best)) + 1)


@settings(max_examples=40, deadline=None)
@given(mdp=undiscounted_models())
def test_the_policy_found_is_worth_what_was_promised(mdp: MDP) -> None:
    assume(separated(mdp))
    best = undiscounted_optimum(mdp)
    assume(np.isfinite(best).all())
    for name in OPTIMISERS:
        found = plan_undiscounted(name, mdp)
        earned = undiscounted(*chain(mdp, found.policy))
        np.testing.assert_allclose(earned, best, atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(mdp=undiscounted_models())
def test_a_policys_values_are_those_of_what_absorbs_it(mdp: MDP) -> None:
    assume(separated(mdp))
    s = np.arange(mdp.n_states)
    for actions in deterministic_actions(mdp)[:6]:
        V = undiscounted(np.asarray(mdp.P)[s, actions], mdp.R[s, actions])
        policy = np.eye(mdp.n_actions)[actions]
        if np.isfinite(V).all():
            np.testing.assert_allclose(state_values(mdp, policy), V, atol=1e-9)
            for in_place in (False, True):
                iterated = policy_evaluation(mdp, policy, in_place=in_place, tol=1e-8).V
                np.testing.assert_allclose(iterated, V, atol=1e-8)
        else:
            with pytest.raises(ValueError, match="rewards go on for ever in states"):
                state_values(mdp, policy)


# --- by hand --------------------------------------------------------------------------------------


@every_optimiser
def test_staying_idle_beats_a_costly_exit(name: str) -> None:
    # stay for nothing, or leave for -5; from the second state -1 leads to the idle one
    mdp = jumps([[0, 2], [0, 2], [2, 2]], [[0, -5], [-1, -9], [0, 0]])
    best = OPTIMISERS[name](mdp)
    np.testing.assert_allclose(best.V, [0, -1, 0], atol=1e-8)
    np.testing.assert_array_equal(best.policy[:2], [[1, 0], [1, 0]])


@every_optimiser
def test_a_free_loop_is_worth_what_its_exit_pays(name: str) -> None:
    # round and round for nothing, or +3 from the second state: V = 3 is no fixed point of sweeps
    # from above only, every V >= 3 is one
    mdp = jumps([[1, 1], [0, 2], [2, 2]], [[0, 0], [0, 3], [0, 0]])
    best = OPTIMISERS[name](mdp)
    np.testing.assert_allclose(best.V, [3, 3, 0], atol=1e-8)
    np.testing.assert_allclose(state_values(mdp, best.policy), best.V, atol=1e-8)


@every_optimiser
def test_a_loop_that_costs_is_left(name: str) -> None:
    mdp = jumps([[1, 2], [0, 2], [2, 2]], [[-1, -5], [-1, -2], [0, 0]])
    np.testing.assert_allclose(OPTIMISERS[name](mdp).V, [-3, -2, 0], atol=1e-8)


PAYING_LOOP = jumps([[1, 2], [0, 2], [2, 2]], [[-1, 0], [3, 0], [0, 0]])


@every_optimiser
def test_a_loop_that_pays_is_refused(name: str) -> None:
    # the exit is free, but +2 every two steps is more
    with pytest.raises(ValueError, match="not finite at gamma = 1") as error:
        OPTIMISERS[name](PAYING_LOOP)
    assert named_states(error.value) == {1, 2}


@every_optimiser
def test_a_loop_without_exit_is_refused(name: str) -> None:
    mdp = jumps([[1, 1], [0, 0], [3, 0], [3, 3]], [[-1, -1], [-1, -1], [-1, -1], [0, 0]])
    with pytest.raises(ValueError, match=r"no end is reachable from states \{1, 2\}"):
        OPTIMISERS[name](mdp)


@every_optimiser
def test_labels_are_named_not_indices(name: str) -> None:
    mdp = jumps([[0], [1]], [[1.0], [0.0]], labels=["treadmill", "home"])
    with pytest.raises(ValueError, match="treadmill"):
        OPTIMISERS[name](mdp)


@every_optimiser
def test_the_ice_never_ends(name: str) -> None:
    with pytest.raises(ValueError, match=r"states \{1, 2, 3, 4, 5, 6, 7, 8, \.\.\.\}"):
        OPTIMISERS[name](penguin_world().mdp(gamma=1))


@every_optimiser
def test_where_nothing_is_paid_everything_is_worth_nothing(name: str) -> None:
    mdp = penguin_world().mdp(gamma=1)
    idle = MDP(mdp.P, np.zeros((16, 4)), 1.0)
    best = OPTIMISERS[name](idle)
    np.testing.assert_array_equal(best.V, np.zeros(16))
    assert best.bound == 0


# +1 there and -1 back, or a rest in the second state: V = (1, 0), by going there and resting
THERE_AND_BACK = jumps([[1, 1], [1, 0], [2, 2]], [[1, 1], [0, -1], [0, 0]])


@every_optimiser
def test_a_loop_that_comes_to_nothing(name: str) -> None:
    np.testing.assert_allclose(OPTIMISERS[name](THERE_AND_BACK).V, [1, 0, 0], atol=1e-8)


def test_a_loop_that_comes_to_nothing_has_a_policy_worth_its_values() -> None:
    best = policy_iteration(THERE_AND_BACK)
    np.testing.assert_allclose(state_values(THERE_AND_BACK, best.policy), best.V)


def test_small_rewards_are_no_rounding() -> None:
    # stop for 1, or 3 and then 5: V = (8, 5), in units of 1e-11
    mdp = jumps([[2, 1], [2, 2], [2, 2]], [[1e-11, 3e-11], [1e-11, 5e-11], [0, 0]])
    best = policy_iteration(mdp)
    assert np.abs(best.V - [8e-11, 5e-11, 0]).max() <= best.bound + 1e-12


# in 1: pay 0.29 to stay, or 0.61 to end; in 2: rest, or earn 0.24 and slide to 1 one time in four.
# V* = (-0.61, 0.35) by a margin; just before a horizon it looks better to earn and not to pay
GAMBLE = MDP(
    [[[1, 0, 0], [0, 0, 1]], [[0.25, 0.75, 0], [0, 1, 0]], [[0, 0, 1], [0, 0, 1]]],
    np.array([[-0.29, -0.61], [0.24, 0], [0, 0]]),
    1.0,
    terminal=[False, False, True],
)


@pytest.mark.parametrize(
    "name",
    sorted(BUDGETS),
)
def test_sweeps_do_not_gamble_on_the_horizon(name: str) -> None:
    found = OPTIMISERS[name](GAMBLE, **{BUDGETS[name]: 2000})
    np.testing.assert_allclose(found.V, [-0.61, 0.24 * 4 - 0.61, 0], atol=1e-7)


@pytest.mark.parametrize(
    "name",
    sorted(BUDGETS),
)
def test_evaluating_ties_does_not_hide_a_rest(name: str) -> None:
    # rest in 1, or go to 2, and from 3 the end costs 1: at first both look free, a tie
    mdp = jumps([[0, 1], [2, 2], [3, 3], [3, 3]], [[0, 0], [0, 0], [-1, -1], [0, 0]])
    found = OPTIMISERS[name](mdp, **{BUDGETS[name]: 2000})
    np.testing.assert_allclose(found.V, [0, -1, -1, 0], atol=1e-7)


@every_optimiser
def test_a_policy_is_as_good_as_its_values(name: str) -> None:
    # end now for nothing, or one step later for -1; or rest. At V = 0 all of it looks free
    mdp = jumps([[2, 1, 0], [2, 2, 2], [2, 2, 2]], [[0, 0, 0], [-1, -1, -1], [0, 0, 0]])
    found = OPTIMISERS[name](mdp)
    np.testing.assert_allclose(found.V, [0, -1, 0], atol=1e-8)
    np.testing.assert_allclose(state_values(mdp, found.policy), found.V, atol=1e-8)


# --- the pieces -----------------------------------------------------------------------------------


def test_longest_episode() -> None:
    assert longest_episode(sutton_4x4().mdp(gamma=0.5)) == 2
    assert longest_episode(frozen_lake().mdp(gamma=1)) == np.inf  # the top row, for ever
    chain = jumps([[1, 4], [2, 4], [3, 0], [4, 4], [4, 4]], [[-1, -1]] * 4 + [[0, 0]])
    assert longest_episode(chain) == np.inf  # 1, 2, 3 and back
    onward = jumps([[1, 4], [2, 4], [3, 4], [4, 4], [4, 4]], [[-1, -1]] * 4 + [[0, 0]])
    assert longest_episode(onward) == longest_episode(sparse(onward)) == 4


def test_longest_episode_takes_the_slowest_action() -> None:
    # stay with probability 3/4 or 1/2: four steps on average, or two
    P = [[[0.5, 0.5], [0.75, 0.25]], [[0, 1], [0, 1]]]
    mdp = MDP(P, [[1, 1], [0, 0]], 1.0, terminal=[False, True])
    assert longest_episode(mdp) == pytest.approx(4)
    walk = random_walk().mdp(gamma=1)
    slowest = walk.under(uniform_policy(walk)).hitting_times([0, 6]).max()
    assert slowest == pytest.approx(9)  # the middle of 5: 3 * 3 steps
    assert longest_episode(walk) == np.inf


def test_over_is_where_nothing_is_paid_any_more() -> None:
    mdp = jumps([[1, 1], [2, 2], [1, 3], [3, 3]], [[1, 1], [0, 0], [0, 0], [0, 0]])
    np.testing.assert_array_equal(is_over(mdp), [False, True, True, True])
    np.testing.assert_array_equal(is_over(frozen_lake().mdp(gamma=1))[[5, 14, 15]], [1, 0, 1])


def test_resting_is_possible_where_one_can_stay_for_nothing() -> None:
    mdp = jumps([[1, 2], [0, 2], [2, 3], [3, 3]], [[0, 1], [0, 1], [-1, 0], [0, 0]])
    np.testing.assert_array_equal(can_rest(mdp), [True, True, True, True])
    np.testing.assert_array_equal(can_rest(mdp.replace(R=mdp.R - 1)), [0, 0, 0, 1])


@settings(max_examples=30, deadline=None)
@given(mdp=undiscounted_models())
def test_the_ending_policy_ends(mdp: MDP) -> None:
    assume(separated(mdp))
    best = undiscounted_optimum(mdp)
    assume(not np.isposinf(best).any())
    if len(lost := np.flatnonzero(np.isneginf(best))):
        with pytest.raises(ValueError, match="no end is reachable") as error:
            ending_policy(mdp)
        assert named_states(error.value) == set(lost + 1)
        return
    policy = ending_policy(mdp)
    np.testing.assert_allclose(policy.sum(axis=1), 1)
    P, R = chain(mdp, policy)
    assert np.isfinite(undiscounted(P, np.abs(R))).all()


def test_a_bound_at_gamma_1_counts_the_longest_episode() -> None:
    # 1 / (1/4) = 4 steps stand where 1 / (1 - gamma) stands
    mdp = MDP([[[0.75, 0.25]], [[0, 1]]], [-1.0, 0.0], 1.0, terminal=[False, True])
    for plan in (value_iteration, gauss_seidel):
        first = next(plan.iterates(mdp))
        assert first.V[0] == -1
        assert first.bound == pytest.approx(4)
        assert abs(first.V[0] - -4) <= first.bound
