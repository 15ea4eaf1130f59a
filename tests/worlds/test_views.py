"""What is seen from a square."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl import GridWorld, lost_penguin_world, penguin_world
from gridrl.worlds import Window


def alike(world: GridWorld, view: Any) -> set[tuple[int, ...]]:
    """The groups of squares that look the same, by label."""
    O = world.pomdp(gamma=0.9, view=view).O  # noqa: E741
    return {
        tuple(int(world.labels[t]) for t in np.flatnonzero((row == O).all(axis=1))) for row in O
    }


def test_the_dashed_box_makes_five_observations() -> None:
    pomdp = lost_penguin_world().pomdp(gamma=0.9)
    assert pomdp.n_observations == 5
    assert pomdp.observation_labels == (".#", "..", ".F", "F.", "H.")
    world = lost_penguin_world()
    assert alike(world, None) == {
        (13, 14, 15, 16), (1, 2, 3, 5, 7, 8, 9, 11, 12), (6,), (10,), (4,),
    }  # fmt: skip


@pytest.mark.parametrize("view", [
    [(0, 0), (0, -1)], [(0, 0), (0, 1)], [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)],
])  # fmt: skip
def test_no_other_box_makes_3_look_like_9(view: Any) -> None:
    O = lost_penguin_world().pomdp(gamma=0.9, view=view).O  # noqa: E741
    assert (O[2] != O[8]).any()


def test_right_leads_to_the_hole_from_3_and_to_the_fish_from_9() -> None:
    world = lost_penguin_world()
    mdp, right = world.mdp(gamma=0.9), 1
    for here, there, reward in ((3, 4, -2), (9, 10, 3)):
        s, to = world.index(here), world.index(there)
        assert mdp.P[s, right].argmax() == to
        assert mdp.R[to].tolist() == [reward] * 4


def test_one_sees_offsets_in_their_order_and_rock_off_the_map() -> None:
    world = GridWorld.from_text("SF\nH.")
    pomdp = world.pomdp(gamma=0.9, view=[(0, 1), (-1, 0)])
    names = [pomdp.observation_labels[o] for o in pomdp.O.argmax(axis=1)]
    assert names == ["F#", "##", "..", "#F"]  # the start looks like ice
    far = world.pomdp(gamma=0.9, view=[(5, -7)])
    assert far.observation_labels == ("#",)


def test_the_blind_see_nothing() -> None:
    blind = penguin_world().pomdp(gamma=0.9, view=())
    assert blind.observation_labels == ("nothing",)
    assert (blind.O == 1).all()


@given(st.floats(0, 1))
def test_noise_is_any_view_at_all(noise: float) -> None:
    clear = lost_penguin_world().pomdp(gamma=0.9)
    noisy = lost_penguin_world().pomdp(gamma=0.9, view=Window(noise=noise))
    np.testing.assert_allclose(noisy.O, (1 - noise) * clear.O + noise / 5, atol=1e-15)


def test_an_end_state_looks_like_nothing_else() -> None:
    pomdp = GridWorld.from_text("S.G", exits="G").pomdp(gamma=0.9)
    o = pomdp.observation_labels.index("end")
    assert pomdp.O[:, o].tolist() == [0, 0, 0, 1]


def test_a_worlds_own_view_is_its_default() -> None:
    own = GridWorld.from_text("S.F", view=[(0, 1)])
    assert own.view == Window([(0, 1)])
    np.testing.assert_array_equal(own.pomdp(0.9).O, own.pomdp(0.9, view=[(0, 1)]).O)


@pytest.mark.parametrize("noise", [1.1, -0.1, np.nan])
def test_bad_noise_is_refused(noise: float) -> None:
    with pytest.raises(ValueError, match=rf"noise must be in \[0, 1\]; it is {noise:g}"):
        Window(noise=noise)


@pytest.mark.parametrize(
    "offsets", [[(0,)], [(0, 0, 0)], [(0.5, 0)], [("a", 0)], [0, 1], [(True, 0)]]
)
def test_bad_offsets_are_refused(offsets: Any) -> None:
    with pytest.raises(ValueError, match=r"view must be pairs \(rows down, columns right\); it is"):
        Window(offsets)
