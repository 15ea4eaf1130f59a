"""Curves: how something goes down, or up, with the work done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from gridrl.tables import Array

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#1b1b1b", "#56b4e9", "#e69f00"]
STYLES = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1))]
Reader = str | Callable[[Any], float]


def curves(
    results: Mapping[str, Iterable[Any]],
    x: Reader | None,
    y: Reader,
    *,
    marks: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a line for each entry of `results`: y against x, told apart in grey by its dashes.

    Args:
        results: a name for each sequence of snapshots or records (dicts), or of plain numbers.
        x: the field to read, or a function of a snapshot; None counts 1, 2, 3, ...
        y: the same for the height.
        marks: thin horizontal lines with a name, the exact answer for example.
        ax: axes to draw on; None makes new ones.

    The y axis is logarithmic where all numbers are positive and span a factor of 1,000.

    >>> import matplotlib; matplotlib.use("agg")
    >>> ax = curves({"halving": [1.0, 0.5, 0.25]}, None, float)
    >>> ax.lines[0].get_ydata()
    array([1.  , 0.5 , 0.25])

    Raises:
        ValueError: there is nothing to draw, or a snapshot lacks the field.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
    drawn = []
    for k, (name, snapshots) in enumerate(results.items()):
        steps = list(snapshots)
        ys = _read(name, steps, y)
        xs = np.arange(1.0, len(ys) + 1) if x is None else _read(name, steps, x)
        look: dict[str, Any] = {"color": COLOURS[k % 7], "ls": STYLES[k % 7], "lw": 2.4}
        ax.plot(xs, ys, label=name, **look)
        drawn.append(ys[np.isfinite(ys)])
    if not drawn:
        raise ValueError("results must hold at least one curve; it is empty")
    for name, height in (marks or {}).items():
        ax.axhline(height, color="0.3", lw=1, zorder=1)
        ax.annotate(name, (1, height), xycoords=("axes fraction", "data"), size=12, va="bottom",
                    ha="right", color="0.2")  # fmt: skip
    _dress(ax, x, y, np.concatenate(drawn), len(results))
    return ax


def _read(name: str, snapshots: Sequence[Any], reader: Reader) -> Array:
    if not snapshots:
        raise ValueError(f"results[{name!r}] must hold at least one snapshot; it is empty")
    if callable(reader):
        return np.array([float(reader(snapshot)) for snapshot in snapshots])
    try:
        return np.array(
            [float(s[reader] if isinstance(s, Mapping) else getattr(s, reader)) for s in snapshots]
        )
    except (AttributeError, KeyError) as error:
        raise ValueError(f"results[{name!r}] has no field {reader!r}") from error


def _dress(ax: Axes, x: Reader | None, y: Reader, numbers: Array, lines: int) -> None:
    if len(numbers) and numbers.min() > 0 and numbers.max() / numbers.min() > 1e3:
        ax.set_yscale("log")
    ax.set_xlabel("iteration" if x is None else _title(x), size=14)
    ax.set_ylabel(_title(y), size=14)
    ax.tick_params(labelsize=12)
    ax.spines[["top", "right"]].set_visible(False)
    if lines > 1:
        ax.legend(fontsize=12, frameon=False)


def _title(reader: Reader) -> str:
    name = reader if isinstance(reader, str) else getattr(reader, "__name__", "")
    return "" if name == "<lambda>" else name.replace("_", " ")
