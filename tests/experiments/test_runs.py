"""One run: what it may return, how it fails, how it travels."""

from __future__ import annotations

import pickle
import sys
import threading
from typing import Any

import numpy as np
import pytest

from gridrl.experiments.runs import Run, fields_of, pack, perform


def run(experiment: Any, seed: int = 0, **given: Any) -> Run:
    return perform(pack(experiment, given, "a"), "a", seed)


@pytest.mark.parametrize("found", [2, 2.0, True + 1, np.int8(2), np.float32(2), np.array(2)])
def test_a_number_is_a_float(found: Any) -> None:
    fields = fields_of(found)
    assert fields == {"value": 2.0}
    assert type(fields["value"]) is float


@pytest.mark.parametrize("found", [[1, 2], (1.0, 2.0), np.array([1, 2]), [np.float64(1), 2]])
def test_a_curve_is_an_array(found: Any) -> None:
    curve: Any = fields_of(found)["value"]
    assert curve.dtype == np.float64
    np.testing.assert_array_equal(curve, [1.0, 2.0])


def test_infinities_are_numbers() -> None:
    fields = fields_of({"a": np.inf, "b": [np.nan, -np.inf]})
    np.testing.assert_array_equal(fields["a"], np.inf)
    np.testing.assert_array_equal(fields["b"], [np.nan, -np.inf])


@pytest.mark.parametrize(
    ("found", "kind", "message"),
    [
        (None, TypeError, "experiment must return a number, .*; 'value' is None"),
        ("high", TypeError, "'value' is 'high'"),
        ({"a": 1j}, TypeError, "'a' is 1j"),
        ({}, ValueError, r"experiment must return a number, a curve, or a dict of them; it is {}"),
        ({1: 2}, TypeError, "experiment must return fields named by text; one is 1"),
        ([], ValueError, r"a curve \(T,\) as 'value'; it has shape \(0,\)"),
        (np.ones((2, 3)), ValueError, r"a curve \(T,\) as 'value'; it has shape \(2, 3\)"),
        ([[1], [2, 3]], ValueError, "experiment must return one curve as 'value', not a table"),
        ({"seed": 1}, ValueError, "experiment must not return a field 'seed': the name is taken"),
        ({"alpha": 1}, ValueError, "experiment must not return a field 'alpha'"),
    ],
)
def test_anything_else_is_refused(found: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        fields_of(found, {"alpha": 1})


def test_a_run_that_fails_says_where() -> None:
    def broken(seed: int) -> float:
        return 1 / seed

    failed = run(broken)
    assert failed.fields is None
    assert failed.reason == "ZeroDivisionError: division by zero"
    assert failed.error is not None
    assert "in broken" in failed.error
    assert "perform" not in failed.error
    assert repr(failed) == "Run('a', seed 0: ZeroDivisionError: division by zero)"


def test_leaving_is_failing() -> None:
    assert run(lambda seed: sys.exit("enough")).reason == "SystemExit: enough"


def test_ctrl_c_is_not_a_result() -> None:
    def interrupted(seed: int) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupted)


def test_every_run_has_a_copy_of_its_own() -> None:
    seen: list[int] = []

    def greedy(seed: int, more: list[int]) -> int:
        seen.append(seed)
        more.append(seed)
        return len(seen + more)

    payload = pack(greedy, {"more": []}, "a")
    assert [perform(payload, "a", seed).fields for seed in (1, 2)] == [{"value": 2.0}] * 2
    assert seen == []


def test_what_cannot_travel_is_refused() -> None:
    lock = threading.Lock()
    with pytest.raises(
        TypeError, match=r"experiment and settings\['a'\] must be picklable, .*lock"
    ):
        pack(lambda seed: lock.locked(), {}, "a")


def test_runs_can_be_pickled_and_not_changed() -> None:
    first: Any = run(lambda seed: {"end": 1, "curve": [1, 2]})
    again = pickle.loads(pickle.dumps(first))
    for found in (first, again):
        assert found.fields["end"] == 1
        with pytest.raises(ValueError, match="read-only"):
            found.fields["curve"][0] = 3
    assert (again.setting, again.seed, again.error) == ("a", 0, None)
    assert repr(again) == "Run('a', seed 0: end, curve)"
