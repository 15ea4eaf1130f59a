"""Maps drawn in text: states, starts, ends, rewards, and what a student types wrong."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl import GridWorld
from gridrl.worlds import no_slip, slip_sideways, slip_to_neighbours
from gridrl.worlds.maps import MOVES

ROOM = GridWorld.from_text("S.#\n..F", slip=no_slip())


def test_rocks_are_no_states_but_squares_count_them() -> None:
    assert (ROOM.n_states, ROOM.shape, ROOM.labels) == (5, (2, 3), ("1", "2", "4", "5", "6"))
    assert [ROOM.index(label) for label in (1, "2", 4, 5, 6)] == [0, 1, 2, 3, 4]
    assert str(ROOM) == "S.#\n..F"
    assert repr(ROOM) == "GridWorld(2 x 3, 5 states)"


def test_where_moves_lead() -> None:
    up, right, down, left = ROOM.landing.T
    assert up.tolist() == [0, 1, 0, 1, 4]
    assert right.tolist() == [1, 1, 3, 4, 4]
    assert down.tolist() == [2, 3, 2, 3, 4]
    assert left.tolist() == [0, 0, 2, 2, 3]


def test_without_a_slip_moves_do_what_they_say() -> None:
    P = ROOM.mdp(gamma=0.9).P
    s, a = np.indices((5, 4))
    np.testing.assert_array_equal(P[s, a, ROOM.landing], 1)


def test_several_starts_share_the_start() -> None:
    assert GridWorld.from_text("S.S").mdp(0.9).start.tolist() == [0.5, 0, 0.5]
    nowhere = GridWorld.from_text("..G", terminal="G").mdp(0.9)
    assert nowhere.start.tolist() == [0.5, 0.5, 0]


def test_indentation_and_empty_lines_around_do_not_count() -> None:
    world = GridWorld.from_text("\n\n    S.#\n    ..F\n\n")
    assert str(world) == str(ROOM)


def test_rewards_on_leaving_and_on_arriving() -> None:
    text, rewards = "S.D", {"D": 0.5, ".": -1}
    leaving = GridWorld.from_text(text, rewards=rewards, slip=no_slip())
    # the start is a square of ice
    assert leaving.mdp(0.9).R.tolist() == [[-1] * 4, [-1] * 4, [0.5] * 4]
    arriving = leaving.replace(reward_on="arrive").mdp(0.9)
    assert arriving.R.tolist() == [[-1] * 4, [-1, 0.5, -1, -1], [0.5, 0.5, 0.5, -1]]
    assert GridWorld.from_text("SF").mdp(0.9).R[1, 0] == 1  # rewards=None: a fish is worth 1
    assert (GridWorld.from_text("SF", rewards={}).mdp(0.9).R == 0).all()


def test_a_reward_of_a_small_integer_type_is_not_wrapped_round() -> None:
    small: Any = {"H": np.int8(-2), "S": np.uint8(3)}
    world = GridWorld.from_text("SH", rewards=small)
    assert world.mdp(0.9).R[:, 0].tolist() == [3.0, -2.0]


@pytest.mark.parametrize("reward_on", ["leave", "arrive"])
def test_leaving_and_arriving_differ_by_the_reward_of_the_square(reward_on: str) -> None:
    world = GridWorld.from_text("S.H\n.#.\n..F", rewards={"F": 3.0, "H": -2.0})
    for lens in ("reward_process", "mdp"):
        left, arrived = (
            getattr(world.replace(reward_on=on), lens)(gamma=0.9) for on in ("leave", "arrive")
        )
        if lens == "mdp":
            pi = np.random.default_rng(0).dirichlet(np.ones(4), size=world.n_states)
            left, arrived = left.under(pi), arrived.under(pi)
        R = [0, 0, -2, 0, 0, 0, 0, 3]
        np.testing.assert_allclose(left.values(), R + 0.9 * arrived.values(), atol=1e-12)


def test_terminal_tiles_end_the_episode() -> None:
    world = GridWorld.from_text("S.G\n..F", terminal="GF", rewards={"F": 2.0}, reward_on="arrive")
    mdp = world.mdp(gamma=1)
    assert mdp.terminal.tolist() == [False, False, True, False, False, True]
    assert mdp.R[[2, 5]].tolist() == [[0.0] * 4] * 2
    assert mdp.R.max() > 0


def test_exits_lead_to_one_end_state_whatever_one_does() -> None:
    world = GridWorld.from_text("S.+\n..-", exits="+-", rewards={"+": 1.0, "-": -1.0})
    assert world.labels == ("1", "2", "3", "4", "5", "6", "end")
    mdp = world.mdp(gamma=0.9)
    end = world.index("end")
    assert mdp.terminal.tolist() == [False] * 6 + [True]
    np.testing.assert_allclose(mdp.P[[2, 5], :, end], 1, atol=1e-15)
    assert mdp.R[[2, 5, 6], 0].tolist() == [1, -1, 0]
    np.testing.assert_array_equal(world.markov_process().P[[2, 5], end], 1)


def test_other_moves_and_other_walls() -> None:
    diagonal = {"there": (1, 1), "back": (-1, -1)}
    world = GridWorld.from_text("S.X\n...", walls="X", moves=diagonal, slip=no_slip())
    assert world.landing.tolist() == [[3, 0], [4, 1], [2, 2], [3, 0], [4, 1]]
    assert world.mdp(0.9).action_labels == ("there", "back")
    with pytest.raises(ValueError, match="no rock; it is 3"):
        world.index(3)


def test_the_world_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ROOM.slip = no_slip()  # type: ignore[misc]
    other = ROOM.replace(slip=slip_sideways(0.8))
    assert ROOM.mdp(0.9).P.max(axis=2).min() == 1  # type: ignore[union-attr]
    assert other.mdp(0.9).P.max(axis=2).min() < 1  # type: ignore[union-attr]


def test_a_fee_is_paid_by_the_probability_of_its_move() -> None:
    """R(s, a) = sum_d Pr(d | s, a) fee(s, d), beside what the squares pay."""
    fees = np.arange(20.0).reshape(5, 4)
    world = ROOM.replace(fees=fees, slip=slip_sideways(0.8))
    bare = world.replace(fees=None).mdp(0.9)
    sideways = 0.1 * (fees[:, [1, 2, 3, 0]] + fees[:, [3, 0, 1, 2]])
    np.testing.assert_allclose(world.mdp(0.9).R, bare.R + 0.8 * fees + sideways)


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_any_map_can_be_read_back(rows: int, columns: int, data: st.DataObject) -> None:
    tile = st.sampled_from(".#SFHG")
    text = "\n".join(
        "".join(data.draw(st.lists(tile, min_size=columns, max_size=columns))) for _ in range(rows)
    )
    if set(text) <= {"#", "\n"}:
        with pytest.raises(ValueError, match="text must hold at least one square that is no rock"):
            GridWorld.from_text(text)
        return
    world = GridWorld.from_text(text)
    assert str(world) == text
    assert world.n_states == sum(tile not in "#\n" for tile in text)
    np.testing.assert_allclose(world.mdp(0.9).P.sum(axis=2), 1, atol=1e-12)  # type: ignore[union-attr]


BAD_MAPS: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    ("", {}, ValueError, "text must hold at least one square; it is empty"),
    (" \n \n", {}, ValueError, "text must hold at least one square; it is empty"),
    ("##\n##", {}, ValueError, "text must hold at least one square that is no rock"),
    ("...\n..", {}, ValueError, "row 1 has 3 squares, row 2 has 2"),
    ("...\n\n...", {}, ValueError, "row 1 has 3 squares, row 2 has 0"),
    ("...\n.x.", {}, ValueError, "tiles of '#.FGHS'.*; row 2, column 2 holds 'x'"),
    ("..f", {}, ValueError, "row 1, column 3 holds 'f'"),
    (["S.F"], {}, TypeError, "text must be the map as text, one line a row; it is list"),
    (b"S.F", {}, TypeError, "text must be the map as text, one line a row; it is bytes"),
    (None, {}, TypeError, "text must be the map as text.*; it is NoneType"),
    ("S#F", {"rewards": {"#": 1.0}}, ValueError, "rewards must not name '#': nobody ever stands"),
    ("SC", {"rewards": {"C": 1.0}, "walls": "C"}, ValueError, "rewards must not name 'C'"),
    ("S.F", {"rewards": {"FF": 1.0}}, ValueError, "keyed by a tile's character; it has 'FF'"),
    ("S.F", {"rewards": {1: 1.0}}, ValueError, "keyed by a tile's character; it has 1"),
    ("S.F", {"rewards": {"F": "1"}}, TypeError, r"rewards\['F'\] must be a number; it is '1'"),
    ("S.F", {"rewards": {"F": True}}, TypeError, r"rewards\['F'\] must be a number; it is True"),
    ("S.F", {"rewards": {"F": np.inf}}, ValueError, r"rewards\['F'\] must be finite; it is inf"),
    ("S.F", {"rewards": {"F": np.nan}}, ValueError, r"rewards\['F'\] must be .*; it is nan"),
    ("S.G", {"rewards": {"G": 1.0}, "terminal": "G"}, ValueError,
     "terminal tile 'G' has a reward paid on leaving, but nobody leaves it: use reward_on"),
    ("S.F", {"terminal": "F"}, ValueError, "terminal tile 'F' has a reward paid on leaving"),
    ("S.F", {"reward_on": "leaving"}, ValueError, "reward_on must be .*; it is 'leaving'"),
    ("S.F", {"reward_on": None}, ValueError, "reward_on must be .*; it is None"),
    ("S.F", {"moves": {"up": 1}}, ValueError, r"moves\['up'\] must be \(rows down, columns"),
    ("S.F", {"moves": {"up": (1, 0, 0)}}, ValueError, r"moves\['up'\] must be .* \(1, 0, 0\)"),
    ("S.F", {"view": [(0, 0, 0)]}, ValueError, "view must be pairs"),
    ("S.F", {"view": [(0.5, 0)]}, ValueError, "view must be pairs"),
    ("S.F", {"view": (0, 1)}, ValueError, "view must be pairs"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "options", "error", "message"), BAD_MAPS)
def test_a_bad_map_is_refused(
    text: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        GridWorld.from_text(text, **options)


def test_an_unused_reward_in_a_terminal_tile_is_no_harm() -> None:
    assert GridWorld.from_text("S..", terminal="F").n_states == 3  # no F on this map
    assert GridWorld.from_text("S.F", terminal="F", reward_on="arrive").n_states == 3


def test_replacing_is_checked_again() -> None:
    world = GridWorld.from_text("S.F", terminal="F", reward_on="arrive")
    with pytest.raises(ValueError, match="terminal tile 'F' has a reward paid on leaving"):
        world.replace(reward_on="leave")
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        world.replace(colour="white")
    with pytest.raises(TypeError, match="terminal must be the tiles' characters"):
        world.replace(terminal=["F"])


@pytest.mark.parametrize("label", [0, 7, 3, "F", 1.0, -1, True])
def test_a_label_that_is_no_square_is_refused(label: Any) -> None:
    with pytest.raises(ValueError, match=f"label must be a square from 1 to 6, .* it is {label}"):
        ROOM.index(label)


@pytest.mark.parametrize("gamma", [1.1, -0.1, np.nan])
def test_a_bad_gamma_is_refused_by_every_lens(gamma: float) -> None:
    for lens in (ROOM.reward_process, ROOM.mdp, ROOM.pomdp):
        with pytest.raises(ValueError, match=rf"gamma must be in \[0, 1\]; it is {gamma:g}"):
            lens(gamma=gamma)


def test_the_html_is_the_map_escaped() -> None:
    html = GridWorld.from_text("S<&", rewards={"<": 1.0, "&": 1.0})._repr_html_()
    assert "S&lt;&amp;" in html
    assert "<script" not in html


def test_the_default_moves_are_up_right_down_left() -> None:
    assert list(MOVES) == ["up", "right", "down", "left"]
    assert GridWorld.from_text("S").mdp(0.9).action_labels == tuple(MOVES)
    assert slip_to_neighbours(0.5)(np.zeros((1, 4), bool)).tolist() == [[[0, 0, 0, 0, 1]] * 4]
