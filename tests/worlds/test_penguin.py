"""The lecture's ice, number by number."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gridrl import MarkovProcess, lost_penguin_world, penguin_world
from tests.golden import DEGREES, SLIDE, SLIDE_ROW_11

ICE = penguin_world()
CHAIN = ICE.markov_process()
PRINTED = np.array([line.split() for line in SLIDE.split("\n") if line], float)
CORRECTED = PRINTED.copy()
CORRECTED[10] = SLIDE_ROW_11.split()


def test_the_chain_is_equally_likely_to_any_neighbour() -> None:
    for s, degree in enumerate(DEGREES):
        assert sorted(CHAIN.P[s])[-degree:] == [float(Fraction(1, degree))] * degree
        assert (CHAIN.P[s] > 0).sum() == degree
    assert CHAIN.start.tolist() == [1] + [0] * 15


def test_the_chain_is_the_slide_to_two_decimals() -> None:
    # printed with two decimals: half a unit of the last place, and 1/3 is printed as 0.33
    np.testing.assert_allclose(CHAIN.columns, CORRECTED, atol=0.005)
    differs = np.argwhere(np.abs(CHAIN.columns - PRINTED) > 0.005) + 1
    assert differs.tolist() == [[11, 9], [11, 10], [11, 11], [11, 12]]


def test_the_slide_is_read_with_its_rounding() -> None:
    with pytest.raises(ValueError, match=r"C\[:, 1\], the column of state 2, .* sums to 0\.99 "):
        MarkovProcess.from_columns(CORRECTED)
    with pytest.raises(ValueError, match=r"column of state 2, .*renormalise=True"):
        MarkovProcess.from_columns(CORRECTED, tol=0.02)
    read = MarkovProcess.from_columns(CORRECTED, tol=0.02, renormalise=True)
    np.testing.assert_allclose(read.P, CHAIN.P, atol=1e-15)  # 0.33 / 0.99 = 1 / 3


def test_the_garbled_row_of_the_slide_is_found() -> None:
    for tol in (1e-8, 0.02):
        with pytest.raises(ValueError, match=r"C\[:, .*the column of state (2|9)"):
            MarkovProcess.from_columns(PRINTED, tol=tol, renormalise=True)
    read = MarkovProcess.from_columns(PRINTED, tol=0.4, renormalise=True)
    found = ICE.check(read)
    assert [str(f) for f in found] == [
        "jump: a step from 9 to 11, which is no neighbour",
        "missing: no step from 10 to 11, its neighbour",
        "missing: no step from 12 to 11, its neighbour",
        "stay: from 11 one may stay, though there is a way out",
    ]
    assert found[0].states == (8, 10)


def test_the_chain_has_period_2_and_powers_never_converge() -> None:
    assert CHAIN.period() == 2
    assert CHAIN.classes() == (tuple(range(16)),)
    black = np.indices((4, 4)).sum(axis=0).ravel() % 2 == 0
    assert CHAIN.distribution(1000)[~black].max() == 0
    assert CHAIN.distribution(1001)[black].max() == 0
    assert [str(f) for f in CHAIN.check()] == [
        "period: the whole process has period 2: P^n never converges"
    ]


def test_the_stationary_distribution_is_degree_over_48() -> None:
    np.testing.assert_allclose(CHAIN.stationary(), np.array(DEGREES) / 48, atol=1e-15)


def test_the_ice_is_the_same_from_every_side() -> None:
    """No exchange of left and right survives a mirror, a turn and a reflection in the diagonal."""
    square = np.arange(16).reshape(4, 4)
    P = np.asarray(ICE.mdp(gamma=0.9).P)
    turns = {  # where each square goes, and what up, right, down, left become
        "mirror": (np.fliplr(square).ravel(), [0, 3, 2, 1]),
        "upside down": (np.flipud(square).ravel(), [2, 1, 0, 3]),
        "diagonal": (square.T.ravel(), [3, 2, 1, 0]),
    }
    for to, acts in turns.values():
        np.testing.assert_allclose(P[to][:, acts][:, :, to], P, atol=1e-15)
        np.testing.assert_array_equal(CHAIN.P[np.ix_(to, to)], CHAIN.P)


def test_the_decision_process_by_hand() -> None:
    P = ICE.mdp(gamma=0.9).P
    six, edge, corner = P[5], P[1], P[0]
    # in the middle: 1/2 as meant, else 1/6 to each of the other three
    for a, to in enumerate([1, 6, 9, 4]):
        assert six[a, to] == 0.5
        np.testing.assert_allclose(np.delete(six[a][[1, 4, 6, 9]], [1, 4, 6, 9].index(to)), 1 / 6)
    # from 2: up is blocked, so equally to 1, 3 and 6; right is 1/2 to 3, else 1/4 each
    np.testing.assert_allclose(edge[0][[0, 2, 5]], 1 / 3)
    np.testing.assert_allclose(edge[1][[0, 2, 5]], [0.25, 0.5, 0.25])
    # in a corner all four actions are the same
    np.testing.assert_allclose(corner[:, [1, 4]], 0.5)


@pytest.mark.parametrize("intended", [0.0, 0.5, 0.8, 1.0])
def test_as_meant_with_probability_intended(intended: float) -> None:
    P = penguin_world(intended).mdp(gamma=0.9).P
    assert P[5, 1, 6] == intended
    np.testing.assert_allclose(P[5, 1, [1, 4, 9]], (1 - intended) / 3)


@pytest.mark.parametrize("intended", [1.1, -0.1, np.nan])
def test_a_bad_probability_is_refused(intended: float) -> None:
    for make in (penguin_world, lost_penguin_world):
        with pytest.raises(ValueError, match=rf"intended must be in \[0, 1\]; it is {intended:g}"):
            make(intended)


def test_fish_on_4_9_and_11_pay_on_leaving() -> None:
    R = np.zeros(16)
    R[[3, 8, 10]] = 1
    np.testing.assert_array_equal(ICE.reward_process(gamma=0.9).R, R)
    np.testing.assert_array_equal(ICE.mdp(gamma=0.9).R, np.tile(R[:, None], 4))
    assert not ICE.mdp(gamma=0.9).terminal.any()


def test_the_uniform_policy_is_worth_what_the_oracle_says() -> None:
    V = ICE.mdp(gamma=0.9).under(np.full((16, 4), 0.25)).values()
    assert V[0] == pytest.approx(1.364, abs=5e-4)  # oracles.md prints three decimals


def test_under_the_uniform_policy_the_ice_is_the_chain() -> None:
    uniform = ICE.mdp(gamma=0.9).under(np.full((16, 4), 0.25))
    np.testing.assert_allclose(uniform.P, CHAIN.P, atol=1e-15)


def test_the_slides_rewards_along_its_trajectory() -> None:
    states = [ICE.index(label) for label in [1, 2, 6, 10, 9, 10, 11, 15]]
    rewards = ICE.reward_process(gamma=0.9).R[states]
    assert rewards.tolist() == [0, 0, 0, 0, 1, 0, 1, 0]


def test_the_lost_penguins_hole_and_fish() -> None:
    mdp = lost_penguin_world().mdp(gamma=0.9)
    assert {s + 1: r for s, r in enumerate(mdp.R[:, 0]) if r} == {4: -2.0, 10: 3.0}
    assert not mdp.terminal.any()
    assert mdp.start[0] == 1
    np.testing.assert_array_equal(mdp.P, ICE.mdp(gamma=0.9).P)
