"""Curves: how something goes down, or up, with the work done; with bands where there are many runs.

Symbols: T snapshots, K runs in each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patheffects import withStroke

from gridrl.tables import Array

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#1b1b1b", "#56b4e9", "#e69f00"]
STYLES = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1))]
Reader = str | Callable[[Any], Any]


class Curve(NamedTuple):
    """A line, and the edges of its band if it has one."""

    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None


def curves(
    results: Any,
    x: Reader | None,
    y: Reader | None,
    *,
    marks: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a line for each entry of `results`: y against x, told apart in grey by its dashes.

    A band around a line says how far to trust it. It comes with what `Results.bands()` returns; and
    where y reads one number for each of K runs, it is the mean and two standard errors either way.

    Args:
        results: a name for each sequence of snapshots or records (dicts), or of plain numbers; or
            for each band: an object with .mean .low .high (T,), and .x (T,) or None. The `Results`
            of a sweep are drawn as the bands of their field y.
        x: the field to read, or a function of a snapshot; None counts 1, 2, 3, ... Of bands, the
            name of their axis.
        y: the same for the height, a number or an array (K,). Of bands, a name, or None.
        marks: thin horizontal lines with a name, the exact answer for example.
        ax: axes to draw on; None makes new ones.

    The y axis is logarithmic where all numbers are positive and span a factor of 1,000.

    >>> import matplotlib; matplotlib.use("agg")
    >>> ax = curves({"halving": [1.0, 0.5, 0.25]}, None, float)
    >>> ax.lines[0].get_ydata()
    array([1.  , 0.5 , 0.25])

    Raises:
        TypeError: bands, and a function to read them.
        ValueError: there is nothing to draw, a snapshot lacks the field, runs come and go, or a
            band is a single number.
    """
    if hasattr(results, "bands"):
        results = results.bands(y)
    if not results:
        raise ValueError("results must hold at least one curve; it is empty")
    found = {name: _curve(name, entry, x, y) for name, entry in results.items()}
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for k, (name, curve) in enumerate(found.items()):
        _draw(ax, k, name, curve)
    heights = _numbers(found.values())
    for name, height in (marks or {}).items():
        _mark(ax, name, height, below=len(heights) > 0 and height <= heights.min())
    _dress(ax, x, y, heights, len(found))
    return ax


def _draw(ax: Axes, k: int, name: str, curve: Curve) -> None:
    colour, dashes = COLOURS[k % 7], STYLES[k % 7]
    ax.plot(curve.x, curve.y, label=name, lw=2.4, color=colour, ls=dashes)
    if curve.low is not None and curve.high is not None:
        fill, edge = to_rgba(colour, 0.2), to_rgba(colour, 0.6)
        ax.fill_between(
            curve.x, curve.low, curve.high, facecolor=fill, edgecolor=edge, ls=dashes, lw=0.8
        )


def _mark(ax: Axes, name: str, height: float, *, below: bool) -> None:
    """Draw a line with its name above it, or below it where no curve is in the way."""
    ax.axhline(height, color="0.3", lw=1, zorder=1)
    label = ax.annotate(name, (1, height), xycoords=("axes fraction", "data"), size=12,
                        va="top" if below else "bottom", ha="right", color="0.2")  # fmt: skip
    label.set_path_effects([withStroke(linewidth=3, foreground="white")])


def _curve(name: str, entry: Any, x: Reader | None, y: Reader | None) -> Curve:
    if hasattr(entry, "low") and hasattr(entry, "high"):
        return _band(name, entry, x, y)
    if y is None:
        raise ValueError(f"y must say what to read of results[{name!r}]; None is for bands")
    steps = list(entry)
    ys = _read(name, steps, y)
    xs = np.arange(1.0, len(ys) + 1) if x is None else _read(name, steps, x)
    if xs.ndim > 1:
        raise ValueError(
            f"x must read one number of a snapshot of results[{name!r}], not one a run"
        )
    if ys.ndim == 1:
        return Curve(xs, ys)
    mean, K = ys.mean(axis=1), ys.shape[1]
    if K == 1:
        return Curve(xs, mean)
    error = ys.std(axis=1, ddof=1) / np.sqrt(K)
    return Curve(xs, mean, mean - 2 * error, mean + 2 * error)


def _band(name: str, band: Any, x: Reader | None, y: Reader | None) -> Curve:
    if callable(x) or callable(y):
        raise TypeError("x and y must be names of the axes, or None: bands are read already")
    if np.ndim(band.mean) != 1:
        raise ValueError(
            f"results[{name!r}] must be a curve; it is one number. For its dependence on an"
            ' argument: .bands(along="the argument")'
        )
    at = getattr(band, "x", None)
    xs = np.arange(1.0, len(band.mean) + 1) if at is None else np.asarray(at)
    return Curve(xs, *(np.asarray(values) for values in (band.mean, band.low, band.high)))


def _read(name: str, snapshots: Sequence[Any], reader: Reader) -> Array:
    """What `reader` finds in each snapshot, (T,), or (T, K) where it finds one number a run."""
    if not snapshots:
        raise ValueError(f"results[{name!r}] must hold at least one snapshot; it is empty")
    found = [_one(name, snapshot, reader) for snapshot in snapshots]
    for t, value in enumerate(found):
        if np.shape(value) != np.shape(found[0]):
            raise ValueError(
                f"results[{name!r}] must read the same number of runs everywhere; at 0 it reads"
                f" {np.shape(found[0])}, at {t} {np.shape(value)}"
            )
    return np.array(found)


def _one(name: str, snapshot: Any, reader: Reader) -> Any:
    try:
        value = _field(snapshot, reader) if isinstance(reader, str) else reader(snapshot)
    except (AttributeError, KeyError) as error:
        if callable(reader):
            raise
        raise ValueError(f"results[{name!r}] has no field {reader!r}") from error
    if np.ndim(value) == 0:
        return float(value)
    if np.ndim(value) == 1 and len(value):
        return np.asarray(value, dtype=np.float64)
    raise ValueError(
        f"results[{name!r}] must read a number or one a run, (K,); it reads {np.shape(value)}"
    )


def _field(snapshot: Any, name: str) -> Any:
    return snapshot[name] if isinstance(snapshot, Mapping) else getattr(snapshot, name)


def _numbers(found: Iterable[Curve]) -> Array:
    """All heights that can be drawn."""
    parts = [part for c in found for part in (c.y, c.low, c.high) if part is not None]
    heights = np.concatenate(parts)
    return heights[np.isfinite(heights)]


def _dress(ax: Axes, x: Reader | None, y: Reader | None, numbers: Array, lines: int) -> None:
    if len(numbers) and numbers.min() > 0 and numbers.max() / numbers.min() > 1e3:
        ax.set_yscale("log")
    ax.set_xlabel("iteration" if x is None else _title(x), size=14)
    ax.set_ylabel("" if y is None else _title(y), size=14)
    ax.tick_params(labelsize=12)
    ax.spines[["top", "right"]].set_visible(False)
    if lines > 1:
        ax.legend(fontsize=12, edgecolor="none", facecolor="white", framealpha=0.8)


def _title(reader: Reader) -> str:
    name = reader if isinstance(reader, str) else getattr(reader, "__name__", "")
    return "" if name in ("<lambda>", "float") else name.replace("_", " ")
