"""What is drawn is what was computed: variances and PPO's objective."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt

from gridrl import penguin_world, plot, ppo, reinforce
from gridrl.learning import clipped_surrogate


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.2, 1.0])
def test_the_objective_is_drawn_for_both_signs(epsilon: float) -> None:
    ax = plot.clipped_objective(epsilon)
    lines = [line for line in ax.lines if len(np.asarray(line.get_xdata())) > 3]
    assert len(lines) == 2
    for line, A in zip(lines, (1.0, -1.0), strict=True):
        r = np.asarray(line.get_xdata(), dtype=float)
        np.testing.assert_allclose(
            np.asarray(line.get_ydata(), dtype=float), clipped_surrogate(r, A, epsilon)
        )
        assert {1 - epsilon, 1.0, 1 + epsilon} <= set(r)  # the kinks are corners, not slopes
    assert lines[0].get_linestyle() != lines[1].get_linestyle()  # told apart in grey
    assert ax.get_xlabel()
    assert ax.get_ylabel()


def test_an_impossible_epsilon_is_named() -> None:
    with pytest.raises(ValueError, match=r"epsilon must be in \[0, 1\]; it is 1.5"):
        plot.clipped_objective(1.5)


def test_bars_are_what_was_measured_and_marks_what_is_exact() -> None:
    measured, exact = {"none": 10.0, "mean": 2.5, "value": 2.0}, {"value": 2.1, "none": 11.0}
    ax = plot.variances(measured, exact)
    bars: Any = ax.patches
    assert [bar.get_width() for bar in bars] == [10.0, 2.5, 2.0]
    (marks,) = ax.lines
    assert list(np.asarray(marks.get_xdata())) == [2.1, 11.0]
    assert list(np.asarray(marks.get_ydata())) == [2, 0]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["none", "mean", "value"]
    assert ax.get_xscale() == "log"
    low, high = ax.get_xlim()
    assert low < 2.0
    assert high > 11.0
    assert ax.yaxis_inverted()  # the first one stands on top


def test_it_draws_on_axes_it_is_given() -> None:
    _, (left, right) = plt.subplots(ncols=2)
    assert plot.variances({"a": 1.0}, ax=left) is left
    assert plot.clipped_objective(ax=right) is right
    assert not left.lines


@pytest.mark.parametrize(
    ("measured", "exact", "message"),
    [
        ({}, {}, "measured must hold at least one variance; it is empty"),
        ({"a": 1.0}, {"b": 1.0}, "exact must name what is measured; 'b' is not"),
        ({"a": 0.0}, {}, "variances must be positive; that of 'a' is 0"),
        ({"a": 1.0}, {"a": float("nan")}, "variances must be positive; that of 'a' is nan"),
    ],
)
def test_bad_variances_are_named(
    measured: dict[str, float], exact: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plot.variances(measured, exact)


def test_films_of_policy_learners() -> None:
    ice = penguin_world()
    mdp = ice.mdp(gamma=0.9)
    film = plot.animate(ice, ppo.iterates(mdp, updates=3, steps=20, rng=0))
    assert len(film.frames) == 3
    bare = plot.animate(ice, reinforce.iterates(mdp, updates=3, steps=20, rng=0))
    frame = np.asarray(bare.frames[0]).reshape(-1, 3)
    purple = (np.abs(frame.astype(int) - [68, 1, 84]).sum(axis=1) < 30).mean()
    assert purple == 0.0  # no values were learned, so no colours pretend that they were
    coloured = np.asarray(film.frames[0]).reshape(-1, 3)
    assert len(np.unique(coloured // 32, axis=0)) > len(np.unique(frame // 32, axis=0))
