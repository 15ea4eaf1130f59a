"""A process typed by hand, held against its map."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from gridrl import GridWorld, MarkovProcess, penguin_world
from gridrl.processes.transitions import stacked
from gridrl.worlds import no_slip

ICE = penguin_world()
MDP_ON_ICE = ICE.mdp(gamma=0.9)


def typed(*changes: tuple[int, int, list[float]]) -> np.ndarray:
    """The ice's table with some rows typed wrong: (square, action, row over squares)."""
    P = np.array(MDP_ON_ICE.P)
    for square, a, row in changes:
        P[square - 1, a] = row
    return P


def row(**squares: float) -> list[float]:
    return [squares.get(f"s{k}", 0.0) for k in range(1, 17)]


def test_the_ice_itself_is_in_order() -> None:
    assert ICE.check(MDP_ON_ICE) == []
    assert ICE.check(ICE.markov_process()) == []
    assert ICE.check(ICE.reward_process(gamma=0.9)) == []


def test_left_and_right_exchanged_everywhere() -> None:
    mixed_up = MDP_ON_ICE.replace(P=np.array(MDP_ON_ICE.P)[:, [0, 3, 2, 1]])
    found = [str(f) for f in ICE.check(mixed_up)]
    assert "wrong way: 'right' from 6 goes mostly left" in found
    assert "wrong way: 'left' from 6 goes mostly right" in found
    assert "wrong way: 'left' from 2 goes mostly right" in found
    assert not any("'up'" in f or "'down'" in f for f in found)
    # in the two middle columns both ways are free
    middle = {2, 3, 6, 7, 10, 11, 14, 15}
    assert {f.states[0] + 1 for f in ICE.check(mixed_up)} >= middle


def test_one_column_that_says_left_where_it_means_right() -> None:
    left = MDP_ON_ICE.P[5, 3].tolist()
    found = ICE.check(MDP_ON_ICE.replace(P=typed((6, 1, left))))
    assert [str(f) for f in found] == ["wrong way: 'right' from 6 goes mostly left"]
    assert found[0].states == (5,)


def test_a_jump_is_named() -> None:
    found = ICE.check(MDP_ON_ICE.replace(P=typed((1, 0, row(s2=0.5, s16=0.5)))))
    assert [str(f) for f in found] == ["jump: a step from 1 to 16, which is no neighbour"]


def test_a_step_round_the_edge_of_the_sheet_is_a_jump() -> None:
    found = ICE.check(MDP_ON_ICE.replace(P=typed((5, 3, row(s4=0.5, s9=0.5)))))
    assert "jump: a step from 5 to 4, which is no neighbour" in map(str, found)


def test_a_step_through_a_rock_is_named() -> None:
    world = GridWorld.from_text("S#F\n...", slip=no_slip())
    P = np.array(world.mdp(gamma=0.9).P)
    P[0, 1] = [0, 1, 0, 0, 0]
    found = world.check(world.mdp(gamma=0.9).replace(P=P))
    assert [str(f) for f in found] == ["jump: a step from 1 to 3, through a rock"]


def test_a_step_off_the_map_is_named() -> None:
    world = GridWorld.from_text("S.+", exits="+")
    P = np.array(world.mdp(gamma=0.9).P)
    P[0, 0] = [0, 0, 0, 1]
    found = world.check(world.mdp(gamma=0.9).replace(P=P))
    assert "jump: a step from 1 to end, which is off the map" in map(str, found)


def test_what_terminal_states_do_is_their_own_affair() -> None:
    world = GridWorld.from_text("S.G", terminal="G")
    assert world.check(world.mdp(gamma=0.9)) == []


def test_sparse_tables_are_checked_alike() -> None:
    wrong = MDP_ON_ICE.replace(P=typed((1, 0, row(s16=1.0)), (6, 1, MDP_ON_ICE.P[5, 3].tolist())))
    sparse = wrong.replace(P=stacked(wrong.P))
    assert list(map(str, ICE.check(sparse))) == list(map(str, ICE.check(wrong)))
    chain = MarkovProcess(csr_array(np.roll(np.eye(16), 1, axis=1)))
    assert str(ICE.check(chain)[0]) == "jump: a step from 4 to 5, which is no neighbour"


def test_another_maps_process_is_refused() -> None:
    with pytest.raises(ValueError, match="must have the map's 16 states; it has 2"):
        ICE.check(MarkovProcess(np.eye(2)))
    fewer = MDP_ON_ICE.replace(P=np.array(MDP_ON_ICE.P)[:, :2], R=np.zeros(16), action_labels=None)
    with pytest.raises(ValueError, match="must have the map's 4 actions; it has 2"):
        ICE.check(fewer)
