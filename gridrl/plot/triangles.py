"""Triangles: policies over three answers, the paths they take, and preferences that go round.

Symbols: T steps of a path, K runs; M (3, 3) preferences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Polygon
from numpy.typing import ArrayLike

from gridrl.plot.curve import COLOURS, STYLES
from gridrl.plot.language import DARK, MARKERS
from gridrl.tables import Array, distributions, table

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
OUTWARDS = np.array([[0.0, -1.6], [0.0, -1.6], [0.0, 1.0]])


def simplex(
    M_or_paths: Any,
    *,
    names: Sequence[str] = ("1", "2", "3"),
    marks: Mapping[str, ArrayLike] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw what happens to distributions over three answers: preferences, or learning paths.

    Of preferences M[i, j] = P(i is preferred to j): at each edge an arrow towards what is
    preferred, and inside the way that self-play goes, p_i' = p_i ((M p)_i - p M p). On axes that
    show a triangle already, paths are added: `simplex(paths, ax=simplex(M))`.

    Args:
        M_or_paths: a preference matrix, (3, 3); or a path (T, 3), or a name for each path; (T, K,
            3) are K runs.
        names: of the three answers, lower left, lower right, top.
        marks: a name for each point that is marked, (3,): the optimum, an equilibrium.
        ax: axes to draw on; None makes new ones.

    >>> import matplotlib; matplotlib.use("agg")
    >>> ax = simplex([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])
    >>> ax.lines[-1].get_xydata().round(2).tolist()
    [[0.0, 0.0], [0.5, 0.29]]

    Raises:
        ValueError: a square matrix that is neither preferences (M + its transpose = 1) nor a path
            of distributions; a path of another shape; not three names.
    """
    if len(names) != 3:
        raise ValueError(f"names must be three; there are {len(names)}")
    given = M_or_paths if isinstance(M_or_paths, Mapping) else {"": M_or_paths}
    matrix = None if isinstance(M_or_paths, Mapping) else _preferences(M_or_paths)
    paths = {name: _path(path, name) for name, path in given.items()} if matrix is None else {}
    points = {
        name: distributions(at, f"marks[{name!r}]", (3,)) for name, at in (marks or {}).items()
    }
    ax = _triangle(ax, names)
    if matrix is not None:
        _draw_preferences(ax, matrix)
    for k, (name, path) in enumerate(paths.items()):
        _draw_path(ax, k, name, path)
    for k, (name, at) in enumerate(points.items()):
        ax.plot(*(at @ CORNERS), marker="*XPd"[k % 4], ms=15, color="white", mec="black",
                ls="none", label=name, zorder=6)  # fmt: skip
    if any(not str(line.get_label()).startswith("_") for line in ax.lines):
        names = ax.get_legend_handles_labels()[1]
        columns = 3 if len(names) == 3 and max(map(len, names)) < 15 else 2
        ax.legend(fontsize=12, frameon=False, loc="upper center", bbox_to_anchor=(0.5, 0.0),
                  ncols=columns)  # fmt: skip
    return ax


def _preferences(given: Any) -> Array | None:
    """`given` as a preference matrix; None if it is a path."""
    if np.shape(given) != (3, 3):
        return None
    M = table(given, "M")
    if (M >= 0).all() and np.allclose(M + M.T, 1, atol=1e-8):
        return M
    if (M >= 0).all() and np.allclose(M.sum(axis=1), 1, atol=1e-8):
        return None  # three steps of a path; of preferences the rows sum to 4.5 together, not to 3
    i, j = np.unravel_index(np.argmax(np.abs(M + M.T - 1)), M.shape)
    raise ValueError(
        f"M must be preferences, M[i, j] + M[j, i] = 1; M[{i}, {j}] + M[{j}, {i}] is"
        f" {M[i, j] + M[j, i]:.6g} (or the rows of a path must sum to 1)"
    )


def _path(given: Any, name: str) -> Array:
    path = np.asarray(given, dtype=np.float64)
    what = f"paths[{name!r}]" if name else "path"
    if path.ndim not in (2, 3) or path.shape[-1] != 3:
        raise ValueError(f"{what} must have shape (T, 3) or (T, K, 3); it has {path.shape}")
    return distributions(path, what)


def _triangle(ax: Axes | None, names: Sequence[str]) -> Axes:
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 5.4), layout="constrained")
    if any(patch.get_gid() == "simplex" for patch in ax.patches):
        return ax
    ax.add_patch(Polygon(CORNERS, fc="none", ec=DARK, lw=1.4, gid="simplex", zorder=1))
    for name, at, out in zip(names, CORNERS, OUTWARDS, strict=True):
        x, y = at + 0.055 * out
        ax.text(x, y, name, size=14, ha="center", va="center", gid="corner")
    ax.set(xlim=(-0.16, 1.16), ylim=(-0.12, 0.98), aspect="equal")
    ax.set_axis_off()
    return ax


def _draw_path(ax: Axes, k: int, name: str, path: Array) -> None:
    """All runs, the first with the name; a ring where they begin, a filled mark where they end."""
    look: dict[str, Any] = {"color": COLOURS[k % 7], "ls": STYLES[k % 7]}
    runs = path[:, None] if path.ndim == 2 else path
    for run in range(runs.shape[1]):
        at = runs[:, run] @ CORNERS
        ax.plot(*at[0], marker="o", ms=8, mfc="white", mec=look["color"], mew=1.8, zorder=4)
        label = name if run == 0 and name else "_"
        ax.plot(*at.T, lw=2.0 if path.ndim == 2 else 1.0, label=label, ms=8, zorder=4,
                marker=MARKERS[k % len(MARKERS)], markevery=[len(at) - 1], **look)  # fmt: skip


def _draw_preferences(ax: Axes, M: Array) -> None:
    inside = np.array([(i, j, 12 - i - j) for i in range(1, 11) for j in range(1, 12 - i)]) / 12
    better = inside @ M.T
    change = inside * (better - (inside * better).sum(axis=1, keepdims=True))
    at, way = inside @ CORNERS, change @ CORNERS
    longest = max(float(np.linalg.norm(way, axis=1).max()), 1e-12)
    ax.quiver(*at.T, *way.T, color="0.55", angles="xy", scale_units="xy", scale=longest / 0.09,
              width=0.005, zorder=2, gid="self-play")  # fmt: skip
    for i, j in ((0, 1), (1, 2), (2, 0)):
        _draw_edge(ax, M, *((i, j) if M[i, j] >= 0.5 else (j, i)))


def _draw_edge(ax: Axes, M: Array, winner: int, loser: int) -> None:
    """An arrow from what loses to what wins, beside the edge, with the probability."""
    middle = (CORNERS[winner] + CORNERS[loser]) / 2
    out = middle - CORNERS.mean(axis=0)
    out /= np.linalg.norm(out)
    along = (CORNERS[winner] - CORNERS[loser]) * 0.3
    ends = middle + 0.035 * out - along, middle + 0.035 * out + along
    style = "-|>" if M[winner, loser] > 0.5 else "-"
    ax.add_patch(FancyArrowPatch(*ends, arrowstyle=style, mutation_scale=18, lw=2, color=DARK,
                                 zorder=3, gid="preferred"))  # fmt: skip
    x, y = middle + 0.085 * out
    ax.text(x, y, f"{M[winner, loser]:.2g}", size=13, ha="center", va="center", gid="preference")
