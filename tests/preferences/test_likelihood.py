"""The softmax with guesses: floor, cap and steepest slope, derivatives, far ends."""

from __future__ import annotations

import numpy as np
import pytest

from gridrl.preferences.likelihood import (
    curvature,
    information,
    loss_and_slope,
    preference_loss,
    preferred,
)


def test_mixture_floor_cap_and_steepest_slope() -> None:
    delta = np.linspace(-12, 12, 24_001)
    loss, slope = loss_and_slope(delta, np.ones_like(delta), 0.1)
    assert (np.diff(loss) < 0).all()
    assert round(float(preference_loss(60.0, 1.0, 0.1)), 4) == 0.0513
    assert round(float(preference_loss(-60.0, 1.0, 0.1)), 4) == 2.9957
    assert round(float(np.abs(slope).max()), 3) == 0.627
    assert round(float(delta[np.abs(slope).argmax()]), 2) == -1.47
    assert abs(slope[2000]) == pytest.approx(8e-4, abs=5e-5)  # at -10, where the bare one is 1
    assert loss_and_slope(np.array([-10.0]), np.ones(1))[1] == pytest.approx([-1], abs=1e-4)
    assert curvature(np.array([-4.0]), np.ones(1), 0.1)[0] < 0  # not convex


@pytest.mark.parametrize("error", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("mu", [0.0, 0.5, 1.0])
def test_slope_curvature_and_information(error: float, mu: float) -> None:
    delta, h = np.linspace(-6, 6, 25), 1e-5
    share = np.full(25, mu)
    above, below = (loss_and_slope(delta + d, share, error) for d in (h, -h))
    _, slope = loss_and_slope(delta, share, error)
    np.testing.assert_allclose((above[0] - below[0]) / (2 * h), slope, atol=1e-9)
    bend = curvature(delta, share, error)
    np.testing.assert_allclose((above[1] - below[1]) / (2 * h), bend, atol=1e-9)
    p = preferred(delta, error)
    ones = np.ones(25)
    squares = [loss_and_slope(delta, side * ones, error)[1] ** 2 for side in (1, 0)]
    expected = p * squares[0] + (1 - p) * squares[1]  # Fisher: the mean squared score
    np.testing.assert_allclose(information(delta, error), expected, atol=1e-12)


def test_loss_stays_finite_far_out() -> None:
    loss, slope = loss_and_slope(np.array([-1e4, 1e4]), np.array([1.0, 1.0]))
    np.testing.assert_allclose(loss, [1e4, 0])
    np.testing.assert_allclose(slope, [-1, 0])
