"""Mistakes that are easily let through: each of these once was."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from gridrl import MDP, GridWorld, MarkovProcess, SparseTransitions, arrive, penguin_world, worlds


def test_a_complex_sparse_table_is_refused() -> None:
    for make in (lambda P: MarkovProcess(P), lambda P: MDP(P, [0, 0], 0.9)):
        with pytest.raises(TypeError, match="P must hold real numbers; it holds complex128"):
            make(csr_array(np.eye(2) * (1 + 1j)))
    with pytest.raises(TypeError, match="R must hold real numbers; it holds complex128"):
        MDP(np.eye(2)[:, None], csr_array(np.eye(2) * 1j), 0.9)


def test_a_sparse_nan_is_named_by_its_row() -> None:
    with pytest.raises(ValueError, match=r"P\[1\] must be finite|P\[1, 1\] must be finite"):
        MarkovProcess(csr_array([[1, 0], [0, np.nan]]))


def test_sparse_entries_are_indexed_as_dense_ones() -> None:
    dense = np.random.default_rng(0).dirichlet(np.ones(2), size=(2, 2))
    sparse = SparseTransitions(csr_array(dense.reshape(4, 2)), 2)
    assert sparse[1, 0, 1] == dense[1, 0, 1]
    np.testing.assert_array_equal(sparse[np.array([0, 1])], dense[[0, 1]])


def test_simulated_fees_are_those_of_the_moves() -> None:
    paid = worlds.cliff_walking().reward_process(gamma=1).simulate(3000, rng=0).rewards
    assert set(paid) <= {-100.0, -1.0, 0.0}


def test_a_time_expanded_process_has_no_reward_at_its_end() -> None:
    mdp = penguin_world().mdp(gamma=0.9)
    found = mdp.under(np.full((2, 16, 4), 0.25)).check()
    assert not [f for f in found if f.kind == "reward at the end"]


def test_locks_survive_copies() -> None:
    mdp: Any = penguin_world().mdp(gamma=0.9)
    for again in (pickle.loads(pickle.dumps(mdp)), copy.deepcopy(mdp)):
        assert not again.P.flags.writeable
        assert not again.R.flags.writeable


def test_a_map_is_locked() -> None:
    world: Any = penguin_world()
    for array in (world.tiles, world.positions, world.landing):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[0]
    with pytest.raises(TypeError, match="does not support item assignment"):
        world.rewards["F"] = 99


@pytest.mark.parametrize("gamma", [2, -0.1, np.nan])
def test_returns_check_gamma(gamma: float) -> None:
    with pytest.raises(ValueError, match=r"gamma must be in \[0, 1\]"):
        MarkovProcess(np.eye(2)).simulate(3, rng=0).returns(gamma)


def test_another_P_does_not_keep_an_old_policys_rewards() -> None:
    process = MDP(np.full((2, 1, 2), 0.5), arrive([0, 1]), 0.9).under([[1], [1]])
    with pytest.raises(ValueError, match="R"):
        process.replace(P=np.eye(2))  # arriving under the new P would pay 0 and 1, not 1/2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"terminal": ["G"]}, "terminal must be the tiles' characters as text"),
        ({"terminal": None}, "terminal must be the tiles' characters as text"),
        ({"exits": ["G"]}, "exits must be the tiles' characters as text"),
        ({"walls": None}, "walls must be the tiles' characters as text"),
        ({"rewards": [1, 2]}, "rewards must map"),
        ({"slip": None}, "slip must be"),
        ({"slip": 0.5}, "slip must be"),
        ({"view": 5}, "view must be pairs"),
        ({"moves": {}}, "moves must name at least one"),
        ({"moves": {"right": (0, 1.5)}}, r"moves\['right'\] must be"),
        ({"rewards": {"G": np.nan}}, r"rewards\['G'\] must be finite; it is nan"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        GridWorld.from_text("S.G", **options)


def test_labels_that_are_no_sequence_are_refused() -> None:
    with pytest.raises(TypeError, match="labels must "):
        MarkovProcess(np.eye(2), labels=5)  # type: ignore[arg-type]


def test_an_empty_column_is_named_even_with_a_wide_tol() -> None:
    with pytest.raises(ValueError, match=r"C\[:, 0\]"):
        MarkovProcess.from_columns([[0, 0], [0, 1]], tol=1, renormalise=True)


def test_a_pomdp_is_checked_on_its_map_as_its_mdp_is() -> None:
    world = GridWorld.from_text("S.F", slip=worlds.no_slip())
    pomdp = world.pomdp(gamma=0.9)
    wrong: Any = pomdp.replace(P=np.asarray(pomdp.P)[:, [0, 3, 2, 1]])
    assert list(map(str, world.check(wrong))) == list(map(str, world.check(wrong.mdp)))


def test_the_verb_agrees() -> None:
    inside = MarkovProcess([[0.5, 0.5, 0], [0, 0, 1], [0, 1, 0]])
    assert str(inside.check()[1]) == "period: states 2, 3 have period 2: P^n never converges"


def test_success_rate_is_named() -> None:
    with pytest.raises(ValueError, match=r"success_rate must be in \[0, 1\]"):
        worlds.frozen_lake(4, 1.5)


def test_jumps_are_checked() -> None:
    with pytest.raises(ValueError, match=r"jumps must have shape \(16, 4\)"):
        penguin_world().replace(jumps=np.zeros((3, 4), int))
    with pytest.raises(ValueError, match=r"jumps\[0, 0\] must be in 0\.\.15; it is 16"):
        penguin_world().replace(jumps=np.full((16, 4), 16))
