"""Partially observable processes: an MDP and what is seen of it."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

from gridrl import MDP, POMDP

STEP = MDP([[[0, 1], [1, 0]], [[1, 0], [0, 1]]], [[1, 0], [0, 2]], 0.9, labels=["a", "b"], start=0)
SEEN = [[0.5, 0.5, 0], [0, 0.5, 0.5]]


def test_the_fields_of_its_mdp_can_be_read() -> None:
    pomdp = POMDP(STEP, SEEN)
    for name in ("P", "R", "gamma", "start", "terminal", "labels", "action_labels", "n_states"):
        assert getattr(pomdp, name) is getattr(STEP, name) or getattr(pomdp, name) == getattr(
            STEP, name
        )
    assert (pomdp.n_states, pomdp.n_actions, pomdp.n_observations) == (2, 2, 3)
    assert pomdp.observation_labels == ("1", "2", "3")
    assert repr(pomdp) == "POMDP(2 states, 2 actions, 3 observations, gamma=0.9)"


def test_what_is_seen_may_depend_on_the_action() -> None:
    O = np.stack([SEEN, np.full((2, 3), 1 / 3)])  # noqa: E741
    np.testing.assert_array_equal(POMDP(STEP, O).O, O)


def test_replacing_its_own_fields_and_its_mdps() -> None:
    pomdp = POMDP(STEP, SEEN, observation_labels=["x", "y", "z"])
    other = pomdp.replace(gamma=0.5, O=np.eye(2), observation_labels=None)
    assert (other.gamma, other.mdp.gamma, pomdp.gamma) == (0.5, 0.5, 0.9)
    np.testing.assert_array_equal(other.O, np.eye(2))
    assert other.observation_labels == ("1", "2")
    again = pomdp.replace(mdp=STEP.replace(gamma=0.1), start=1)
    assert (again.gamma, again.start.tolist()) == (0.1, [0, 1])
    assert again.observation_labels == ("x", "y", "z")
    for copy in (pomdp.replace(), pickle.loads(pickle.dumps(pomdp))):
        np.testing.assert_array_equal(copy.O, pomdp.O)
        np.testing.assert_array_equal(copy.R, pomdp.R)


@pytest.mark.parametrize(
    ("O", "error", "message"),
    [
        (
            np.ones((3, 1)),
            ValueError,
            r"O must have shape \(2, Z\) or \(2, 2, Z\); it has \(3, 1\)",
        ),
        (np.ones((3, 2, 1)), ValueError, r"O must have shape .*; it has \(3, 2, 1\)"),
        (1.0, ValueError, r"O must have shape .*; it has \(\)"),
        ([], ValueError, r"O must have shape .*; it has \(0,\)"),
        (np.ones((2, 0)), ValueError, r"O must not be empty; it has shape \(2, 0\)"),
        ([[0.5, 0.5], [0.5, 0.4]], ValueError, r"O\[1\] must be a distribution; it sums to 0\.9"),
        ([SEEN, np.ones((2, 3))], ValueError, r"O\[1, 0\] must be a distribution; it sums to 3"),
        ([[1.5, -0.5], [0, 1]], ValueError, r"O\[0, 1\] must not be negative; it is -0\.5"),
        ([[1, 0], [np.nan, 1]], ValueError, r"O\[1, 0\] must be finite; it is nan"),
        ([["a"], ["b"]], TypeError, "O must hold real numbers; it holds <U1"),
    ],
)
def test_a_bad_table_is_refused(O: Any, error: type[Exception], message: str) -> None:  # noqa: E741
    with pytest.raises(error, match=message):
        POMDP(STEP, O)
    with pytest.raises(error, match=message):
        POMDP(STEP, np.eye(2)).replace(O=O)


def test_other_bad_input_is_refused() -> None:
    with pytest.raises(TypeError, match="mdp must be an MDP; it is ndarray"):
        POMDP(np.eye(2), np.eye(2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="observation_labels must hold 3 labels; it holds 2"):
        POMDP(STEP, SEEN, observation_labels=["x", "y"])
    with pytest.raises(TypeError, match=r"observation_labels\[0\] must be text or a whole number"):
        POMDP(STEP, SEEN, observation_labels=[0.5, 1, 2])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"gamma must be in \[0, 1\]; it is 2"):
        POMDP(STEP, SEEN).replace(gamma=2)
    with pytest.raises(TypeError, match="unexpected keyword argument 'noise'"):
        POMDP(STEP, SEEN).replace(noise=0.1)


def test_tables_are_locked_copies_and_fields_frozen() -> None:
    O = np.array(SEEN)  # noqa: E741
    pomdp = POMDP(STEP, O)
    O[:] = 9
    np.testing.assert_array_equal(pomdp.O, SEEN)
    with pytest.raises(ValueError, match="read-only"):
        pomdp.O[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        pomdp.O = O  # type: ignore[misc]


def test_observations_that_are_never_made_are_odd() -> None:
    odd = POMDP(STEP, [[1, 0, 0], [1, 0, 0]], observation_labels=["x", "y", "z"])
    assert str(odd.check()[-1]) == "never seen: observations y, z are never made"
    assert [f.kind for f in POMDP(STEP, SEEN).check()] == [f.kind for f in STEP.check()]
