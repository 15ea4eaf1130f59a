"""An algorithm streams its snapshots, or gives the last one."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gridrl.iterates import algorithm


@algorithm
def halve(x: float, *, times: int) -> Iterator[float]:
    """Halve x again and again."""
    for _ in range(times):
        yield (x := x / 2)


def test_calling_gives_the_last_iterate() -> None:
    assert halve(8, times=3) == 1
    assert list(halve.iterates(8, times=3)) == [4, 2, 1]


def test_iterates_are_computed_one_at_a_time() -> None:
    assert next(halve.iterates(8, times=10**12)) == 4


def test_a_bar_changes_nothing_but_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert halve(8, times=3, progress=True) == 1  # type: ignore[call-arg]
    bar = capsys.readouterr()
    assert "halve: 3it" in bar.err
    assert bar.out == ""
    assert halve(8, times=3, progress=False) == 1  # type: ignore[call-arg]
    assert capsys.readouterr().err == ""


def test_it_looks_like_the_function_it_wraps() -> None:
    assert halve.__name__ == "halve"
    assert halve.__doc__ == "Halve x again and again."
    assert list(inspect.signature(halve).parameters) == ["x", "times", "progress"]
    assert repr(halve) == "<algorithm halve>"


def test_it_can_be_sent_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(halve)) is halve


def test_a_wrong_keyword_is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'tol'"):
        halve(8, times=3, tol=1e-8)  # type: ignore[call-arg]


def test_an_algorithm_of_a_notebook_travels_by_value() -> None:
    code = """
import cloudpickle, pickle
from gridrl.iterates import algorithm
@algorithm
def mine(x):
    yield x + 1
data = cloudpickle.dumps(mine)
del mine
print(pickle.loads(data)(1))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "2"
