"""Slips: where a move leads when the ice has its say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gridrl import GridWorld
from gridrl.worlds import no_slip, slip_anywhere, slip_sideways, slip_to_neighbours

MAKERS = [slip_to_neighbours, slip_sideways, slip_anywhere]
neighbourhoods = arrays(bool, (5, 4))


@pytest.mark.parametrize("make", MAKERS)
@given(open_ways=neighbourhoods, intended=st.floats(0, 1))
def test_rows_are_distributions(make: Any, open_ways: Any, intended: float) -> None:
    p = make(intended)(open_ways)
    assert p.shape == (5, 4, 5)
    assert p.min() >= 0
    np.testing.assert_allclose(p.sum(axis=2), 1, atol=1e-12)


@given(neighbourhoods, st.floats(0, 1))
def test_the_lectures_ice_case_by_case(open_ways: Any, intended: float) -> None:
    p = slip_to_neighbours(intended)(open_ways)
    for s, a in np.ndindex(5, 4):
        free = np.flatnonzero(open_ways[s])
        expected = np.zeros(5)
        if not len(free):
            expected[4] = 1
        elif a not in free:
            expected[free] = 1 / len(free)
        elif len(free) == 1:
            expected[a] = 1
        else:
            expected[free] = (1 - intended) / (len(free) - 1)
            expected[a] = intended
        np.testing.assert_allclose(p[s, a], expected, atol=1e-15)


def test_sideways_is_at_right_angles_free_or_not() -> None:
    p = slip_sideways(0.8)(np.zeros((1, 4), bool))[0]
    assert p[0].round(12).tolist() == [0.8, 0.1, 0, 0.1, 0]
    assert p[1].round(12).tolist() == [0.1, 0.8, 0.1, 0, 0]


def test_anywhere_is_any_other_direction() -> None:
    assert slip_anywhere(0.4)(np.ones((1, 4), bool))[0, 2].round(12).tolist() == [
        0.2, 0.2, 0.4, 0.2, 0,
    ]  # fmt: skip
    assert slip_anywhere(0.4)(np.ones((1, 1), bool)).tolist() == [[[1, 0]]]


def test_no_slip_is_every_slip_that_always_does_as_meant() -> None:
    everywhere = np.ones((2, 4), bool)
    for make in MAKERS:
        np.testing.assert_array_equal(make(1.0)(everywhere), no_slip()(everywhere))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("intended", [1.1, -0.1, np.nan])
def test_a_bad_probability_is_refused(make: Any, intended: float) -> None:
    with pytest.raises(ValueError, match=rf"intended must be in \[0, 1\]; it is {intended:g}"):
        make(intended)


def test_right_angles_need_four_moves() -> None:
    with pytest.raises(ValueError, match="needs moves with right angles; there are 2 moves"):
        slip_sideways(0.5)(np.ones((1, 2), bool))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.ones((3, 4)), r"slip\(open_ways\) must have shape \(3, 4, 5\); it has \(3, 4\)"),
        (np.full((3, 4, 5), 0.1), r"slip\(open_ways\)\[0, 0\] must be a distribution; .* 0\.5"),
        (np.full((3, 4, 5), np.nan), r"slip\(open_ways\)\[0, 0, 0\] must be finite; it is nan"),
    ],
)
def test_a_slip_of_ones_own_is_checked(answer: Any, message: str) -> None:
    world = GridWorld.from_text("S.F", slip=lambda open_ways: answer)
    with pytest.raises(ValueError, match=message):
        world.mdp(gamma=0.9)


def test_a_slip_of_ones_own_is_used() -> None:
    def always_right(open_ways: Any) -> Any:
        p = np.zeros((*open_ways.shape, 5))
        p[..., 1] = 1
        return p

    P = GridWorld.from_text("S.F", slip=always_right).mdp(gamma=0.9).P
    np.testing.assert_array_equal(P, np.eye(3)[[[1] * 4, [2] * 4, [2] * 4]])
