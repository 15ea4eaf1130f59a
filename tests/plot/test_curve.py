"""Curves with bands: what was drawn is read back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from gridrl import plot
from gridrl.experiments import Band, sweep
from gridrl.tables import Array

RNG = np.random.default_rng(0)
ROWS = [{"episode": t, "returns": RNG.normal(t, 1, size=9), "t": [t, t]} for t in range(4)]


def band_of(mean: Any, width: float = 1.0, x: Array | None = None) -> Band:
    middle = np.asarray(mean, dtype=np.float64)
    return Band(middle, middle - width, middle + width, 7, x)


def line(ax: Axes, k: int = 0) -> tuple[Any, Any]:
    drawn: Any = ax.lines[k]
    return drawn.get_xdata(), drawn.get_ydata()


def edges(ax: Axes, k: int = 0) -> set[tuple[float, float]]:
    """The corners of the k-th band."""
    vertices: Any = ax.collections[k].get_paths()[0].vertices
    return {(float(x), float(y)) for x, y in vertices}


def test_a_band_is_a_line_in_a_shade() -> None:
    ax = plot.curves({"a": band_of([3, 1, 2])}, None, None)
    assert len(ax.lines) == 1
    np.testing.assert_array_equal(line(ax), [[1, 2, 3], [3, 1, 2]])
    assert edges(ax) >= {(1, 2), (1, 4), (2, 0), (2, 2), (3, 1), (3, 3)}
    fill: Any = ax.collections[0].get_facecolor()
    assert 0.1 <= fill[0, 3] <= 0.3  # see through
    assert tuple(fill[0, :3]) == to_rgb(ax.lines[0].get_color())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("iteration", "")


def test_a_band_stands_where_it_says_and_names_its_axes() -> None:
    at = np.array([0.1, 0.5])
    ax = plot.curves({"a": band_of([3, 1], x=at)}, "alpha", "mean_return")
    np.testing.assert_array_equal(line(ax)[0], at)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("alpha", "mean return")


def test_bands_are_told_apart_in_grey() -> None:
    bands = {f"{k}": band_of([k, k + 1]) for k in range(7)}
    ax = plot.curves(bands, None, "mean")
    dashes = {repr(drawn._unscaled_dash_pattern) for drawn in ax.lines}  # type: ignore[attr-defined]
    outlines = {repr(shade.get_linestyle()) for shade in ax.collections}
    assert len(dashes) == len(outlines) == 7
    legend: Any = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == list(bands)


def test_the_results_of_a_sweep_are_drawn_as_bands() -> None:
    found = sweep(lambda seed: {"a": [seed, 2.0 * seed], "b": seed}, [{}], seeds=3,
                  executor="serial")  # fmt: skip
    ax = plot.curves(found, "episode", "a", marks={"exact": 1.5})
    np.testing.assert_allclose(line(ax)[1], [1, 2])
    assert edges(ax) >= {(1.0, 0.0), (2.0, 4.0)}  # one seed three times: 1 in 27
    np.testing.assert_array_equal(line(ax, 1)[1], [1.5, 1.5])
    with pytest.raises(ValueError, match=r"field must be one of \['a', 'b'\]; it is 'c'"):
        plot.curves(found, None, "c")


def test_many_runs_are_a_mean_and_two_standard_errors() -> None:
    ax = plot.curves({"a": ROWS}, "episode", "returns")
    table = np.array([row["returns"] for row in ROWS])
    mean, error = table.mean(axis=1), table.std(axis=1, ddof=1) / 3
    np.testing.assert_allclose(line(ax)[1], mean)
    drawn = edges(ax)
    for t in range(4):
        ends = sorted({y for x, y in drawn if x == t})
        np.testing.assert_allclose([ends[0], ends[-1]], mean[t] + 2 * error[t] * np.array([-1, 1]))


def test_one_run_has_no_band() -> None:
    ax = plot.curves({"a": [np.ones(1), np.zeros(1)], "b": [1.0]}, None, lambda row: row)
    assert len(ax.collections) == 0
    np.testing.assert_array_equal(line(ax)[1], [1, 0])


@pytest.mark.parametrize(("mean", "scale"), [([1e4, 2.0], "log"), ([1e4, 0.5], "linear")])
def test_a_band_below_zero_has_no_logarithm(mean: list[float], scale: str) -> None:
    assert plot.curves({"a": band_of(mean)}, None, None).get_yscale() == scale


def test_what_is_not_finite_is_left_out() -> None:
    ax = plot.curves({"a": band_of([1.0, np.nan, np.inf])}, None, None, marks={"exact": 0.0})
    ax.figure.canvas.draw()
    assert np.isfinite(ax.get_ylim()).all()
    plot.curves({"a": band_of([np.nan])}, None, None, marks={"exact": 0.0})


def test_a_mark_below_all_curves_has_its_name_below() -> None:
    ax = plot.curves({"a": band_of([5, 3])}, None, None, marks={"low": 1.0, "high": 3.5})
    assert [text.get_verticalalignment() for text in ax.texts] == ["top", "bottom"]


@pytest.mark.parametrize(
    ("results", "x", "y", "kind", "message"),
    [
        ({"a": band_of(1.0)}, None, None, ValueError, r"results\['a'\] must be a curve; it is one"),
        ({"a": band_of([1])}, None, float, TypeError, "x and y must be names of the axes, or None"),
        ({"a": band_of([1])}, float, None, TypeError, "x and y must be names of the axes, or None"),
        ({"a": [1.0]}, None, None, ValueError, r"y must say what to read of results\['a'\]"),
        ({"a": ROWS}, "returns", "episode", ValueError, r"x must read one number .*results\['a'\]"),
        ({"a": [[1], [1, 2]]}, None, list, ValueError, r"at 0 it reads \(1,\), at 1 \(2,\)"),
        ({"a": [1]}, None, lambda _: np.ones((2, 2)), ValueError, r"one a run, \(K,\); it reads"),
        ({"a": [1]}, None, lambda _: [], ValueError, r"one a run, \(K,\); it reads \(0,\)"),
        ({"a": [SimpleNamespace()]}, None, "b", ValueError, r"results\['a'\] has no field 'b'"),
        ({}, None, None, ValueError, "results must hold at least one curve; it is empty"),
    ],
)
def test_curves_say_what_cannot_be_drawn(
    results: Any, x: Any, y: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        plot.curves(results, x, y)


def test_an_error_in_a_reader_is_its_own() -> None:
    with pytest.raises(KeyError, match="nothing"):
        plot.curves({"a": [{}]}, None, lambda row: row["nothing"])
