"""The linear program: another road to V*."""

import numpy as np
import pytest
from hypothesis import given, settings

from gridrl.planning import action_values, linear_program, state_values
from gridrl.processes import MDP
from gridrl.worlds import forest, frozen_lake, gamblers_problem, penguin_world, sutton_5x5
from tests.planning.oracles import brute_force, sparse
from tests.strategies import mdps


@settings(max_examples=40, deadline=None)
@given(mdp=mdps(max_states=4))
def test_it_is_feasible_tight_and_least(mdp: MDP) -> None:
    found = linear_program(mdp)
    Q = action_values(mdp, found.V)
    assert (found.V[:, None] >= Q - 1e-7).all()  # HiGHS allows 1e-7
    np.testing.assert_allclose(found.V, Q.max(axis=1), atol=1e-7)
    assert np.abs(found.V - brute_force(mdp)).max() <= found.bound + 1e-12


@pytest.mark.parametrize("world", [forest(), penguin_world().mdp(0.9), gamblers_problem()])
def test_its_policy_is_worth_its_values(world: MDP) -> None:
    found = linear_program(world)
    np.testing.assert_allclose(state_values(world, found.policy), found.V, atol=1e-8)
    assert found.bound < 1e-9


def test_it_takes_one_snapshot() -> None:
    assert len(list(linear_program.iterates(forest()))) == 1


@pytest.mark.parametrize("mdp", [sutton_5x5().mdp(gamma=0.9), frozen_lake().mdp(gamma=1)])
def test_sparse_and_dense_programs_agree(mdp: MDP) -> None:
    np.testing.assert_allclose(linear_program(sparse(mdp)).V, linear_program(mdp).V, atol=1e-9)


def test_it_is_exact_close_to_gamma_1() -> None:
    # 1 a step for ever is worth 1 / (1 - gamma); HiGHS alone leaves 1e-7 / (1 - gamma)
    gamma = 1 - 1e-6
    mdp = MDP(np.eye(2)[[[0, 1], [1, 0]]], np.array([[1, 0], [0.5, 0]]), gamma)
    found = linear_program(mdp)
    np.testing.assert_allclose(found.V, [1 / (1 - gamma), gamma / (1 - gamma)], rtol=1e-9)
